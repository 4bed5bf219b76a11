"""The fourteen covariance models, whatever is done with them."""

import numpy as np
import pytest
from families_under_test import SHAPED, gaussian_rows
from public_estimators import quietly
from sklearn.datasets import load_iris

from skem import EMMixture, GibbsMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.families import Gaussian
from skem.families.covariance import FOURTEEN

IRIS, SPECIES = load_iris(return_X_y=True)


@pytest.mark.parametrize("code", FOURTEEN)
def test_modes_are_maxima(code):
    mixture = EMMixture(3, family=Gaussian(code), init=SPECIES).fit(IRIS)
    modes = mixture.modes()
    step = 1e-3 * IRIS.std(axis=0)
    around = [modes.modes + side * step * axis for side in (-1.0, 1.0) for axis in np.eye(4)]
    for points in around:
        assert (mixture.score_samples(points) < modes.log_densities).all()
    np.testing.assert_allclose(mixture.score_samples(modes.modes), modes.log_densities, rtol=1e-10)


@pytest.mark.parametrize("estimator", [MAPMixture, ICMMixture])
@pytest.mark.parametrize("code", SHAPED)
def test_map_counts_weights_as_rows(estimator, code):
    rng = np.random.default_rng(3)
    X, weight = gaussian_rows(rng, 60, 3), rng.integers(0, 4, size=60)
    family = Gaussian(code)
    once = estimator(2, family=family, random_state=0).fit(X, sample_weight=weight.astype(float))
    twice = estimator(2, family=family, random_state=0).fit(rng.permutation(np.repeat(X, weight, axis=0)))
    assert once.lower_bound_ == pytest.approx(twice.lower_bound_, rel=1e-9)
    np.testing.assert_allclose(once.covariances_, twice.covariances_, rtol=1e-6)


@pytest.mark.parametrize("code", FOURTEEN)
def test_map_follows_the_units(code):
    mixture = MAPMixture(3, family=Gaussian(code), init=SPECIES).fit(IRIS)
    unit = 1000.0 if FOURTEEN[code].equivariance == "scalar" else np.array([10.0, 0.1, 1e3, 1.0])
    moved = MAPMixture(3, family=Gaussian(code), init=SPECIES).fit(IRIS * unit - 7.0)
    np.testing.assert_allclose(moved.means_, mixture.means_ * unit - 7.0, rtol=1e-6)
    np.testing.assert_array_equal(moved.labels_, mixture.labels_)


@pytest.mark.parametrize("code", SHAPED)
def test_a_prior_holds_up_what_would_collapse(code):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 3)), np.full((10, 3), 6.0)])
    labels = np.repeat([0, 1], [40, 10])
    collapsed = quietly(EMMixture(2, family=Gaussian(code), init=labels).fit, X)
    held = MAPMixture(2, family=Gaussian(code), init=labels, tol=0.0).fit(X)
    # ellipsoids that are equal but for their axes lend one another their spread
    assert collapsed.degenerate_ == (code != "EEV")
    assert not held.degenerate_
    assert np.diff(held.lower_bounds_).min() >= -1e-12
    dependent = quietly(MAPMixture(2, family=Gaussian(code), init=labels).fit, np.column_stack([X[:, :2], X[:, 0]]))
    assert dependent.degenerate_ == (FOURTEEN[code].collect == "full")


@pytest.mark.parametrize("code", SHAPED)
def test_models_without_conjugate_prior_say_what_they_lack(code):
    with pytest.raises(TypeError, match="offers no expect, log_normalizer"):
        VariationalMixture(family=Gaussian(code)).fit(IRIS)
    with pytest.raises(TypeError, match="offers no draw, log_normalizer"):
        GibbsMixture(family=Gaussian(code)).fit(IRIS)
