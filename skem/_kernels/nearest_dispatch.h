/* The tables of the micro-kernels that find the nearest centre (nearest.h), by instruction set and number type. */
#ifndef SKEM_NEAREST_DISPATCH_H
#define SKEM_NEAREST_DISPATCH_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "intrinsics.h"

/* Centres that are scored together. */
#define TILE 4

/* Columns that are scored between two requests for memory: more requests at once would wait for one another. */
#define STEP 64

/* Vectors of columns in which a cluster's rows are summed together. */
#define SPAN 8

/* Sums that a first-level cache holds, beside rows: more leave it between one row of a cluster and the next. */
#define FEW 4096

/* Takes a bound in float down past its rounding. */
#define BELOW (1.0f - 1.0f / (1 << 20))

/* Asks for memory that is soon to be read. */
#if defined(__GNUC__)
#define FETCH(p) __builtin_prefetch(p)
#else
#define FETCH(p) (void)(p)
#endif

/* Data, origin and scale of `load`, panels and packed centres are of the table's number type, and so are the data of
 * `own` and `sums`; the rest is double. */
typedef struct {
    int rows, itemsize; /* rows of a panel, bytes of a number */
    void (*load)(const void *data, ptrdiff_t row_stride, const void *origin, const void *inv_scale,
                 const int32_t *index, int rows, int d, void *panel);
    void (*load_doubles)(const void *data, ptrdiff_t row_stride, const void *origin, const void *inv_scale,
                         const int32_t *index, int rows, int d, void *panel);
    uint64_t (*nearest)(const void *panel, int d, const void *packed, int K, int64_t keep, double reach, double norm,
                        int rows, int32_t *labels, float *lower, const void *ahead, size_t n_ahead);
    void (*own)(const void *data, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows, int d,
                const double *centers, const int32_t *labels, double *out);
    void (*sums)(const void *data, ptrdiff_t row_stride, const double *origin, int rows, int d, int K,
                 const double *weight, const int32_t *labels, int32_t *order, double *sums, double *mass);
    void (*squares)(const double *panel, int d, const double *centers, int K, double *out);
} nearest_set;

#define SKEM_TILES "nearest.h"
#include "every_isa.h"

static const nearest_set *select_nearest(int is_float)
{
#if defined(SKEM_X86_DISPATCH)
    if (simd_level() == 2) return is_float ? &avx512_float_set : &avx512_double_set;
    if (simd_level() == 1) return is_float ? &avx2_float_set : &avx2_double_set;
#endif
    return is_float ? &plain_float_set : &plain_double_set;
}

#endif
