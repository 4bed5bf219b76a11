"""Rows of small whole numbers as bytes: what their levels are, and a byte for some columns at a time."""

import numpy as np

from cython cimport floating
from libc.math cimport floor
from libc.stdint cimport int32_t, uint8_t

# Levels that a byte can tell apart.
cdef double MOST_LEVELS = 256.0


def count_levels(const floating[:, :] X):
    """Lowest value of every column, and how many whole numbers there are from it up to the highest.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64

    Returns
    -------
    low : ndarray of shape (d,)
    n_levels : intp ndarray of shape (d,)
        Or None, where an entry is no whole number or a column spans too many for a byte.
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], i, j
    cdef double x
    cdef bint ok = True
    first = np.array(X[0], dtype=np.float64)
    cdef double[::1] low = first, high = first.copy()
    with nogil:
        for i in range(n):
            for j in range(d):
                x = X[i, j]
                ok = ok and floor(x) == x
                low[j] = min(low[j], x)
                high[j] = max(high[j], x)
                ok = ok and high[j] - low[j] < MOST_LEVELS
            if not ok:
                break
    if not ok:
        return None
    return first, np.asarray(high).astype(np.intp) - first.astype(np.intp) + 1


def encode(const floating[:, :] X, const double[::1] low, const int32_t[::1] byte, const int32_t[::1] stride,
           Py_ssize_t n_bytes):
    """Bytes of rows.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
    low : ndarray of shape (d,)
    byte : int32 ndarray of shape (d,)
        Which byte holds each column.
    stride : int32 ndarray of shape (d,)
        What a step of the column adds to it.
    n_bytes : int

    Returns
    -------
    codes : uint8 ndarray of shape (n, n_bytes)
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], i, j
    codes = np.zeros((n, n_bytes), dtype=np.uint8)
    cdef uint8_t[:, ::1] out = codes
    with nogil:
        for i in range(n):
            for j in range(d):
                out[i, byte[j]] += <uint8_t> (<int> (X[i, j] - low[j]) * stride[j])
    return codes
