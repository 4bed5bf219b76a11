/* Rows of a block to a struct of arrays, included by tiles.h. */

#if W == 8
#define LOW1(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define HIGH1(a, b) __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define LOW2(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW4(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH4(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#elif W == 4
#define LOW1(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define HIGH1(a, b) __builtin_shufflevector(a, b, 1, 5, 3, 7)
#define LOW2(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define HIGH2(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#elif W == 2
#define LOW1(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HIGH1(a, b) __builtin_shufflevector(a, b, 1, 3)
#endif

/* W vectors of W lanes, rows for columns. */
static ALWAYS_INLINE void T(transpose)(V *r)
{
#define EXCHANGE(step, low, high)                                                                                     \
    UNROLL for (int i = 0; i < W; i++)                                                                                \
        if (!(i & step)) {                                                                                            \
            V a = low(r[i], r[i + step]);                                                                             \
            r[i + step] = high(r[i], r[i + step]);                                                                    \
            r[i] = a;                                                                                                 \
        }
#if W > 1
    EXCHANGE(1, LOW1, HIGH1)
#endif
#if W >= 4
    EXCHANGE(2, LOW2, HIGH2)
#endif
#if W == 8
    EXCHANGE(4, LOW4, HIGH4)
#endif
#undef EXCHANGE
}

#if W > 1
typedef float T(floats) __attribute__((vector_size(W * 4), aligned(4), may_alias));
#define READ(at) (is_float ? __builtin_convertvector(*(const T(floats) *)(xf + (at)), V) : CAT(xd + (at)))
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
            T(transpose)(r);
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
