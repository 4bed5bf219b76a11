"""The truncated pass: its bound never falls, all components make it exact, and sets are the best by brute force.

Where it fails: a row's old set is not among what the next pass looks at, or statistics go to another set than scores.
"""

import numpy as np
import pytest
from families_under_test import CASES
from scipy.special import logsumexp

import skem.truncated
from skem import BayesianKMeans, EMMixture, ICMMixture, MAPMixture, VariationalMixture
from skem._kernels.truncated import run_truncated, tile_components
from skem.engine import Source
from skem.families import Gaussian
from skem.inference.em import EM, MAPEM
from skem.inference.hard import ICM, ClassificationEM, MaximizationExpectation
from skem.inference.model import Model
from skem.inference.variational import VariationalBayes
from skem.summary import summarize
from skem.truncated import TruncatedSource
from skem.weights import DirichletWeights

COMPILED = [case for case in CASES if not case.family.has("features") and case.family.one_part]
cases = pytest.mark.parametrize("case", COMPILED, ids=lambda case: case.name)


def problem(case, n=300, d=3, K=40, seed=0, n_active=5):
    """A plain and a truncated source of the same weighted rows, the model, and a start's statistics."""
    rng = np.random.default_rng(seed)
    X = case.rows(rng, n, d)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=n)
    family = case.family.bind(summarize(X, weight, case.family.equivariance))
    plain, truncated = Source(X, weight, family), TruncatedSource(X, weight, family, n_active)
    model = Model.build(family, DirichletWeights(1.0), K, plain)
    return plain, truncated, model, plain.assign_given(K, codes=rng.integers(K, size=n).astype(np.int32))


def assert_equal_statistics(one, other):
    np.testing.assert_allclose(one.n_k, other.n_k, rtol=1e-11, atol=1e-11)
    arrays, others = one.stats.to_dict()["arrays"], other.stats.to_dict()["arrays"]
    for name, value in arrays.items():
        np.testing.assert_allclose(value, others[name], rtol=1e-9, atol=1e-9 * np.abs(value).max())


@cases
@pytest.mark.parametrize("assign", ["soft", "hard"])
@pytest.mark.parametrize("d", [1, 5, 36])  # linear and whitened parts of the full structure
def test_all_components_make_the_pass_exact(case, assign, d):
    plain, _, model, start = problem(case, d=d)
    state = MAPEM().start(model, start) if model.prior is not None else EM().start(model, start)
    everything = TruncatedSource(plain.X, plain.weight, plain.family, model.n_components)
    exact = plain.run(state.log_weights, state.theta, assign=assign)
    found = everything.run(state.log_weights, state.theta, assign=assign)
    assert found.score == pytest.approx(exact.score, rel=1e-12)
    assert_equal_statistics(found, exact)


@cases
def test_the_first_pass_finds_the_best_components(case):
    plain, truncated, model, start = problem(case)
    state = MAPEM().start(model, start) if model.prior is not None else EM().start(model, start)
    scores = np.empty((len(plain), model.n_components))
    plain.run(state.log_weights, state.theta, collect=False, scores=scores)
    best = np.sort(scores, axis=1)[:, -truncated.n_active :]
    offset = plain.run(state.log_weights, state.theta).score - plain.weight @ logsumexp(scores, axis=1)
    found = truncated.run(state.log_weights, state.theta)
    # scores lack what all components share
    assert found.score - offset == pytest.approx(plain.weight @ logsumexp(best, axis=1), rel=1e-12)
    assert found.n_k.sum() == pytest.approx(plain.weight.sum(), rel=1e-12)


@cases
@pytest.mark.parametrize("cell", [EM, MAPEM, VariationalBayes, MaximizationExpectation, ICM, ClassificationEM])
@pytest.mark.parametrize(("seed", "near"), [(0, 512), (1, 512), (2, 16)])
def test_the_bound_never_falls_and_ends_exact(case, cell, seed, near, monkeypatch):
    # with so few components near, rows look at others by turns
    monkeypatch.setattr(skem.truncated, "NEAR", near)
    plain, truncated, model, start = problem(case, n=400, K=50, seed=seed)
    algorithm = cell(tol=0.0, max_iter=30)
    fit = algorithm.run(model, truncated, algorithm.start(model, start))
    values = np.array(fit.objectives)
    fall = (values[:-1] - values[1:]) / np.maximum(1.0, np.abs(values[:-1]))
    assert fall.max(initial=0.0) <= 1e-10
    labels = np.empty(len(plain), dtype=np.int32)
    result = plain.run(fit.state.log_weights, fit.state.theta, assign=cell.assign, **(
        {"labels_in": fit.labels, "labels": labels} if cell.assign == "hard" else {}
    ))  # fmt: skip
    if cell.assign == "soft":
        assert fit.objective == pytest.approx(algorithm.objective(model, fit.state, result), rel=1e-12)
    elif fit.converged and cell is not MaximizationExpectation:
        assert result.moved == 0


@cases
@pytest.mark.parametrize("d", [3, 36])
@pytest.mark.parametrize(("n_tiles", "near"), [(1, 0), (0, 32), (1, 512), (99, 0)])
def test_a_search_keeps_the_best_of_what_it_looked_at(case, d, n_tiles, near):
    """Of old sets drawn at random: what remains is never worse, and the best where all components were seen."""
    plain, _, model, start = problem(case, n=288, d=d)  # whole blocks, whose sets hold every component
    state = MAPEM().start(model, start) if model.prior is not None else EM().start(model, start)
    summary, part = plain.family.summary_, plain.family.scorer(state.theta)
    scores = np.empty((len(plain), model.n_components))
    plain.run(state.log_weights, state.theta, collect=False, scores=scores)
    rng = np.random.default_rng(0)
    sets = np.argsort(rng.random(scores.shape), axis=1)[:, :5].astype(np.int32)
    before = np.sort(np.take_along_axis(scores, sets, axis=1), axis=1)
    run_truncated(
        plain.X, summary.origin, summary.scale, model.n_components, state.log_weights + part.offset, part,
        plain.family.collector(state.theta, part, "soft"), sets, first_tile=1, n_tiles=n_tiles, near=near,
        order=rng.permutation(len(plain)).astype(np.int32),
    )  # fmt: skip
    assert (np.sort(sets, axis=1)[:, 1:] > np.sort(sets, axis=1)[:, :-1]).all(), "a component came twice"
    after = np.take_along_axis(scores, sets, axis=1)
    assert (after[:, 0] >= after.max(axis=1) - 1e-9 * np.abs(after).max(axis=1)).all(), "the best is not in front"
    after = np.sort(after, axis=1)
    slack = 1e-9 * np.maximum(1.0, np.abs(before))
    assert (after >= before - slack).all()
    assert (after > before + slack).any()
    if n_tiles == 99 or near == 512:
        best = np.sort(scores, axis=1)[:, -5:]
        np.testing.assert_allclose(after, best, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("due", [0, 2])
def test_rows_look_by_turns(due):
    plain, _, model, start = problem(COMPILED[0], n=288)
    state = EM().start(model, start)
    summary, part = plain.family.summary_, plain.family.scorer(state.theta)
    scores = np.empty((len(plain), model.n_components))
    plain.run(state.log_weights, state.theta, collect=False, scores=scores)
    sets = np.argsort(np.random.default_rng(0).random(scores.shape), axis=1)[:, :5].astype(np.int32)
    before = sets.copy()
    run_truncated(
        plain.X, summary.origin, summary.scale, model.n_components, state.log_weights + part.offset, part,
        plain.family.collector(state.theta, part, "soft"), sets, n_tiles=99, every=3, due=due,
    )  # fmt: skip
    best = np.sort(np.argsort(scores, axis=1)[:, -5:], axis=1)
    expected = np.where((before[:, 0] % 3 == due)[:, None], best, np.sort(before, axis=1))
    np.testing.assert_array_equal(np.sort(sets, axis=1), expected)


@pytest.mark.parametrize("cell", [EM, ClassificationEM])
def test_rows_count_wherever_they_lie(cell, monkeypatch):
    """Read in order of their best components where they are, or from copies, anew whenever one row has another."""
    fits = []
    for short, astray in ((0, 0.0), (512, 1.0), (512, 0.0)):
        monkeypatch.setattr(skem.truncated, "SHORT", short)
        monkeypatch.setattr(skem.truncated, "ASTRAY", astray)
        plain, source, model, start = problem(COMPILED[0], n=400)
        algorithm = cell(tol=0.0, max_iter=4)
        fits.append(algorithm.run(model, source, algorithm.start(model, start)))
        labels = np.empty(len(plain), dtype=np.int32)
        plain.run(fits[-1].state.log_weights, fits[-1].state.theta, collect=False, labels=labels)
        assert (fits[-1].labels == labels).mean() >= (1.0 if cell is EM else 0.9)
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.labels, fits[0].labels)
        np.testing.assert_allclose(fit.objectives, fits[0].objectives, rtol=1e-11)


@cases
def test_weights_are_repetition(case):
    rng = np.random.default_rng(1)
    X, weight = case.rows(rng, 120, 2), rng.integers(0, 4, size=120)
    codes = rng.integers(40, size=120).astype(np.int32)
    results = []
    for rows, row_weight, row_codes in (
        (X, weight.astype(float), codes),
        (np.repeat(X, weight, axis=0), None, np.repeat(codes, weight)),
    ):
        family = case.family.bind(summarize(rows, row_weight, case.family.equivariance))
        source = TruncatedSource(rows, row_weight, family, 4)
        model = Model.build(family, DirichletWeights(1.0), 40, source)
        state = EM().start(model, source.assign_given(40, codes=row_codes))
        results.append([source.run(state.log_weights, state.theta) for _ in range(3)][-1])
    assert results[0].score == pytest.approx(results[1].score, rel=1e-11)
    assert_equal_statistics(*results)


@cases
def test_threads_leave_the_bits_alone(case):
    plain, _, model, start = problem(case, n=9000, K=40)
    state = EM().start(model, start)
    summary, part = plain.family.summary_, plain.family.scorer(state.theta)
    collector = plain.family.collector(state.theta, part, "soft")
    found = []
    for n_threads in (1, 2, 3):
        sets = np.empty((len(plain), 6), dtype=np.int32)
        order = np.random.default_rng(0).permutation(len(plain)).astype(np.int32)
        for options in (
            {"fresh": True, "n_tiles": 99},
            {"first_tile": 1, "n_tiles": 1},
            {"first_tile": 1, "n_tiles": 1, "near": 32, "order": order, "every": 2, "due": 1},
        ):
            score, _, n_k, sums = run_truncated(
                plain.X, summary.origin, summary.scale, 40, state.log_weights + part.offset, part, collector, sets,
                sample_weight=plain.weight, n_threads=n_threads, **options,
            )  # fmt: skip
        found.append((score, n_k.tobytes(), sums[0]["features"].tobytes(), sets.tobytes()))
    assert found[0] == found[1] == found[2]


def test_an_outlier_beyond_float_range_sees_every_component():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    X[3] = 1e30
    family = Gaussian("diag").bind(summarize(X, None, "columns"))
    source = TruncatedSource(X, None, family, 3)
    model = Model.build(family, DirichletWeights(1.0), 2 * tile_components, source)
    codes = (np.arange(200) % model.n_components).astype(np.int32)
    state = EM().start(model, source.assign_given(model.n_components, codes=codes))
    exact = Source(X, None, family).run(state.log_weights, state.theta)
    found = source.run(state.log_weights, state.theta)
    assert np.isfinite(found.score)
    assert found.score <= exact.score


@pytest.mark.parametrize("cls", [EMMixture, MAPMixture, VariationalMixture, BayesianKMeans, ICMMixture])
def test_estimators_end_near_the_whole_fit(cls):
    rng = np.random.default_rng(0)
    X = 40.0 * rng.normal(size=(60, 4))[rng.integers(60, size=1500)] + rng.normal(size=(1500, 4))
    whole = cls(60, family=Gaussian("diag"), init="k-means", random_state=0).fit(X)
    active = cls(60, family=Gaussian("diag"), n_active=4, init="k-means", random_state=0).fit(X)
    assert active.lower_bound_ == pytest.approx(whole.lower_bound_, abs=1e-3)
    assert (active.labels_ == whole.labels_).mean() > 0.99
    all_active = cls(60, family=Gaussian("diag"), n_active=60, init="k-means", random_state=0).fit(X)
    assert all_active.lower_bound_ == whole.lower_bound_


def test_the_final_score_is_the_whole_likelihood():
    rng = np.random.default_rng(0)
    X = 5.0 * rng.normal(size=(20, 3))[rng.integers(20, size=900)] + rng.normal(size=(900, 3))
    for n_init in (1, 2):
        mixture = EMMixture(
            20, family=Gaussian("spherical"), n_active=3, n_init=n_init, random_state=1, tol=1e-3, max_iter=300
        ).fit(X)
        assert mixture.lower_bound_ == pytest.approx(mixture.score(X), rel=1e-12)
        np.testing.assert_array_equal(mixture.labels_, mixture.predict(X))


def test_few_components_are_not_lost():
    """Where a pass can look at all of them, it ends no lower than the whole fit but for the shares left out."""
    rng = np.random.default_rng(0)
    X = 5.0 * rng.normal(size=(20, 3))[rng.integers(20, size=900)] + rng.normal(size=(900, 3))
    whole, truncated = (
        EMMixture(20, family=Gaussian("spherical"), n_active=n_active, random_state=3, tol=1e-3).fit(X)
        for n_active in (None, 3)
    )
    assert truncated.n_components_ == 20
    assert truncated.lower_bound_ > whole.lower_bound_ - 2e-3


def test_a_python_family_is_refused():
    from toy_family import Rayleigh

    with pytest.raises(ValueError, match=r"n_active=2 needs a family whose features are compiled"):
        EMMixture(5, family=Rayleigh(), n_active=2).fit(np.random.default_rng(0).rayleigh(size=(50, 1)))


@pytest.mark.parametrize("bad", [0, 1.5, "all"])
def test_bad_n_active(bad):
    with pytest.raises(ValueError, match="n_active"):
        EMMixture(5, n_active=bad).fit(np.random.default_rng(0).normal(size=(50, 2)))


def test_kernel_refuses_what_does_not_fit():
    X, zeros = np.zeros((4, 2)), np.zeros(3)
    part = Gaussian("diag").bind(summarize(np.eye(4)[:, :2], None, "columns")).start_collector(3)
    with pytest.raises(ValueError, match="n_active"):
        run_truncated(X, np.zeros(2), np.ones(2), 3, zeros, None, part, np.zeros((4, 5), dtype=np.int32))
    with pytest.raises(ValueError, match="all components"):
        run_truncated(X, np.zeros(2), np.ones(2), 3, zeros, None, part, np.zeros((4, 1), dtype=np.int32), fresh=True)
    with pytest.raises(ValueError, match="remainder"):
        run_truncated(X, np.zeros(2), np.ones(2), 3, zeros, None, part, np.zeros((4, 1), dtype=np.int32), due=1)
    with pytest.raises(ValueError, match="one a row"):
        run_truncated(X, np.zeros(2), np.ones(2), 3, zeros, None, part, np.zeros((4, 2), dtype=np.int32))
