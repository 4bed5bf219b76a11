"""Covariances whose volume, shape or orientation components share: the estimates between two passes.

With Sigma_k = lambda_k D_k A_k D_k', |A_k| = 1, the models of Celeux & Govaert (1995) make lambda, A and D equal (E) or
variable (V) over components, or D the identity (I). Given scatters W_k of masses n_k an estimate maximises

    -1/2 sum_k [n_k log |Sigma_k| + tr(W_k Sigma_k^-1)].

EVI, EVV and EEV have closed forms. VEI, VEE and VEV alternate between the volumes and the common shape, EVE and VVE
between the shapes and the common orientation, which plane rotations improve: with the shapes fixed the best angle
in each plane is known, so that every step is uphill. All start from the covariances before, and a few steps will do.
"""

import numpy as np

from libc.math cimport INFINITY, exp, fabs, log

from skem._kernels.gaussian cimport DIAG, FULL, each_covariance
from skem._kernels.linalg cimport EIGEN_WORK, eigen, factorize, gram
from skem._kernels.orientation cimport common_axes, compose

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
    ROUND_FLOPS = 200_000_000  # of all rounds, which nobody can interrupt

CODES = {"VEI": VEI, "EVI": EVI, "EVV": EVV, "VEE": VEE, "EEV": EEV, "VEV": VEV, "EVE": EVE, "VVE": VVE}

# Gain of a round, per unit of mass, below which the rounds end.
cdef double LEAST_GAIN = 1e-13


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


cdef size_t scratch_size(int K, int d) noexcept nogil:
    """Doubles that `estimate_all` works in."""
    return 2 * <size_t> K * d * d + 4 * <size_t> d * d + 2 * <size_t> K * d + K + 2 * d + (EIGEN_WORK + 1) * d


cdef bint _estimate(
    int model, int K, int d,
    const double *n_k,         # IN  (K), positive
    const double *scatter,     # IN  (K, d, d), or (K, d) where columns are independent
    const double *factor,      # IN  like scatter: precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    double *scratch,           # of `scratch_size`
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
        return common_axes(model == EVE, K, d, n_k, scatter, factor, log_det, n_rounds, scratch, covariance)
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
        compose(d, vectors + k * size, values + <size_t> k * d, covariance + k * size)
    return True


cdef bint estimate_all(
    int model, int K, int d,
    const double *n_k,         # IN  (K), positive
    const double *scatter,     # IN  (K, d, d), or (K, d) where columns are independent
    const double *factor,      # IN  like scatter: precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    double *scratch,           # of `scratch_size`
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
    cdef double[::1] scratch = np.empty(scratch_size(K, d))
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
