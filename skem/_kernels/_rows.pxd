"""Declarations of the micro-kernels of a truncated pass (row_sets.h, rows.h)."""

from libc.stdint cimport int32_t

cdef extern from "row_sets.h" nogil:
    ctypedef struct row_set:
        int width
        void (*set_linear)(const double *t, int M, const double *w, const double *offset, const int32_t *set,
                           int count, double *s, int stride) noexcept nogil
        void (*set_diag)(const double *x, int D, const double *mean, const double *factor, const double *offset,
                         const int32_t *set, int count, double *s, int stride) noexcept nogil
        void (*set_full)(const double *x, int d, int D, const double *mean, const double *factor, size_t step,
                         const double *offset, const int32_t *set, int count, double *s, int stride,
                         double *z) noexcept nogil
        void (*add_linear)(const double *t, int M, const double *r, int stride, const int32_t *set, int count,
                           double *sums) noexcept nogil
        void (*add_diag)(const double *x, int D, const double *mean, const double *r, int stride, const int32_t *set,
                         int count, double *sums) noexcept nogil
        void (*add_full)(const double *x, int d, int D, const double *mean, const double *r, int stride,
                         const int32_t *set, int count, double *sums, double *z) noexcept nogil
        void (*row_features)(int map, const double *x, int d, int m, double *t) noexcept nogil
        void (*scan)(const float *t, int m, const float *packed, const float *offset, int first, int K, int rows,
                     const int32_t *sets, int count, float *kept, int32_t *found, int32_t *slot,
                     float *bound) noexcept nogil

    const row_set *select_rows()
