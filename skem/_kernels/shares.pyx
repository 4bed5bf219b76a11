"""Shares of groups: the updates of families whose parameters are probabilities, to the likeliest or the mode."""

import numpy as np

from skem._kernels.ascent import LOG_ZERO

from libc.math cimport log

from skem._kernels.ascent cimport Step
from skem._kernels.passes cimport Prepared

cdef double _LOG_ZERO = LOG_ZERO
# Below this part of a component's weight a difference of two sums is rounding.
cdef double ROUNDING = 1e-12


cdef bint _shares(
    int K, Py_ssize_t m, Py_ssize_t n_groups,
    const double *total,           # IN  (K, m)
    const Py_ssize_t *group,       # IN  (m) which group each outcome belongs to
    double *whole,                 # OUT (n_groups) of the last component
    double *share,                 # IN OUT (K, m); groups without mass stay as they are
) noexcept nogil:
    """Whether all groups have mass."""
    cdef bint ok = True
    cdef Py_ssize_t k, i
    for k in range(K):
        for i in range(n_groups):
            whole[i] = 0.0
        for i in range(m):
            whole[group[i]] += total[k * m + i]
        for i in range(m):
            if whole[group[i]] > 0:
                share[k * m + i] = total[k * m + i] / whole[group[i]]
            else:
                ok = False
    return ok


cdef inline double _log(double p) noexcept nogil:
    return log(p) if p > 0 else _LOG_ZERO


cdef void _with_zeros(
    int K, int d,
    const double *n_k,             # IN  (K)
    const double *ones,            # IN  (K, d)
    double *total,                 # OUT (K, 2 d): ones, then zeros
) noexcept nogil:
    cdef Py_ssize_t k, j
    cdef double zeros
    for k in range(K):
        for j in range(d):
            zeros = n_k[k] - ones[k * d + j]
            total[2 * k * d + j] = ones[k * d + j]
            # what rounding leaves of nothing is nothing: a probability of zero would wake from it
            total[(2 * k + 1) * d + j] = zeros if zeros >= ROUNDING * n_k[k] else 0.0


cdef void _natural_of_pairs(
    int K, int d,
    const double *log_probability,  # IN  (K, 2 d): of ones, then of zeros
    double *weights,               # OUT (K, d)
    double *offset,                # OUT (K)
) noexcept nogil:
    cdef Py_ssize_t k, j
    cdef const double *one
    for k in range(K):
        one = log_probability + 2 * k * d
        offset[k] = 0.0
        for j in range(d):
            weights[k * d + j] = one[j] - one[d + j]
            offset[k] += one[d + j]


def shares(const double[:, ::1] total, const Py_ssize_t[::1] group, double[:, ::1] otherwise):
    """Each outcome's share of its group.

    Parameters
    ----------
    total : ndarray of shape (n_components, m)
    group : intp ndarray of shape (m,)
    otherwise : ndarray of shape (n_components, m)
        What groups without mass have; overwritten.

    Returns
    -------
    share : ndarray of shape (n_components, m)
        `otherwise`.
    """
    cdef double[::1] whole = np.empty(np.max(group) + 1)
    _shares(<int> total.shape[0], total.shape[1], whole.shape[0], &total[0, 0], &group[0], &whole[0], &otherwise[0, 0])
    return np.asarray(otherwise)


def log_or_least(const double[:, ::1] probability):
    """Logarithms, LOG_ZERO of zeros.

    Parameters
    ----------
    probability : ndarray of shape (n_components, m)

    Returns
    -------
    logarithm : ndarray of shape (n_components, m)
    """
    out = np.empty((probability.shape[0], probability.shape[1]))
    cdef double[:, ::1] view = out
    cdef Py_ssize_t k, i
    for k in range(probability.shape[0]):
        for i in range(probability.shape[1]):
            view[k, i] = _log(probability[k, i])
    return out


def with_zeros(const double[::1] n_k, const double[:, ::1] ones):
    """Weights of ones and of zeros from those of ones.

    Parameters
    ----------
    n_k : ndarray of shape (n_components,)
    ones : ndarray of shape (n_components, d)

    Returns
    -------
    total : ndarray of shape (n_components, 2 d)
        Of ones, then of zeros.
    """
    cdef int K = <int> ones.shape[0], d = <int> ones.shape[1]
    total = np.empty((K, 2 * d))
    cdef double[:, ::1] view = total
    _with_zeros(K, d, &n_k[0], &ones[0, 0], &view[0, 0])
    return total


def natural_of_pairs(const double[:, ::1] log_probability):
    """Natural parameters of binary columns.

    Parameters
    ----------
    log_probability : ndarray of shape (n_components, 2 d)
        Of ones, then of zeros.

    Returns
    -------
    weights : ndarray of shape (n_components, d)
    offset : ndarray of shape (n_components,)
    """
    cdef int K = <int> log_probability.shape[0], d = <int> (log_probability.shape[1] // 2)
    weights, offset = np.empty((K, d)), np.empty(K)
    cdef double[:, ::1] w = weights
    cdef double[::1] c = offset
    _natural_of_pairs(K, d, &log_probability[0, 0], &w[0, 0], &c[0])
    return weights, offset


cdef class ShareStep(Step):
    """The verbs `statistics`, `mle` or `mode`, and `natural` of one update; declines where a group has no mass.

    Parameters
    ----------
    n_components : int
    group : intp ndarray of shape (m,)
    pairs : bool
        Whether a pass sums the ones of binary columns alone.
    prior : ndarray of shape (n_components, m), default=None
        Concentrations of the Dirichlet priors; the mode, in the probabilities, needs them, and declines where an
        outcome's posterior is below 1.
    log_constant : float, default=0
        What the log prior density has besides its kernel.
    """

    cdef int K
    cdef bint pairs, has_prior
    cdef double log_constant
    cdef const Py_ssize_t[::1] group
    cdef double[::1] total, whole, share, weights, constant, less_one

    def __init__(self, int n_components, group, bint pairs, prior=None, double log_constant=0.0):
        cdef Py_ssize_t size = n_components * len(group)
        self.has_prior, self.log_constant = prior is not None, log_constant
        self.less_one = np.zeros(0) if prior is None else np.subtract(prior, 1.0).reshape(-1)
        self.K, self.pairs, self.group = n_components, pairs, group
        self.whole = np.empty(np.max(group) + 1)
        self.total, self.share, self.weights = np.empty(size), np.empty(size), np.empty(size)
        self.constant = np.empty(n_components)

    cdef bint update(self, Prepared done, const double *log_weights) noexcept nogil:
        cdef int K = self.K, k
        cdef Py_ssize_t m = self.group.shape[0], i
        cdef const double *n_k = done.job.total + 2
        cdef const double *total = n_k + K
        if self.pairs:
            _with_zeros(K, <int> (m // 2), n_k, total, &self.total[0])
            total = &self.total[0]
        if self.has_prior:
            for i in range(K * m):
                self.total[i] = total[i] + self.less_one[i]
                if not self.total[i] >= 0.0:
                    return False
            total = &self.total[0]
        if not _shares(K, m, self.whole.shape[0], total, &self.group[0], &self.whole[0], &self.share[0]):
            return False
        for i in range(K * m):
            self.share[i] = _log(self.share[i])
        self.penalty = self.log_constant
        for i in range(self.less_one.shape[0]):
            self.penalty += self.less_one[i] * self.share[i]
        if self.pairs:
            _natural_of_pairs(K, <int> (m // 2), &self.share[0], &self.weights[0], &self.constant[0])
        for k in range(K):
            self.constant[k] = log_weights[k] + (self.constant[k] if self.pairs else 0.0)
        return True

    cdef void load(self, Prepared next) noexcept nogil:
        next.load_linear(&self.weights[0] if self.pairs else &self.share[0], &self.constant[0])
