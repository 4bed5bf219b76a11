"""A pass that is set up once and run as often as its parameters change."""

from libc.stdint cimport int32_t

cimport skem._kernels._tiles as tl
from skem._kernels._job cimport Buffers, Job

# of this processor: the one place that compiles them
cdef const tl.tile_set *tiles


cdef class Prepared:
    cdef Job job
    cdef Buffers buf               # of a pass on one thread, kept from run to run
    cdef bint has_buffers
    cdef int n_threads
    cdef Py_ssize_t slice_chunks
    cdef list keep                 # arrays that the job points into
    cdef list means                # of each collector, (K, d) or None
    cdef list dofs                 # of each collector, (K) or None
    cdef object sums
    cdef double *log_weights

    cdef int set_rows(
        self, const double[::1] log_weights, const double[::1] sample_weight, const double[:, ::1] log_prior,
        const int32_t[::1] codes, const int32_t[::1] labels_in, const double[::1] uniforms,
        const Py_ssize_t[::1] uniform_start, int32_t[::1] labels, double[::1] lse, double[:, ::1] resp,
        double[:, ::1] scores,
    ) except -1
    cdef int run(self) except -1
    cdef void load_linear(
        self,
        const double *weights,      # IN  (K, m) natural parameters of the one scorer
        const double *log_weights,  # IN  (K) with their offsets
    ) noexcept nogil
    cdef void load_centred(
        self,
        const double *mean,         # IN  (K, d)
        const double *factor,       # IN  (K or 1, d, d), or (K, d) diagonals
        const double *log_weights,  # IN  (K)
    ) noexcept nogil
