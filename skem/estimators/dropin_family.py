"""The Gaussian family as scikit-learn regularises, parametrises and publishes it."""

import numpy as np

from skem._kernels.gaussian import MaximumLikelihood
from skem.families import Gaussian
from skem.summary import Summary


class SklearnGaussian(Gaussian):
    """Gaussian with an additive regulariser, a prior set in place, and scikit-learn's Cholesky factors.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
    reg_covar : float, default=0.0
        reg_covar x (variance of the data) is added to the diagonal of covariances.
    """

    def __init__(self, covariance_type="full", *, reg_covar=0.0):
        super().__init__(covariance_type, rounding=0.0)
        self.reg_covar = reg_covar

    # -- the regulariser -------------------------------------------------------------------------

    @property
    def _added(self):
        return self.reg_covar * self._structure.diagonal(self.summary_.variance) if self.reg_covar else None

    def regularize(self, stats):
        """Statistics with the scatter that the regulariser adds to every row."""
        added = self._added
        if added is None:
            return stats
        weight = np.reshape(stats.nu, np.shape(stats.nu) + (1,) * np.ndim(added))
        arrays = stats.to_dict()["arrays"] | {"scatter": stats.scatter + weight * added}
        return type(stats)(arrays, stats.shared)

    def mle(self, stats, theta=None):
        """Maximum likelihood with the regulariser added to covariances."""
        return super().mle(self.regularize(stats), theta)

    def mle_step(self, n_components):
        """As any Gaussian's, the regulariser added."""
        step = super().mle_step(n_components)
        if step is None or self.reg_covar == 0:
            return step
        structure, variance = self._structure, self.summary_.variance
        return MaximumLikelihood(structure.name, n_components, variance, structure.floor, self._reach, self._added)

    def mode_step(self, prior):
        """None: no drop-in takes the mode."""

    # -- the prior -------------------------------------------------------------------------------

    def set_prior(self, mean, kappa, nu, scatter):
        """Set the prior of one component, in internal coordinates.

        Parameters
        ----------
        mean : ndarray of shape (n_features,)
        kappa, nu : float
        scatter : ndarray or float
            In the shape of one component's covariance.
        """
        self.prior_mean_, self.prior_kappa_, self.prior_nu_ = mean, float(kappa), float(nu)
        self.prior_scatter_ = np.asarray(scatter, dtype=np.float64)

    def held(self, scatter):
        """Scatter of one component with relative eigenvalues held above the family's floor.

        Relative to its own diagonal, where that is positive: unlike the data's winsorised variance it knows of
        every far row.
        """
        structure, variance = self._structure, self.summary_.variance
        own = np.diag(scatter) if structure.collect == "full" else scatter
        own = np.where(own > 0, own, variance)
        factor, _, flags = structure.constrain(scatter if structure.shared else scatter[None], own)
        if not np.any(flags):
            return scatter
        covariance = structure.covariance(factor, np.ones(len(variance)))
        return covariance if structure.shared else covariance[0]

    def _prior_scatter(self, n_components):
        if hasattr(self, "prior_scatter_"):
            return self.prior_scatter_
        return super()._prior_scatter(n_components)

    def shares(self, n_components):
        """How many of scikit-learn's degrees of freedom one of the exact posterior's counts for.

        A spherical precision is seen by every column, a tied one by every component: both sum what
        scikit-learn averages.
        """
        if self.covariance_type == "spherical":
            return self.summary_.n_features
        return n_components if self.covariance_type == "tied" else 1

    # -- parameters in the user's units ----------------------------------------------------------

    def point(self, mean, factor):
        """Theta of means and factors in internal coordinates."""
        return self._point(mean, factor, self._structure.log_det(factor, mean.shape[1]))

    def expectation(self, mean, factor, kappa, nu):
        """Theta expected under a posterior with expected precision F'F, the inverse of `expect`."""
        structure, d = self._structure, mean.shape[1]
        root = structure.scale_factor(factor, 1.0 / np.sqrt(nu))
        log_det = -2.0 * structure.log_det(root, d)
        if structure.name == "spherical":
            log_det = log_det / d
        offset = 0.5 * structure.expected_log_det(nu, log_det, d) - 0.5 * d / kappa
        return self._point(mean, factor, offset)

    def _unit(self):
        return self.summary_.scale[0] if self.covariance_type == "spherical" else self.summary_.scale

    def precisions_cholesky(self, theta):
        """Factors P with P P' the precision (upper-triangular where they are matrices)."""
        factor = theta.factor / self._unit()
        return np.swapaxes(factor, -1, -2) if self._structure.collect == "full" else factor

    def factor_of_cholesky(self, cholesky):
        """Turn public Cholesky factors of precisions into internal factors."""
        cholesky = np.asarray(cholesky, dtype=np.float64)
        if self._structure.collect != "full":
            return cholesky * self._unit()
        if np.any(np.tril(cholesky, -1)):
            # any root of the precision will do for scikit-learn; the kernels want the triangular one
            return self.factor_of_precision(cholesky @ np.swapaxes(cholesky, -1, -2))
        return np.ascontiguousarray(np.swapaxes(cholesky, -1, -2) * self._unit())

    def factor_of_precision(self, precision):
        """Turn public precisions into internal factors."""
        precision = np.asarray(precision, dtype=np.float64)
        unit = self._unit()
        if self._structure.collect != "full":
            return np.sqrt(precision) * unit
        internal = precision * unit[:, None] * unit
        # lower F with F'F = P: turn rows and columns round, factorise, turn back
        lower = np.linalg.cholesky(internal[..., ::-1, ::-1])
        return np.ascontiguousarray(np.swapaxes(lower[..., ::-1, ::-1], -1, -2))

    def shape(self, n_components, n_features):
        """Shape of the public covariances and precisions."""
        return self._structure.shape(n_components, n_features)

    def covariances(self, theta):
        """Covariances in the user's units."""
        return self._structure.covariance(theta.factor, self.summary_.scale)

    def bind_to_parameters(self, means, cholesky):
        """Clone bound to coordinates that suit given means and Cholesky factors of precisions."""
        d = means.shape[1]
        ones = np.ones(d)
        identity = Summary(d, 0.0, 0.0 * ones, ones, 0.0 * ones, ones, np.eye(d), np.zeros(d, dtype=bool))
        plain = self.bind(identity)
        covariances = plain._structure.covariance(plain.factor_of_cholesky(cholesky), ones)
        return self.bind(self.summary_of_parameters(identity, {"means": means, "covariances": covariances}))

    def carry(self, theta, summary):
        """Theta known in the coordinates of another `summary`, read in those of this family."""
        own = self.summary_
        ratio = own.scale / summary.scale
        mean = (theta.mean * summary.scale + (summary.origin - own.origin)) / own.scale
        factor = theta.factor * (ratio[0] if self.covariance_type == "spherical" else ratio)
        return self._point(mean, np.ascontiguousarray(factor), theta.offset + np.log(ratio).sum())
