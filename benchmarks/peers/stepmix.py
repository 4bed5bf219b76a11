"""StepMix."""

from time import perf_counter

from benchmarks.peers.base import Fit, Peer


class StepMix(Peer):
    """Its Gaussian measurement models from its own random start, latent classes from a given one."""

    name = "StepMix"
    distribution = "stepmix"
    module = "stepmix"
    mixtures = ("full", "diag")

    def fit_mixture(self, X, start, structure, n_iter):
        from stepmix.stepmix import StepMix as Mixture

        mixture = Mixture(
            len(start.means), measurement=f"gaussian_{structure}", n_init=1, max_iter=n_iter, abs_tol=0.0,
            rel_tol=0.0, random_state=0, progress_bar=0,
        )  # fmt: skip
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, None)

    def fit_classes(self, X, probabilities, n_iter):
        from stepmix.stepmix import StepMix as Mixture

        class Given(Mixture):
            def _initialize_parameters(self, X, random_state):
                super()._initialize_parameters(X, random_state)
                self._mm.parameters["pis"] = probabilities.copy()

        mixture = Given(
            len(probabilities), measurement="binary", n_init=1, max_iter=n_iter, abs_tol=0.0, rel_tol=0.0,
            random_state=0, progress_bar=0,
        )  # fmt: skip
        begin = perf_counter()
        mixture.fit(X)
        return Fit(perf_counter() - begin, mixture.score(X))
