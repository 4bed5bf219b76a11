"""Skem itself."""

from time import perf_counter

import numpy as np

from benchmarks.peers.base import Fit, Parameters, Peer


class Skem(Peer):
    """EMMixture, the drop-in BayesianGaussianMixture, KMeans and BayesianKMeans."""

    name = "skem"
    distribution = "skem"
    module = "skem"
    mixtures = ("full", "diag", "tied", "spherical")
    mixture_dtypes = ("float64", "float32")
    bayesian = mixtures
    kmeans_dtypes = ("float64", "float32")

    def version(self):
        import skem

        return skem.__version__

    def mixture(self, start, structure, n_iter, **options):
        """An estimator of `n_iter` iterations; parameters given as a start are the first one's."""
        import skem
        from skem.families import Gaussian

        init = {"weights": start.weights, "means": start.means, "covariances": start.covariances(structure)}
        return skem.EMMixture(
            len(start.means), family=Gaussian(structure), init=init, tol=0.0, max_iter=n_iter - 1, **options
        )

    def fit_mixture(self, X, start, structure, n_iter):
        mixture = self.mixture(start, structure, n_iter)
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, Parameters(mixture.weights_, mixture.means_, mixture.covariances_))

    def fit_classes(self, X, probabilities, n_iter):
        import skem
        from skem.families import Bernoulli

        mixture = skem.EMMixture(
            len(probabilities), family=Bernoulli(), init={"probabilities": probabilities}, tol=0.0, max_iter=n_iter - 1
        )
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, mixture.score(X))

    def prepare_bayesian(self, X, start, structure):
        from benchmarks.peers.sklearn import ScikitLearn

        return ScikitLearn().prepare_bayesian(X, start, structure)

    def fit_bayesian(self, X, prepared, structure, n_iter):
        import skem

        mixture = skem.BayesianGaussianMixture(**prepared.options).set_params(max_iter=n_iter)
        for name, value in prepared.attributes.items():
            setattr(mixture, name, value)
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, Parameters(mixture.weights_, mixture.means_, mixture.covariances_))

    def fit_kmeans(self, X, centers, n_iter):
        import skem

        kmeans = skem.KMeans(len(centers), init=centers, n_init=1, max_iter=n_iter, tol=0.0)
        begin = perf_counter()
        kmeans.fit(X)
        return Fit(perf_counter() - begin, kmeans.cluster_centers_)

    def fit_directions(self, X, centers, assignment, n_iter):
        """Spherical k-means, or EM of von Mises-Fisher components."""
        import skem
        from skem.families import VonMisesFisher

        K = len(centers)
        cls, concentration = (skem.ICMMixture, 50.0) if assignment == "hard" else (skem.EMMixture, "free")
        means = centers / np.linalg.norm(centers.astype(np.float64), axis=1, keepdims=True)
        init = {"means": means, "concentrations": np.full(K, 50.0)}
        mixture = cls(K, family=VonMisesFisher(concentration), init=init, tol=0.0, max_iter=n_iter)
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, mixture.means_)

    def fit_hard(self, X, start, n_iter):
        """Bayesian k-means with full covariances; so few iterations that single moves never begin."""
        import skem

        init = {"weights": start.weights, "means": start.means, "covariances": start.covariances("full")}
        mixture = skem.BayesianKMeans(len(start.means), init=init, max_iter=n_iter - 1)
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, None)
