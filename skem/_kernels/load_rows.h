/* Rows of a block to a struct of arrays, included by tiles.h. */

#include "widen.h"

#if W > 1
typedef float T(floats) __attribute__((vector_size(W * 4), aligned(4), may_alias));
#define READ(at) (is_float ? AS_DOUBLES(W, V, *(const T(floats) *)(xf + (at))) : CAT(xd + (at)))
#else
#define READ(at) (is_float ? (double)xf[at] : xd[at])
#endif

/* Rows (row-major, columns adjacent) of doubles or floats to a struct of arrays in internal coordinates, by W x W
 * register transposes; rows beyond `rows` become the origin. */
static ALWAYS_INLINE void T(load_any)(const int is_float, const void *x, ptrdiff_t row_stride, const double *origin,
                                      const double *inv_scale, int rows, int d, int B, double *out)
{
    const float *xf = x;
    const double *xd = x;
    int full_rows = rows / W * W, full_columns = W > 1 ? d / W * W : 0;
    for (int n = 0; n < full_rows; n += W)
        for (int j = 0; j < full_columns; j += W) {
#if W > 1
            V r[W], o = CAT(origin + j), s = CAT(inv_scale + j);
            for (int i = 0; i < W; i++) r[i] = (READ((n + i) * row_stride + j) - o) * s;
            TRANSPOSE(W, V, r)
            for (int i = 0; i < W; i++) AT(out + (size_t)(j + i) * B + n) = r[i];
#endif
        }
    for (int j = 0; j < d; j++) {
        double *to = out + (size_t)j * B;
        for (int n = j < full_columns ? full_rows : 0; n < rows; n++)
            to[n] = ((is_float ? xf[n * row_stride + j] : xd[n * row_stride + j]) - origin[j]) * inv_scale[j];
        for (int n = rows; n < B; n++) to[n] = 0.0;
    }
}

static void T(load)(const double *x, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows,
                    int d, int B, double *out)
{
    T(load_any)(0, x, row_stride, origin, inv_scale, rows, d, B, out);
}

static void T(load_floats)(const float *x, ptrdiff_t row_stride, const double *origin, const double *inv_scale,
                           int rows, int d, int B, double *out)
{
    T(load_any)(1, x, row_stride, origin, inv_scale, rows, d, B, out);
}
