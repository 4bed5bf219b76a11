"""The driver of the collapsed pass, and what the kinds of families bring (moves.pyx)."""

from libc.stdint cimport int32_t, uint8_t

from skem._kernels._panels cimport Matrix, Row

cdef enum:
    N_SLOTS = 8                # weights whose terms are kept


cdef class Moves:
    cdef readonly Py_ssize_t n_components, n_features, n_repairs
    cdef readonly str kind
    cdef bint _takes_sparse          # whether rows may come by their columns
    cdef Py_ssize_t _n_panels
    cdef double[::1] _n_k
    cdef double[::1] _alpha
    cdef double[::1] _slot_weight    # (N_SLOTS,), 0 for an unused slot
    cdef uint8_t[:, ::1] _fresh      # (N_SLOTS, padded K)
    cdef double[:, ::1] _label       # (N_SLOTS, padded K) the part of the score that is the label's
    cdef double[:, ::1] _term        # (N_SLOTS, padded K) the part of the rest that the row has no say in
    cdef Py_ssize_t[::1] _n_rows     # (K,) rows of positive weight, within a sweep
    cdef double[::1] _score          # scratch, padded K
    cdef double[::1] _growth         # scratch, padded K

    cdef int _set_up(self, str kind, Py_ssize_t K, Py_ssize_t d, n_k, alpha) except -1
    cdef Py_ssize_t _prepare(self, double w) noexcept nogil
    cdef void _score_labels(self, Row *row, double w, Py_ssize_t own) noexcept nogil
    cdef void _forget_terms(self, Py_ssize_t k) noexcept nogil
    cdef double _less(self, double total, double part) noexcept nogil
    cdef void _give_or_take(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil
    cdef Py_ssize_t _sweep_rows(
        self, const Matrix *X, const double[::1] w, int32_t[::1] labels, const Py_ssize_t[::1] order,
        Py_ssize_t start, Py_ssize_t stop, bint refill, const double[::1] opening, const int32_t[::1] targets,
        double[::1] lead, double *gain,
    ) noexcept nogil

    # what a kind brings
    cdef Py_ssize_t _work_of_row(self)
    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil
    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil
    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil
