"""Where rows along a line fall into two groups."""

import numpy as np

from libc.math cimport INFINITY, log, sqrt


cdef inline double _group(double mass, double first, double second, double least, double pseudo_rows,
                          double pseudo_scatter) noexcept nogil:
    """Log-likelihood of a group with a variance of its own, labels included."""
    cdef double scatter = second - first * first / mass
    cdef double variance
    if not scatter > 0.0:
        scatter = 0.0
    variance = (scatter + mass * least + pseudo_scatter) / (mass + pseudo_rows)
    return mass * log(mass / sqrt(variance))


def best_thresholds(const double[:, ::1] values, const Py_ssize_t[:, ::1] order, const double[::1] weight,
                    const double[::1] least, double pseudo_rows, double pseudo_variance):
    """Where each of some lines is best cut in two, by the likelihood of a Gaussian with its own variance on each side.

    Parameters
    ----------
    values : ndarray of shape (m, n)
        Of the rows, along each line.
    order : intp ndarray of shape (m, n)
        Rows by their values.
    weight : ndarray of shape (n,)
        Positive.
    least : ndarray of shape (m,)
        What is added to each side's variance before it has rows.
    pseudo_rows, pseudo_variance : float
        Rows that each side has besides, and their variance.

    Returns
    -------
    at : intp ndarray of shape (m,)
        How many rows lie on the lower side.
    score : ndarray of shape (m,)
        Log-likelihood, constants left out; -inf where all values are one.
    """
    cdef Py_ssize_t m = values.shape[0], n = values.shape[1], line, i, row
    cdef double mass, first, second, w, x, found
    cdef double pseudo_scatter = pseudo_rows * pseudo_variance
    at_of, score_of = np.ones(m, dtype=np.intp), np.full(m, -np.inf)
    cdef Py_ssize_t[::1] at = at_of
    cdef double[::1] score = score_of, lower = np.empty(n)
    with nogil:
        for line in range(m):
            mass = first = second = 0.0
            for i in range(n - 1):
                row = order[line, i]
                w, x = weight[row], values[line, row]
                mass += w
                first += w * x
                second += w * x * x
                lower[i] = _group(mass, first, second, least[line], pseudo_rows, pseudo_scatter)
            mass = first = second = 0.0
            found = -INFINITY
            for i in range(n - 1, 0, -1):
                row = order[line, i]
                w, x = weight[row], values[line, row]
                mass += w
                first += w * x
                second += w * x * x
                # equal values stay together
                if x > values[line, order[line, i - 1]]:
                    w = lower[i - 1] + _group(mass, first, second, least[line], pseudo_rows, pseudo_scatter)
                    # of equal ones the lowest
                    if w >= found:
                        found = w
                        at[line] = i
            score[line] = found
    return at_of, score_of
