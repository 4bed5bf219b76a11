"""The likelihood of covariances of which components share parts, and the compiled update that raises it."""

import numpy as np

from skem._kernels.gaussian import CODES as STRUCTURES
from skem._kernels.shapes import CODES

from libc.math cimport fabs, isnan
from libc.string cimport memcpy

from skem._kernels.gaussian cimport DIAG, MaximumLikelihood, constrain_all, each_covariance
from skem._kernels.linalg cimport gram
from skem._kernels.passes cimport Prepared
from skem._kernels.shapes cimport estimate_all, scratch_size

# Loss, per unit of mass and of the value, that is rounding.
cdef double ROUNDING = 1e-12
# Digits, relative to the terms of a sum, that a scatter has lost.
cdef double LOST = 1e-15


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
        One of `skem._kernels.shapes.CODES`.
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
        self.room = np.empty(scratch_size(n_components, self.d))

    def begin(self, theta, second, factor):
        super().begin(theta, second, factor)
        np.asarray(self.now)[:] = theta.factor.reshape(-1)
        np.asarray(self.now_log_det)[:] = theta.offset

    def before(self, theta):
        arrays = dict(theta.to_dict()["arrays"])
        arrays["factor"] = np.array(self.previous).reshape(arrays["factor"].shape)
        arrays["offset"] = np.array(self.previous_log_det)
        return type(theta)(arrays, theta.shared)

    def during(self, theta):
        if isnan(self.now_log_det[0]):
            return None
        arrays = dict(theta.to_dict()["arrays"])
        arrays["factor"] = np.array(self.now).reshape(arrays["factor"].shape)
        arrays["offset"] = np.array(self.now_log_det)
        return type(theta)(arrays, theta.shared)

    cdef size_t memory(self) noexcept nogil:
        return self.now.shape[0] + self.now_log_det.shape[0]

    cdef void leave(self, double *memory) noexcept nogil:
        memcpy(memory, &self.now[0], self.now.shape[0] * sizeof(double))
        memcpy(memory + self.now.shape[0], &self.now_log_det[0], self.now_log_det.shape[0] * sizeof(double))

    cdef void enter(self, const double *memory) noexcept nogil:
        memcpy(&self.now[0], memory, self.now.shape[0] * sizeof(double))
        memcpy(&self.now_log_det[0], memory + self.now.shape[0], self.now_log_det.shape[0] * sizeof(double))

    cdef bint estimate(self) noexcept nogil:
        cdef int k, K = self.K, d = self.d
        cdef double mass = 0.0, size = 0.0, old, new
        cdef bint first = isnan(self.now_log_det[0])
        if not estimate_all(self.model, K, d, &self.nu[0], &self.scatter[0], NULL if first else &self.now[0],
                            &self.now_log_det[0], &self.room[0], &self.covariance[0]):
            return False
        if constrain_all(self.structure, K, d, &self.covariance[0], &self.variance[0], self.floor, &self.scratch[0],
                         &self.factor[0], &self.log_det[0], &self.flags[0]):
            return False
        if first:
            return True
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
