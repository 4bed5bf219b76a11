"""oneDAL, through daal4py (distribution scikit-learn-intelex)."""

from time import perf_counter

import numpy as np

from benchmarks.peers.base import Fit, Parameters, Peer


class OneDAL(Peer):
    """em_gmm: full and diagonal covariances."""

    name = "oneDAL"
    distribution = "scikit-learn-intelex"
    module = "daal4py"
    mixtures = ("full", "diag")

    def use_threads(self, n_threads):
        import daal4py

        daal4py.daalinit(n_threads)

    def fit_mixture(self, X, start, structure, n_iter):
        import daal4py

        # a list of matrices, for diagonal ones of one row
        covariances = [np.atleast_2d(covariance).copy() for covariance in start.covariances(structure)]
        algorithm = daal4py.em_gmm(
            len(start.means), maxIterations=n_iter, accuracyThreshold=0.0,
            covarianceStorage={"full": "full", "diag": "diagonal"}[structure],
        )  # fmt: skip
        begin = perf_counter()
        found = algorithm.compute(X, start.weights[None], start.means, covariances)
        seconds = perf_counter() - begin
        covariances = np.array(found.covariances)
        covariances = covariances.reshape(start.covariances(structure).shape)
        return Fit(seconds, Parameters(found.weights.ravel(), found.means, covariances))
