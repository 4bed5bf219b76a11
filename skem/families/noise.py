"""One more component that is uniform over the data's volume."""

from typing import Any

import numpy as np

from skem._kernels.parts import Centred, Linear
from skem.families.base import Family


class WithNoise(Family):
    """Components of a bound Gaussian family and, last in every pass, uniform noise.

    A component whose precision factor is zero has the same score everywhere. Statistics and theta are those of the
    components alone; masses and mixing weights have one entry more.

    Parameters
    ----------
    family : Gaussian
        Bound.
    log_volume : float
        Of the noise, in the user's units.
    """

    def __init__(self, family, log_volume):
        self.family = family
        self.summary_ = family.summary_
        self.equivariance = family.equivariance
        self.n_start_passes = family.n_start_passes
        self.score = self.summary_.log_jacobian - log_volume - family.log_base_measure(None)

    def has(self, verb):
        return verb in ("mle", "log_likelihood", "statistics", "scorer") and self.family.has(verb)

    def log_base_measure(self, X):
        return self.family.log_base_measure(X)

    def scorer(self, theta):
        part: Any = self.family.scorer(theta)
        if hasattr(part, "weights") and part.shared is None:
            weights = np.vstack([part.weights, np.zeros_like(part.weights[:1])])
            return Linear(part.feature_map, weights, np.append(part.offset, self.score))
        if hasattr(part, "weights"):
            # noise has no part in the term that all components share
            part = Centred("full", theta.mean, theta.factor[None], theta.offset)
        factor = np.broadcast_to(part.factor, (len(part.mean), *part.factor.shape[1:]))
        factor = np.concatenate([factor, np.zeros_like(factor[:1])])
        mean = np.vstack([part.mean, np.zeros_like(part.mean[:1])])
        dof = None if part.dof is None else np.append(part.dof, np.inf)
        return Centred(part.structure, mean, factor, np.append(part.offset, self.score), dof)

    def statistics(self, n_k, sums):
        return self.family.statistics(n_k[:-1], {name: value[:-1] for name, value in sums.items()})

    def mle(self, stats, theta=None):
        return self.family.mle(stats, theta)

    def log_likelihood(self, theta, stats):
        return self.family.log_likelihood(theta, stats)


__all__ = ["WithNoise"]
