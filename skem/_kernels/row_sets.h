/* The table of the truncated pass's micro-kernels (rows.h), one for each instruction set. */
#ifndef SKEM_ROW_SETS_H
#define SKEM_ROW_SETS_H

#include <math.h>

#include "dispatch.h"

typedef struct {
    int width;
    void (*set_linear)(const double *t, int M, const double *w, const double *offset, const int32_t *set, int count,
                       double *s, int stride);
    void (*set_diag)(const double *x, int D, const double *mean, const double *factor, const double *offset,
                     const int32_t *set, int count, double *s, int stride);
    void (*set_full)(const double *x, int d, int D, const double *mean, const double *factor, size_t step,
                     const double *offset, const int32_t *set, int count, double *s, int stride, double *z);
    void (*add_linear)(const double *t, int M, const double *r, int stride, const int32_t *set, int count,
                       double *sums);
    void (*add_diag)(const double *x, int D, const double *mean, const double *r, int stride, const int32_t *set,
                     int count, double *sums);
    void (*add_full)(const double *x, int d, int D, const double *mean, const double *r, int stride,
                     const int32_t *set, int count, double *sums, double *z);
    void (*row_features)(int map, const double *x, int d, int m, double *t);
    void (*scan)(const float *t, int m, const float *packed, const float *offset, int first, int K, int rows,
                 const int32_t *sets, int count, float *kept, int32_t *found, int32_t *slot, float *bound);
} row_set;

#undef SKEM_TILES
#define SKEM_TILES "rows.h"
#include "every_isa.h"

static const row_set *select_rows(void)
{
#if defined(SKEM_X86_DISPATCH)
    if (simd_level() == 2) return &avx512_rows;
    if (simd_level() == 1) return &avx2_rows;
#endif
    return &plain_rows;
}

#endif
