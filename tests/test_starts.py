"""Starts: what each name draws, what may be given instead, and which of several runs is kept."""

import itertools
import warnings

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from skem import BayesianKMeans, EMMixture, ICMMixture, MAPMixture, VariationalMixture
from skem._kernels.chain_seeding import chain_seeds
from skem._kernels.seeding import column_range, kmeans_plusplus, row_hash
from skem.engine import Source
from skem.families import Categorical, Gaussian, Poisson
from skem.starts import INITS, assign_labels, choose_seeds, lloyd, seed_labels
from skem.summary import summarize

GENERAL = [EMMixture, MAPMixture, VariationalMixture, BayesianKMeans, ICMMixture]
X_IRIS, SPECIES = load_iris(return_X_y=True)


def seed_law(X, w, n_seeds):
    """Exact probability of each sequence of seeds under weighted k-means++ with one candidate."""
    law = {}
    for chosen in itertools.product(range(len(X)), repeat=n_seeds):
        probability = w[chosen[0]] / w.sum()
        for s in range(1, n_seeds):
            near = ((X[:, None] - X[list(chosen[:s])]) ** 2).sum(axis=2).min(axis=1)
            mass = w * near
            probability *= mass[chosen[s]] / mass.sum()
        if probability > 0:
            law[chosen] = probability
    return law


def test_kmeans_plusplus_follows_the_weighted_law():
    X = np.array([[0.0, 0], [1, 0], [0, 1.5], [5, 5], [2, 2]])
    w = np.array([1.0, 3.0, 0.5, 0.0, 2.0])
    law = seed_law(X, w, 3)
    rng = np.random.default_rng(0)
    n_draws = 20_000
    counts = dict.fromkeys(law, 0)
    for _ in range(n_draws):
        counts[tuple(kmeans_plusplus(X, w, 3, rng.random((3, 1)), 1).tolist())] += 1
    expected = np.array(list(law.values())) * n_draws
    assert expected.min() > 5
    assert chisquare(list(counts.values()), expected).pvalue > 1e-4


def test_greedy_candidates_lower_the_potential():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((300, 2)) + 8 * rng.integers(0, 6, (300, 2))
    w = rng.random(300) + 0.1

    def potential(n_trials):
        seeds = [kmeans_plusplus(X, w, 8, rng.random((8, n_trials)), n_trials) for _ in range(100)]
        return np.mean([
            w @ ((X[:, None] - X[s]) ** 2).sum(axis=2).min(axis=1) for s in seeds
        ])  # fmt: skip

    assert potential(4) < 0.9 * potential(1)


def test_random_seeds_are_distinct_rows_drawn_by_weight():
    Z, w = np.arange(6.0)[:, None], np.array([1.0, 1, 1, 1, 1, 5])
    rng = np.random.default_rng(0)
    draws = np.array([choose_seeds(Z, w, 3, "random", rng) for _ in range(4000)])
    assert all(len(set(draw)) == 3 for draw in draws)
    first = np.bincount(draws[:, 0], minlength=6)
    assert chisquare(first, w / w.sum() * len(draws)).pvalue > 1e-4
    # beyond the distinct rows, seeds repeat rather than fail
    assert sorted(set(choose_seeds(Z, w, 9, "random", rng))) == list(range(6))


def test_many_components_start_from_more_rows(monkeypatch):
    """Seeds of chains, whatever the order of rows, and whether weight or repetition counts them."""
    rng = np.random.default_rng(9)
    X = 30.0 * rng.normal(size=(8, 2))[np.arange(3000) % 8] + rng.normal(size=(3000, 2))
    weight = rng.choice([1.0, 2.0], size=3000)
    monkeypatch.setattr("skem.starts.MANY_COMPONENTS", 7)
    monkeypatch.setattr("skem.starts.ROWS_EACH", 200)
    monkeypatch.setattr("skem.canonical.SUBSAMPLE", 256)
    monkeypatch.setattr("skem.canonical.LEAST_SUBSAMPLE", 256)
    taken = []

    def spy(Z, *args):
        taken.append(len(Z))
        return chain_seeds(Z, *args)

    monkeypatch.setattr("skem.starts.chain_seeds", spy)

    def labels(X, weight):
        family = Gaussian("spherical").bind(summarize(X, weight, "scalar"))
        return seed_labels(Source(X, weight, family), 8, "k-means", np.random.default_rng(0))

    expected = labels(X, weight)
    assert min(taken) > 1400
    assert max(np.bincount(expected, minlength=8)) < 1600
    order = rng.permutation(3000)
    np.testing.assert_array_equal(labels(X[order], weight[order]), expected[order])
    times = weight.astype(int)
    np.testing.assert_array_equal(labels(np.repeat(X, times, axis=0), None), np.repeat(expected, times))


def test_lloyd_ends_where_centres_are_means_and_labels_nearest():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((500, 3)) + 7 * rng.integers(0, 4, (500, 1))
    w = rng.random(500)
    for shift in (0.0, 1e6):  # far from the origin the products lose digits, differences do not
        start = X[:4] + shift
        unit = np.ones(3)
        centers, labels = lloyd(X + shift, w, start, 0.0 * unit, unit, 300)
        near = ((X[:, None] + shift - centers) ** 2).sum(axis=2)
        np.testing.assert_array_equal(labels, near.argmin(axis=1))
        for k in range(4):
            mean = np.average(X[labels == k] + shift, axis=0, weights=w[labels == k])
            np.testing.assert_allclose(centers[k], mean, rtol=1e-12)
        # stopped early, the labels are those of the centres that it returns
        centers, labels = lloyd(X + shift, w, start, 0.0 * unit, unit, 1)
        near = ((X[:, None] + shift - centers) ** 2).sum(axis=2)
        np.testing.assert_array_equal(labels, near.argmin(axis=1))


@pytest.mark.parametrize("cls", GENERAL)
def test_labels_responsibilities_and_order_of_labels(cls):
    labels = cls(3, init=SPECIES).fit(X_IRIS)
    resp = cls(3, init=np.eye(3)[SPECIES]).fit(X_IRIS)
    scaled = cls(3, init=7.0 * np.eye(3)[SPECIES]).fit(X_IRIS)
    listed = cls(3, init=SPECIES.astype(float).tolist()).fit(X_IRIS)
    for other in (resp, scaled, listed):
        assert other.lower_bound_ == pytest.approx(labels.lower_bound_, rel=1e-12)
        np.testing.assert_array_equal(other.labels_, labels.labels_)
    # components stay in the order of the labels given
    assert (np.diff(labels.means_[:, 0]) > 0).all()


def test_first_step_from_labels_is_the_update_of_their_statistics():
    with pytest.warns(ConvergenceWarning):
        mixture = EMMixture(3, init=SPECIES, max_iter=1).fit(X_IRIS)
    first = EMMixture(3, init=SPECIES, max_iter=0).fit(X_IRIS)
    means = np.array([X_IRIS[label == SPECIES].mean(axis=0) for label in range(3)])
    np.testing.assert_allclose(first.means_, means, rtol=1e-12)
    resp = first.predict_proba(X_IRIS)
    np.testing.assert_allclose(mixture.means_, (resp.T @ X_IRIS) / resp.sum(axis=0)[:, None])


def test_rows_of_unknown_label_are_shared():
    known = SPECIES.copy()
    known[::3] = -1
    start = EMMixture(3, init=known, max_iter=0).fit(X_IRIS)
    resp = np.where(known[:, None] < 0, 1 / 3, np.eye(3)[SPECIES])
    given = EMMixture(3, init=resp, max_iter=0).fit(X_IRIS)
    np.testing.assert_allclose(start.means_, given.means_, rtol=1e-12)
    np.testing.assert_allclose(start.weights_, given.weights_, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_parameters_of_a_fit_start_where_it_ended(covariance_type):
    family = Gaussian(covariance_type)
    fitted = EMMixture(3, family=family, random_state=0, tol=1e-10).fit(X_IRIS)
    given = {
        "weights": fitted.weights_,
        "means": fitted.means_,
        "covariances": fitted.covariances_,
    }
    again = EMMixture(3, family=family, init=given, tol=1e-10).fit(X_IRIS)
    assert again.n_iter_ <= 5
    assert again.lower_bound_ == pytest.approx(fitted.lower_bound_, rel=1e-9)
    np.testing.assert_array_equal(again.labels_, fitted.labels_)
    # weights left out are equal
    del given["weights"]
    EMMixture(3, family=family, init=given).fit(X_IRIS)


def test_parameters_of_poisson():
    X = np.array([[0], [1], [1], [2], [19], [20], [21], [22]])
    mixture = EMMixture(2, family=Poisson(), init={"rates": [[30.0], [3.0]]}).fit(X)
    np.testing.assert_allclose(mixture.rates_, [[20.5], [1.0]], rtol=1e-3)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (np.zeros(5), r"one for each of the 150 rows"),
        (np.full(150, 0.5), r"not whole numbers"),
        (np.full(150, 3), r"init\[0\] = 3: labels run from 0"),
        (np.full(150, -2), r"init\[0\] = -2"),
        (np.full((150, 2), 0.5), r"responsibilities need \(150, 3\)"),
        (-np.ones((150, 3)), r"row 0 of init is no set of responsibilities"),
        (np.full((150, 3), np.nan), r"row 0 of init is no set of responsibilities"),
        (np.zeros((150, 3, 1)), r"init must be one of"),
        ({"means": X_IRIS[:3]}, r"parameters \['means'\] do not fit Gaussian\(\): it takes all of means, covariances"),
        ({"means": X_IRIS[:2], "covariances": np.array([np.eye(4)] * 2)}, r"2 components"),
        (
            {"means": X_IRIS[:3], "covariances": np.array([np.eye(4)] * 3), "weights": [1, 1, 1]},
            r"weights must be 3 numbers >= 0 that sum to one",
        ),
    ],
)
def test_starts_that_make_no_sense_are_refused_in_one_sentence(init, message):
    with pytest.raises(ValueError, match=message):
        EMMixture(3, init=init).fit(X_IRIS)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("cls", GENERAL)
def test_more_starts_are_never_worse(cls, init):
    values = []
    for n_init in (1, 2, 5, 10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixture = cls(4, init=init, n_init=n_init, random_state=3).fit(X_IRIS)
        values.append(mixture.lower_bound_)
    # a larger n_init runs the smaller one's starts first; among equals the first stays
    assert (np.diff(values) >= 0).all()


def test_kinds_of_random_state():
    def fit(random_state):
        mixture = EMMixture(3, family=Gaussian("tied"), init="random", random_state=random_state)
        return mixture.fit(X_IRIS).lower_bounds_[0]

    assert fit(5) == fit(5)
    assert fit(5) == fit(np.random.RandomState(5))
    state = np.random.RandomState(5)
    assert fit(state) != fit(state)
    np.random.seed(0)  # noqa: NPY002 - None means this global state
    first = fit(None)
    np.random.seed(0)  # noqa: NPY002 - None means this global state
    assert first == fit(None)
    assert first != fit(None)
    # the starts of one fit differ, too
    assert len({fit(seed) for seed in range(8)}) > 4


@pytest.mark.parametrize("init", INITS)
def test_starts_do_not_depend_on_the_order_of_rows(init):
    order = np.random.default_rng(0).permutation(150)
    one = EMMixture(3, init=init, random_state=1, max_iter=0).fit(X_IRIS)
    other = EMMixture(3, init=init, random_state=1, max_iter=0).fit(X_IRIS[order])
    np.testing.assert_array_equal(one.labels_[order], other.labels_)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_range_and_place_hash(dtype, order):
    X = np.asarray(np.random.default_rng(0).standard_normal((1000, 3)), dtype=dtype, order=order)
    weights = np.ones(1000)
    weights[X.argmax(axis=0)] = 0.0
    low, high = column_range(X, None)
    np.testing.assert_array_equal([low, high], [X.min(axis=0), X.max(axis=0)])
    np.testing.assert_array_equal(column_range(X, weights)[1], X[weights > 0].max(axis=0))
    hashes = row_hash(X, low, 1.0 / (high - low))
    moved = np.asarray(X, dtype=float) * 8.0
    low, high = column_range(moved, None)
    np.testing.assert_array_equal(row_hash(moved, low, 1.0 / (high - low)), hashes)
    assert len(np.unique(hashes)) == 1000
    with pytest.raises(ValueError, match="one value per column"):
        row_hash(X, low[:2], low)
    with pytest.raises(ValueError, match="one value per row"):
        column_range(X, weights[:5])


# --- outcomes that may be impossible --------------------------------------------------------------


def test_soft_runs_of_discrete_outcomes_start_with_every_outcome_possible():
    # hard groups lack levels, and under maximum likelihood would lack them for ever
    rng = np.random.default_rng(0)
    X = rng.integers(3, size=(60, 4)).astype(float)
    family = Categorical(categories=3).bind(summarize(X, None, None))
    source, labels = Source(X, None, family), (X[:, 0] == 1).astype(np.int32)
    for assign in ("soft", "hard"):
        given = assign_labels(source, 2, labels, assign)
        exact = source.assign_given(2, codes=labels)
        np.testing.assert_array_equal(given.n_k, exact.n_k)
        if assign == "hard":
            np.testing.assert_array_equal(given.stats.total, exact.stats.total)
            continue
        assert (exact.stats.total == 0).any()
        assert (given.stats.total > 0).all()
        np.testing.assert_allclose(given.stats.total.sum(axis=0), exact.stats.total.sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(given.stats.total.sum(axis=1), 4 * given.n_k, rtol=1e-12)


@pytest.mark.parametrize("init", ["portfolio", "k-means", "k-means++", "random"])
def test_starts_know_levels_by_their_names_alone(init):
    # renaming levels turns their order round, which must not matter to what the starts find
    rng = np.random.default_rng(1)
    group = np.arange(400) % 4
    X = (np.where(rng.random((400, 6)) < 0.85, group[:, None], rng.integers(4, size=(400, 6))) * 7 + 3) % 5
    mixture = EMMixture(4, family=Categorical(), init=init, n_init=5, random_state=0).fit(X)
    assert adjusted_rand_score(group, mixture.labels_) > 0.95
