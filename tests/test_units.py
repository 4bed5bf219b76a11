"""Units do not matter: offsets, common factors and factors a column change numbers by exact Jacobians only.

A fit in some units is compared with the fit of the same rows, rounded as those units round them,
brought back in float64.
"""

import numpy as np
import pytest
from scipy.stats import invwishart, multivariate_normal

from skem import BayesianKMeans, EMMixture, GibbsMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.canonical import SUBSAMPLE, canonical_rows, subsample
from skem.families import Gaussian
from skem.starts import INITS
from skem.summary import summarize

GENERAL = [EMMixture, MAPMixture, VariationalMixture, BayesianKMeans, ICMMixture]
COVARIANCE_TYPES = ["full", "tied", "diag", "spherical", "EEI", "EII"]
# hard labels from random responsibilities may leave a component that shares its variance with none
may_empty = pytest.mark.filterwarnings("ignore:.*ended without weight:skem.exceptions.DegenerateComponentWarning")
# The Gibbs sampler is its own kind: a few draws show what it does with units.
GIBBS = {"n_chains": 1, "n_draws": 10, "n_burn_in": 10}


def rows(n=200):
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, (n, 1))
    return rng.standard_normal((n, 3)) * [1.0, 0.5, 2.0] + 5 * group * [1.0, -1.0, 0.5]


def parameter_jacobian(estimator, log_factors, n_components):
    """Log volume by which the parameters under a prior density grow with the unit."""
    if type(estimator) not in (MAPMixture, ICMMixture):
        return 0.0
    d, total = len(log_factors), log_factors.sum()
    covariances = {
        "full": n_components * (d + 1) * total,
        "tied": (d + 1) * total,
        "diag": 2 * n_components * total,
        "spherical": 2 * n_components * log_factors[0],
        "EEI": 2 * total,
        "EII": 2 * log_factors[0],
    }
    return n_components * total + covariances[estimator.family.covariance_type]


def assert_same_fit(estimator, X, back, log_factors):
    """Labels alike; densities and objective shifted by the Jacobian."""
    X_score, X_labels = (model := estimator.fit(X)).score(X), model.labels_
    X_bound, n_components = getattr(model, "lower_bound_", None), model.n_components
    model = estimator.fit(back)
    np.testing.assert_array_equal(X_labels, model.labels_)
    shift = log_factors.sum()
    size = max(1.0, abs(shift), abs(model.score(back)))
    assert abs(X_score + shift - model.score(back)) < 1e-9 * size
    if X_bound is not None:
        shift += parameter_jacobian(estimator, log_factors, n_components) / len(X)
        assert abs(X_bound + shift - model.lower_bound_) < 1e-9 * max(1.0, abs(shift), size)


def cases(covariance_types):
    for covariance_type in covariance_types:
        for cls in GENERAL:
            for init in INITS:
                yield pytest.param(
                    cls(3, family=Gaussian(covariance_type), init=init, random_state=0),
                    id=f"{cls.__name__}-{covariance_type}-{init}",
                )
        yield pytest.param(
            GibbsMixture(3, family=Gaussian(covariance_type), random_state=0, **GIBBS),
            id=f"GibbsMixture-{covariance_type}",
        )


@may_empty
@pytest.mark.parametrize("estimator", list(cases(COVARIANCE_TYPES)))
def test_offsets(estimator):
    X = rows()
    # at 1e12 the rows keep four digits: as long as they have any, so does the fit
    for offset in [1e4, 1e8, 1e10, 1e12]:
        moved = X + offset
        assert_same_fit(estimator, moved, moved - offset, np.zeros(3))


@may_empty
@pytest.mark.parametrize("estimator", list(cases(COVARIANCE_TYPES)))
def test_common_factor(estimator):
    X = rows()
    for factor in [1e-150, 1e-10, 1e5, 1e150]:
        scaled = (X + 1e3) * factor
        assert_same_fit(estimator, scaled, scaled / factor, np.full(3, np.log(factor)))


@may_empty
@pytest.mark.parametrize("estimator", list(cases(["full", "tied", "diag", "EEI"])))
def test_mixed_units_per_column(estimator):
    X = rows()
    for factors in [[1.0, 1e-6, 1e6], [1e-150, 1.0, 1e150], [1e150, 1e-150, 1e-4]]:
        scaled = X * factors
        assert_same_fit(estimator, scaled, scaled / factors, np.log(factors))


@may_empty
@pytest.mark.parametrize("estimator", list(cases(COVARIANCE_TYPES)))
def test_float32_far_from_the_origin(estimator):
    X = (rows() + 1e4).astype(np.float32)
    back = X.astype(np.float64) - 1e4
    labels, bound = (model := estimator.fit(X)).labels_, getattr(model, "lower_bound_", None)
    model = estimator.fit(back)
    np.testing.assert_array_equal(labels, model.labels_)
    # outputs of float32 queries are rounded to it; the objective is a sum in float64
    if bound is not None:
        assert abs(bound - model.lower_bound_) < 1e-9 * max(1.0, abs(bound))


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("seed", range(5))
def test_affine_maps_from_a_mapped_start(covariance_type, seed):
    rng = np.random.default_rng(seed)
    X = rows()
    left, _, right = np.linalg.svd(rng.standard_normal((3, 3)))
    # condition 1e3: the constraint on relative eigenvalues, 1e-9, binds from about 1e4 on
    matrix = (left * [30.0, 1.0, 0.03]) @ right
    shift = 100.0 * rng.standard_normal(3)
    labels = EMMixture(3, random_state=seed).fit(X).labels_
    family = Gaussian(covariance_type)
    here = EMMixture(3, family=family, init=labels, tol=1e-12, max_iter=20_000).fit(X)
    there = EMMixture(3, family=family, init=labels, tol=1e-12, max_iter=20_000)
    there.fit(X @ matrix.T + shift)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    jacobian = np.linalg.slogdet(matrix)[1]
    assert there.lower_bound_ + jacobian == pytest.approx(here.lower_bound_, abs=1e-8)
    mapped = here.means_ @ matrix.T + shift
    assert np.abs(np.linalg.solve(matrix, (there.means_ - mapped).T)).max() < 1e-6


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_default_starts_choose_the_same_seeds_in_large_data(covariance_type):
    # above SUBSAMPLE rows, a hash of their place in the columns' ranges chooses: exact for powers of
    # two and for offsets; other units may swap a row whose place they round otherwise
    rng = np.random.default_rng(1)
    X = rng.standard_normal((SUBSAMPLE + 5000, 2)) + 6 * rng.integers(0, 3, (SUBSAMPLE + 5000, 1))
    X = np.round(X, 6)
    chosen = subsample(X).index
    assert 0.9 * SUBSAMPLE <= len(chosen) <= SUBSAMPLE
    np.testing.assert_array_equal(subsample(X * 2.0**70).index, chosen)
    moved = X + 2.0**20
    np.testing.assert_array_equal(subsample(moved - 2.0**20).index, subsample(moved).index)
    assert len(np.intersect1d(subsample(X * 1e-7).index, chosen)) > 0.999 * len(chosen)
    fits = [
        EMMixture(3, family=Gaussian(covariance_type), random_state=0).fit(factor * X).labels_ for factor in (1.0, 1e-7)
    ]
    np.testing.assert_array_equal(*fits)


def test_canonical_order_of_large_data_keeps_to_places():
    X = np.random.default_rng(2).standard_normal((SUBSAMPLE + 3000, 3))
    order = canonical_rows(X).index
    np.testing.assert_array_equal(canonical_rows(X * 2.0**-300).index, order)


def test_map_objective_is_the_log_posterior_density_in_the_data_s_units():
    X = rows() * [0.1, 1.0, 30.0]
    model = MAPMixture(1).fit(X)
    prior, summary = model.family_.prior(1), model.family_.summary_
    mean, covariance = model.means_[0], model.covariances_[0]
    scatter = prior.scatter[0] * np.outer(summary.scale, summary.scale)
    expected = (
        multivariate_normal(mean, covariance).logpdf(X).sum()
        + invwishart(prior.nu[0], scatter).logpdf(covariance)
        + multivariate_normal(summary.to_user(prior.mean[0]), covariance / prior.kappa[0]).logpdf(mean)
    )
    assert model.lower_bound_ * len(X) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cls", GENERAL)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_data_near_overflow_work_or_are_refused_in_one_sentence(cls, covariance_type):
    estimator = cls(3, family=Gaussian(covariance_type), random_state=0)
    for factor in [1e160, 1e250, 1e300]:
        with pytest.raises(ValueError, match=r"column 2 of X runs from .* rescale X"):
            estimator.fit(rows() * [1.0, 1.0, factor])
    largest = np.finfo(np.float64).max
    with pytest.raises(ValueError, match="rescale X"):
        estimator.fit(np.array([[-largest], [0.0], [1.0], [largest]]))


def test_summary_of_extreme_units_is_finite_and_a_power_of_two():
    for factor in [1e-300, 1e-150, 1e150]:
        summary = summarize(rows() * factor, None, "columns")
        assert np.isfinite(summary.covariance).all()
        assert (np.frexp(summary.scale)[0] == 0.5).all()
        np.testing.assert_allclose(summary.variance, summary.variance.clip(0.05, 20.0))
