"""Variances without covariances: one a column, or one for all columns; one a component, or one for all."""

import numpy as np
from scipy.special import digamma, gammaln

from skem._kernels.gaussian import constrain
from skem.families.covariance.common import LOG_2, Shared
from skem.families.covariance.full import Full


class Diag(Full):
    """One variance a column and component: VVI."""

    code = "VVI"
    name = "diag"
    merging = "diag"
    collapsed_kind: str | None = "diag"
    feature_map = "x_squares"
    collect = "diag"
    proper = "positive"
    equivariance = "columns"

    def shape(self, n_components, d):
        return n_components, d

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

    def matrices(self, covariance, n_components, d):
        return np.broadcast_to(np.asarray(covariance)[..., None] * np.eye(d), (n_components, d, d))

    def variances(self, covariance, d):
        return np.reshape(covariance, (-1, d))


class TiedDiag(Shared, Diag):
    """One variance a column for all components: EEI."""

    code = name = "EEI"
    merging = "tied"
    apart = Diag()
    collapsed_kind = "EEI"

    def shape(self, n_components, d):
        return (d,)

    def log_volume(self, log_scale, n_components):
        return super().log_volume(log_scale, 1)

    def mode_dof(self, nu, d, n_components):
        return nu + 2.0 + n_components

    def log_density_dof(self, nu, d, n_components):
        return nu + 2.0 + n_components

    def factorize(self, scatter):
        factor, log_det = super().factorize(scatter[None])
        return factor[0], log_det[0]

    def log_det(self, factor, d):
        return np.log(factor).sum()

    def distances(self, factor, mean, X):
        return super().distances(np.broadcast_to(factor, mean.shape), mean, X)

    def trace(self, factor, scatter):
        return (factor**2 * scatter).sum()

    def draw(self, nu, factor, d, rng):
        return super().draw(nu, factor[None], d, rng)[0]


class Spherical(Diag):
    """One variance a component: VII."""

    code = "VII"
    name = "spherical"
    merging = "spherical"
    collapsed_kind = "spherical"
    feature_map = "x_norm"
    isotropic = True
    equivariance = "scalar"

    def shape(self, n_components, d):
        return (n_components,)

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
        return factor[..., None] * deviation

    def unwhiten(self, factor, noise):
        return noise / factor[..., None]

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

    def matrices(self, covariance, n_components, d):
        return super().matrices(np.repeat(np.reshape(covariance, (-1, 1)), d, axis=1), n_components, d)

    def variances(self, covariance, d):
        return np.repeat(np.reshape(covariance, (-1, 1)), d, axis=1)


class Sphere(Shared, Spherical):
    """One variance for all components and columns: EII."""

    code = name = "EII"
    merging = "ward"
    apart = Spherical()
    collapsed_kind = "EII"

    def shape(self, n_components, d):
        return ()

    def mode_dof(self, nu, d, n_components):
        return nu + n_components * d + 2.0

    def log_density_dof(self, nu, d, n_components):
        return (nu + n_components * d + 2.0) / d

    def log_volume(self, log_scale, n_components):
        return super().log_volume(log_scale, 1)

    def distances(self, factor, mean, X):
        return super().distances(np.broadcast_to(factor, len(mean)), mean, X)
