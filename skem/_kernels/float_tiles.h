/* Linear and centred scores of float rows, and their sums, in float; included by tiles.h.
 *
 * Products are summed in float over at most so many columns or rows as a block has, and what they come to in double.
 */

#include "undefine_reals.h"
#define REAL float
#define REAL_IS_FLOAT
#if W > 1
#define LANES (2 * W)
typedef float T(float_vec) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef double T(wide_vec) __attribute__((vector_size(LANES * 8), aligned(8), may_alias));
#define WIDEN(a) __builtin_convertvector(a, T(wide_vec))
#define NARROW(a) __builtin_convertvector(a, F)
#else
#define LANES 1
typedef float T(float_vec);
typedef double T(wide_vec);
#define WIDEN(a) ((double)(a))
#define NARROW(a) ((float)(a))
#endif
#define F T(float_vec)
#define FCAT(p) (*(const F *)(p))
#define WAT(p) (*(T(wide_vec) *)(p))
#define N(name) T(float_##name)
#include "panel.h"
#define VEC F
#define DEPTH DEEP
#define PANEL (LANES > 8 ? LANES : 8)
#define READ_VEC(p) FCAT(p)
#define VEC_AT(p) (*(F *)(p))
#define ADD_UP(p, a) (WAT(p) += WIDEN(a))
#include "triangles.h"
#include "wide_sums.h"

/* Weights below this add nothing to any sum, and some are subnormal floats, which take a hundred times as long; products
 * of those above with columns are normal numbers. */
#define NO_SHARE 1e-25
#define SHARE(r) ((r) < NO_SHARE ? 0 : (float)(r))
/* Columns whose part of a panel stays in the first-level cache, and whose products are summed in float. */
#define STRIP 128

static void T(load_panel)(const float *x, ptrdiff_t row_stride, const float *origin, const float *inv_scale, int rows,
                          int d, float *panel)
{
    N(load_any)(0, x, row_stride, origin, inv_scale, NULL, rows, d, panel);
}

/* S[k] = start[k] + sum_i weights[k, i] X[i] for the rows of a panel; weights packed as (K / 4, m, 4), B between the
 * rows of S. */
static void T(panel_scores)(const float *panel, int m, const float *packed, int K, const double *start, double *S,
                            int B)
{
    for (int i = 0; i < m; i += STRIP) {
        int last = i + STRIP < m ? i + STRIP : m;
        for (int k = 0; k < K; k += 4) {
            const float *w = packed + (size_t)k * m + 4 * i, *x = panel + (size_t)i * ROWS;
            double *s = S + (size_t)k * B;
            F a[4][DEEP];
            UNROLL for (int c = 0; c < 4; c++)
                UNROLL for (int v = 0; v < DEEP; v++) a[c][v] = (F){0};
            for (int j = i; j < last; j++, w += 4, x += ROWS)
                UNROLL for (int c = 0; c < 4; c++)
                    UNROLL for (int v = 0; v < DEEP; v++) a[c][v] += w[c] * FCAT(x + v * LANES);
            UNROLL for (int c = 0; c < 4; c++)
                UNROLL for (int v = 0; v < DEEP; v++) {
                    double *to = s + (size_t)c * B + v * LANES;
                    WAT(to) = i ? WIDEN(a[c][v]) + WAT(to) : WIDEN(a[c][v]) + start[k + c];
                }
        }
    }
}

/* Rows that weigh more than `least` in any of four components, and their four weights as floats; their number. */
static int T(heavy_rows)(const double *R, int B, int rows, const double *least, int *members, float *weights)
{
    int count = 0;
    for (int n = 0; n < rows; n++) {
        double r0 = R[n], r1 = R[B + n], r2 = R[2 * B + n], r3 = R[3 * B + n];
        float *w = weights + 4 * count;
        members[count] = n;
        w[0] = SHARE(r0), w[1] = SHARE(r1), w[2] = SHARE(r2), w[3] = SHARE(r3);
        count += (r0 > least[0]) | (r1 > least[1]) | (r2 > least[2]) | (r3 > least[3]);
    }
    return count;
}

/* table (4, D) += sum over `count` members n of weights[n, c] z[n] in the columns of so many vectors, of which the first
 * `skipped` columns are left out; z has `step` numbers a row. */
static ALWAYS_INLINE void T(heavy_tile)(const int vectors, const float *z, ptrdiff_t step, const int *members, int count,
                                        const float *weights, int skipped, double *table, int D)
{
    F a[4][DEEP];
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) a[c][v] = (F){0};
    for (int i = 0; i < count; i++, weights += 4) {
        const float *p = z + members[i] * step;
        UNROLL for (int c = 0; c < 4; c++)
            EACH(v) a[c][v] += weights[c] * FCAT(p + v * LANES);
    }
    if (skipped) {
        for (int c = 0; c < 4; c++) {
            float lanes[LANES];
            *(F *)lanes = a[c][0];
            for (int v = skipped; v < LANES; v++) table[(size_t)c * D + v] += lanes[v];
        }
        return;
    }
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) WAT(table + (size_t)c * D + v * LANES) += WIDEN(a[c][v]);
}

/* Some columns of rows x - origin (as they are where it is NULL), one row after the other. */
static ALWAYS_INLINE void T(copy_strip)(const int vectors, const float *x, ptrdiff_t row_stride, const float *origin,
                                        int rows, float *z)
{
    for (int n = 0; n < rows; n++, x += row_stride, z += vectors * LANES)
        EACH(v) {
            F a = FCAT(x + v * LANES);
            if (origin) a -= FCAT(origin + v * LANES);
            *(F *)(z + v * LANES) = a;
        }
}

/* The same for all components (K / 4 lists of up to `room` members and weights), rows first copied to z (rows, ROWS):
 * where they lie, those a power of two apart would push one another out of the first-level cache. */
static ALWAYS_INLINE void T(heavy_strip)(const int vectors, const float *x, ptrdiff_t row_stride, const float *origin,
                                         int rows, int K, const int *members, const int *count, const float *weights,
                                         int room, int skipped, double *table, int D, float *z)
{
    if (origin) T(copy_strip)(vectors, x, row_stride, origin, rows, z);
    else T(copy_strip)(vectors, x, row_stride, NULL, rows, z);
    for (int k = 0; k < K; k += 4, members += room, weights += 4 * room)
        T(heavy_tile)(vectors, z, vectors * LANES, members, count[k / 4], weights, skipped, table + (size_t)k * D, D);
}

/* table (K, D) += sums of weights (x - origin) over the rows that T(heavy_rows) lists for each four components; of d
 * columns, no fewer than a vector holds. origin NULL is zero; z: scratch (rows, ROWS). */
static void T(heavy_sums)(const float *x, ptrdiff_t row_stride, const float *origin, int d, int rows, int K,
                          const int *members, const int *count, const float *weights, int room, double *table, int D,
                          float *z)
{
#define STRIP_OF(vectors, skipped)                                                                                    \
    T(heavy_strip)(vectors, x + j, row_stride, origin ? origin + j : NULL, rows, K, members, count, weights, room,    \
                   skipped, table + j, D, z)
    int j = 0;
    for (; j + DEEP * LANES <= d; j += DEEP * LANES) STRIP_OF(DEEP, 0);
    for (; j + 2 * LANES <= d; j += 2 * LANES) STRIP_OF(2, 0);
    for (; j + LANES <= d; j += LANES) STRIP_OF(1, 0);
    if (j < d) {
        int skipped = j - (d - LANES);
        j = d - LANES;
        STRIP_OF(1, skipped);
    }
#undef STRIP_OF
}

/* S[k] = start[k] - |F_k (x - m_k)|^2 / 2 for the rows of B / ROWS panels, in float but for the last difference; as
 * T(full_scores). A component's triangle stays near while all panels meet it. z: scratch (d, ROWS). */
static void T(centred_scores)(const float *panels, int d, const float *mean, const float *packed, size_t stride, int K,
                              const double *start, double *S, int B, float *z)
{
    for (int k = 0; k < K; k++, S += B) {
        for (int n = 0; n < B; n++) S[n] = start[k];
        for (int n = 0; n < B; n += ROWS)
            N(full_tile)(DEEP, panels + (size_t)n * d, ROWS, d, mean + (size_t)k * d, packed + k * stride, S + n, z);
    }
}

/* Features [x, x_i x_j for j <= i] of a panel, in float. */
static void T(panel_pairs)(const float *panel, int d, float *features)
{
    memcpy(features, panel, sizeof(float) * d * ROWS);
    features += (size_t)d * ROWS;
    for (int i = 0; i < d; i++)
        for (int j = 0; j <= i; j++, features += ROWS)
            UNROLL for (int v = 0; v < ROWS; v += LANES)
                VEC_AT(features + v) = FCAT(panel + (size_t)i * ROWS + v) * FCAT(panel + (size_t)j * ROWS + v);
}

/* Rows X (d, B) to a panel. */
static ALWAYS_INLINE void T(narrow_panel)(const double *X, int d, int B, float *panel)
{
    for (int j = 0; j < d; j++, X += B, panel += ROWS)
        UNROLL for (int v = 0; v < ROWS; v += LANES) VEC_AT(panel + v) = NARROW(*(const T(wide_vec) *)(X + v));
}

/* Scores in float of rows X (d, B), B / ROWS panels of them, that are linear in the features of T(panel_pairs). scratch:
 * (d + m, ROWS). */
static void T(pairs_in_float)(const double *X, int d, const float *packed, int K, const double *start, double *S, int B,
                              float *scratch)
{
    int m = d + d * (d + 1) / 2;
    float *panel = scratch + (size_t)m * ROWS;
    for (int b = 0; b < B; b += ROWS) {
        T(narrow_panel)(X + b, d, B, panel);
        T(panel_pairs)(panel, d, scratch);
        T(panel_scores)(scratch, m, packed, K, start, S + b, B);
    }
}

/* The same as T(centred_scores) has them. scratch: (d, B + ROWS). */
static void T(centred_in_float)(const double *X, int d, const float *mean, const float *packed, size_t stride, int K,
                                const double *start, double *S, int B, float *scratch)
{
    for (int b = 0; b < B; b += ROWS) T(narrow_panel)(X + b, d, B, scratch + (size_t)b * d);
    T(centred_scores)(scratch, d, mean, packed, stride, K, start, S, B, scratch + (size_t)B * d);
}

/* The best of scores S in float, as T(best_score) gives it, and those of the first `rows` rows X (d, B) in which rounding
 * may have chosen it; their number. Two scores of a row of squared length q err by less than slope q + base against one
 * another, and nothing overflows where q is below `most`. */
static int T(doubtful_rows)(const double *X, int d, const double *S, int K, double slope, double base, double most, int B,
                            int rows, double *best, double *index, int *doubtful)
{
    int count = 0;
    for (int b = 0; b < B; b += W) {
        V top = CAT(S + b), second = ZERO - 1e300, at = ZERO, square = ZERO;
        for (int k = 1; k < K; k++) {
            V s = CAT(S + (size_t)k * B + b);
            second = MAX(SELECT(s > top, top, s), second);
            at = SELECT(s > top, ZERO + (double)k, at);
            top = SELECT(s > top, s, top);
        }
        for (int j = 0; j < d; j++) square += CAT(X + (size_t)j * B + b) * CAT(X + (size_t)j * B + b);
        V told = SELECT((top - second > slope * square + base) & (square < most), ZERO + 1.0, ZERO);
        AT(best + b) = top; AT(index + b) = at;
        for (int n = b; n < b + W && n < rows; n++)
            if (((const double *)&told)[n - b] == 0) doubtful[count++] = n;
    }
    return count;
}

/* The lanes of a, two and two, in double. */
static ALWAYS_INLINE V T(halves)(F a)
{
#if W > 1
    T(floats) half[2];
    memcpy(half, &a, sizeof(half));
    return AS_DOUBLES(W, V, half[0]) + AS_DOUBLES(W, V, half[1]);
#else
    return a;
#endif
}

/* As T(linear_sums), of B / ROWS panels of M features, in float but for the table; of M features the last tile may be
 * narrower. R of double is rounded to floats first: scratch (K, B). */
static ALWAYS_INLINE void T(panel_tile)(const int features, const float *f, size_t panel, const float *r, double *t, int B)
{
    F a[4][DEEP];
    UNROLL for (int c = 0; c < 4; c++)
        UNROLL for (int i = 0; i < features; i++) a[c][i] = (F){0};
    for (int b = 0; b < B; b += ROWS, f += panel)
        for (int v = 0; v < ROWS; v += LANES)
            UNROLL for (int c = 0; c < 4; c++)
                UNROLL for (int i = 0; i < features; i++)
                    a[c][i] += FCAT(r + c * B + b + v) * FCAT(f + i * ROWS + v);
    UNROLL for (int c = 0; c < 4; c++)
        UNROLL for (int i = 0; i < features; i++) AT(t + (4 * i + c) * W) += T(halves)(a[c][i]);
}

static void T(panel_sums)(const float *panels, int m, int M, const double *R, int K, double *table, int B, float *scratch)
{
    for (size_t i = 0; i < (size_t)K * B; i += W) {
        V r = WHERE(CAT(R + i) >= NO_SHARE, CAT(R + i));
#if W > 1
        *(T(floats) *)(scratch + i) = __builtin_convertvector(r, T(floats));
#else
        scratch[i] = (float)r;
#endif
    }
    for (int k = 0; k < K; k += 4, scratch += 4 * B) {
        double *t = table + (size_t)k * M * W;
        int i = 0;
        for (; i + DEEP <= m; i += DEEP)
            T(panel_tile)(DEEP, panels + (size_t)i * ROWS, (size_t)m * ROWS, scratch, t + 4 * i * W, B);
        for (; i < m; i++) T(panel_tile)(1, panels + (size_t)i * ROWS, (size_t)m * ROWS, scratch, t + 4 * i * W, B);
    }
}

/* Rows in internal coordinates as T(float_wide_sums) reads them; columns that fill the last PANEL are zero. */
static void T(load_wide)(const float *x, ptrdiff_t row_stride, const float *origin, const float *inv_scale, int rows,
                         int d, float *out)
{
    for (int j = 0; j < d; j += PANEL) {
        int columns = d - j < PANEL ? d - j : PANEL;
        for (int n = 0; n < rows; n++, out += PANEL) {
            const float *from = x + n * row_stride + j;
            if (columns == PANEL)
                UNROLL for (int v = 0; v < PANEL; v += LANES)
                    VEC_AT(out + v) = (FCAT(from + v) - FCAT(origin + j + v)) * FCAT(inv_scale + j + v);
            else
                for (int c = 0; c < PANEL; c++)
                    out[c] = c < columns ? (from[c] - origin[j + c]) * inv_scale[j + c] : 0;
        }
    }
}

enum { T(panel_rows) = ROWS, T(panel_columns) = PANEL };

#undef REAL_IS_FLOAT
#undef WIDEN
#undef NARROW
#undef F
#undef FCAT
#undef WAT
#undef DEEP
#undef ROWS
#undef ACROSS
#undef STRIP
#undef NO_SHARE
#undef SHARE
#include "undefine_reals.h"
