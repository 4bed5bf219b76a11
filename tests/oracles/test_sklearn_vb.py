"""Variational Bayes against scikit-learn's, which is exact for full covariance: one fixed point."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture
from threadpoolctl import threadpool_limits

from skem import VariationalMixture
from skem.families import Gaussian

SPELLING = {"dirichlet": "dirichlet_distribution", "dirichlet_process": "dirichlet_process"}


class FromResponsibilities(BayesianGaussianMixture):
    """scikit-learn's estimator with a start of our choice."""

    def _initialize_parameters(self, X, *args, **kwargs):
        self._initialize(X, self.start)


def data(name):
    if name == "iris":
        return load_iris().data
    if name == "wine":
        return load_wine().data[:, [0, 6, 9, 12]]
    rng = np.random.default_rng(3)
    return rng.standard_normal((300, 2)) @ [[2.0, 0.3], [0.0, 0.5]] + 4.0 * rng.integers(0, 3, (300, 1))


def priors(X):
    d = X.shape[1]
    return {
        "mean_prior": np.median(X, axis=0),
        "mean_precision_prior": 0.3,
        "degrees_of_freedom_prior": d + 1.5,
        "covariance_prior": np.cov(X.T) + 0.1 * np.diag(X.var(axis=0)),
    }


@pytest.mark.parametrize("weight_prior", ["dirichlet", "dirichlet_process"])
@pytest.mark.parametrize(
    ("name", "n_components"),
    [("iris", 1), ("iris", 2), ("iris", 3), ("wine", 3), ("wine", 5), ("toy", 2), ("toy", 5)],
)
def test_fixed_point_equals_scikit_learn(name, n_components, weight_prior):
    X = data(name)
    resp = np.random.default_rng(n_components).dirichlet(np.full(n_components, 0.2), len(X))
    # scikit-learn keeps the order of its sticks, skem begins with the largest in front
    resp = np.ascontiguousarray(resp[:, np.argsort(-resp.sum(axis=0))])
    concentration = 0.7
    theirs = FromResponsibilities(
        n_components=n_components,
        weight_concentration_prior_type=SPELLING[weight_prior],
        weight_concentration_prior=concentration,
        reg_covar=0.0,
        tol=0.0,
        max_iter=600,
        **priors(X),
    )
    theirs.start = resp
    # tol=0 runs all iterations; small matrices are slower with threads
    with pytest.warns(ConvergenceWarning), threadpool_limits(1):
        theirs.fit(X)
    ours = VariationalMixture(
        n_components,
        family=Gaussian(**priors(X)),
        weight_prior=weight_prior,
        weight_concentration_prior=concentration,
        init=resp,
        tol=0.0,
        max_iter=20_000,
        split_merge=False,
    ).fit(X)
    assert ours.n_components_ == n_components
    _, match = linear_sum_assignment(
        ((ours.means_[:, None] - theirs.means_) ** 2).sum(axis=2)
        + 1e3 * (ours.weights_[:, None] - theirs.weights_) ** 2
    )
    spread = X.std(axis=0)
    assert np.abs(ours.weights_ - theirs.weights_[match]).max() < 1e-8
    assert np.abs((ours.means_ - theirs.means_[match]) / spread).max() < 1e-8
    difference = (ours.covariances_ - theirs.covariances_[match]) / np.outer(spread, spread)
    assert np.abs(difference).max() < 1e-8
    resp = ours.predict_proba(X)
    assert np.abs(resp - theirs.predict_proba(X)[:, match]).max() < 1e-7
