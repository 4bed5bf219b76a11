"""The four classic covariance structures: K-sized algebra of precision factors and scatters.

A factor F is the inverse of a lower Cholesky factor, so that |F (x - m)|^2 is the squared Mahalanobis distance;
diagonal structures keep its diagonal. A structure knows shapes and normalising constants, the Gaussian family all else.
"""

import numpy as np
from scipy.special import digamma, gammaln, multigammaln

from skem._kernels.gaussian import constrain
from skem._kernels.linalg import cholesky, precision_factor, triangular_inverse

# Eigenvalues of D^-1/2 Sigma D^-1/2, D the diagonal of the data's variance, are held at or above this.
EIGENVALUE_FLOOR = 1e-9
# Relative eigenvalues of a scatter below this are rounding.
ROUNDING = 1e-14
LOG_2 = np.log(2.0)


def _along(value, like):
    """Append axes to one number a component (or one for all) until it divides `like`."""
    return np.reshape(value, np.shape(value) + (1,) * (np.ndim(like) - np.ndim(value)))


def _multidigamma(a, d):
    """Return the derivative of log multigamma: sum_i psi(a - i / 2)."""
    return digamma(np.asarray(a)[..., None] - 0.5 * np.arange(d)).sum(axis=-1)


def _held_factor(matrix, floor):
    """Lower-triangular factor of a symmetric matrix with eigenvalues held at or above a floor.

    Returns
    -------
    factor : ndarray of shape (d, d)
    log_det : float
        Of the matrix held up.
    held : bool
        Whether an eigenvalue was below the floor.
    """
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    held = values[0] < floor
    values = np.maximum(values, floor)
    # F'F = V diag(1/values) V' needs a lower-triangular F: QL of diag(values^-1/2) V'
    root = (vectors / np.sqrt(values)).T
    upper = np.asarray(np.linalg.qr(root[:, ::-1], mode="r"))[::-1, ::-1]
    return upper * np.sign(np.diag(upper))[:, None], np.log(values).sum(), held


class Full:
    """One covariance matrix a component: VVV."""

    name = "full"
    #: arrays of the statistics without a component axis
    shared: tuple[str, ...] = ()
    collect = "full"
    #: what covariances must be, in words
    proper = "symmetric and positive definite"
    equivariance = "affine"

    @property
    def floor(self):
        """Where relative eigenvalues are held."""
        return EIGENVALUE_FLOOR

    def shape(self, n_components, d):
        return n_components, d, d

    def n_parameters(self, d, n_components):
        return n_components * d * (d + 1) // 2

    def weight(self, n_k, d):
        """Return nu of statistics with masses n_k."""
        return n_k

    def scatter(self, second):
        """Scatter in the structure's shape from second moments about the mean (K, d, d) or (K, d)."""
        return second

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
        return scatter / _along(nu, scatter)

    def constrain(self, covariance, variance):
        """Factors, log |F| and flags of covariances whose relative eigenvalues are held above the floor."""
        factor, log_det, flags = constrain("full", covariance, variance, self.floor)
        for k in np.flatnonzero(flags):
            scale = np.sqrt(variance)
            root, volume, flags[k] = _held_factor(covariance[k] / (scale[:, None] * scale), self.floor)
            factor[k], log_det[k] = root / scale, -0.5 * volume - np.log(scale).sum()
        return factor, log_det, flags

    def is_proper(self, covariance):
        """Whether covariances are finite, symmetric and positive definite, whatever the units of the columns."""
        if not np.isfinite(covariance).all():
            return False
        diagonal = np.einsum("...ii->...i", covariance)
        if not (diagonal > 0).all():
            return False
        root = np.sqrt(diagonal)
        relative = covariance / root[..., :, None] / root[..., None, :]
        symmetric = np.abs(relative - np.swapaxes(relative, -1, -2)).max() <= 1e-8
        return bool(symmetric and cholesky(relative.reshape(-1, *relative.shape[-2:]))[1].all())

    def factorize(self, scatter):
        """Factor F with F S F' = 1, and log |S|."""
        factor, log_det, ok = precision_factor(np.ascontiguousarray(scatter))
        log_det = np.array(log_det)
        for k in np.flatnonzero(~np.asarray(ok, dtype=bool)):
            variance = np.diag(scatter[k])
            if not (np.isfinite(scatter[k]).all() and (variance > 0).all()):
                raise np.linalg.LinAlgError("a posterior scatter is not positive definite; raise covariance_prior")
            # a row very far out drowns the rest of the scatter in its rounding: what is left is held at that level
            root = np.sqrt(variance)
            factor[k], log_det[k], _ = _held_factor(scatter[k] / (root[:, None] * root), ROUNDING)
            factor[k] /= root
            log_det[k] += np.log(variance).sum()
        return factor, log_det

    def scale_factor(self, factor, by):
        """Factors multiplied by a number each."""
        return factor * _along(by, factor)

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
        return np.einsum("kij,kjl,kil->k", factor, scatter, factor, optimize=True)

    def expected_log_det(self, nu, log_det_scatter, d):
        """E log |precision| under Wishart(nu, S^-1)."""
        return _multidigamma(0.5 * nu, d) + d * LOG_2 - log_det_scatter

    def log_wishart_norm(self, nu, log_det_scatter, d):
        """Log of the integral of |P|^((nu - d - 1) / 2) exp(-tr(S P) / 2)."""
        return 0.5 * nu * (d * LOG_2 - log_det_scatter) + multigammaln(0.5 * nu, d)

    def draw(self, nu, factor, d, rng):
        """Factor of a precision from Wishart(nu, S^-1), by Bartlett's decomposition from the last column up."""
        nu = np.atleast_1d(nu)
        bartlett = np.tril(rng.standard_normal((len(nu), d, d)), -1)
        squares = rng.chisquare(nu[:, None] - np.arange(d)[::-1])
        bartlett[:, np.arange(d), np.arange(d)] = np.sqrt(squares)
        return bartlett @ factor

    def covariance(self, factor, scale):
        """Public covariances in the user's units."""
        lower = triangular_inverse(np.ascontiguousarray(factor)) * scale[:, None]
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
        return value


class Tied(Full):
    """One covariance matrix for all components: EEE."""

    name = "tied"
    shared = ("nu", "scatter")

    def shape(self, n_components, d):
        return d, d

    def n_parameters(self, d, n_components):
        return d * (d + 1) // 2

    def weight(self, n_k, d):
        return n_k.sum()

    def scatter(self, second):
        return second.sum(axis=0)

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
        return np.einsum("ij,jl,il->", factor, scatter, factor, optimize=True)

    def draw(self, nu, factor, d, rng):
        return super().draw(nu, factor[None], d, rng)[0]

    def covariance(self, factor, scale):
        return super().covariance(factor[None], scale)[0]

    def per_component(self, value, n_components):
        # a shared term is spread evenly, so that terms of components add up to the total
        return np.full(n_components, value / n_components)


class Diag(Full):
    """One variance a column and component: VVI."""

    name = "diag"
    collect = "diag"
    proper = "positive"
    equivariance = "columns"

    def shape(self, n_components, d):
        return n_components, d

    def n_parameters(self, d, n_components):
        return n_components * d

    def prior_dof(self, d):
        return 3.0

    def log_volume(self, log_scale, n_components):
        return n_components * 2.0 * log_scale.sum()

    def mode_dof(self, nu, d, n_components):
        return nu + 3.0

    def log_density_dof(self, nu, d, n_components):
        return nu + 3.0

    def diagonal(self, variance):
        return variance

    def constrain(self, covariance, variance):
        return constrain(self.name, covariance, variance, self.floor)

    def is_proper(self, covariance):
        return bool((np.isfinite(covariance) & (covariance > 0)).all())

    def factorize(self, scatter):
        return 1.0 / np.sqrt(scatter), np.log(scatter).sum(axis=1)

    def log_det(self, factor, d):
        return np.log(factor).sum(axis=1)

    def whiten(self, factor, deviation):
        return factor * deviation

    def unwhiten(self, factor, noise):
        return noise / factor

    def distances(self, factor, mean, X):
        return np.stack([(((X - m) * f) ** 2).sum(axis=1) for m, f in zip(mean, factor, strict=True)], axis=1)

    def trace(self, factor, scatter):
        return (factor**2 * scatter).sum(axis=1)

    def expected_log_det(self, nu, log_det_scatter, d):
        return d * (digamma(0.5 * nu) + LOG_2) - log_det_scatter

    def log_wishart_norm(self, nu, log_det_scatter, d):
        return d * (0.5 * nu * LOG_2 + gammaln(0.5 * nu)) - 0.5 * nu * log_det_scatter

    def draw(self, nu, factor, d, rng):
        return factor * np.sqrt(rng.chisquare(np.reshape(nu, (-1, 1)), size=factor.shape))

    def covariance(self, factor, scale):
        return (scale / factor) ** 2

    def from_user(self, matrix, scale):
        return matrix / scale**2


class Spherical(Diag):
    """One variance a component: VII."""

    name = "spherical"
    equivariance = "scalar"

    def shape(self, n_components, d):
        return (n_components,)

    def n_parameters(self, d, n_components):
        return n_components

    def weight(self, n_k, d):
        return n_k * d

    def scatter(self, second):
        return second.sum(axis=1)

    def mode_dof(self, nu, d, n_components):
        return nu + d + 2.0

    def log_volume(self, log_scale, n_components):
        return n_components * 2.0 * log_scale[0]

    def log_density_dof(self, nu, d, n_components):
        # |F| holds the one root precision d times
        return (nu + d + 2.0) / d

    def diagonal(self, variance):
        return variance.mean()

    def factorize(self, scatter):
        return 1.0 / np.sqrt(scatter), np.log(scatter)

    def log_det(self, factor, d):
        return d * np.log(factor)

    def whiten(self, factor, deviation):
        return factor[:, None] * deviation

    def unwhiten(self, factor, noise):
        return noise / factor[:, None]

    def distances(self, factor, mean, X):
        return np.stack([((X - m) ** 2).sum(axis=1) * f**2 for m, f in zip(mean, factor, strict=True)], axis=1)

    def trace(self, factor, scatter):
        return factor**2 * scatter

    def expected_log_det(self, nu, log_det_scatter, d):
        return d * (digamma(0.5 * nu) + LOG_2 - log_det_scatter)

    def log_wishart_norm(self, nu, log_det_scatter, d):
        return 0.5 * nu * (LOG_2 - log_det_scatter) + gammaln(0.5 * nu)

    def draw(self, nu, factor, d, rng):
        return factor * np.sqrt(rng.chisquare(nu))

    def covariance(self, factor, scale):
        return (scale[0] / factor) ** 2

    def from_user(self, matrix, scale):
        return matrix / scale[0] ** 2


STRUCTURES = {structure.name: structure for structure in (Full(), Tied(), Diag(), Spherical())}
