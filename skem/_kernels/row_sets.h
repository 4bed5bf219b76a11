/* The table of the truncated pass's micro-kernels (rows.h, scans.h), one for each instruction set. */
#ifndef SKEM_ROW_SETS_H
#define SKEM_ROW_SETS_H

#include <math.h>

#include "tile_set.h"

/* Ask for memory that is soon to be read. */
static inline void prefetch(const void *p, size_t bytes)
{
#if defined(__GNUC__)
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch((const char *)p + at);
    __builtin_prefetch((const char *)p + bytes - 1);
#endif
}

typedef struct {
    int width;
    void (*score_linear)(const double *t, int M, const double *w, const double *offset, const int32_t *rows,
                         const int32_t *set, int count, double *s);
    void (*score_diag)(const double *x, int D, const double *mean, const double *factor, const double *offset,
                       const int32_t *rows, const int32_t *set, int count, double *s);
    void (*score_full)(const double *x, int d, int D, const double *mean, const double *factor, size_t step,
                       const double *offset, const int32_t *rows, const int32_t *set, int count, double *s, double *z);
    void (*add_linear)(const double *t, int M, const double *r, const int32_t *rows, int count, double *sums);
    void (*add_diag)(const double *x, int D, const double *m, const double *r, const int32_t *rows, int count,
                     double *sums);
    void (*add_full)(const double *x, int d, int D, const double *m, const double *r, const int32_t *rows, int count,
                     double *sums, double *z);
    void (*row_features)(int map, const double *x, int d, int m, double *t);
    void (*scans[3])(const float *t, int m, int size, const float *packed, const float *offset, int tiles, float *out,
                     int stride);
    void (*gather)(const float *numbers, int size, const int32_t *set, float *packed);
    float (*bound_of)(const float *s, int count, int wanted, float *best);
    int (*above)(const float *s, int count, float bound, int32_t *places);
    void (*keep_best)(double *kept, int32_t *members, int count, const double *s, const int32_t *set, int n);
} row_set;

#undef SKEM_TILES
#define SKEM_TILES "scans.h"
#include "every_isa.h"
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
