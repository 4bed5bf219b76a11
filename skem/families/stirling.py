"""Log Gamma and log Beta functions of large arguments, less what cancels in densities."""

import numpy as np
from scipy.special import gammaln

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
