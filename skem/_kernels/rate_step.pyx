"""Rates of independent columns: the updates by maximum likelihood and under Gamma priors, between two passes."""

import numpy as np

from libc.math cimport log

from skem._kernels.ascent cimport Step
from skem._kernels.passes cimport Prepared


def row_sums(const double[:, :] values):
    """Sums along the rows, from the first column on.

    Parameters
    ----------
    values : ndarray of shape (n_components, d)

    Returns
    -------
    sums : ndarray of shape (n_components,)
    """
    out = np.zeros(values.shape[0])
    cdef double[::1] view = out
    cdef Py_ssize_t k, j
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            view[k] += values[k, j]
    return out


cdef class RateStep(Step):
    """The verbs `statistics`, `mle` or `mode`, and `natural` of one update; declines where nothing speaks for a rate.

    A rate is events over exposure. Either events are the sums of the columns and exposure is the rows' weight, as of
    counts, or the other way round, as of waiting times.

    Parameters
    ----------
    n_components : int
    typical : ndarray of shape (d,)
        Rate of all rows taken as one.
    least : float
        Share of it below which no rate goes, and of its inverse.
    of_counts : bool
    prior : pair of ndarray of shape (n_components, d), default=None
        Shapes and rates of the Gamma priors; the mode, in the rates, needs them.
    constant : float, default=0
        What the log prior density has besides its kernel.
    """

    cdef int K, d
    cdef bint of_counts, has_prior
    cdef double least, constant
    cdef double[::1] typical, shape_prior, rate_prior, rate, log_rate, weights, offset

    def __init__(self, int n_components, typical, double least, bint of_counts, prior=None, double constant=0.0):
        cdef Py_ssize_t size = n_components * len(typical)
        self.K, self.d, self.of_counts, self.has_prior = n_components, <int> len(typical), of_counts, prior is not None
        self.least, self.constant, self.typical = least, constant, np.array(typical)
        if prior is not None:
            self.shape_prior, self.rate_prior = (np.array(value, dtype=np.float64).reshape(-1) for value in prior)
        self.rate, self.log_rate, self.weights = np.empty(size), np.empty(size), np.empty(size)
        self.offset = np.empty(n_components)

    cdef bint update(self, Prepared done, const double *log_weights) noexcept nogil:
        cdef Py_ssize_t k, j, i
        cdef const double *n_k = done.job.total + 2
        cdef const double *total = n_k + self.K
        cdef double events, exposure, least, typical
        for k in range(self.K):
            if not (self.has_prior or n_k[k] > 0.0):
                return False
            for j in range(self.d):
                i, typical = k * self.d + j, self.typical[j]
                events = total[i] if self.of_counts else n_k[k]
                exposure = n_k[k] if self.of_counts else total[i]
                if self.has_prior:
                    events = self.shape_prior[i] + events - 1.0
                    exposure = self.rate_prior[i] + exposure
                else:
                    least = self.least * events / typical
                    exposure = least if exposure < least else exposure
                if not (events >= 0.0 and exposure > 0.0):
                    return False
                least = self.least * typical
                self.rate[i] = events / exposure
                if self.rate[i] < least:
                    self.rate[i] = least
        self.penalty = self.constant
        for k in range(self.K):
            self.offset[k] = 0.0
            for j in range(self.d):
                i = k * self.d + j
                self.log_rate[i] = log(self.rate[i])
                self.weights[i] = self.log_rate[i] if self.of_counts else -self.rate[i]
                self.offset[k] += self.rate[i] if self.of_counts else self.log_rate[i]
                if self.has_prior:
                    self.penalty += (self.shape_prior[i] - 1.0) * self.log_rate[i] - self.rate_prior[i] * self.rate[i]
            if self.of_counts:
                self.offset[k] = -self.offset[k]
            self.offset[k] = log_weights[k] + self.offset[k]
        return True

    cdef void load(self, Prepared next) noexcept nogil:
        next.load_linear(&self.weights[0], &self.offset[0])
