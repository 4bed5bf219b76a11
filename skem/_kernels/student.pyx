"""What a Student-t's algebra between two passes adds to the Gaussian's: latent scales and degrees of freedom nu.

As in `skem._kernels.gaussian`, the verbs of the family call these functions, and the compiled step chains them. All
are exact for nu however large.
"""

import numpy as np

from libc.math cimport INFINITY, fmax, fmin, isfinite, lgamma, log, log1p
from libc.string cimport memcpy

from skem._kernels.digammas cimport _excess, _shape
from skem._kernels.gaussian cimport SPHERICAL, TIED, MaximumLikelihood, constrain_all, each_covariance, moments_of
from skem._kernels.passes cimport Prepared

# From here on Stirling's series, of five terms, are exact to rounding.
cdef double LARGE = 20.0
# An excess of this size, of some 1e8 degrees, tells no tail from a Gaussian's; where runs stop on the way to infinity
# would be left to rounding.
cdef double ROUNDING = 1e-8


cdef inline double _stirling(double z) noexcept nogil:
    """Log Gamma(z) less (z - 1/2) log z - z + log(2 pi) / 2."""
    cdef double s = 1.0 / (z * z)
    return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188)))) / z


cdef double _log_tail(double dof, int d) noexcept nogil:
    cdef double a = 0.5 * dof, h = 0.5 * d
    if not isfinite(dof):
        return 0.0
    if a < LARGE:
        return lgamma(a + h) - lgamma(a) - h * log(a)
    return (a + h - 0.5) * log1p(h / a) - h + _stirling(a + h) - _stirling(a)


cdef void _log_scales(
    int K, int d,
    const double *n_k,         # IN  (K)
    const double *latent,      # IN  (K, 2) at every `stride`: the second is the sum of r log(1 + q / nu)
    size_t stride,
    const double *dof,         # IN  (K)
    double *log_scale,         # OUT (K)
) noexcept nogil:
    """E log u of a row is log u + digamma((nu + d) / 2) - log((nu + d) / 2)."""
    cdef int k
    cdef double slope
    for k in range(K):
        log_scale[k] = 0.0
        if isfinite(dof[k]):
            log_scale[k] = n_k[k] * (log1p(d / dof[k]) - _excess(0.5 * (dof[k] + d), &slope)) - latent[k * stride + 1]


cdef void _find_dof(
    int K, bint tied, bint common, bint expand, double low, double high,
    const double *mass,        # IN  (K)
    const double *weight,      # IN  (K) sums of scales
    const double *log_scale,   # IN  (K) and of their expected logarithms
    double *dof,               # OUT (K)
    double *alpha,             # OUT (K)
) noexcept nogil:
    cdef int k
    cdef double total = 0.0, total_weight = 0.0, pooled = 0.0, excess, mean
    cdef bint finite = True
    for k in range(K):
        total += mass[k]
        total_weight += weight[k]
    for k in range(K):
        mean = weight[k] / mass[k] if mass[k] > 0 else 1.0
        alpha[k] = 1.0
        if expand and not tied:
            alpha[k] = mean
        elif expand and common:
            alpha[k] = total_weight / total
        excess = log(alpha[k]) + mean / alpha[k] - 1.0
        if mass[k] > 0:
            excess -= log_scale[k] / mass[k]
        pooled += mass[k] * excess
        dof[k] = excess
    for k in range(K):
        if common:
            dof[k] = pooled / total
        dof[k] = 2.0 * _shape(dof[k], INFINITY) if dof[k] > ROUNDING else INFINITY
        dof[k] = fmin(fmax(dof[k], low), high)
        finite = finite and isfinite(dof[k])
    if expand and tied and not common and finite:
        # one alpha for scales of several shapes: the most likely one at these shapes
        total = total_weight = 0.0
        for k in range(K):
            total += dof[k] * mass[k]
            total_weight += dof[k] * weight[k]
        for k in range(K):
            alpha[k] = total_weight / total


def log_tail(const double[::1] dof, int d):
    """Log normaliser of Student-t tails beside a Gaussian's: log G((nu + d) / 2) - log G(nu / 2) - d/2 log(nu / 2).

    Parameters
    ----------
    dof : ndarray of shape (m,)
        Positive; inf gives 0.
    d : int

    Returns
    -------
    log_tail : ndarray of shape (m,)
    """
    cdef Py_ssize_t k
    found = np.empty(dof.shape[0])
    cdef double[::1] out = found
    for k in range(dof.shape[0]):
        out[k] = _log_tail(dof[k], d)
    return found


def log_scales(const double[::1] n_k, const double[:, ::1] latent, const double[::1] dof, int d):
    """Sums of the expected logarithms of latent scales.

    Parameters
    ----------
    n_k : ndarray of shape (n_components,)
    latent : ndarray of shape (n_components, 2)
        Sums of r u and of r log(1 + q / nu).
    dof : ndarray of shape (n_components,)
        Of the pass that summed them.
    d : int

    Returns
    -------
    log_scale : ndarray of shape (n_components,)
        0 where there are no tails.
    """
    found = np.empty(n_k.shape[0])
    cdef double[::1] out = found
    _log_scales(<int> n_k.shape[0], d, &n_k[0], &latent[0, 0], 2, &dof[0], &out[0])
    return found


def most_likely_dof(const double[::1] mass, const double[::1] weight, const double[::1] log_scale, bounds, bint common,
                    bint tied, bint expand):
    """Most likely degrees of freedom, and the mean scale by which all scales are to be divided.

    The latent scales are Gamma(nu / 2, nu / 2) times alpha, which is one, or free where `expand`.

    Parameters
    ----------
    mass, weight, log_scale : ndarray of shape (n_components,)
        Weight of the rows, sums of their scales and of the scales' expected logarithms.
    bounds : tuple of (low, high)
        Where degrees of freedom are held.
    common : bool
        Whether there is one nu for all components.
    tied : bool
        Whether there is one scale matrix, and so one alpha, for all components.
    expand : bool

    Returns
    -------
    dof, alpha : ndarray of shape (n_components,)
    """
    cdef int K = <int> mass.shape[0]
    dof, alpha = np.empty(K), np.empty(K)
    cdef double[::1] own_dof = dof, own_alpha = alpha
    _find_dof(K, tied, common, expand, bounds[0], bounds[1], &mass[0], &weight[0], &log_scale[0], &own_dof[0],
              &own_alpha[0])
    return dof, alpha


cdef class StudentMaximumLikelihood(MaximumLikelihood):
    """The verbs `statistics`, `mle` and `scorer` of one update, in one go.

    It declines where a component has no mass, and where a scale matrix may need its eigenvalues held.

    Parameters
    ----------
    structure : {"full", "tied", "diag", "spherical"}
    n_components : int
    variance : ndarray of shape (d,)
        Of the data.
    floor : float
        As in `skem._kernels.gaussian.constrain`.
    bounds : tuple of (low, high)
    common : bool
        As in `most_likely_dof`.
    """

    cdef double low, high
    cdef bint common
    cdef double[::1] weight, log_scale, dof, alpha

    def __init__(self, structure, int n_components, variance, double floor, bounds, bint common):
        super().__init__(structure, n_components, variance, floor, -1.0)
        self.low, self.high = bounds
        self.common = common
        self.weight, self.log_scale = np.empty(n_components), np.empty(n_components)
        self.dof, self.alpha = np.empty(n_components), np.empty(n_components)

    cdef bint scales(self, const double *n_k, bint expand) noexcept nogil:
        """Degrees of freedom and precision factors; false where a matrix may need its eigenvalues held."""
        cdef int K = self.K, k
        cdef bint tied = self.structure == TIED
        cdef size_t i, each = each_covariance(self.structure, self.d)
        _find_dof(K, tied, self.common, expand, self.low, self.high, n_k, &self.weight[0], &self.log_scale[0],
                  &self.dof[0], &self.alpha[0])
        for k in range(1 if tied else K):
            for i in range(k * each, (k + 1) * each):
                self.covariance[i] = self.scatter[i] / self.nu[k] / self.alpha[k]
        return constrain_all(
            self.structure, K, self.d, &self.covariance[0], &self.variance[0], self.floor, &self.scratch[0],
            &self.factor[0], &self.log_det[0], &self.flags[0],
        ) == 0

    cdef bint update(self, Prepared done, const double *log_weights) noexcept nogil:
        cdef int structure = self.structure, K = self.K, d = self.d, k
        cdef int m = <int> done.job.collectors[0].sums_k
        cdef const double *n_k = done.job.total + 2
        cdef const double *features = n_k + K
        cdef const double *latent = features + m - 2
        cdef bint tied = structure == TIED
        for k in range(K):
            self.weight[k] = latent[k * m]
        moments_of(structure, K, d, m, &self.weight[0], features, done.job.scorers[0].mean, NULL, &self.mean[0],
                   &self.nu[0], &self.scatter[0])
        _log_scales(K, d, n_k, latent, m, done.job.scorers[0].dof, &self.log_scale[0])
        # scatters are divided by rows, and then by alpha
        self.nu[0] = n_k[0]
        for k in range(1, K):
            if tied:
                self.nu[0] += n_k[k]
            else:
                self.nu[k] = n_k[k]
        for k in range(1 if tied else K):
            if structure >= SPHERICAL:
                self.nu[k] *= d
        if not self.scales(n_k, True):
            # where scales rest on the constraint, the expanded step need not lead upwards
            if structure <= TIED:
                return False
            self.scales(n_k, False)
        for k in range(K):
            if tied and k:
                self.log_det[k] = self.log_det[0]
            self.constant[k] = log_weights[k] + (self.log_det[k] + _log_tail(self.dof[k], d))
        self.linear = False
        return True

    cdef void load(self, Prepared next) noexcept nogil:
        MaximumLikelihood.load(self, next)
        memcpy(<double *> next.job.scorers[0].dof, &self.dof[0], self.K * sizeof(double))
