"""Runs that are bound for a simpler family, the limit of their own: Student-t components whose tails fade away."""

import numpy as np
import pytest
from scipy import stats

from skem import EMMixture, MAPMixture
from skem.families import Poisson, Product, StudentT

# Each from a given start alone, so that no start is the Gaussian's own end.
START = {"means": np.zeros((1, 3)), "scale_matrices": np.eye(3)[None], "degrees_of_freedom": 31.0}


def light_tails():
    return np.random.default_rng(0).uniform(-1.0, 1.0, size=(200, 3))


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dof", ["free", "common"])
@pytest.mark.parametrize("cls", [EMMixture, MAPMixture])
def test_a_run_bound_for_infinity_gets_there(cls, dof, structure):
    X = np.vstack([light_tails(), light_tails() + 4.0])
    matrices = {"full": np.stack([np.eye(3)] * 2), "tied": np.eye(3), "diag": np.ones((2, 3)), "spherical": np.ones(2)}
    start = {"means": [[0.0] * 3, [4.0] * 3], "scale_matrices": matrices[structure]}
    found = cls(2, family=StudentT(structure, dof), init=start | {"degrees_of_freedom": 5.0}, tol=1e-9).fit(X)
    assert (found.degrees_of_freedom_ == np.inf).all()
    assert found.converged_
    assert found.n_iter_ < 250
    assert np.diff(found.lower_bounds_).min() >= -1e-14 * abs(found.lower_bound_)
    limit = cls(2, family=StudentT(structure, np.inf), init=start | {"degrees_of_freedom": np.inf}, tol=1e-12).fit(X)
    assert found.lower_bound_ == pytest.approx(limit.lower_bound_, abs=1e-9)


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_a_limit_is_left_where_heavier_tails_gain(seed):
    """The objective is higher there than before, and higher still at many degrees of freedom that are no limit."""
    X = stats.multivariate_t(np.zeros(3), np.eye(3), 400.0, seed=seed).rvs(3000)
    found = EMMixture(1, family=StudentT(), init=START).fit(X)
    assert 100.0 < found.degrees_of_freedom_[0] < np.inf
    gaussian = EMMixture(1, family=StudentT(degrees_of_freedom=np.inf), init=START | {"degrees_of_freedom": np.inf})
    assert found.lower_bound_ * 3000 > gaussian.fit(X).lower_bound_ * 3000 + 0.01


def test_covariances_stay_on_the_way_to_the_limit():
    theta = EMMixture(1, family=StudentT(), init=START, max_iter=0).fit(light_tails())
    family, before = theta.family_, theta._theta
    grown = family._tailed(before.mean, before.factor, np.zeros(1), np.array([50.0]))
    limit = family.limit(before, grown)
    assert limit.dof[0] == np.inf
    scale = family.attributes(grown)["scale_matrices_"] * 50.0 / 48.0
    np.testing.assert_allclose(family.attributes(limit)["scale_matrices_"], scale, rtol=1e-12)
    assert family.limit(grown, before) is None


def test_blocks_of_a_product_come_to_their_own_limits():
    rng = np.random.default_rng(1)
    normal = stats.multivariate_t(np.zeros(3), np.eye(3), 400.0, seed=7).rvs(3000)
    family = Product([("tailed", StudentT(), [0, 1, 2]), ("counts", Poisson(), [3])])
    init = {f"tailed__{name}": value for name, value in START.items()} | {"counts__rates": [[3.0]]}
    found = EMMixture(1, family=family, init=init).fit(np.hstack([normal, rng.poisson(3.0, size=(3000, 1))]))
    assert found.tailed__degrees_of_freedom_[0] == np.inf
