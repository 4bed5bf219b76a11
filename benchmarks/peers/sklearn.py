"""scikit-learn."""

from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.peers.base import Fit, Parameters, Peer


class Prepared(NamedTuple):
    """A variational mixture to go on from, in scikit-learn's public names."""

    options: dict[str, Any]
    attributes: dict[str, Any]


class ScikitLearn(Peer):
    """GaussianMixture, BayesianGaussianMixture and KMeans (Lloyd)."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    module = "sklearn"
    mixtures = ("full", "diag", "tied", "spherical")
    mixture_dtypes = ("float64", "float32")
    bayesian = mixtures
    kmeans_dtypes = ("float64", "float32")

    def fit_mixture(self, X, start, structure, n_iter):
        from sklearn.mixture import GaussianMixture

        # in X's dtype: given parameters of another one would decide the dtype of the arithmetic
        weights, means, precisions = (
            part.astype(X.dtype) for part in (start.weights, start.means, start.precisions(structure))
        )
        mixture = GaussianMixture(
            len(means), covariance_type=structure, weights_init=weights, means_init=means,
            precisions_init=precisions, tol=0.0, max_iter=n_iter, reg_covar=0.0,
        )  # fmt: skip
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, Parameters(mixture.weights_, mixture.means_, mixture.covariances_))

    def prepare_bayesian(self, X, start, structure):
        """One iteration on some rows: no library takes a start for variational Bayes, but both go on from one."""
        from sklearn.mixture import BayesianGaussianMixture

        options = {
            "n_components": len(start.means),
            "covariance_type": structure,
            "reg_covar": 0.0,
            "tol": 0.0,
            "max_iter": 1,
            "init_params": "k-means++",
            "random_state": 0,
            "warm_start": True,
        }
        mixture = BayesianGaussianMixture(**options).fit(X[: min(len(X), 20_000)])
        fitted = {name: value for name, value in vars(mixture).items() if name.endswith("_")}
        return Prepared(options, fitted)

    def fit_bayesian(self, X, prepared, structure, n_iter):
        from sklearn.mixture import BayesianGaussianMixture

        mixture = BayesianGaussianMixture(**prepared.options)
        for name, value in prepared.attributes.items():
            setattr(mixture, name, value)
        mixture.set_params(max_iter=n_iter)
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, Parameters(mixture.weights_, mixture.means_, mixture.covariances_))

    def fit_kmeans(self, X, centers, n_iter):
        from sklearn.cluster import KMeans

        kmeans = KMeans(len(centers), init=centers, n_init=1, max_iter=n_iter, tol=0.0, algorithm="lloyd")
        begin = perf_counter()
        kmeans.fit(X)
        return Fit(perf_counter() - begin, kmeans.cluster_centers_)
