"""The step in which a column was recorded, told from its values."""

import numpy as np

# Gaps between values count as multiples of a step up to this share of it; what float32 makes of tenths is far less.
TOLERANCE = 1e-3


def step_of(values):
    """Largest step that all differences between values are multiples of, 0 where there is none.

    Parameters
    ----------
    values : ndarray of shape (n,)

    Returns
    -------
    step : float
    """
    gaps = np.diff(np.unique(values))
    if len(gaps) == 0:
        return 0.0
    # the least gap, unless it is none of the others' measure: then values lie on no grid that anybody recorded them on
    multiples = gaps / gaps.min()
    return float(gaps.min()) if np.abs(multiples - np.rint(multiples)).max() < TOLERANCE else 0.0


def variance_of(steps):
    """Variance of numbers that lie anywhere within half a step of a recorded one.

    Parameters
    ----------
    steps : float or ndarray

    Returns
    -------
    variance : float or ndarray
    """
    return np.square(steps) / 12.0
