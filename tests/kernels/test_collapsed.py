"""The collapsed pass against log marginal likelihoods computed from scratch."""

import mpmath
import numpy as np
import pytest
from collapsed_by_hand import (
    GAUSSIAN,
    KINDS,
    LOG_2PI,
    PRODUCTS,
    assert_same_state,
    blocks_of,
    log_joint,
    make_posterior,
    make_prior,
    make_rows,
    make_state,
    run_to_the_end,
)
from scipy.special import gammaln

from skem._kernels.collapsed import Collapsed

shapes = pytest.mark.parametrize(("d", "K"), [(1, 3), (3, 2), (4, 11), (9, 8)])
kinds = pytest.mark.parametrize("kind", KINDS)


# --- scores and changes ---------------------------------------------------------------------------


@kinds
@shapes
@pytest.mark.parametrize("weight", [1.0, 2.0, 5.0, 0.37, 23.5])
def test_log_predictive_is_the_difference_of_log_marginals(kind, d, K, weight):
    X, w, labels, alpha = make_rows(kind, 40, d, K, seed=d)
    row, rest = X[0], slice(1, None)
    state = make_state(kind, X[rest], w[rest], labels[rest], alpha)
    w[0] = weight
    expected = np.empty(K)
    for k in range(K):
        labels[0] = k
        expected[k] = log_joint(kind, X, w, labels, K, alpha)
    expected -= log_joint(kind, X[rest], w[rest], labels[rest], K, alpha)
    # What the kernel leaves out: the base measure and the Dirichlet's normaliser.
    n, a = w[rest].sum(), alpha.sum()
    expected += gammaln(n + weight + a) - gammaln(n + a)
    n_gaussian = d if kind in GAUSSIAN else 1 if kind in PRODUCTS else 0
    expected += 0.5 * weight * (d if kind in PRODUCTS and len(blocks_of(kind, d)) == 1 else n_gaussian) * LOG_2PI
    np.testing.assert_allclose(state.log_predictive(row, weight), expected, rtol=1e-10, atol=1e-10)


@kinds
def test_weight_two_scores_like_the_row_twice(kind):
    X, w, labels, alpha = make_rows(kind, 30, 3, 4, seed=1)
    state = make_state(kind, X, w, labels, alpha)
    for k in range(4):
        at_once = state.log_predictive(X[3], 2.0)[k]
        first = state.log_predictive(X[3])[k]
        state.observe(k, X[3])
        second = state.log_predictive(X[3])[k]
        state.forget(k, X[3])
        assert at_once == pytest.approx(first + second, rel=1e-12)
        assert abs(at_once - 2 * first) > 1e-3, "the weight multiplies the one-row score"


@kinds
@shapes
def test_observe_merges_and_forget_undoes(kind, d, K):
    X, w, labels, alpha = make_rows(kind, 30, d, K, seed=2)
    state = make_state(kind, X[1:], w[1:], labels[1:], alpha)
    before = make_state(kind, X[1:], w[1:], labels[1:], alpha)
    state.observe(labels[0], X[0], w[0])
    assert_same_state(state, make_state(kind, X, w, labels, alpha), 1e-12)
    state.forget(labels[0], X[0], w[0])
    assert_same_state(state, before, 1e-12)
    assert state.n_repairs == 0


@kinds
def test_scores_follow_every_change_of_state_and_weight(kind):
    # The weights share slots of the kernel's memory, so a stale term would show.
    X, _, labels, alpha = make_rows(kind, 60, 3, 5, seed=3)
    w = np.resize([1.0, 9.0, 1.5, 17.25, 2.0], 60)
    state = make_state(kind, X[:10], w[:10], labels[:10], alpha)
    for i in range(10, 60):
        state.observe(labels[i], X[i], w[i])
        if i % 3 == 0:
            state.forget(labels[i - 10], X[i - 10], w[i - 10])
            state.observe(labels[i - 10], X[i - 10], w[i - 10])
        fresh = make_state(kind, X[: i + 1], w[: i + 1], labels[: i + 1], alpha)
        for weight in (1.0, w[i]):
            np.testing.assert_allclose(
                state.log_predictive(X[0], weight), fresh.log_predictive(X[0], weight), rtol=1e-11
            )


@pytest.mark.parametrize("size", [3.0, 1e3, 1e7])
@pytest.mark.parametrize("weight", [1.0, 3.0, 0.25, 40.5])
def test_scores_keep_their_digits_at_large_counts(size, weight):
    # One column of counts: the whole score by 40 digits.
    post = {"n": np.array([size / 3]), "total": np.array([[size]])}
    x = 2.0
    got = Collapsed("poisson", post, np.array([size]), 0.5).log_predictive(np.array([x]), weight)
    with mpmath.workdps(40):
        a, b, v = mpmath.mpf(size), mpmath.mpf(size / 3), mpmath.mpf(weight * x)
        n = a + mpmath.mpf("0.5")
        exact = mpmath.loggamma(a + v) - mpmath.loggamma(a)
        exact += a * mpmath.log(b) - (a + v) * mpmath.log(b + weight)
        exact += mpmath.loggamma(n + weight) - mpmath.loggamma(n)
    assert got[0] == pytest.approx(float(exact), rel=2e-14, abs=2e-14 * weight * np.log(size))


def test_one_rate_a_component_is_that_rate_in_every_column():
    X, w, labels, alpha = make_rows("poisson", 40, 3, 4, seed=15)
    resp = (labels[:, None] == np.arange(4)) * w[:, None]
    n_k, total = resp.sum(axis=0), 0.8 + resp.T @ X
    one = Collapsed("poisson", {"n": 0.7 + n_k, "total": total}, n_k, alpha)
    n = np.tile(0.7 + n_k[:, None], (1, 3))
    each = Collapsed("poisson", {"n": n, "total": total}, n_k, alpha)
    other = labels.copy()
    assert one.sweep(X, w, labels, np.arange(40)) == each.sweep(X, w, other, np.arange(40))
    np.testing.assert_array_equal(labels, other)
    assert one.posterior["n"].shape == (4,)
    np.testing.assert_array_equal(one.posterior["n"], each.posterior["n"][:, 0])


def test_many_small_counts_on_large_totals():
    # The product that stands for their log Gamma functions must be cut before it overflows.
    n, total, x = 3e15, np.linspace(1e14, 4e15, 20), np.arange(20.0)
    state = Collapsed("poisson", {"n": [n], "total": total[None]}, np.array([n]), 0.5)
    exact = mpmath.log(mpmath.mpf(n) + 0.5)
    with mpmath.workdps(60):
        for a, count in zip(total, x, strict=True):
            a, b = mpmath.mpf(a), mpmath.mpf(n)
            exact += mpmath.loggamma(a + count) - mpmath.loggamma(a)
            exact += a * mpmath.log(b) - (a + count) * mpmath.log(b + 1)
    assert state.log_predictive(x)[0] == pytest.approx(float(exact), abs=1e-10)


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_a_far_row_has_a_finite_score(kind):
    # Nine factors of 1e120 overflow a product. Such lopsided matrices have no twin in float64.
    X, w, labels, alpha = make_rows(kind, 30, 9, 3, seed=4)
    X[0] = 1e60
    scores = make_state(kind, X[1:], w[1:], labels[1:], alpha).log_predictive(X[0], w[0])
    assert np.isfinite(scores).all()
    if kind in ("diag", "spherical", "EII", "EEI"):
        values = []
        for labels[0] in range(3):
            values.append(log_joint(kind, X, w, labels, 3, alpha))
        np.testing.assert_allclose(scores - scores[0], np.subtract(values, values[0]), rtol=1e-10)


# --- sweeps ---------------------------------------------------------------------------------------


@kinds
@shapes
def test_gain_is_the_change_of_log_joint_and_the_state_follows(kind, d, K):
    X, w, labels, alpha = make_rows(kind, 80, d, K, seed=5)
    state = make_state(kind, X, w, labels, alpha)
    rng = np.random.default_rng(0)
    for sweep in range(5):
        before = log_joint(kind, X, w, labels, K, alpha)
        old = labels.copy()
        n_moved, gain = state.sweep(X, w, labels, rng.permutation(80))
        after = log_joint(kind, X, w, labels, K, alpha)
        assert gain == pytest.approx(after - before, rel=1e-10, abs=1e-9)
        assert n_moved >= (old != labels).sum()
        assert (gain > 0) == (n_moved > 0)
        assert sweep > 0 or n_moved > 10
        assert_same_state(state, make_state(kind, X, w, labels, alpha), 1e-9)
    assert state.n_repairs == 0


@kinds
@pytest.mark.parametrize(("d", "K"), [(2, 3), (3, 10)])
def test_the_end_is_optimal_for_single_moves(kind, d, K):
    X, w, labels, alpha = make_rows(kind, 50, d, K, seed=6)
    start = log_joint(kind, X, w, labels, K, alpha)
    run_to_the_end(kind, X, w, labels, alpha)
    best = log_joint(kind, X, w, labels, K, alpha)
    assert best > start + 1
    for i in range(50):
        for k in range(K):
            other = labels.copy()
            other[i] = k
            assert log_joint(kind, X, w, other, K, alpha) <= best + 1e-9


@kinds
def test_each_visit_takes_the_best_component(kind):
    K = 4
    X, w, labels, alpha = make_rows(kind, 40, 2, K, seed=7)
    state = make_state(kind, X, w, labels, alpha)
    for i in (5, 0, 39, 5, 17):
        values = []
        for k in range(K):
            other = labels.copy()
            other[i] = k
            values.append(log_joint(kind, X, w, other, K, alpha))
        others = np.delete(labels, i)
        state.sweep(X, w, labels, np.array([i]))
        assert labels[i] == np.argmax(values)
        np.testing.assert_array_equal(np.delete(labels, i), others)


@kinds
def test_rows_go_where_they_are_told_and_back(kind):
    K = 3
    X, w, labels, alpha = make_rows(kind, 40, 2, K, seed=5)
    rows, targets = np.arange(0, 40, 2), np.roll(labels, 1)
    told, state = labels.copy(), make_state(kind, X, w, labels, alpha)
    n_moved, gain = state.sweep(X, w, told, rows, targets=targets)
    expected = labels.copy()
    expected[rows] = targets[rows]
    np.testing.assert_array_equal(told, np.where(w > 0, expected, labels))
    assert n_moved == (told != labels).sum() > 5
    value = log_joint(kind, X, w, told, K, alpha) - log_joint(kind, X, w, labels, K, alpha)
    assert gain == pytest.approx(value, rel=1e-8, abs=1e-8)
    assert state.sweep(X, w, told, rows, targets=labels)[1] == pytest.approx(-gain, rel=1e-8, abs=1e-8)
    np.testing.assert_array_equal(told, labels)


@kinds
@pytest.mark.parametrize("refill", [True, False])
def test_the_lead_is_over_the_next_best_component(kind, refill):
    K = 4
    X, w, labels, alpha = make_rows(kind, 40, 2, K, seed=7)
    labels[labels == 2] = 1
    state = make_state(kind, X, w, labels, alpha)
    lead = np.full(len(X), np.nan)
    for i in (5, 0, 39, 5, 17):
        state.sweep(X, w, labels, np.array([i]), refill=refill, lead=lead)
        candidates = range(K) if refill else np.unique(labels)
        others = [log_joint(kind, X, w, np.where(np.arange(40) == i, k, labels), K, alpha) for k in candidates]
        values = np.sort(others)
        np.testing.assert_allclose(lead[i], values[-1] - values[-2], rtol=1e-6, atol=1e-8)
    assert np.isnan(np.delete(lead, [0, 5, 17, 39])).all()


@kinds
def test_rows_that_stay_leave_the_state_as_it_was_bit_for_bit(kind):
    X, w, labels, alpha = make_rows(kind, 60, 3, 4, seed=8)
    run_to_the_end(kind, X, w, labels, alpha)
    state = make_state(kind, X, w, labels, alpha)
    before, n_k = state.posterior, state.n_k
    assert state.sweep(X, w, labels, np.arange(60)) == (0, 0.0)
    for name, value in state.posterior.items():
        assert value.tobytes() == before[name].tobytes()
    assert state.n_k.tobytes() == n_k.tobytes()


@kinds
@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_tie_keeps_the_label(kind, label):
    # A lone row is as well off in any of three components that are alike.
    X = np.array([[1.0, 4.0 if kind == "categorical" else 0.0]])
    labels = np.array([label], dtype=np.int32)
    state = make_state(kind, X, np.ones(1), labels, np.ones(3))
    assert state.sweep(X, np.ones(1), labels, np.array([0, 0])) == (0, 0.0)
    assert labels[0] == label


@kinds
def test_order_decides_between_equal_prospects(kind):
    # Two rows side by side in a component each, a third component empty: whoever is visited moves.
    X = np.array([[1.0, 4.0 if kind == "categorical" else 1.0]] * 2)
    ends = []
    for order in ([0, 1], [1, 0]):
        labels = np.array([0, 1], dtype=np.int32)
        state = make_state(kind, X, np.ones(2), labels, np.ones(2))
        assert state.sweep(X, np.ones(2), labels, np.array(order))[0] == 1
        ends.append(labels.tolist())
    assert ends == [[1, 1], [0, 0]]


@kinds
def test_refilling_an_empty_component_is_a_choice(kind):
    rng = np.random.default_rng(9)
    X = np.abs(np.rint(rng.normal(2, 1, (21, 6))))
    X[7, :3] = 60
    if kind == "bernoulli":
        X = (X == 60).astype(float)
    elif kind == "categorical":
        X = (X == 60) + 3.0 * np.arange(6)
    w, alpha = np.ones(21), np.ones(2)
    labels = np.zeros(21, dtype=np.int32)
    run_to_the_end(kind, X, w, labels, alpha, refill=False)
    assert (labels == 0).all()
    run_to_the_end(kind, X, w, labels, alpha)
    np.testing.assert_array_equal(labels, np.arange(21) == 7)


@kinds
def test_a_component_that_empties_holds_no_weight_at_all(kind):
    X, w, _, alpha = make_rows(kind, 12, 2, 2, seed=10)
    w = np.full(12, 0.1)
    X[1:] = X[1]
    X[0] = X[1]
    labels = np.zeros(12, dtype=np.int32)
    labels[:3] = 1
    state = make_state(kind, X, w, labels, alpha)
    state.sweep(X, w, labels, np.arange(12))
    assert (labels == 0).all()
    assert state.n_k[1] == 0


@kinds
def test_rows_without_weight_have_no_say(kind):
    X, w, labels, alpha = make_rows(kind, 50, 3, 3, seed=11)
    absent = np.arange(50) % 4 == 0
    w[absent] = 0
    alone = labels[~absent].copy()
    old = labels.copy()
    run_to_the_end(kind, X, w, labels, alpha)
    run_to_the_end(kind, X[~absent], w[~absent], alone, alpha)
    np.testing.assert_array_equal(labels[absent], old[absent])
    np.testing.assert_array_equal(labels[~absent], alone)


@kinds
def test_blocks_of_rows_are_one_sweep(kind):
    X, w, labels, alpha = make_rows(kind, 50, 3, 4, seed=16)
    w[::7], labels[::7] = 0, -1  # rows without weight need no label
    blocks, n_rows = labels.copy(), np.bincount(labels[w > 0], minlength=4)
    in_one = make_state(kind, X, w, labels, alpha).sweep(X, w, labels, np.arange(50))
    state, moved, gain = make_state(kind, X, w, blocks, alpha), 0, 0.0
    for start in range(0, 50, 13):
        rows = slice(start, start + 13)
        own = np.arange(len(X[rows]))
        step, more = state.sweep(X[rows], w[rows], blocks[rows], own, n_rows=n_rows)
        moved, gain = moved + step, gain + more
    np.testing.assert_array_equal(blocks, labels)
    np.testing.assert_array_equal(n_rows, np.bincount(labels[w > 0], minlength=4))
    assert in_one == (moved, pytest.approx(gain, rel=1e-12))


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_forgetting_all_but_the_whole_scatter_is_told(kind):
    X, w, labels, alpha = make_rows(kind, 20, 2, 2, seed=12)
    state = make_state(kind, X, w, labels, alpha)
    far = np.array([1e12, -3e11])
    state.observe(0, far)
    assert state.n_repairs == 0
    state.forget(0, far)
    assert state.n_repairs > 0
    assert np.isfinite(state.log_predictive(X[0])).all()


def test_bad_arguments_are_refused():
    X, w, labels, alpha = make_rows("full", 20, 2, 2, seed=13)
    posterior, n_k = make_posterior("full", make_prior("full", 2), X, w, labels, 2)
    state = Collapsed("full", posterior, n_k, alpha)
    order = np.arange(20)
    with pytest.raises(ValueError, match="kind must be"):
        Collapsed("cubic", posterior, n_k, alpha)
    with pytest.raises(ValueError, match="positive definite"):
        Collapsed("full", {**posterior, "scatter": -posterior["scatter"]}, n_k, alpha)
    with pytest.raises(ValueError, match="must be positive"):
        Collapsed("diag", {**posterior, "scatter": np.zeros((2, 2))}, n_k, alpha)
    with pytest.raises(ValueError, match="labels must be"):
        state.sweep(X, w, np.full(20, 2, np.int32), order)
    with pytest.raises(ValueError, match="order must"):
        state.sweep(X, w, labels, np.array([20]))
    with pytest.raises(ValueError, match="not be negative"):
        state.sweep(X, -w, labels, order)
    with pytest.raises(ValueError, match="2 counts"):
        state.sweep(X, w, labels, order, n_rows=np.zeros(3, np.intp))
    with pytest.raises(ValueError, match="2 values"):
        state.sweep(X, w, labels, order, opening=np.zeros(3))
    with pytest.raises(ValueError, match="a label per row"):
        state.sweep(X, w, labels, order, targets=labels[1:])
    with pytest.raises(ValueError, match="targets must be within"):
        state.sweep(X, w, labels, order, targets=labels + np.int32(1))
    with pytest.raises(ValueError, match="n and every total"):
        Collapsed("poisson", {"n": np.ones(2), "total": np.zeros((2, 3))}, n_k, alpha)
    with pytest.raises(ValueError, match="columns"):
        state.sweep(X[:, :1].copy(), w, labels, order)
    with pytest.raises(ValueError, match="holds a weight"):
        state.forget(0, X[0], 1e3)
    with pytest.raises(ValueError, match="w must be positive"):
        state.observe(0, X[0], 0.0)
    with pytest.raises(ValueError, match="2 values"):
        state.log_predictive(np.zeros(3))
    with pytest.raises(IndexError, match="component 2"):
        state.observe(2, X[0])


def test_an_interrupt_is_answered_and_leaves_state_and_labels_in_step(answer_time):
    n, K = 60_000, 40
    X, w, labels, alpha = make_rows("full", n, 8, K, seed=14)
    state = make_state("full", X, w, labels, alpha)
    order = np.tile(np.arange(n), 100)
    assert answer_time(lambda: state.sweep(X, w, labels, order)) < 0.25
    assert_same_state(state, make_state("full", X, w, labels, alpha), 1e-7)
