"""What a compiled run is made of: a step between two passes, and the judge of its end."""

from skem._kernels.passes cimport Prepared


cdef class Convergence:
    cdef double tol, steep, goal, value, gain, gain_before, gain_first
    cdef Py_ssize_t least, n_updates, n_gains, last
    cdef bint near, started, eased

    cdef bint judge(self, double value) noexcept nogil
    cdef double ratio(self) noexcept nogil
    cdef double left(self) noexcept nogil
    cdef bint is_short(self) noexcept nogil
    cdef bint crawls(self, double behind, double ahead) noexcept nogil


cdef class Change(Convergence):
    cdef double total_weight


cdef bint share_out(
    int K,
    const double *n_k,             # IN  (K)
    double *log_share,             # OUT (K)
) noexcept nogil

cdef double second_term(
    int d,
    const double *factor,          # IN  (d, d), lower triangular
    const double *second,          # IN  (d, d), symmetric
    double *scratch,               # (d)
) noexcept nogil


cdef class Step:
    cdef const double[:, ::1] second   # (d, d) of all rows where a term is shared, or None
    cdef double shared             # what the score of the next pass leaves out: a term that all components share
    cdef double penalty            # what the objective adds to the score of the next pass
    cdef double evidence           # of the sums of the last pass, where an update is a whole posterior

    cdef double expected(
        self,
        Prepared done,             # IN  its sums
    ) noexcept nogil
    cdef bint update(
        self,
        Prepared done,             # IN  its sums
        const double *log_weights,  # IN  (K) of the next pass
    ) noexcept nogil
    cdef void load(
        self,
        Prepared next,             # OUT its parameters, those of the last update
    ) noexcept nogil
    cdef size_t memory(self) noexcept nogil
    cdef void leave(
        self,
        double *memory,            # OUT of that size: what the next update goes on from besides sums
    ) noexcept nogil
    cdef void enter(
        self,
        const double *memory,      # IN  the same
    ) noexcept nogil


cdef class WeightStep:
    cdef double penalty            # what the objective adds to the score of the next pass
    cdef double evidence           # of the masses of the last pass, where an update is a whole posterior

    cdef bint update(
        self,
        int K,
        const double *n_k,         # IN  (K)
        double *log_weights,       # OUT (K)
    ) noexcept nogil
