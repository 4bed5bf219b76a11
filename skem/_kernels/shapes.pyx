"""Covariances whose volume, shape or orientation components share: the estimates between two passes.

With Sigma_k = lambda_k D_k A_k D_k', |A_k| = 1, the models of Celeux & Govaert (1995) make lambda, A and D equal (E) or
variable (V) over components, or D the identity (I). Given scatters W_k of masses n_k an estimate maximises

    -1/2 sum_k [n_k log |Sigma_k| + tr(W_k Sigma_k^-1)].

EVI, EVV and EEV have closed forms. VEI, VEE and VEV alternate between the volumes and the common shape, EVE and VVE
between the shapes and the common orientation, which plane rotations improve: with the shapes fixed the best angle
in each plane is known, so that every step is uphill. All start from the covariances before, and a few steps will do.
"""

import numpy as np

from skem._kernels.gaussian import CODES as STRUCTURES

from libc.math cimport INFINITY, exp, fabs, hypot, log, sqrt
from libc.string cimport memcpy

from skem._kernels.gaussian cimport DIAG, FULL, MaximumLikelihood, constrain_all, each_covariance
from skem._kernels.linalg cimport EIGEN_WORK, eigen, factorize, gram
from skem._kernels.passes cimport Prepared

cdef enum:
    VEI
    EVI
    EVV
    VEE
    EEV
    VEV
    EVE
    VVE
    WARM_ROUNDS = 10           # from covariances of an update before
    COLD_ROUNDS = 500          # without any
    TRIAL_ROUNDS = 8           # from each of several axes, of which the best go on
    ROUND_FLOPS = 200_000_000  # of all rounds, which nobody can interrupt

CODES = {"VEI": VEI, "EVI": EVI, "EVV": EVV, "VEE": VEE, "EEV": EEV, "VEV": VEV, "EVE": EVE, "VVE": VVE}

# Gain of a round, per unit of mass, below which the rounds end.
cdef double LEAST_GAIN = 1e-13
# Loss, per unit of mass and of the value, that is rounding.
cdef double ROUNDING = 1e-12
# Digits, relative to the terms of a sum, that a scatter has lost.
cdef double LOST = 1e-15


cdef bint _equal_shape(
    int K, int d,
    const double *n_k,         # IN  (K)
    const double *values,      # IN  (K, d), diagonals of scatters
    int n_rounds,              # IN
    double *volume,            # IN OUT (K)
    double *shape,             # OUT (d), of product 1
) noexcept nogil:
    """Volumes and the common shape, in turns."""
    cdef int k, j, r
    cdef double total, mass, gain, new
    for r in range(n_rounds):
        total = mass = gain = 0.0
        for j in range(d):
            shape[j] = 0.0
            for k in range(K):
                shape[j] += values[<size_t> k * d + j] / volume[k]
            if not shape[j] > 0.0:
                return False
            total += log(shape[j])
        total = exp(-total / d)
        for j in range(d):
            shape[j] *= total
        for k in range(K):
            new = 0.0
            for j in range(d):
                new += values[<size_t> k * d + j] / shape[j]
            new /= d * n_k[k]
            if not new > 0.0:
                return False
            gain += n_k[k] * log(volume[k] / new)
            mass += n_k[k]
            volume[k] = new
        if r > 0 and gain <= LEAST_GAIN * mass:
            break
    return True


cdef bint _equal_matrix(
    int K, int d,
    const double *n_k,         # IN  (K)
    const double *scatter,     # IN  (K, d, d)
    int n_rounds,              # IN
    double *volume,            # IN OUT (K)
    double *shape,             # OUT (d, d), of determinant 1
    double *work,              # (2 d d)
) noexcept nogil:
    """Volumes and the common shape and orientation, in turns."""
    cdef int k, i, j, r
    cdef size_t e, size = <size_t> d * d
    cdef double total, mass, gain, new
    cdef double *precision = work + size
    cdef const double *w
    for r in range(n_rounds):
        for e in range(size):
            shape[e] = 0.0
        for k in range(K):
            for e in range(size):
                shape[e] += scatter[k * size + e] / volume[k]
        if not factorize(d, shape, True, True, work, &total):
            return False
        gram(d, work, precision)
        total = exp(-total / d)
        for e in range(size):
            shape[e] *= total
        mass = gain = 0.0
        for k in range(K):
            w = scatter + k * size
            new = 0.0
            for i in range(d):
                for j in range(i):
                    new += 2.0 * precision[i * d + j] * w[i * d + j]
                new += precision[i * d + i] * w[i * d + i]
            new /= total * d * n_k[k]
            if not new > 0.0:
                return False
            gain += n_k[k] * log(volume[k] / new)
            mass += n_k[k]
            volume[k] = new
        if r > 0 and gain <= LEAST_GAIN * mass:
            break
    return True


cdef double _shapes(
    int model, int K, int d,
    const double *n_k,         # IN  (K)
    const double *turned,      # IN  (K, d, d), of which the diagonals are read
    double *variance,          # OUT (K, d)
) noexcept nogil:
    """Best variances along common axes; return sum_k n_k log |Sigma_k|, infinite where one is 0."""
    cdef int k, j
    cdef double total = 0.0, mass = 0.0, volume = 0.0, own
    for k in range(K):
        own = 0.0
        for j in range(d):
            variance[k * d + j] = turned[(<size_t> k * d + j) * d + j]
            if not variance[k * d + j] > 0.0:
                return -1e308
            own += log(variance[k * d + j])
        mass += n_k[k]
        if model == EVE:
            own = exp(own / d)
            volume += own
        else:
            total += n_k[k] * (own - d * log(n_k[k]))
            own = n_k[k]
        for j in range(d):
            variance[k * d + j] /= own
    if model == VVE:
        return total
    for j in range(K * d):
        variance[j] *= volume / mass
    return mass * d * log(volume / mass)


cdef void _rotate(
    int K, int d, int i, int j,
    const double *variance,    # IN  (K, d)
    double *turned,            # IN OUT (K, d, d), scatters along the axes
    double *axes,              # IN OUT (d, d), one a row
) noexcept nogil:
    """Turn two axes in their plane to where sum_k tr(W_k Sigma_k^-1) is least, variances fixed."""
    cdef int k, m
    cdef double cosine = 0.0, sine = 0.0, length, c, s, x, y
    cdef double *w
    for k in range(K):
        w = turned + <size_t> k * d * d
        x = 1.0 / variance[k * d + i] - 1.0 / variance[k * d + j]
        cosine += 0.5 * x * (w[j * d + j] - w[i * d + i])
        sine -= x * w[i * d + j]
    length = hypot(cosine, sine)
    if not length > 0.0 or fabs(sine) <= 1e-17 * cosine:
        return
    cosine, sine = cosine / length, sine / length
    # half the angle, without cancellation
    if cosine >= 0.0:
        c = sqrt(0.5 * (1.0 + cosine))
        s = 0.5 * sine / c
    else:
        s = sqrt(0.5 * (1.0 - cosine))
        c = 0.5 * fabs(sine) / s
        s = s if sine >= 0.0 else -s
    for k in range(K):
        w = turned + <size_t> k * d * d
        for m in range(d):
            x, y = w[m * d + i], w[m * d + j]
            w[m * d + i], w[m * d + j] = c * x + s * y, c * y - s * x
        for m in range(d):
            x, y = w[i * d + m], w[j * d + m]
            w[i * d + m], w[j * d + m] = c * x + s * y, c * y - s * x
    for m in range(d):
        x, y = axes[i * d + m], axes[j * d + m]
        axes[i * d + m], axes[j * d + m] = c * x + s * y, c * y - s * x


cdef void _turn(
    int d,
    const double *scatter,     # IN  (d, d)
    const double *axes,        # IN  (d, d), one a row
    double *work,              # (d)
    double *turned,            # OUT (d, d), axes scatter axes'
) noexcept nogil:
    cdef int i, j, m
    for i in range(d):
        for j in range(d):
            work[j] = 0.0
        for m in range(d):
            for j in range(d):
                work[j] += axes[i * d + m] * scatter[m * d + j]
        for j in range(d):
            turned[i * d + j] = 0.0
            for m in range(d):
                turned[i * d + j] += work[m] * axes[j * d + m]


cdef double _align(
    int model, int K, int d,
    const double *n_k,         # IN  (K)
    const double *scatter,     # IN  (K, d, d)
    int n_rounds,              # IN
    double *axes,              # IN OUT (d, d), one a row
    double *turned,            # (K, d, d)
    double *variance,          # OUT (K, d)
    double *work,              # (d)
) noexcept nogil:
    """Variances along the common axes and the axes, in turns; return sum_k n_k log |Sigma_k|."""
    cdef int k, i, j, _r
    cdef double value, new, mass = 0.0
    for k in range(K):
        mass += n_k[k]
        _turn(d, scatter + <size_t> k * d * d, axes, work, turned + <size_t> k * d * d)
    value = _shapes(model, K, d, n_k, turned, variance)
    for _r in range(n_rounds):
        if not fabs(value) < 1e300:
            break
        for i in range(d):
            for j in range(i):
                _rotate(K, d, i, j, variance, turned, axes)
        new = _shapes(model, K, d, n_k, turned, variance)
        if value - new <= LEAST_GAIN * mass:
            return new
        value = new
    return value


cdef void _compose(
    int d,
    const double *axes,        # IN  (d, d), one a row
    const double *variance,    # IN  (d)
    double *covariance,        # OUT (d, d)
) noexcept nogil:
    cdef int i, j, m
    for i in range(d * d):
        covariance[i] = 0.0
    for m in range(d):
        for i in range(d):
            for j in range(i + 1):
                covariance[i * d + j] += variance[m] * axes[m * d + i] * axes[m * d + j]
    for i in range(d):
        for j in range(i):
            covariance[j * d + i] = covariance[i * d + j]


cdef bint _common_axes(
    int model, int K, int d,
    const double *n_k,         # IN  (K)
    const double *scatter,     # IN  (K, d, d)
    const double *factor,      # IN  (K, d, d) precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    int n_rounds,              # IN
    double *scratch,           # of `_scratch_size`
    double *covariance,        # OUT (K, d, d)
) noexcept nogil:
    cdef int k, i, j, n_trial = n_rounds if factor != NULL else min(n_rounds, TRIAL_ROUNDS)
    cdef size_t e, size = <size_t> d * d
    cdef double value, best, share
    cdef double *turned = scratch
    cdef double *variance = turned + K * size
    cdef double *axes = variance + <size_t> K * d
    cdef double *found = axes + size
    cdef double *pooled = found + size
    cdef double *product = pooled + size
    cdef double *values = product + size
    cdef double *work = values + d
    for e in range(size):
        pooled[e] = 0.0
    for k in range(K):
        # no two alike, so that axes on which some precisions differ are told apart
        share = 1.0 + 0.6180339887498949 * (k + 1) % 1.0
        if factor != NULL:
            gram(d, factor + k * size, product)
            share *= exp(-2.0 * log_det[k] / d)
        for i in range(d):
            for j in range(i + 1):
                if factor == NULL:
                    pooled[i * d + j] += scatter[k * size + i * d + j]
                else:
                    pooled[i * d + j] += share * product[i * d + j]
    for i in range(d):
        for k in range(i):
            pooled[k * d + i] = pooled[i * d + k]
    if not eigen(d, pooled, values, axes, work):
        return False
    best = _align(model, K, d, n_k, scatter, n_trial, axes, turned, variance, work)
    for k in range(0 if factor != NULL else K):
        # nothing is known of the axes yet: those of each component are tried, too
        if not eigen(d, scatter + k * size, values, found, work):
            continue
        value = _align(model, K, d, n_k, scatter, n_trial, found, turned, variance, work)
        if fabs(value) < 1e300 and not value >= best - 1e-12 * fabs(best):
            best = value
            memcpy(axes, found, size * sizeof(double))
    if factor == NULL:
        best = _align(model, K, d, n_k, scatter, n_rounds, axes, turned, variance, work)
    if not fabs(best) < 1e300:
        return False
    for k in range(K):
        _compose(d, axes, variance + <size_t> k * d, covariance + k * size)
    return True


cdef inline size_t _scratch_size(int K, int d) noexcept nogil:
    return <size_t> K * d * d + 4 * <size_t> d * d + 2 * <size_t> K * d + K + 2 * d + (EIGEN_WORK + 1) * d


cdef bint _estimate(
    int model, int K, int d,
    const double *n_k,         # IN  (K), positive
    const double *scatter,     # IN  (K, d, d), or (K, d) where columns are independent
    const double *factor,      # IN  like scatter: precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    double *scratch,           # of `_scratch_size`
    double *covariance,        # OUT like scatter
) noexcept nogil:
    cdef int k, j, n_rounds = WARM_ROUNDS if factor != NULL else COLD_ROUNDS
    cdef size_t e, size = <size_t> d * d
    cdef double total, mass = 0.0
    cdef double *volume = scratch
    cdef double *shape = volume + K
    cdef double *values = shape + size
    cdef double *vectors = values + <size_t> K * d
    cdef double *work
    for k in range(K):
        mass += n_k[k]
    n_rounds = max(1, min(n_rounds, <int> (ROUND_FLOPS / (4.0 * K * size * (1 if model <= EVI else d)))))
    if model == EVE or model == VVE:
        return _common_axes(model, K, d, n_k, scatter, factor, log_det, n_rounds, scratch, covariance)
    if model == VEI or model == VEE or model == VEV:
        for k in range(K):
            total = 0.0
            for j in range(d):
                total += scatter[<size_t> k * d + j] if model == VEI else scatter[k * size + j * d + j]
            volume[k] = exp(-2.0 * log_det[k] / d) if factor != NULL else total / (d * n_k[k])
            if not volume[k] > 0.0:
                return False
    if model == VEI:
        if not _equal_shape(K, d, n_k, scatter, n_rounds, volume, shape):
            return False
        for k in range(K):
            for j in range(d):
                covariance[<size_t> k * d + j] = volume[k] * shape[j]
        return True
    if model == VEE:
        if not _equal_matrix(K, d, n_k, scatter, n_rounds, volume, shape, shape + size):
            return False
        for k in range(K):
            for e in range(size):
                covariance[k * size + e] = volume[k] * shape[e]
        return True
    if model == EVI or model == EVV:
        size = d if model == EVI else size
        total = 0.0
        for k in range(K):
            volume[k] = 0.0
            if model == EVV and not factorize(d, scatter + k * size, True, False, shape, &volume[k]):
                return False
            for j in range(d if model == EVI else 0):
                volume[k] += log(scatter[k * size + j])
            volume[k] = exp(volume[k] / d)
            if not volume[k] > 0.0:
                return False
            total += volume[k]
        for k in range(K):
            for e in range(size):
                covariance[k * size + e] = scatter[k * size + e] / volume[k] * (total / mass)
        return True
    work = vectors + K * size
    for k in range(K):
        if not eigen(d, scatter + k * size, values + <size_t> k * d, vectors + k * size, work):
            return False
    if model == VEV:
        if not _equal_shape(K, d, n_k, values, n_rounds, volume, shape):
            return False
    else:
        for j in range(d):
            shape[j] = 0.0
            for k in range(K):
                shape[j] += values[<size_t> k * d + j]
    for k in range(K):
        total = volume[k] if model == VEV else 1.0 / mass
        for j in range(d):
            values[<size_t> k * d + j] = shape[j] * total
        _compose(d, vectors + k * size, values + <size_t> k * d, covariance + k * size)
    return True


cdef bint estimate_all(
    int model, int K, int d,
    const double *n_k,         # IN  (K), positive
    const double *scatter,     # IN  (K, d, d), or (K, d) where columns are independent
    const double *factor,      # IN  like scatter: precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    double *scratch,           # of `_scratch_size`
    double *covariance,        # OUT like scatter
) noexcept nogil:
    """Covariances of the model; false where a scatter is too flat for it."""
    cdef size_t e, size = K * each_covariance(DIAG if model <= EVI else FULL, d)
    if not _estimate(model, K, d, n_k, scatter, factor, log_det, scratch, covariance):
        return False
    for e in range(size):
        if not fabs(covariance[e]) < INFINITY:
            return False
    return True


cdef double likelihood(
    int structure, int K, int d,
    const double *n_k,         # IN  (K)
    const double *scatter,     # IN  in the structure's shape
    const double *factor,      # IN  the same
    const double *log_det,     # IN  (K) log |F|
    double *work,              # (d d)
    double *size,              # IN OUT, increased by the sizes of what is summed
) noexcept nogil:
    """sum_k [n_k log |F_k| - tr(F_k W_k F_k') / 2]"""
    cdef int k, i, j
    cdef size_t each = each_covariance(structure, d)
    cdef double total = 0.0, term
    cdef const double *w
    for k in range(K):
        w = scatter + k * each
        total += n_k[k] * log_det[k]
        size[0] += fabs(n_k[k] * log_det[k])
        if structure == DIAG:
            for i in range(d):
                term = 0.5 * factor[k * each + i] * factor[k * each + i] * w[i]
                total -= term
                size[0] += term
            continue
        gram(d, factor + k * each, work)
        for i in range(d):
            for j in range(i + 1):
                term = (0.5 if i == j else 1.0) * work[i * d + j] * w[i * d + j]
                total -= term
                size[0] += fabs(term)
    return total


cdef bint is_loss(double before, double after, double mass) noexcept nogil:
    return not after >= before - ROUNDING * (fabs(before) + mass)


def estimate(model, const double[::1] n_k, scatter, factor=None, log_det=None):
    """Most likely covariances of a model, or ones more likely than those before.

    Parameters
    ----------
    model : {"VEI", "EVI", "EVV", "VEE", "EEV", "VEV", "EVE", "VVE"}
    n_k : ndarray of shape (n_components,)
        Positive.
    scatter : ndarray of shape (n_components, d, d), or (n_components, d) of "VEI" and "EVI"
    factor : ndarray of the same shape, default=None
        Precision factors of the covariances before.
    log_det : ndarray of shape (n_components,), default=None
        log |F| of the factors.

    Returns
    -------
    covariance : ndarray of the same shape, or None where a scatter is too flat
    """
    cdef int K = <int> n_k.shape[0], d = <int> scatter.shape[1]
    cdef double[::1] scratch = np.empty(_scratch_size(K, d))
    cdef const double[::1] w = np.ascontiguousarray(scatter).reshape(-1)
    cdef const double[::1] f, offset
    cdef const double *before = NULL
    cdef const double *volume = NULL
    cdef double[::1] out = np.empty(w.shape[0])
    if factor is not None:
        f, offset = np.ascontiguousarray(factor).reshape(-1), np.ascontiguousarray(log_det)
        before, volume = &f[0], &offset[0]
    if not estimate_all(CODES[model], K, d, &n_k[0], &w[0], before, volume, &scratch[0], &out[0]):
        return None
    return np.asarray(out).reshape(scatter.shape)


def is_worse(structure, const double[::1] n_k, scatter, before, after, bint held=False):
    """Whether precision factors are less likely than those before.

    Parameters
    ----------
    structure : {"full", "diag"}
    n_k : ndarray of shape (n_components,)
    scatter : ndarray of shape (n_components, d, d) or (n_components, d)
    before, after : pair of ndarray
        Factors in the shape of the scatters, and log |F| of each.
    held : bool, default=False
        Whether the new ones are nearly flat, where scatters have lost digits that count: they are then worse unless
        better by more than that.

    Returns
    -------
    worse : bool
    """
    cdef int K = <int> n_k.shape[0], d = <int> scatter.shape[1], code = STRUCTURES[structure], k
    cdef const double[::1] w = np.ascontiguousarray(scatter).reshape(-1)
    cdef const double[::1] f, log_det
    cdef double[::1] work = np.empty(d * d)
    cdef double values[2]
    cdef double mass = 0.0, size = 0.0
    for k in range(K):
        mass += n_k[k]
    for i, pair in enumerate((before, after)):
        f, log_det = np.ascontiguousarray(pair[0]).reshape(-1), np.ascontiguousarray(pair[1])
        values[i] = likelihood(code, K, d, &n_k[0], &w[0], &f[0], &log_det[0], &work[0], &size)
    if held:
        return not values[1] > values[0] + LOST * size
    return is_loss(values[0], values[1], mass)


cdef class ShapedMaximumLikelihood(MaximumLikelihood):
    """The update of a model with parts in common; it goes on from the covariances before.

    It declines as `MaximumLikelihood` does, where a scatter is too flat for the model, and where the estimate is less
    likely than the covariances before, which may have been held above the floor and so left the model.

    Parameters
    ----------
    model : str
        One of `CODES`.
    structure : {"full", "diag"}
    n_components, variance, floor, reach
        As in `MaximumLikelihood`.
    """

    cdef int model
    cdef double[::1] now, now_log_det            # of the pass that is under way
    cdef double[::1] previous, previous_log_det  # of the pass before it
    cdef double[::1] room

    def __init__(self, model, structure, int n_components, variance, double floor, double reach):
        super().__init__(structure, n_components, variance, floor, reach)
        self.model = CODES[model]
        self.now, self.now_log_det = np.empty(self.factor.shape[0]), np.empty(n_components)
        self.previous, self.previous_log_det = np.empty(self.factor.shape[0]), np.empty(n_components)
        self.room = np.empty(_scratch_size(n_components, self.d))

    def begin(self, theta, second, factor):
        super().begin(theta, second, factor)
        np.asarray(self.now)[:] = theta.factor.reshape(-1)
        np.asarray(self.now_log_det)[:] = theta.offset

    def before(self, theta):
        arrays = dict(theta.to_dict()["arrays"])
        arrays["factor"] = np.array(self.previous).reshape(arrays["factor"].shape)
        arrays["offset"] = np.array(self.previous_log_det)
        return type(theta)(arrays, theta.shared)

    cdef bint estimate(self) noexcept nogil:
        cdef int k, K = self.K, d = self.d
        cdef double mass = 0.0, size = 0.0, old, new
        if not estimate_all(self.model, K, d, &self.nu[0], &self.scatter[0], &self.now[0], &self.now_log_det[0],
                            &self.room[0], &self.covariance[0]):
            return False
        if constrain_all(self.structure, K, d, &self.covariance[0], &self.variance[0], self.floor, &self.scratch[0],
                         &self.factor[0], &self.log_det[0], &self.flags[0]):
            return False
        for k in range(K):
            mass += self.nu[k]
        old = likelihood(self.structure, K, d, &self.nu[0], &self.scatter[0], &self.now[0], &self.now_log_det[0],
                         &self.room[0], &size)
        new = likelihood(self.structure, K, d, &self.nu[0], &self.scatter[0], &self.factor[0], &self.log_det[0],
                         &self.room[0], &size)
        return not is_loss(old, new, mass)

    cdef void load(self, Prepared next) noexcept nogil:
        MaximumLikelihood.load(self, next)
        self.previous[:] = self.now
        self.previous_log_det[:] = self.now_log_det
        self.now[:] = self.factor
        self.now_log_det[:] = self.log_det
