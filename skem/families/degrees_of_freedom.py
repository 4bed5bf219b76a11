"""Functions of Student-t degrees of freedom nu, exact for nu however large."""

import numpy as np
from scipy.special import digamma, gammaln, polygamma

# From here on Stirling's series, of five terms, are exact to rounding.
LARGE = 20.0
# An excess of this size may come from rounding in sums of scales that are all one.
ROUNDING = 1e-12


def _stirling(z):
    """Log Gamma(z) less (z - 1/2) log z - z + log(2 pi) / 2."""
    s = 1.0 / (z * z)
    return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188)))) / z


def psi_excess(z):
    """Digamma(z) - log z.

    Parameters
    ----------
    z : ndarray of shape (m,)
        Positive.

    Returns
    -------
    excess : ndarray of shape (m,)
    """
    s = 1.0 / np.square(np.maximum(z, LARGE))
    series = -0.5 / z - s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s / 132))))
    return np.where(z < LARGE, digamma(z) - np.log(z), series)


def log_tail(dof, d):
    """Log normaliser of Student-t tails beside a Gaussian's: log G((nu + d) / 2) - log G(nu / 2) - d/2 log(nu / 2).

    Parameters
    ----------
    dof : ndarray of shape (m,)
        Positive; inf gives 0.
    d : int

    Returns
    -------
    log_tail : ndarray of shape (m,)
    """
    a, h = np.where(np.isfinite(dof), 0.5 * dof, 1.0), 0.5 * d
    large = np.maximum(a, LARGE)
    series = (large + h - 0.5) * np.log1p(h / large) - h + _stirling(large + h) - _stirling(large)
    direct = gammaln(a + h) - gammaln(a) - h * np.log(a)
    return np.where(np.isfinite(dof), np.where(a < LARGE, direct, series), 0.0)


def gamma_shape(excess):
    """Most likely shape of a Gamma distribution: log of the mean less mean of the logs, log a - digamma(a) = excess.

    Parameters
    ----------
    excess : ndarray of shape (m,)

    Returns
    -------
    shape : ndarray of shape (m,)
        inf where the excess is not above rounding.
    """
    finite = excess > ROUNDING
    c = np.where(finite, excess, 1.0)
    a = (3.0 - c + np.sqrt((c - 3.0) ** 2 + 24.0 * c)) / (12.0 * c)
    for _ in range(8):
        # Newton's method in 1 / a, where the function is nearly straight (Minka 2002)
        slope = np.where(a < 1e5, 1.0 - a * polygamma(1, np.minimum(a, 1e5)), -0.5 / a - 1.0 / (6.0 * a * a))
        a = a / (1.0 - (psi_excess(a) + c) / slope)
    return np.where(finite, a, np.inf)


__all__ = ["gamma_shape", "log_tail", "psi_excess"]
