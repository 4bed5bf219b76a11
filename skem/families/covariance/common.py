"""What all covariance structures share: the constraint's numbers, and the mark of a shared covariance."""

from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

# Eigenvalues of D^-1/2 Sigma D^-1/2, D the diagonal of the data's variance, are held at or above this.
EIGENVALUE_FLOOR = 1e-9
# Relative eigenvalues of a scatter below this are rounding.
ROUNDING = 1e-14
LOG_2 = np.log(2.0)
LOG_PI = np.log(np.pi)


def along(value, like):
    """Append axes to one number a component (or one for all) until it divides `like`."""
    return np.reshape(value, np.shape(value) + (1,) * (np.ndim(like) - np.ndim(value)))


def log_multigamma(a, d):
    """Log of the multivariate gamma function; SciPy's loops over the columns in Python."""
    return gammaln(np.asarray(a)[..., None] - 0.5 * np.arange(d)).sum(axis=-1) + 0.25 * d * (d - 1) * LOG_PI


def multidigamma(a, d):
    """Return the derivative of log multigamma: sum_i psi(a - i / 2)."""
    return digamma(np.asarray(a)[..., None] - 0.5 * np.arange(d)).sum(axis=-1)


def held_factors(matrices, floor):
    """Lower-triangular factors of symmetric matrices with eigenvalues held at or above a floor.

    Parameters
    ----------
    matrices : ndarray of shape (n_matrices, d, d)
    floor : float

    Returns
    -------
    factors : ndarray of shape (n_matrices, d, d)
    log_dets : ndarray of shape (n_matrices,)
        Of the matrices held up.
    held : bool ndarray of shape (n_matrices,)
        Whether an eigenvalue was below the floor.
    """
    values, vectors = np.linalg.eigh(0.5 * (matrices + np.swapaxes(matrices, 1, 2)))
    held = values[:, 0] < floor
    values = np.maximum(values, floor)
    # F'F = V diag(1/values) V' needs a lower-triangular F: QL of diag(values^-1/2) V'
    root = np.swapaxes(vectors / np.sqrt(values)[:, None, :], 1, 2)
    upper = np.asarray(np.linalg.qr(root[:, :, ::-1], mode="r"))[:, ::-1, ::-1]
    return upper * np.sign(np.einsum("kii->ki", upper))[:, :, None], np.log(values).sum(axis=1), held


class Shared:
    """One covariance for all components, whose scatter and nu have no component axis; mixed into its structure."""

    shared: tuple[str, ...] = ("nu", "scatter")
    #: the structure of one such covariance a component
    apart: Any

    def per_component(self, value, n_components):
        # a shared term is spread evenly, so that terms of components add up to the total
        return np.full(n_components, value / n_components)
