"""One matrix a component, or one for all.

A factor F is the inverse of a lower Cholesky factor, so that |F (x - m)|^2 is the squared Mahalanobis distance;
diagonal structures keep its diagonal. A structure knows shapes and normalising constants, the Gaussian family all else.
"""

import numpy as np

from skem._kernels.gaussian import MaximumLikelihood, constrain
from skem._kernels.linalg import cholesky, precision_factor, triangular_inverse
from skem.families.covariance.common import (
    EIGENVALUE_FLOOR,
    LOG_2,
    ROUNDING,
    Shared,
    along,
    held_factors,
    log_multigamma,
    multidigamma,
)

# Entries of matrices that are checked at a time.
BLOCK_ENTRIES = 1 << 16


def _is_proper(matrices):
    """Whether matrices (K, d, d) are finite, symmetric and positive definite, whatever the units of the columns."""
    if not np.isfinite(matrices).all():
        return False
    diagonal = np.einsum("kii->ki", matrices)
    if not (diagonal > 0).all():
        return False
    root = np.sqrt(diagonal)
    relative = matrices / root[:, :, None] / root[:, None, :]
    symmetric = np.abs(relative - np.swapaxes(relative, 1, 2)).max() <= 1e-8
    return bool(symmetric and cholesky(relative)[1].all())


class Full:
    """One covariance matrix a component: VVV."""

    #: volume, shape and orientation of the components: equal (E), variable (V) or none (I)
    code = "VVV"
    #: name in the kernels
    name = "full"
    #: criterion by which groups of rows are merged, see `skem._kernels.agglomerate.Groups`
    merging = "full"
    #: whether there is a conjugate prior, and with it every verb
    conjugate = True
    #: name of the structure that some columns of the components have, None for the same
    of_columns: str | None = None
    #: kind of the sequential sweep in `skem._kernels.collapsed`, or None
    collapsed_kind: str | None = "full"
    #: features of the linear pass
    feature_map = "x_pairs"
    #: whether one variance serves all columns
    isotropic = False
    #: arrays of the statistics without a component axis
    shared: tuple[str, ...] = ()
    collect = "full"
    #: what covariances must be, in words
    proper = "symmetric and positive definite"
    equivariance: str | None = "affine"

    #: where relative eigenvalues are held
    floor = EIGENVALUE_FLOOR

    def shape(self, n_components, d):
        return n_components, d, d

    def n_parameters(self, d, n_components):
        """Free numbers in all covariances."""
        volume, shape, orientation = ({"E": 1, "V": n_components, "I": 0}[letter] for letter in self.code)
        return volume + shape * (d - 1) + orientation * (d * (d - 1) // 2)

    def prior_dof(self, d):
        """Default nu of the prior."""
        return d + 2.0

    def mode_dof(self, nu, d, n_components):
        """Divisor of the scatter at the joint mode in (mean, covariance)."""
        return nu + d + 2.0

    def diagonal(self, variance):
        """Return a scatter with this diagonal for one component."""
        return np.diag(variance)

    def ratio(self, scatter, nu):
        """Scatter / nu."""
        return scatter / along(nu, scatter)

    def most_likely(self, stats, variance, theta=None):
        """Covariances of largest likelihood, the floor left aside, or a step towards them from theta."""
        return self.ratio(stats.scatter, np.where(stats.nu > 0, stats.nu, 1.0))

    def is_worse(self, stats, before, after, held):
        """Whether covariances after an update are less likely than those before; some may be held above the floor."""
        return False

    def flat(self, stats, variance):
        """Flags of the components whose most likely covariance lies below the floor."""
        return self.constrain(self.most_likely(stats, variance), variance)[2]

    def step(self, n_components, variance, reach):
        """Compiled update of maximum likelihood."""
        return MaximumLikelihood(self.name, n_components, variance, self.floor, reach)

    def constrain(self, covariance, variance):
        """Factors, log |F| and flags of covariances whose relative eigenvalues are held above the floor."""
        factor, log_det, flags = constrain("full", covariance, variance, self.floor)
        below = np.flatnonzero(flags)
        if len(below):
            scale = np.sqrt(variance)
            root, volume, flags[below] = held_factors(covariance[below] / (scale[:, None] * scale), self.floor)
            factor[below], log_det[below] = root / scale, -0.5 * volume - np.log(scale).sum()
        return factor, log_det, flags

    def is_proper(self, covariance):
        """Whether covariances are finite, symmetric and positive definite, whatever the units of the columns."""
        matrices = np.reshape(covariance, (-1, *np.shape(covariance)[-2:]))
        # a few wide ones at a time, for their copies would be the largest things that a fit holds
        n_together = max(1, BLOCK_ENTRIES // matrices[0].size)
        blocks = (matrices[first : first + n_together] for first in range(0, len(matrices), n_together))
        return all(map(_is_proper, blocks))

    def factorize(self, scatter):
        """Factor F with F S F' = 1, and log |S|."""
        factor, log_det, ok = precision_factor(np.ascontiguousarray(scatter))
        log_det = np.array(log_det)
        singular = np.flatnonzero(~np.asarray(ok, dtype=bool))
        if len(singular):
            variance = np.einsum("kii->ki", scatter[singular])
            if not (np.isfinite(scatter[singular]).all() and (variance > 0).all()):
                raise np.linalg.LinAlgError("a posterior scatter is not positive definite; raise covariance_prior")
            # a row very far out, or a heavy one, drowns the rest in its rounding: what is left is held at that level;
            # all at once, for where rows are heavy that is every pair of clusters
            root = np.sqrt(variance)
            held, volume, _ = held_factors(scatter[singular] / (root[:, :, None] * root[:, None, :]), ROUNDING)
            factor[singular] = held / root[:, None, :]
            log_det[singular] = volume + np.log(variance).sum(axis=1)
        return factor, log_det

    def scale_factor(self, factor, by):
        """Factors multiplied by a number each."""
        return factor * along(by, factor)

    def log_det(self, factor, d):
        return np.log(np.einsum("kii->ki", factor)).sum(axis=1)

    def whiten(self, factor, deviation):
        """F_k deviation_k."""
        return np.einsum("kij,kj->ki", factor, deviation)

    def unwhiten(self, factor, noise):
        """F_k^-1 noise_k."""
        return np.einsum("kij,kj->ki", triangular_inverse(np.ascontiguousarray(factor)), noise)

    def distances(self, factor, mean, X):
        """Squared distance of every row to every mean, (n, K)."""
        return np.stack([(((X - m) @ f.T) ** 2).sum(axis=1) for m, f in zip(mean, factor, strict=True)], axis=1)

    def trace(self, factor, scatter):
        """tr(F_k S_k F_k')."""
        return ((factor @ scatter) * factor).sum(axis=(1, 2))

    def expected_log_det(self, nu, log_det_scatter, d):
        """E log |precision| under Wishart(nu, S^-1)."""
        return multidigamma(0.5 * nu, d) + d * LOG_2 - log_det_scatter

    def log_wishart_norm(self, nu, log_det_scatter, d):
        """Log of the integral of |P|^((nu - d - 1) / 2) exp(-tr(S P) / 2)."""
        return 0.5 * nu * (d * LOG_2 - log_det_scatter) + log_multigamma(0.5 * nu, d)

    def draw(self, nu, factor, d, rng):
        """Factor of a precision from Wishart(nu, S^-1), by Bartlett's decomposition from the last column up."""
        nu = np.atleast_1d(nu)
        bartlett = np.tril(rng.standard_normal((len(nu), d, d)), -1)
        squares = rng.chisquare(nu[:, None] - np.arange(d)[::-1])
        bartlett[:, np.arange(d), np.arange(d)] = np.sqrt(squares)
        return bartlett @ factor

    def covariance(self, factor, scale):
        """Public covariances in the user's units."""
        lower = triangular_inverse(np.ascontiguousarray(factor))
        lower *= scale[:, None]
        return lower @ np.swapaxes(lower, 1, 2)

    def from_user(self, matrix, scale):
        """Return a covariance-like array given in the user's units in internal ones."""
        return matrix / (scale[:, None] * scale)

    def log_volume(self, log_scale, n_components):
        """Log volume by which the free entries of all covariances grow from internal to user's units."""
        return n_components * (len(log_scale) + 1.0) * log_scale.sum()

    def log_density_dof(self, nu, d, n_components):
        """Power of |F| in the prior density of (mean, covariance)."""
        return nu + d + 2.0

    def per_component(self, value, n_components):
        """Return the terms (K,) of a value that may be of all components together."""
        return value

    def matrices(self, covariance, n_components, d):
        """Public covariances as matrices (K, d, d)."""
        return np.broadcast_to(covariance, (n_components, d, d))

    def variances(self, covariance, d):
        """Public variances (K or 1, d)."""
        return np.einsum("...ii->...i", covariance).reshape(-1, d)


class Tied(Shared, Full):
    """One covariance matrix for all components: EEE."""

    code = "EEE"
    name = "tied"
    merging = "tied"
    apart = Full()
    collapsed_kind = "tied"
    feature_map = "x"

    def shape(self, n_components, d):
        return d, d

    def log_volume(self, log_scale, n_components):
        return super().log_volume(log_scale, 1)

    def mode_dof(self, nu, d, n_components):
        return nu + d + 1.0 + n_components

    def log_density_dof(self, nu, d, n_components):
        return nu + d + 1.0 + n_components

    def constrain(self, covariance, variance):
        factor, log_det, flags = super().constrain(covariance[None], variance)
        return factor[0], log_det[0], flags[0]

    def factorize(self, scatter):
        factor, log_det = super().factorize(scatter[None])
        return factor[0], log_det[0]

    def log_det(self, factor, d):
        return np.log(np.diag(factor)).sum()

    def whiten(self, factor, deviation):
        return deviation @ factor.T

    def unwhiten(self, factor, noise):
        return noise @ triangular_inverse(np.ascontiguousarray(factor)[None])[0].T

    def distances(self, factor, mean, X):
        Y, M = X @ factor.T, mean @ factor.T
        return np.stack([((Y - m) ** 2).sum(axis=1) for m in M], axis=1)

    def trace(self, factor, scatter):
        return ((factor @ scatter) * factor).sum()

    def draw(self, nu, factor, d, rng):
        return super().draw(nu, factor[None], d, rng)[0]

    def covariance(self, factor, scale):
        return super().covariance(factor[None], scale)[0]
