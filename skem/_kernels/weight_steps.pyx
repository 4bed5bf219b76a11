"""Compiled updates of mixing weights under a prior: the posterior mode, and the expected logarithms.

Each adds its part to the objective: the log prior density, or the evidence less the expected log-likelihood.
"""

import numpy as np

from libc.math cimport lgamma, log

from skem._kernels.ascent cimport WeightStep
from skem._kernels.digammas cimport digamma


cdef double _log_normalizer(const double[::1] alpha) noexcept nogil:
    cdef Py_ssize_t k
    cdef double total = 0.0, value = 0.0
    for k in range(alpha.shape[0]):
        total += alpha[k]
        value += lgamma(alpha[k])
    return value - lgamma(total)


cdef double _log_beta(double a, double b) noexcept nogil:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


cdef class ModeOfShares(WeightStep):
    """Mode of a Dirichlet posterior; it declines where a weight would leave the interior.

    Parameters
    ----------
    alpha : array-like of shape (n_components,)
        Of the prior.
    """

    cdef double[::1] alpha
    cdef double norm

    def __init__(self, alpha):
        self.alpha = np.array(alpha, dtype=np.float64)
        self.norm = _log_normalizer(self.alpha)

    cdef bint update(self, int K, const double *n_k, double *log_weights) noexcept nogil:
        cdef int k
        cdef double total = 0.0, mass
        for k in range(K):
            mass = n_k[k] + self.alpha[k] - 1.0
            if not mass > 0.0:
                return False
            log_weights[k] = mass
            total += mass
        self.penalty = -self.norm
        for k in range(K):
            log_weights[k] = log(log_weights[k] / total)
            self.penalty += (self.alpha[k] - 1.0) * log_weights[k]
        return True


cdef class ExpectedShares(WeightStep):
    """Expected logarithms under a Dirichlet posterior.

    Parameters
    ----------
    alpha : array-like of shape (n_components,)
        Of the prior.
    """

    cdef double[::1] alpha, posterior
    cdef double norm

    def __init__(self, alpha):
        self.alpha = np.array(alpha, dtype=np.float64)
        self.posterior = np.empty(len(alpha))
        self.norm = _log_normalizer(self.alpha)

    cdef bint update(self, int K, const double *n_k, double *log_weights) noexcept nogil:
        cdef int k
        cdef double total = 0.0
        for k in range(K):
            self.posterior[k] = self.alpha[k] + n_k[k]
            total += self.posterior[k]
        total = digamma(total)
        self.evidence = self.penalty = _log_normalizer(self.posterior) - self.norm
        for k in range(K):
            log_weights[k] = digamma(self.posterior[k]) - total
            self.penalty -= n_k[k] * log_weights[k]
        return True


cdef class ExpectedSticks(WeightStep):
    """Expected logarithms of the weights that Beta posteriors of sticks make.

    Parameters
    ----------
    a, b : array-like of shape (n_components,)
        Of the sticks' priors.
    """

    cdef double[::1] a, b

    def __init__(self, a, b):
        self.a, self.b = np.array(a, dtype=np.float64), np.array(b, dtype=np.float64)

    cdef bint update(self, int K, const double *n_k, double *log_weights) noexcept nogil:
        cdef int k
        cdef double beyond = 0.0, before = 0.0, a, b, whole
        for k in range(K):
            beyond += n_k[k]
        self.penalty = self.evidence = 0.0
        for k in range(K):
            beyond -= n_k[k]
            a, b = self.a[k] + n_k[k], self.b[k] + (beyond if beyond > 0.0 else 0.0)
            whole = digamma(a + b)
            log_weights[k] = before + digamma(a) - whole
            before += digamma(b) - whole
            self.evidence += _log_beta(a, b) - _log_beta(self.a[k], self.b[k])
            self.penalty -= n_k[k] * log_weights[k]
        self.penalty += self.evidence
        return True
