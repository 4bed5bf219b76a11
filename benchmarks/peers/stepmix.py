"""StepMix."""

from time import perf_counter

from benchmarks.peers.base import Fit, Peer


class StepMix(Peer):
    """Its full Gaussian measurement model, from its own random start."""

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
