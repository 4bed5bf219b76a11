"""The Gaussian's compiled updates under a prior: the posterior mode, and the whole posterior."""

import numpy as np

from libc.math cimport lgamma, log, sqrt

from skem._kernels.ascent cimport second_term
from skem._kernels.digammas cimport digamma
from skem._kernels.gaussian cimport SPHERICAL, TIED, MaximumLikelihood, each_covariance
from skem._kernels.linalg cimport factorize
from skem._kernels.passes cimport Prepared

cdef double LOG_2 = np.log(2.0)
cdef double LOG_PI = np.log(np.pi)


cdef double _trace(int structure, int d, const double *factor, const double *scatter, double *scratch) noexcept nogil:
    """Return tr(F S F') of one covariance."""
    cdef int i
    cdef double total = 0.0
    if structure <= TIED:
        return second_term(d, factor, scatter, scratch)
    if structure >= SPHERICAL:
        return factor[0] * factor[0] * scatter[0]
    for i in range(d):
        total += factor[i] * factor[i] * scatter[i]
    return total


cdef double _squared(int structure, int d, const double *factor, const double *x, const double *y) noexcept nogil:
    """Return |F (x - y)|^2."""
    cdef int i, j
    cdef double total = 0.0, entry
    for i in range(d):
        if structure > TIED:
            entry = factor[0 if structure >= SPHERICAL else i] * (x[i] - y[i])
        else:
            entry = 0.0
            for j in range(i + 1):
                entry += factor[<size_t> i * d + j] * (x[j] - y[j])
        total += entry * entry
    return total


cdef class PosteriorStep(MaximumLikelihood):
    """What the updates share: the posterior from the prior and the moments of a pass, by Chan's formula.

    Parameters
    ----------
    structure : {"full", "tied", "diag", "EEI", "spherical", "EII"}
    prior : Moments
    variance, floor, reach, added
        As in `MaximumLikelihood`.
    """

    cdef double[::1] prior_kappa, prior_mean, prior_nu, prior_scatter
    cdef double[::1] post_kappa, post_mean, post_nu, post_scatter

    def __init__(self, structure, prior, variance, double floor, double reach, added=None):
        super().__init__(structure, len(prior.kappa), variance, floor, reach, added)
        self.prior_kappa, self.prior_mean = np.array(prior.kappa), np.array(prior.mean).reshape(-1)
        self.prior_nu, self.prior_scatter = np.array(prior.nu).reshape(-1), np.array(prior.scatter).reshape(-1)
        self.post_kappa, self.post_mean = np.empty_like(self.prior_kappa), np.empty_like(self.prior_mean)
        self.post_nu, self.post_scatter = np.empty_like(self.prior_nu), np.empty_like(self.prior_scatter)

    cdef size_t own(self, int k) noexcept nogil:
        """Place of a component's covariance."""
        return k * each_covariance(self.structure, self.d) if self.prior_nu.shape[0] > 1 else 0

    cdef void merge(self) noexcept nogil:
        cdef int structure = self.structure, K = self.K, d = self.d, k, i, j
        cdef double share, w, x
        cdef double *deviation = &self.scratch[0]
        cdef double *scatter
        for k in range(self.prior_nu.shape[0]):
            self.post_nu[k] = self.prior_nu[k] + self.nu[k]
        for i in range(self.prior_scatter.shape[0]):
            self.post_scatter[i] = self.prior_scatter[i] + self.scatter[i]
        for k in range(K):
            self.post_kappa[k] = self.prior_kappa[k] + self.n_k[k]
            share = self.n_k[k] / self.post_kappa[k]
            w = self.prior_kappa[k] * share
            scatter = &self.post_scatter[self.own(k)]
            for i in range(d):
                x = self.prior_mean[k * d + i]
                deviation[i] = self.mean[k * d + i] - x
                self.post_mean[k * d + i] = x + share * deviation[i]
            for i in range(d):
                x = w * deviation[i]
                if structure <= TIED:
                    # of symmetric matrices the lower triangle is read
                    for j in range(i + 1):
                        scatter[i * d + j] += x * deviation[j]
                else:
                    scatter[0 if structure >= SPHERICAL else i] += x * deviation[i]


cdef class ModeStep(PosteriorStep):
    """The verbs `statistics`, `mode` and `scorer` of one update, and the log density of its parameters.

    It declines as `MaximumLikelihood` does.

    Parameters
    ----------
    structure, prior, variance, floor, reach
        As in `PosteriorStep`.
    more : float
        What the divisor of a scatter has beyond its nu.
    power : ndarray in the shape of nu
        Of |F| in the prior density.
    constant : float
        What else the log prior density has.
    """

    cdef double more, constant_term
    cdef double[::1] power

    def __init__(self, structure, prior, variance, floor, reach, double more, power, double constant):
        super().__init__(structure, prior, variance, floor, reach)
        self.more, self.power, self.constant_term = more, np.array(power, dtype=np.float64).reshape(-1), constant

    cdef bint estimate(self) noexcept nogil:
        cdef int structure = self.structure, d = self.d, k
        cdef size_t i
        cdef const double *f
        self.merge()
        self.mean[:] = self.post_mean
        self.scatter[:] = self.post_scatter
        for k in range(self.post_nu.shape[0]):
            self.nu[k] = self.post_nu[k] + self.more
        if not MaximumLikelihood.estimate(self):
            return False
        self.penalty = self.constant_term
        for k in range(self.post_nu.shape[0]):
            i = self.own(k)
            self.penalty += self.power[k] * self.log_det[k]
            self.penalty -= 0.5 * _trace(structure, d, &self.factor[i], &self.prior_scatter[i], &self.scratch[0])
        for k in range(self.K):
            f = &self.factor[self.own(k)]
            self.penalty -= 0.5 * self.prior_kappa[k] * _squared(
                structure, d, f, &self.mean[k * d], &self.prior_mean[k * d]
            )
        return True


cdef class ExpectStep(PosteriorStep):
    """The verbs `statistics`, `expect` and `scorer` of one update, and evidence less expected log-likelihood.

    It declines where a matrix of the posterior has no Cholesky factor, and where the next pass is of another kind.

    Parameters
    ----------
    structure, prior, variance, floor, reach
        As in `PosteriorStep`.
    log_normalizer : float
        Of the prior.
    added : array-like in the shape of one covariance, default=None
        As in `MaximumLikelihood`.
    """

    cdef double log_normalizer

    def __init__(self, structure, prior, variance, floor, reach, double log_normalizer, added=None):
        super().__init__(structure, prior, variance, floor, reach, added)
        self.log_normalizer = log_normalizer

    def begin(self, theta, second, factor):
        MaximumLikelihood.begin(self, theta, second, factor)
        self.post_mean = np.array(theta.mean).reshape(-1)
        self.factor = np.array(theta.factor).reshape(-1)
        self.log_det = np.array(theta.offset)

    cdef double likelihood(self) noexcept nogil:
        """Expected log-likelihood of the moments."""
        cdef int structure = self.structure, d = self.d, k
        cdef double total = 0.0
        cdef size_t i
        for k in range(self.prior_nu.shape[0]):
            i = self.own(k)
            total -= 0.5 * _trace(structure, d, &self.factor[i], &self.scatter[i], &self.scratch[0])
        for k in range(self.K):
            i = self.own(k)
            total += self.n_k[k] * (
                self.log_det[k]
                - 0.5 * _squared(structure, d, &self.factor[i], &self.mean[k * d], &self.post_mean[k * d])
            )
        return total

    cdef double expected(self, Prepared done) noexcept nogil:
        self.collect(done)
        return self.likelihood()

    cdef bint expect(self, int k, double *log_det) noexcept nogil:
        """Factor of one expected precision and E log |precision|; its normaliser goes to the evidence."""
        cdef int structure = self.structure, d = self.d, i
        cdef size_t each = each_covariance(structure, d), at = k * each
        cdef double nu = self.post_nu[k], volume = 0.0, gammas = 0.0, psis = 0.0
        cdef double *f = &self.factor[at]
        if structure <= TIED:
            if not factorize(d, &self.post_scatter[at], True, True, f, &volume):
                return False
            for i in range(d):
                gammas += lgamma(0.5 * nu - 0.5 * i)
                psis += digamma(0.5 * nu - 0.5 * i)
            gammas += 0.25 * d * (d - 1) * LOG_PI
            self.evidence += 0.5 * nu * (d * LOG_2 - volume) + gammas
            log_det[0] = psis + d * LOG_2 - volume
        else:
            for i in range(<int> each):
                if not self.post_scatter[at + i] > 0.0:
                    return False
                f[i] = 1.0 / sqrt(self.post_scatter[at + i])
                volume += log(self.post_scatter[at + i])
            gammas, psis = lgamma(0.5 * nu), digamma(0.5 * nu)
            self.evidence += each * (0.5 * nu * LOG_2 + gammas) - 0.5 * nu * volume
            # one variance serves every column
            log_det[0] = d * (psis + LOG_2) - volume * (d if structure >= SPHERICAL else 1)
        for i in range(<int> each):
            f[i] *= sqrt(nu)
        return True

    cdef bint estimate(self) noexcept nogil:
        cdef int d = self.d, K = self.K, k
        cdef int n_own = <int> self.prior_nu.shape[0]
        self.merge()
        self.evidence = -self.log_normalizer
        for k in range(n_own):
            if not self.expect(k, &self.log_det[k]):
                return False
        for k in range(n_own, K):
            self.log_det[k] = self.log_det[0]
        for k in range(K):
            self.log_det[k] = 0.5 * self.log_det[k] - 0.5 * d / self.post_kappa[k]
            self.evidence += 0.5 * d * (LOG_2 + LOG_PI - log(self.post_kappa[k]))
        self.penalty = self.evidence - self.likelihood()
        self.mean[:] = self.post_mean
        return True
