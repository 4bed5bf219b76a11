"""Log Gamma and log Beta functions of large arguments, less what cancels in densities."""

import numpy as np
from scipy.special import digamma, gammaln

# From this shape on Stirling's series has all digits of the log Gamma function.
STIRLING_FROM = 100.0


def log_peak(shape):
    """Shape x log shape - shape - log Gamma(shape), with all its digits where these cancel one another.

    Parameters
    ----------
    shape : ndarray

    Returns
    -------
    terms : ndarray
    """
    large = np.maximum(shape, STIRLING_FROM)
    series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * large**2)) / large**2) / large
    series = 0.5 * np.log(large / (2.0 * np.pi)) - series
    return np.where(shape < STIRLING_FROM, shape * np.log(shape) - shape - gammaln(shape), series)


def log_beta(first, second):
    """Log of the Beta function, which differences of log Gamma functions would leave few digits of.

    Parameters
    ----------
    first, second : ndarray
        Positive.

    Returns
    -------
    log_beta : ndarray
    """
    both = first + second
    peaks = log_peak(first) + log_peak(second) - log_peak(both)
    return -first * np.log1p(second / first) - second * np.log1p(first / second) - peaks


# From here on five terms of the series have all digits of log Gamma and digamma.
FIVE_TERMS_FROM = 20.0


def psi_excess(z):
    """Digamma(z) - log z.

    Parameters
    ----------
    z : ndarray
        Positive.

    Returns
    -------
    excess : ndarray
    """
    s = 1.0 / np.square(np.maximum(z, FIVE_TERMS_FROM))
    series = -0.5 / z - s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s / 132))))
    return np.where(z < FIVE_TERMS_FROM, digamma(z) - np.log(z), series)


def _remainder(z):
    """Log Gamma(z) less (z - 1/2) log z - z + log(2 pi) / 2."""
    s = 1.0 / (z * z)
    return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188)))) / z


def log_rise(size, counts):
    """Log Gamma(size + counts) - log Gamma(size) - counts log(size).

    Parameters
    ----------
    size : ndarray
        Positive; inf gives 0.
    counts : ndarray
        From 0 up; shapes broadcast.

    Returns
    -------
    log_rise : ndarray
    """
    a = np.where(np.isfinite(size), size, 1.0)
    large = np.maximum(a, FIVE_TERMS_FROM)
    series = (large + counts - 0.5) * np.log1p(counts / large) - counts
    series = series + _remainder(large + counts) - _remainder(large)
    direct = gammaln(a + counts) - gammaln(a) - counts * np.log(a)
    return np.where(np.isfinite(size), np.where(a < FIVE_TERMS_FROM, direct, series), 0.0)
