"""Rounded columns: what a step is, the density of rounded rows, and groups that spikes would hide."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from skem import BayesianKMeans, EMMixture, GaussianMixture, GibbsMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.exceptions import DegenerateComponentWarning
from skem.families import Gaussian, LogNormal, Product, StudentT
from skem.rounding import step_of
from skem.summary import summarize

CLASSIC = ("full", "tied", "diag", "spherical", "EII", "EEI")
SHAPED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
STEPS = np.array([1.0, 0.5, 0.0])


def rounded_rows(n=240, seed=0):
    """Two groups in three columns, two of them rounded, and the groups."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) % 2
    X = rng.normal(size=(n, 3)) * [1.0, 0.7, 1.5] + 6.0 * groups[:, None]
    X[:, 0], X[:, 1] = np.round(X[:, 0]), 0.5 * np.round(2.0 * X[:, 1])
    return X, groups


def flagged_rows(seed):
    """Three groups told apart by three measurements, with four flags that say nothing."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(3, size=600)
    measured = 0.8 * rng.normal(size=(600, 3)) + 3.0 * np.eye(3)[groups]
    return np.hstack([measured, rng.random((600, 4)) < 0.2]), groups


# --- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (np.arange(9.0), 1.0),
        ([0.0, 2.0, 6.0, 2.0], 2.0),
        (0.1 * np.array([3, 5, 6, 60_000]), 0.1),
        ((0.1 * np.arange(50)).astype(np.float32), 0.1),
        (1e8 + 0.25 * np.array([0, 1, 7]), 0.25),
        ([0.0, 1.0, 2.5], 0.0),
        ([3.0, 3.0], 0.0),
        (np.random.default_rng(0).normal(size=50), 0.0),
    ],
)
def test_a_step_is_what_all_differences_are_multiples_of(values, step):
    assert step_of(np.asarray(values)) == pytest.approx(step, rel=1e-6)


def test_steps_are_sought_where_one_value_holds_half_of_some_column():
    rng = np.random.default_rng(0)
    X = np.column_stack(
        [np.arange(100) % 7, rng.normal(size=100), np.maximum(np.arange(100) - 48, 0), np.full(100, 3.0)]
    )
    assert summarize(X, None, "affine").rounding is None
    X[49, 2] = 0.0
    summary = summarize(X, None, "affine")
    # of a constant column the stand-in of its scale counts
    expected = np.array([1.0, 0.0, 1.0, summary.scale[3]]) ** 2 / 12.0 / summary.scale**2
    np.testing.assert_allclose(summary.rounding, expected, rtol=1e-12)
    np.testing.assert_array_equal(summary.take([2, 0]).rounding, expected[[2, 0]])
    # rows without weight do not count
    weight = np.ones(100)
    weight[:2] = 0.0
    assert summarize(X, weight, "affine").rounding is None


def test_differences_of_a_few_distinct_rows_are_no_steps():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0], [3.0, 0.0]], [30, 20, 10], axis=0)
    assert summarize(X, None, "affine").rounding is None
    assert summarize(np.vstack([X, [[2.0, 1.0]]]), None, "affine").rounding is not None


# --- the density ----------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", CLASSIC + SHAPED)
def test_a_rounded_row_has_the_mean_log_density_of_its_cell(structure):
    X, _ = rounded_rows()
    mixture = EMMixture(2, family=Gaussian(structure, rounding=STEPS), random_state=0).fit(X)
    covariances = mixture.family_._structure.matrices(mixture.covariances_, 2, 3)
    terms = [
        np.log(weight)
        + stats.multivariate_normal(mean, covariance).logpdf(X)
        - 0.5 * np.trace(np.linalg.solve(covariance, np.diag(STEPS**2 / 12.0)))
        for weight, mean, covariance in zip(mixture.weights_, mixture.means_, covariances, strict=True)
    ]
    expected = np.logaddexp(*terms)
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-10, atol=1e-10)
    assert mixture.lower_bound_ == pytest.approx(expected.mean(), rel=1e-10)
    np.testing.assert_allclose(mixture.predict_proba(X)[:, 0], np.exp(terms[0] - expected), atol=1e-10)


def test_that_mean_is_below_the_log_of_the_mean_density():
    X = np.round(np.random.default_rng(1).normal(size=(80, 1)))
    mixture = EMMixture(1, family=Gaussian(rounding=1.0)).fit(X)
    density = stats.norm(mixture.means_[0, 0], np.sqrt(mixture.covariances_[0, 0, 0]))
    for x in (-1.0, 0.0, 2.0):
        found = mixture.score_samples([[x]])[0]
        assert found == pytest.approx(integrate.quad(density.logpdf, x - 0.5, x + 0.5)[0], rel=1e-9)
        assert found < np.log(density.cdf(x + 0.5) - density.cdf(x - 0.5))


@pytest.mark.parametrize("structure", CLASSIC)
def test_one_component_is_wider_by_the_rounding(structure):
    X, _ = rounded_rows()
    exact, rounded = (EMMixture(1, family=Gaussian(structure, rounding=r)).fit(X) for r in (0.0, STEPS))
    added = exact.family_._structure.diagonal(STEPS**2 / 12.0)
    expected = exact.covariances_ + added
    np.testing.assert_allclose(rounded.covariances_, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("structure", CLASSIC)
@pytest.mark.parametrize("cell", [EMMixture, MAPMixture, ICMMixture, VariationalMixture, BayesianKMeans])
def test_objectives_never_fall(cell, structure):
    X, _ = rounded_rows()
    start = np.random.default_rng(2).integers(3, size=len(X))
    mixture = cell(3, family=Gaussian(structure, rounding=STEPS), init=start).fit(X)
    rises = np.diff(mixture.lower_bounds_)
    assert len(rises) > 0
    assert rises.min() > -1e-9 * np.abs(mixture.lower_bounds_).max()


@pytest.mark.parametrize("cell", [EMMixture, MAPMixture, VariationalMixture, BayesianKMeans])
def test_a_weight_is_a_repetition(cell):
    X, _ = rounded_rows(60)
    weight = np.random.default_rng(3).integers(0, 3, size=len(X))
    weighted = cell(2, family=Gaussian(rounding=STEPS), random_state=0).fit(X, sample_weight=weight)
    repeated = cell(2, family=Gaussian(rounding=STEPS), random_state=0).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-7, atol=1e-10)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-9)


def test_units_shift_the_density_and_nothing_else():
    X, _ = rounded_rows()
    X[:, 2] = X[:, 2] > 6.5
    factors = np.array([1e-7, 30.0, 1e5])
    fits = [EMMixture(2, random_state=0).fit(rows) for rows in (X, X * factors)]
    assert fits[0].family_.rounding_ is not None
    np.testing.assert_array_equal(fits[0].labels_, fits[1].labels_)
    np.testing.assert_allclose(fits[0].score_samples(X) - np.log(factors).sum(), fits[1].score_samples(X * factors))


def test_marginals_keep_the_rounding_of_their_columns():
    X, _ = rounded_rows()
    mixture = EMMixture(2, family=Gaussian(rounding=STEPS), random_state=0).fit(X)
    assert mixture.marginal([2]).family_.rounding_ is None
    alone = mixture.marginal([0])
    density = [stats.norm(m[0], np.sqrt(c[0, 0])) for m, c in zip(mixture.means_, mixture.covariances_, strict=True)]
    terms = [
        np.log(weight) + own.logpdf(3.0) - 0.5 / 12.0 / own.var()
        for weight, own in zip(mixture.weights_, density, strict=True)
    ]
    assert alone.score_samples([[3.0]])[0] == pytest.approx(np.logaddexp(*terms), rel=1e-10)


# --- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_flags_hide_no_groups(seed):
    X, groups = flagged_rows(seed)
    for mixture in (BayesianKMeans(), EMMixture(3, random_state=0), VariationalMixture(6, random_state=0)):
        assert adjusted_rand_score(groups, mixture.fit_predict(X)) > 0.95
        assert not mixture.degenerate_
        np.testing.assert_array_equal(mixture.labels_, mixture.predict(X))
    exact = Gaussian(rounding=0.0)
    # a race leaves out runs that climb a spike
    with pytest.warns(DegenerateComponentWarning):
        EMMixture(3, family=exact, init="k-means", random_state=0).fit(X)
    assert adjusted_rand_score(groups, BayesianKMeans(family=exact).fit_predict(X)) < 0.1


def test_coarse_columns_do_not_make_clusters():
    rng = np.random.default_rng(0)
    groups = rng.integers(3, size=600)
    X = np.round(np.array([[0, 0, 0], [3, 3, 0], [0, 3, 3]])[groups] + 0.35 * rng.normal(size=(600, 3)))
    assert BayesianKMeans().fit(X).n_components_ == 3
    with pytest.warns(DegenerateComponentWarning, match="recorded in steps"):
        assert BayesianKMeans(family=Gaussian(rounding=0.0)).fit(X).n_components_ > 10


@pytest.mark.slow
def test_digits_are_found_in_raw_pixels():
    X, digits = load_digits(return_X_y=True)
    assert adjusted_rand_score(digits, EMMixture(10, random_state=0).fit_predict(X)) > 0.6
    assert adjusted_rand_score(digits, BayesianKMeans().fit_predict(X)) > 0.4


def test_draws_go_with_rounded_rows():
    X, groups = flagged_rows(0)
    mixture = GibbsMixture(3, n_chains=2, n_draws=50, n_burn_in=20, random_state=0).fit(X)
    assert adjusted_rand_score(groups, mixture.labels_) > 0.9


# --- the parameter --------------------------------------------------------------------------------


def test_other_families_take_values_as_exact():
    X, _ = flagged_rows(0)
    for family in (StudentT(), LogNormal()):
        assert "rounding" not in family.get_params()
        assert family.bind(summarize(X, None, "affine")).rounding_ is None
    assert GaussianMixture(2, random_state=0).fit(X).means_.shape == (2, 7)
    blocks = Product([("measured", Gaussian(), [0, 1, 2]), ("flags", Gaussian("diag"), [3, 4, 5, 6])])
    fitted = EMMixture(2, family=blocks, random_state=0).fit(X)
    assert [own.rounding_ is None for own in fitted.family_.bound_.values()] == [True, False]


@pytest.mark.parametrize("rounding", ["auto", 0.5, [1.0, 0.5, 0.0]])
def test_the_parameter_survives_cloning(rounding):
    assert clone(Gaussian(rounding=rounding)).get_params()["rounding"] == rounding


@pytest.mark.parametrize("rounding", [-1.0, [1.0, -1.0, 0.0], [1.0, 1.0], "steps", None, np.nan])
def test_bad_steps_are_named(rounding):
    X, _ = rounded_rows(20)
    with pytest.raises(ValueError, match="rounding"):
        EMMixture(2, family=Gaussian(rounding=rounding)).fit(X)
