"""Priors in the user's units and by name, against their authors' formulas."""

import numpy as np
import pytest
from families_under_test import gaussian_rows

from skem import MAPMixture
from skem.exceptions import DegenerateComponentWarning
from skem.families import Gaussian, Poisson
from skem.summary import summarize

STRUCTURES = ("full", "tied", "diag", "spherical", "EEI", "EII")
ISOTROPIC = ("spherical", "EII")
structures = pytest.mark.parametrize("structure", STRUCTURES)


@pytest.fixture
def X():
    return gaussian_rows(np.random.default_rng(0), 80, 3)


def bound(X, structure, **prior):
    family = Gaussian(structure, **prior)
    return family.bind(summarize(X, None, family.equivariance))


def in_user_units(family, n_components=4):
    """kappa0, m0, nu0 and S0 of one component, brought back to the user's units."""
    prior, s = family.prior(n_components), family.summary_.scale
    scatter = prior.scatter if prior.shared else prior.scatter[0]
    scatter = scatter * {0: s[0] ** 2, 1: s**2, 2: np.outer(s, s)}[scatter.ndim]
    nu = prior.nu if prior.shared else prior.nu[0]
    return prior.kappa[0], family.summary_.to_user(prior.mean[0]), float(nu), scatter


def shaped(structure, matrix):
    if structure in ("full", "tied"):
        return matrix
    return np.trace(matrix) / 3 if structure in ISOTROPIC else np.diag(matrix)


@structures
def test_default(X, structure):
    kappa, mean, nu, scatter = in_user_units(bound(X, structure))
    expected_nu = 5.0 if structure in ("full", "tied") else 3.0
    assert (kappa, nu) == (0.001, expected_nu)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scatter, shaped(structure, np.diag(0.02 * expected_nu * X.var(axis=0))), rtol=1e-10)


@structures
def test_kurihara(X, structure):
    # B0 = eta0 xi lambda_max I with eta0 = d + 1, xi = 0.01, on standardised columns
    kappa, _, nu, scatter = in_user_units(bound(X, structure, covariance_prior="kurihara"))
    unit = X.std(axis=0) if structure not in ISOTROPIC else np.full(3, np.sqrt(X.var(axis=0).mean()))
    widest = np.linalg.eigvalsh(np.cov((X / unit).T))[-1]
    assert (kappa, nu) == (0.01, 4.0 if structure in ("full", "tied") else 2.0)
    np.testing.assert_allclose(scatter, shaped(structure, 4.0 * 0.01 * widest * np.diag(unit**2)), rtol=1e-10)


@structures
def test_mclust(X, structure):
    # defaultPrior of mclust: shrinkage 0.01, dof d + 2, scale var / G^(2/d), one number for variances
    kappa, _, nu, scatter = in_user_units(bound(X, structure, covariance_prior="mclust"), n_components=4)
    covariance = np.cov(X.T) / 4 ** (2 / 3)
    mean = np.trace(covariance) / 3
    expected = covariance if structure in ("full", "tied") else shaped(structure, mean * np.eye(3))
    assert (kappa, nu) == (0.01, 5.0)
    np.testing.assert_allclose(scatter, expected, rtol=1e-10)


@structures
@pytest.mark.parametrize("name", ["default", "kurihara", "mclust"])
def test_a_constant_column_leaves_the_prior_proper(X, structure, name):
    X[:, 1] = 7.0
    family = bound(X, structure, covariance_prior=name)
    assert np.isfinite(family.log_normalizer(family.prior(3))).all()


@structures
def test_numbers_are_read_in_the_users_units(X, structure):
    matrix = np.diag(X.var(axis=0)) * (0.3 + 0.7 * np.eye(3)) + 0.0
    given = {
        "mean_prior": X[3], "mean_precision_prior": 0.4, "degrees_of_freedom_prior": 6.5,
        "covariance_prior": shaped(structure, matrix),
    }  # fmt: skip
    kappa, mean, nu, scatter = in_user_units(bound(X, structure, **given))
    assert (kappa, nu) == (0.4, 6.5)
    np.testing.assert_allclose(mean, X[3], rtol=1e-12)
    np.testing.assert_allclose(scatter, shaped(structure, matrix), rtol=1e-12)


@structures
def test_bad_numbers_are_refused(X, structure):
    good = shaped(structure, np.eye(3))
    wrong_shape = 1.0 if structure in ("diag", "EEI") else np.ones(2)
    for bad in (wrong_shape, -good, np.nan * good):
        with pytest.raises(ValueError, match="covariance_prior"):
            MAPMixture(2, family=Gaussian(structure, covariance_prior=bad)).fit(X)
    with pytest.raises(ValueError, match="mean_prior"):
        MAPMixture(2, family=Gaussian(structure, mean_prior=[1.0, 2.0])).fit(X)
    with pytest.raises(ValueError, match="covariance_prior"):
        MAPMixture(2, family=Gaussian(structure, covariance_prior="mclist")).fit(X)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_matrices_need_more_than_d_less_one_degrees_and_symmetry(X, structure):
    with pytest.raises(ValueError, match="must exceed d - 1 = 2"):
        MAPMixture(2, family=Gaussian(structure, degrees_of_freedom_prior=2.0)).fit(X)
    # in small units, too
    lopsided = 1e-12 * (np.eye(3) + np.triu(np.full((3, 3), 0.1), 1))
    with pytest.raises(ValueError, match="symmetric"):
        MAPMixture(2, family=Gaussian(structure, covariance_prior=lopsided)).fit(X)


def test_poisson_default_weighs_shape_prior_counts_a_column():
    X = np.random.default_rng(1).poisson([0.5, 4.0, 0.0], size=(50, 3)).astype(float)
    prior = Poisson(shape_prior=2.0).bind(summarize(X, None, None)).prior(2)
    np.testing.assert_allclose(prior.total, 2.0)
    np.testing.assert_allclose((prior.total / prior.n)[0, :2], X.mean(axis=0)[:2], rtol=1e-12)
    assert prior.n[0, 2] > 0
    with pytest.warns(DegenerateComponentWarning, match="below 1"):
        mixture = MAPMixture(1, family=Poisson(shape_prior=0.5)).fit(X)
    assert 0 < mixture.rates_[0, 2] < 1e-9
    given = Poisson(shape_prior=2.0, rate_prior=3.0).bind(summarize(X, None, None)).prior(2)
    np.testing.assert_array_equal(given.n, 3.0)
