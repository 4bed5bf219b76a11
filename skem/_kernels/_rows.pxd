"""Declarations of the micro-kernels of a truncated pass (row_sets.h, rows.h, scans.h)."""

from libc.stdint cimport int32_t

cdef extern from "row_sets.h" nogil:
    void prefetch(const void *p, size_t bytes) noexcept nogil

    ctypedef struct row_set:
        int width
        void (*score_linear)(const double *t, int M, const double *w, const double *offset, const int32_t *rows,
                             const int32_t *set, int count, double *s) noexcept nogil
        void (*score_diag)(const double *x, int D, const double *mean, const double *factor, const double *offset,
                           const int32_t *rows, const int32_t *set, int count, double *s) noexcept nogil
        void (*score_full)(const double *x, int d, int D, const double *mean, const double *factor, size_t step,
                           const double *offset, const int32_t *rows, const int32_t *set, int count, double *s,
                           double *z) noexcept nogil
        void (*add_linear)(const double *t, int M, const double *r, const int32_t *rows, int count,
                           double *sums) noexcept nogil
        void (*add_diag)(const double *x, int D, const double *m, const double *r, const int32_t *rows, int count,
                         double *sums) noexcept nogil
        void (*add_full)(const double *x, int d, int D, const double *m, const double *r, const int32_t *rows,
                         int count, double *sums, double *z) noexcept nogil
        void (*row_features)(int map, const double *x, int d, int m, double *t) noexcept nogil
        void (*scans[3])(const float *t, int m, int size, const float *packed, const float *offset, int tiles,
                         float *out, int stride) noexcept nogil
        void (*gather)(const float *numbers, int size, const int32_t *set, float *packed) noexcept nogil
        float (*bound_of)(const float *s, int count, int wanted, float *best) noexcept nogil
        int (*above)(const float *s, int count, float bound, int32_t *places) noexcept nogil
        void (*keep_best)(double *kept, int32_t *members, int count, const double *s, const int32_t *set,
                          int n) noexcept nogil

    const row_set *select_rows()
