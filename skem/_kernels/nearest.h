/* The vector micro-kernels that find the nearest centre, in one instruction set (every_isa.h tells W and T), for
 * double and for float: the file includes itself once for each.
 *
 * Rows lie in vector lanes: a panel holds ROWS rows as columns of ROWS numbers, row n of column j at
 * panel[j * ROWS + n]. A centre scores <x, c> - |c|^2 / 2; the best two scores of a row stay in registers, with the
 * index of the centre in the low bits of its score, so that the scores themselves are never stored. What rounding
 * and those bits may have decided is told, and settled with distances from differences (squares).
 */

#ifndef REAL

#define REAL double
#define INTEGER int64_t
#define LOWEST (-DBL_MAX)
#define LANES W
#define N(name) T(double_##name)
#include "nearest.h"
#undef REAL
#undef INTEGER
#undef LOWEST
#undef LANES
#undef N

#define REAL float
#define INTEGER int32_t
#define LOWEST (-FLT_MAX)
#define REAL_IS_FLOAT
#if W > 1
#define LANES (2 * W)
#else
#define LANES 1
#endif
#define N(name) T(float_##name)
#include "nearest.h"
#undef REAL
#undef INTEGER
#undef REAL_IS_FLOAT
#undef LOWEST
#undef LANES
#undef N

#else

#if W > 1
typedef REAL N(vec) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef INTEGER N(ivec) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define V N(vec)
#define IV N(ivec)
#define AT(p) (*(V *)(p))
#define CAT(p) (*(const V *)(p))
#define SPLAT(a) ((a) - (V){0})
#define TAG(a, keep, index) ((V)(((IV)(a) & (keep)) | (index)))
#if defined(__x86_64__)
/* comparing and selecting would be two instructions */
#if W == 8
#define BUILTIN(name) _mm512_##name
#elif W == 4
#define BUILTIN(name) _mm256_##name
#else
#define BUILTIN(name) _mm_##name
#endif
#if defined(REAL_IS_FLOAT)
#define MAX(a, b) ((V)BUILTIN(max_ps)(a, b))
#define MIN(a, b) ((V)BUILTIN(min_ps)(a, b))
#else
#define MAX(a, b) ((V)BUILTIN(max_pd)(a, b))
#define MIN(a, b) ((V)BUILTIN(min_pd)(a, b))
#endif
#else
#define CHOOSE(mask, a, b) ((V)(((IV)(mask) & (IV)(a)) | (~(IV)(mask) & (IV)(b))))
#define MAX(a, b) CHOOSE((a) > (b), a, b)
#define MIN(a, b) CHOOSE((a) < (b), a, b)
#endif
#else
#define V REAL
#define AT(p) (*(p))
#define CAT(p) (*(p))
#define SPLAT(a) (a)
static inline REAL N(tag)(REAL a, INTEGER keep, INTEGER index)
{
    INTEGER bits;
    memcpy(&bits, &a, sizeof a);
    bits = (bits & keep) | index;
    memcpy(&a, &bits, sizeof a);
    return a;
}
#define TAG(a, keep, index) N(tag)(a, keep, index)
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif

#include "panel.h"
#include "widen.h"

static void N(load)(const void *data, ptrdiff_t row_stride, const void *origin, const void *inv_scale,
                    const int32_t *index, int rows, int d, void *panel)
{
    N(load_any)(0, data, row_stride, origin, inv_scale, index, rows, d, panel);
}

static void N(load_doubles)(const void *data, ptrdiff_t row_stride, const void *origin, const void *inv_scale,
                            const int32_t *index, int rows, int d, void *panel)
{
    N(load_any)(1, data, row_stride, origin, inv_scale, index, rows, d, panel);
}

/* ---- the nearest of all centres -------------------------------------------------------------- */

/* Sums of squares of a panel's columns, in two parts that do not wait for one another. */
static ALWAYS_INLINE void N(add_squares)(const REAL *x, int d, V total[2][DEEP])
{
    for (int left = d; left > 0; left -= 2)
        for (int i = 0; i < 2 && i < left; i++, x += ROWS)
            for (int v = 0; v < DEEP; v++) {
                V a = CAT(x + v * LANES);
                total[i][v] += a * a;
            }
}

/* Labels of the rows of a panel. packed: centres in tiles, a tile being TILE times -|c|^2 / 2, then TILE coordinates
 * a column. keep clears the low bits that hold an index. A score is off by at most reach (|x|^2 / 2 + norm), norm the
 * largest |c|^2. lower, or NULL: no centre but the nearest is nearer than this. The n_ahead bytes at `ahead` are
 * fetched, a share with each step, for whoever reads them next. Returns, as bits, the rows that rounding may have
 * decided, overflow among it. */
static uint64_t N(nearest)(const void *panel, int d, const void *packed, int K, int64_t keep, double reach, double norm,
                           int rows, int32_t *labels, float *lower, const void *ahead, size_t n_ahead)
{
    const REAL *x = panel, *w = packed;
    const char *fetched = ahead, *last = fetched + n_ahead;
    size_t share = n_ahead / ((size_t)((d + STEP - 1) / STEP) * ((K + TILE - 1) / TILE)) + 64;
    V best[DEEP], second[DEEP], gap[DEEP], square[DEEP], total[2][DEEP];
    for (int v = 0; v < DEEP; v++) {
        best[v] = second[v] = SPLAT(LOWEST);
        total[0][v] = total[1][v] = SPLAT((REAL)0);
    }
    for (int k = 0; k < K; k += TILE) {
        V a[TILE][DEEP];
        for (int c = 0; c < TILE; c++)
            for (int v = 0; v < DEEP; v++) a[c][v] = SPLAT(w[c]);
        w += TILE;
        for (int j = 0; j < d;) {
            int end = d - j < STEP ? d : j + STEP;
            for (size_t at = 0; at < share && fetched < last; at += 64, fetched += 64) FETCH(fetched);
            for (; j < end; j++, w += TILE) {
                const REAL *p = x + (size_t)j * ROWS;
                V x0 = CAT(p), x1 = CAT(p + LANES), x2 = CAT(p + 2 * LANES);
                for (int c = 0; c < TILE; c++) {
                    a[c][0] += w[c] * x0; a[c][1] += w[c] * x1; a[c][2] += w[c] * x2;
                }
            }
        }
        for (int c = 0; c < TILE; c++)
            for (int v = 0; v < DEEP; v++) {
                V s = TAG(a[c][v], (INTEGER)keep, k + c);
                second[v] = MAX(second[v], MIN(best[v], s));
                best[v] = MAX(best[v], s);
            }
    }
    N(add_squares)(x, d, total);
    for (int v = 0; v < DEEP; v++) {
        V squares = total[0][v] + total[1][v];
        V margin = (squares * (REAL)0.5 + (REAL)norm) * (REAL)reach;
        gap[v] = best[v] - second[v] - margin * (REAL)2;
        square[v] = squares - second[v] * (REAL)2 - margin * (REAL)4;
    }
    const REAL *tops = (const REAL *)best, *gaps = (const REAL *)gap, *farther = (const REAL *)square;
    uint64_t close = 0;
    for (int n = 0; n < rows; n++) {
        INTEGER bits;
        memcpy(&bits, tops + n, sizeof bits);
        labels[n] = (int32_t)(bits & ~(INTEGER)keep);
        close |= (uint64_t) !(gaps[n] > 0) << n;
    }
    if (lower != NULL)
        for (int n = 0; n < rows; n++)
            lower[n] = farther[n] > 0 ? sqrtf(farther[n] < FLT_MAX ? (float)farther[n] : FLT_MAX) * BELOW : 0;
    return close;
}

/* ---- differences formed first, in double ------------------------------------------------------- */

/* Columns j ... of row x in internal coordinates, as W doubles. */
#if W > 1 && !defined(REAL_IS_FLOAT)
typedef REAL N(half) __attribute__((vector_size(W * 8), aligned(8), may_alias));
typedef N(half) N(wide);
#define WIDEN(p) (*(const N(half) *)(p))
#elif W > 1
typedef REAL N(half) __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef double N(wide) __attribute__((vector_size(W * 8), aligned(8), may_alias));
#define WIDEN(p) AS_DOUBLES(W, N(wide), *(const N(half) *)(p))
#else
typedef double N(wide);
#define WIDEN(p) ((double)*(p))
#endif
#define WAT(p) (*(N(wide) *)(p))
#define WCAT(p) (*(const N(wide) *)(p))

static ALWAYS_INLINE double N(lane_sum)(N(wide) q)
{
#if W == 8
    q += __builtin_shufflevector(q, q, 4, 5, 6, 7, 0, 1, 2, 3);
    q += __builtin_shufflevector(q, q, 2, 3, 0, 1, 6, 7, 4, 5);
    q += __builtin_shufflevector(q, q, 1, 0, 3, 2, 5, 4, 7, 6);
    return q[0];
#elif W == 4
    q += __builtin_shufflevector(q, q, 2, 3, 0, 1);
    return q[0] + q[1];
#elif W == 2
    return q[0] + q[1];
#else
    return q;
#endif
}

/* Squared distance of each row to the centre of its label. */
static void N(own)(const void *data, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows,
                   int d, const double *centers, const int32_t *labels, double *out)
{
    const REAL *x = data;
    for (int n = 0; n < rows; n++, x += row_stride) {
        const double *c = centers + (size_t)labels[n] * d;
        N(wide) q = {0};
        int j = 0;
        for (; j + W <= d; j += W) {
            N(wide) a = (WIDEN(x + j) - WCAT(origin + j)) * WCAT(inv_scale + j) - WCAT(c + j);
            q += a * a;
        }
        double total = N(lane_sum)(q);
        for (; j < d; j++) {
            double a = ((double)x[j] - origin[j]) * inv_scale[j] - c[j];
            total += a * a;
        }
        out[n] = total;
    }
}

/* to += weight (x - origin) over a cluster's members, in SPAN vectors of columns. */
static ALWAYS_INLINE void N(add_members)(const REAL *x, ptrdiff_t row_stride, const double *origin,
                                         const int32_t *members, int count, const double *weight, double *to)
{
    N(wide) a[SPAN];
    PRAGMA(GCC unroll 8) for (int v = 0; v < SPAN; v++) a[v] = WCAT(to + v * W);
    for (int i = 0; i < count; i++) {
        const REAL *row = x + members[i] * row_stride;
        double w = weight == NULL ? 1.0 : weight[members[i]];
        PRAGMA(GCC unroll 8) for (int v = 0; v < SPAN; v++) a[v] += (WIDEN(row + v * W) - WCAT(origin + v * W)) * w;
    }
    PRAGMA(GCC unroll 8) for (int v = 0; v < SPAN; v++) WAT(to + v * W) = a[v];
}

/* The first multiple of SPAN vectors of columns, cluster by cluster. `order` takes the rows by label, and then where
 * each label's end. */
static void N(add_wide)(const REAL *x, ptrdiff_t row_stride, const double *origin, int rows, int d, int K,
                        const double *weight, const int32_t *labels, int32_t *order, double *sums)
{
    int32_t *end = order + rows;
    memset(end, 0, (size_t)K * sizeof *end);
    for (int n = 0; n < rows; n++) end[labels[n]]++;
    for (int k = 0, first = 0; k < K; k++) {
        int count = end[k];
        end[k] = first;
        first += count;
    }
    for (int n = 0; n < rows; n++) order[end[labels[n]]++] = n;
    for (int k = 0, first = 0; k < K; first = end[k], k++)
        for (int j = 0; j + SPAN * W <= d && end[k] > first; j += SPAN * W)
            N(add_members)(x + j, row_stride, origin + j, order + first, end[k] - first, weight,
                           sums + (size_t)k * d + j);
}

/* sums[label] += weight (x - origin), mass[label] += weight; weight NULL means 1. order: scratch, rows + K. */
static void N(sums)(const void *data, ptrdiff_t row_stride, const double *origin, int rows, int d, int K,
                    const double *weight, const int32_t *labels, int32_t *order, double *sums, double *mass)
{
    const REAL *x = data;
    int wide = (size_t)K * d > FEW ? d / (SPAN * W) * (SPAN * W) : 0;
    if (wide > 0) N(add_wide)(x, row_stride, origin, rows, d, K, weight, labels, order, sums);
    for (int n = 0; n < rows; n++, x += row_stride) {
        double *to = sums + (size_t)labels[n] * d, w = weight == NULL ? 1.0 : weight[n];
        int j = wide;
        mass[labels[n]] += w;
        for (; j + W <= d; j += W) WAT(to + j) += (WIDEN(x + j) - WCAT(origin + j)) * w;
        for (; j < d; j++) to[j] += ((double)x[j] - origin[j]) * w;
    }
}

#if !defined(REAL_IS_FLOAT)
/* out[k * ROWS + n]: squared distances of a panel's rows to all centres. */
static void N(squares)(const double *panel, int d, const double *centers, int K, double *out)
{
    for (int k = 0; k < K; k++, centers += d, out += ROWS) {
        const double *x = panel;
        V q0 = SPLAT(0.0), q1 = q0, q2 = q0;
        for (int j = 0; j < d; j++, x += ROWS) {
            V a0 = CAT(x) - centers[j], a1 = CAT(x + LANES) - centers[j], a2 = CAT(x + 2 * LANES) - centers[j];
            q0 += a0 * a0; q1 += a1 * a1; q2 += a2 * a2;
        }
        AT(out) = q0; AT(out + LANES) = q1; AT(out + 2 * LANES) = q2;
    }
}
#endif

static const nearest_set N(set) = {
    ROWS, sizeof(REAL), N(load), N(load_doubles), N(nearest), N(own), N(sums), T(double_squares),
};

#undef DEEP
#undef ROWS
#undef V
#undef IV
#undef AT
#undef CAT
#undef SPLAT
#undef TAG
#undef MAX
#undef MIN
#undef BUILTIN
#undef CHOOSE
#undef ACROSS
#undef WIDEN
#undef WAT
#undef WCAT

#endif
