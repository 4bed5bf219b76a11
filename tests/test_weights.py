"""Weights: a row of weight w equals w rows, weight 0 equals absence, and the order of rows is nothing."""

import inspect
import warnings

import numpy as np
import pytest
from families_under_test import CASES, FREE_CASES, LATENT_CASES, POINT_CASES, SHAPED_CASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from public_estimators import takes
from sklearn.base import clone

import skem
from skem.canonical import LEAST_SUBSAMPLE, SUBSAMPLE, canonical_rows, subsample
from skem.families import Gaussian
from skem.starts import INITS
from skem.summary import summarize

TOLERANCE = 1e-9
# A few sweeps show what weights do to a sampler.
FEW = {"n_chains": 2, "n_draws": 8, "n_burn_in": 4}


def takes_weights(cls):
    return "sample_weight" in inspect.signature(cls.fit).parameters


ESTIMATORS = sorted(
    (
        cls
        for cls in map(skem.__dict__.get, skem.__all__)
        if inspect.isclass(cls) and hasattr(cls, "fit") and takes_weights(cls)
    ),
    key=lambda cls: cls.__name__,
)
MIXTURES = [cls for cls in ESTIMATORS if "family" in inspect.signature(cls).parameters]
# Dispersions that are fitted are extrapolated along directions in which the likelihood is all but flat, which magnifies
# rounding beyond the tolerance here: tests/test_dispersion.py holds the law for them, to 1e-8.
EXTRAPOLATED = ("counts_free", "counts_columns", "counts_common")
FAMILIES = {
    case.name: case
    for case in CASES + SHAPED_CASES + POINT_CASES + FREE_CASES + LATENT_CASES[2:3]
    if case.name not in EXTRAPOLATED
}


PAIRS = [(cls, family) for family in FAMILIES for cls in MIXTURES if takes(cls(), FAMILIES[family].family)]
STARTS = [*INITS, "portfolio"]


def latin_square():
    """Every estimator and every start with every family; all three in any combination are the test by chance's."""
    for first, family in enumerate(FAMILIES):
        able = [cls for cls, of in PAIRS if of == family]
        for i in range(max(len(able), len(STARTS))):
            yield able[i % len(able)], family, STARTS[(first + i) % len(STARTS)]


def problem(seed, family="full"):
    """Rows of which some are equal, measurements on a coarse grid, and integer weights with zeros among them."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(30, 80)), int(rng.integers(1, 4))
    if isinstance(FAMILIES[family].family, Gaussian):
        X = np.round(rng.standard_normal((n, d)) + 6 * rng.integers(0, 3, (n, 1)), 1)
    else:
        X = FAMILIES[family].rows(rng, n, d)[rng.integers(n, size=n)]
    weight = rng.integers(0, 4, n)
    weight[:6] = 1
    return X, weight, rng


def repeated(X, weight, rng):
    """The rows as often as their weights say, shuffled."""
    index = np.repeat(np.arange(len(X)), weight)
    return rng.permutation(index)


def fit(estimator, X, sample_weight=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, sample_weight=sample_weight)


def numbers(estimator):
    """Every fitted number, components in the order of their means."""
    given = {
        name: np.asarray(value, dtype=float)
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_") and name not in ("labels_", "n_iter_")
        if isinstance(value, float | np.ndarray) and np.asarray(value).dtype.kind == "f"
    }
    if "degrees_of_freedom_" in given:
        # far up they say little, and may be infinite
        given["degrees_of_freedom_"] = 1.0 / given["degrees_of_freedom_"]
    # a run's path may take a step more where rounding decides the last one
    return {name: value for name, value in given.items() if name != "lower_bounds_"}


def assert_same(first, second, rows, of_rows):
    one, other = numbers(first), numbers(second)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.shape == other[name].shape, name
        size = np.maximum(1.0, np.abs(value))
        assert (np.abs(value - other[name]) <= TOLERANCE * size).all(), name
    np.testing.assert_array_equal(first.labels_[of_rows], second.labels_[rows])


def check(estimator, seed, family):
    X, weight, rng = problem(seed, family)
    index = repeated(X, weight, rng)
    first = fit(estimator, X, weight.astype(float))
    second = fit(clone(estimator), X[index])
    if first.n_iter_ != second.n_iter_ and not isinstance(estimator, skem.BayesianKMeans):
        # the paths are the same, but rounding may decide at which step the gain left passes below `tol`
        shorter = {"max_iter": min(first.n_iter_, second.n_iter_)}
        first = fit(clone(estimator).set_params(**shorter), X, weight.astype(float))
        second = fit(clone(estimator).set_params(**shorter), X[index])
    assert_same(first, second, slice(None), index)


@pytest.mark.parametrize(("cls", "family", "init"), list(latin_square()))
def test_integer_weights_equal_repetition(cls, family, init):
    known = inspect.signature(cls).parameters
    few = {name: value for name, value in FEW.items() if name in known}
    for seed in range(3):
        check(cls(3, family=FAMILIES[family].family, init=init, random_state=0, **few), seed, family)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    pair=st.sampled_from([pair for pair in PAIRS if pair[0].__name__ != "GibbsMixture"]),
    init=st.sampled_from(STARTS),
    n_components=st.integers(1, 5),
    n_init=st.integers(1, 3),
)
def test_integer_weights_equal_repetition_by_chance(seed, pair, init, n_components, n_init):
    cls, family = pair
    estimator = cls(n_components, family=FAMILIES[family].family, init=init, n_init=n_init, random_state=seed)
    check(estimator, seed, family)


@pytest.mark.parametrize("cls", [cls for cls in ESTIMATORS if cls not in MIXTURES], ids=lambda cls: cls.__name__)
def test_dropins_with_weights(cls):
    known = inspect.signature(cls).parameters
    size = {"n_clusters": 3} if "n_clusters" in known else {"n_components": 3}
    for seed in range(5):
        X, weight, rng = problem(seed)
        index = repeated(X, weight, rng)
        first = fit(cls(**size, random_state=0), X, weight.astype(float))
        second = fit(cls(**size, random_state=0), X[index])
        one, other = numbers(first), numbers(second)
        for name, value in one.items():
            size_of = np.maximum(1.0, np.abs(value))
            assert (np.abs(value - other[name]) <= TOLERANCE * size_of).all(), name


@pytest.mark.parametrize("cls", MIXTURES, ids=lambda cls: cls.__name__)
def test_scores_and_partial_fits_with_weights(cls):
    X, weight, rng = problem(4)
    index = repeated(X, weight, rng)
    known = inspect.signature(cls).parameters
    few = {name: value for name, value in FEW.items() if name in known}
    estimator = fit(cls(2, random_state=0, **few), X)
    assert estimator.score(X, sample_weight=weight) == pytest.approx(estimator.score(X[index]), rel=TOLERANCE)
    if hasattr(cls, "partial_fit"):
        first, second = cls(2, random_state=0), cls(2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for part in np.array_split(np.arange(len(X)), 2):
                first.partial_fit(X[part], sample_weight=weight[part].astype(float))
                second.partial_fit(X[np.repeat(part, weight[part])])
        for name, value in numbers(first).items():
            np.testing.assert_allclose(value, numbers(second)[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_no_weights_are_too_large(covariance_type):
    X = problem(0, "full")[0]
    family = Gaussian(covariance_type)
    plain, heavy = (
        skem.EMMixture(2, family=family, random_state=0).fit(X, sample_weight=np.full(len(X), weight))
        for weight in (1.0, 1e300)
    )
    np.testing.assert_allclose(heavy.means_, plain.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(heavy.labels_, plain.labels_)


def test_heavy_rows_get_no_more_components_than_asked_for():
    X = problem(0, "full")[0]
    mixture = skem.VariationalMixture(2, random_state=0).fit(X, sample_weight=np.full(len(X), 1e13))
    assert mixture.n_components_ <= 2


def test_summary_and_subsample_of_large_data_count_repeated_rows_once():
    rng = np.random.default_rng(0)
    for n_distinct in (SUBSAMPLE // 2, SUBSAMPLE + 4000):
        X = rng.standard_normal((n_distinct, 2))
        weight = rng.integers(0, 4, n_distinct)
        index = rng.permutation(np.repeat(np.arange(n_distinct), weight))
        for select in (subsample, canonical_rows):
            one, other = select(X, weight.astype(float)), select(X[index])
            np.testing.assert_array_equal(X[one.index], X[index][other.index])
            np.testing.assert_array_equal(one.weight, other.weight)
        canonical = canonical_rows(X, weight.astype(float))
        known = canonical.inverse >= 0
        np.testing.assert_array_equal(X[canonical.index[canonical.inverse[known]]], X[known])
        assert not known[weight == 0].any()
        for one, other in zip(
            summarize(X, weight.astype(float), "affine"), summarize(X[index], None, "affine"),
            strict=True,
        ):  # fmt: skip
            # blocks of columns are summarized apart in products alone
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_wide_data_have_a_smaller_subsample():
    X = np.random.default_rng(3).standard_normal((LEAST_SUBSAMPLE + 500, 200))
    rows = subsample(X)
    assert len(rows.index) == LEAST_SUBSAMPLE
    np.testing.assert_array_equal(X[rows.index], X[::-1][subsample(X[::-1]).index])
    assert summarize(X, None, "columns").n_distinct == len(X)


def test_weights_beyond_the_subsample():
    rng = np.random.default_rng(1)
    n = SUBSAMPLE // 2
    X = rng.standard_normal((n, 2)) + 6 * rng.integers(0, 3, (n, 1))
    weight = rng.integers(1, 5, n)
    index = rng.permutation(np.repeat(np.arange(n), weight))
    first = fit(skem.EMMixture(3, random_state=0), X, weight.astype(float))
    second = fit(skem.EMMixture(3, random_state=0), X[index])
    assert_same(first, second, slice(None), index)
