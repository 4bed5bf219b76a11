"""Pomegranate, on torch."""

from time import perf_counter

from benchmarks.peers.base import Fit, Parameters, Peer


class Pomegranate(Peer):
    """GeneralMixtureModel of Normal distributions."""

    name = "pomegranate"
    distribution = "pomegranate"
    module = "pomegranate"
    mixtures = ("full",)

    def use_threads(self, n_threads):
        import torch

        torch.set_num_threads(n_threads)

    def fit_mixture(self, X, start, structure, n_iter):
        import torch
        from pomegranate.distributions import Normal
        from pomegranate.gmm import GeneralMixtureModel

        torch.set_default_dtype(torch.float64)
        rows = torch.from_numpy(X)
        # copies: it updates its parameters in place
        means, covariances = torch.tensor(start.means), torch.tensor(start.covariances(structure))
        parts = [Normal(mean, covariance) for mean, covariance in zip(means, covariances, strict=True)]
        # it stops where the gain is below tol
        mixture = GeneralMixtureModel(
            parts, priors=torch.tensor(start.weights), max_iter=n_iter, tol=float("-inf")
        )  # fmt: skip
        begin = perf_counter()
        mixture.fit(rows)
        seconds = perf_counter() - begin
        found = Parameters(
            mixture.priors.numpy(),
            torch.stack([part.means for part in mixture.distributions]).numpy(),
            torch.stack([part.covs for part in mixture.distributions]).numpy(),
        )
        return Fit(seconds, found)
