"""The Gaussian's update, for those that change one part of it."""

from libc.stdint cimport uint8_t

from skem._kernels.ascent cimport Step
from skem._kernels.passes cimport Prepared


cdef enum:
    FULL = 0
    TIED = 1
    DIAG = 2
    EEI = 3
    SPHERICAL = 4
    EII = 5


cdef size_t each_covariance(int structure, int d) noexcept nogil

cdef void moments_of(
    int structure, int K, int d,
    int m,                     # IN  sums a component
    const double *n_k,         # IN  (K)
    const double *features,    # IN  (K, m): [z, z_i z_j for j <= i], [z, z^2] or [z, |z|^2], z = x - about
    const double *about,       # IN  (K, d), or NULL for the origin
    const double *shared,      # IN  (d, d) second moments of all rows, of tied sums of x alone; or NULL
    double *mean,              # OUT (K, d)
    double *nu,                # OUT (K), or (1) where shared
    double *scatter,           # OUT in the structure's shape
) noexcept nogil

cdef int constrain_all(
    int structure, int K, int d,
    const double *covariance,  # IN  in the structure's shape
    const double *variance,    # IN  (d) of the data
    double floor,              # IN  where eigenvalues relative to the variance are held
    double *scratch,           # (d + d * d)
    double *factor,            # OUT precision factors; of a flagged matrix nothing of use
    double *log_det,           # OUT (K), or (1) where shared: log |F|
    uint8_t *flags,            # OUT (K), or (1): an eigenvalue below the floor, or too near to tell
) noexcept nogil


cdef class MaximumLikelihood(Step):
    cdef int structure, K, d
    cdef double floor, reach
    cdef bint linear
    cdef double[::1] mean, nu, scatter, covariance, factor, log_det, weights, constant, scratch, variance
    cdef double[::1] added         # what a regulariser adds to the scatter of each row, or None
    cdef const double *n_k         # (K) masses of the pass that is done
    cdef uint8_t[::1] flags

    cdef bint collect(self, Prepared done) noexcept nogil
    cdef bint estimate(self) noexcept nogil
