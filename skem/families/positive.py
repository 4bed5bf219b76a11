"""Rows of positive numbers: what they must be, where distances mean something, and their units."""

import numpy as np

from skem.families.counts import check_rows

# A value below this share of its column's mean lies no lower for starts.
LEAST_SHARE = 1e-6


def check_positive(X, family, zero=False):
    """Raise ValueError where X holds anything but positive numbers, in the name of the family.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    family : Family
    zero : bool, default=False
        Whether zero counts as positive.
    """
    takes = f"{type(family).__name__}() takes {'numbers from 0 up' if zero else 'positive numbers'}; drop the row, or "
    takes += "use Gaussian() for measurements of any sign"
    # scikit-learn's words, that its checks look for
    check_rows(X, lambda block: block >= 0, f"Negative values in data; {takes}")
    if not zero:
        check_rows(X, lambda block: block > 0, takes)


def log_coordinates(X, summary):
    """Logarithms of rows in units that make the columns alike, for starts: skewed columns are even there.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Numbers from 0 up in internal coordinates.
    summary : Summary

    Returns
    -------
    Z : ndarray of shape (n, d)
    """
    mean = np.where(summary.mean > 0, summary.mean, 1.0)
    # standard deviations that the logarithms would have if they were Gaussian, rounded as in `skem.starts`
    unit = np.sqrt(np.log1p(summary.variance / mean**2)).astype(np.float32).astype(np.float64)
    return np.log(np.maximum(X / mean, LEAST_SHARE)) / np.maximum(unit, LEAST_SHARE)


def summary_of_means(summary, means):
    """Coordinates of a mixture of positive columns that is built from parameters alone.

    Parameters
    ----------
    summary : Summary
        The identity's.
    means : ndarray of shape (n_components, n_features)
        Positive.

    Returns
    -------
    summary : Summary
    """
    mean = np.exp(np.log(means).mean(axis=0))
    scale = np.exp2(np.round(np.log2(mean)))
    return summary._replace(scale=scale, mean=mean / scale, variance=(mean / scale) ** 2)
