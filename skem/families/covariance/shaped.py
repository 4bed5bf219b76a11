"""Covariances of which components share volume, shape or orientation, without a conjugate prior."""

import numpy as np

from skem._kernels.shaped_step import ShapedMaximumLikelihood, is_worse
from skem._kernels.shapes import estimate
from skem.families.covariance.diagonal import Diag
from skem.families.covariance.full import Full


class Shaped(Full):
    """Matrices of components estimated together, from those before: EVV, VEE, EEV, VEV, EVE or VVE.

    Where a scatter is too flat for the model, half of what the floor holds open is added to all of them. Covariances
    that the floor holds may leave the model by that much; where they are less likely than those before, these stay,
    so that the likelihood never falls.
    """

    conjugate = False
    collapsed_kind: str | None = None
    #: name of the structure without the model
    unshaped = "full"

    def __init__(self, code, equivariance):
        self.code = code
        self.equivariance = equivariance
        # a volume or axes that all columns together share are lost with one of them
        self.of_columns = None if code in ("VEE", "VEI") else self.unshaped

    def most_likely(self, stats, variance, theta=None):
        taken = np.flatnonzero(stats.kappa > 0)
        n_k, scatter = stats.kappa[taken], stats.scatter[taken]
        before = () if theta is None else (theta.factor[taken], theta.offset[taken])
        found = estimate(self.code, n_k, scatter, *before)
        if found is None:
            n_k_of = n_k.reshape((-1,) + (1,) * (scatter.ndim - 1))
            found = estimate(self.code, n_k, scatter + n_k_of * self.diagonal(0.5 * self.floor * variance), *before)
        if found is None:
            return super().most_likely(stats, variance)
        covariance = np.zeros(stats.scatter.shape)
        covariance[taken] = found
        return covariance

    def is_worse(self, stats, before, after, held):
        old, new = ((theta.factor, theta.offset) for theta in (before, after))
        return is_worse(self.name, stats.kappa, stats.scatter, old, new, held)

    def flat(self, stats, variance):
        flags = super().flat(stats, variance)
        if self.code[1] == "V":
            # a shape of its own is as flat as its own scatter, whatever volume the others lend it
            own = super().most_likely(stats, variance)
            flags = flags | self.constrain(own, variance)[2]
        return flags

    def step(self, n_components, variance, reach):
        return ShapedMaximumLikelihood(self.code, self.name, n_components, variance, self.floor, reach)


class ShapedDiag(Shaped, Diag):
    """The same of one variance a column and component: VEI or EVI."""

    unshaped = "diag"
    collapsed_kind = None
