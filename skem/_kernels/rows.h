/* The micro-kernels of a truncated pass (truncated.pyx) in one instruction set, see every_isa.h for W and T.
 *
 * Every row meets components of its own there, so that features lie in vector lanes and rows do not. Lengths D and M
 * (columns and features) are padded to whole vectors, the padding is zero.
 */

#if W > 1
typedef double T(row_vec) __attribute__((vector_size(W * 8), aligned(8), may_alias));
#else
typedef double T(row_vec);
#endif
#define V T(row_vec)
#define AT(p) (*(V *)(p))
#define CAT(p) (*(const V *)(p))
#define ZERO ((V){0})

/* out[i] = sum of the lanes of a[i], four at a time: their shuffles are shared. */
static ALWAYS_INLINE void T(sum_four)(const V *a, double *out)
{
#if (W == 8 && defined(__AVX512F__)) || (W == 4 && defined(__AVX__))
    __m256d h[4];
    for (int i = 0; i < 4; i++)
#if W == 8
        h[i] = _mm256_add_pd(_mm512_castpd512_pd256((__m512d)a[i]), _mm512_extractf64x4_pd((__m512d)a[i], 1));
#else
        h[i] = (__m256d)a[i];
#endif
    __m256d low = _mm256_hadd_pd(h[0], h[1]), high = _mm256_hadd_pd(h[2], h[3]);
    __m256d crossed = _mm256_permute2f128_pd(low, high, 0x21), straight = _mm256_blend_pd(low, high, 0xc);
    _mm256_storeu_pd(out, _mm256_add_pd(straight, crossed));
#else
    for (int i = 0; i < 4; i++) {
        const double *lanes = (const double *)(a + i);
        double total = 0;
        for (int v = 0; v < W; v++) total += lanes[v];
        out[i] = total;
    }
#endif
}

/* Pairs ahead whose component is fetched. */
#define AHEAD 16

/* s[c] = offset[k] + <w_k, t_n> of the pairs n = rows[c], k = set[c]. */
static void T(score_linear)(const double *t, int M, const double *w, const double *offset, const int32_t *rows,
                            const int32_t *set, int count, double *s)
{
    double sums[4];
    for (int c = 0; c < count; c += 4) {
        const double *p[4], *x[4];
        V a[4];
        if (c + AHEAD < count) prefetch(w + (size_t)set[c + AHEAD] * M, M * sizeof(double));
        for (int i = 0; i < 4; i++) {
            int pair = c + i < count ? c + i : c;
            p[i] = w + (size_t)set[pair] * M, x[i] = t + (size_t)rows[pair] * M;
            a[i] = CAT(p[i]) * CAT(x[i]);
        }
        for (int j = W; j < M; j += W)
            for (int i = 0; i < 4; i++) a[i] += CAT(p[i] + j) * CAT(x[i] + j);
        T(sum_four)(a, sums);
        for (int i = 0; i < 4 && c + i < count; i++) s[c + i] = offset[set[c + i]] + sums[i];
    }
}

/* s[c] = offset[k] - |f_k (x_n - m_k)|^2 / 2, the difference formed first. */
static void T(score_diag)(const double *x, int D, const double *mean, const double *factor, const double *offset,
                          const int32_t *rows, const int32_t *set, int count, double *s)
{
    double sums[4];
    for (int c = 0; c < count; c += 4) {
        V a[4];
        if (c + AHEAD < count) {
            prefetch(mean + (size_t)set[c + AHEAD] * D, D * sizeof(double));
            prefetch(factor + (size_t)set[c + AHEAD] * D, D * sizeof(double));
        }
        for (int i = 0; i < 4; i++) {
            int pair = c + i < count ? c + i : c;
            size_t at = (size_t)set[pair] * D;
            const double *p = x + (size_t)rows[pair] * D;
            a[i] = ZERO;
            for (int j = 0; j < D; j += W) {
                V y = (CAT(p + j) - CAT(mean + at + j)) * CAT(factor + at + j);
                a[i] += y * y;
            }
        }
        T(sum_four)(a, sums);
        for (int i = 0; i < 4 && c + i < count; i++) s[c + i] = offset[set[c + i]] - 0.5 * sums[i];
    }
}

/* The same for lower-triangular factors, stored by columns (d x D, D numbers a column). step is d D, or 0 where the
 * components share one factor. z: scratch (D). */
static void T(score_full)(const double *x, int d, int D, const double *mean, const double *factor, size_t step,
                          const double *offset, const int32_t *rows, const int32_t *set, int count, double *s,
                          double *z)
{
    for (int c = 0; c < count; c++) {
        const double *p = x + (size_t)rows[c] * D, *m = mean + (size_t)set[c] * D, *f = factor + set[c] * step;
        V q = ZERO;
        double total = 0;
        for (int j = 0; j < D; j += W) AT(z + j) = CAT(p + j) - CAT(m + j);
        for (int i = 0; i < D; i += W) {
            int columns = i + W < d ? i + W : d, j = 0;
            V y0 = ZERO, y1 = ZERO;
            for (; j + 1 < columns; j += 2) {
                y0 += CAT(f + (size_t)j * D + i) * z[j];
                y1 += CAT(f + (size_t)(j + 1) * D + i) * z[j + 1];
            }
            if (j < columns) y0 += CAT(f + (size_t)j * D + i) * z[j];
            y0 += y1;
            q += y0 * y0;
        }
        for (int v = 0; v < W; v++) total += ((const double *)&q)[v];
        s[c] = offset[set[c]] - 0.5 * total;
    }
}

/* sums += r_n t_n over `count` rows of one component. */
static void T(add_linear)(const double *t, int M, const double *r, const int32_t *rows, int count, double *sums)
{
    int j = 0;
    for (; j + 4 * W <= M; j += 4 * W) {
        V a[4];
        for (int v = 0; v < 4; v++) a[v] = AT(sums + j + v * W);
        for (int c = 0; c < count; c++) {
            const double *p = t + (size_t)rows[c] * M + j;
            for (int v = 0; v < 4; v++) a[v] += r[c] * CAT(p + v * W);
        }
        for (int v = 0; v < 4; v++) AT(sums + j + v * W) = a[v];
    }
    for (; j < M; j += W) {
        V a = AT(sums + j);
        for (int c = 0; c < count; c++) a += r[c] * CAT(t + (size_t)rows[c] * M + j);
        AT(sums + j) = a;
    }
}

/* sums += r [z, z^2] with z = x_n - m. */
static void T(add_diag)(const double *x, int D, const double *m, const double *r, const int32_t *rows, int count,
                        double *sums)
{
    for (int j = 0; j < D; j += W) {
        V first = AT(sums + j), second = AT(sums + D + j), center = CAT(m + j);
        for (int c = 0; c < count; c++) {
            V z = CAT(x + (size_t)rows[c] * D + j) - center, rz = r[c] * z;
            first += rz;
            second += rz * z;
        }
        AT(sums + j) = first, AT(sums + D + j) = second;
    }
}

/* sums += r [z, z z'], of the product the rows 0 .. d - 1, each as far as its diagonal or a little further. z: scratch
 * (D). */
static void T(add_full)(const double *x, int d, int D, const double *m, const double *r, const int32_t *rows,
                        int count, double *sums, double *z)
{
    for (int c = 0; c < count; c++) {
        const double *p = x + (size_t)rows[c] * D;
        double *to = sums;
        for (int j = 0; j < D; j += W) {
            AT(z + j) = CAT(p + j) - CAT(m + j);
            AT(to + j) += r[c] * CAT(z + j);
        }
        for (int i = 0; i < d; i++) {
            double weighted = r[c] * z[i];
            to += D;
            for (int j = 0; j <= i; j += W) AT(to + j) += weighted * CAT(z + j);
        }
    }
}

/* One row of features; those of "x_pairs" in the order x_i x_j, j <= i. */
static void T(row_features)(int map, const double *x, int d, int m, double *t)
{
    double norm = 0;
    if (map == MAP_ONE_HOT) {
        memset(t, 0, m * sizeof(double));
        for (int j = 0; j < d; j++) t[x[j] > 0 ? (x[j] < m ? (int)x[j] : m - 1) : 0] = 1.0;
        return;
    }
    if (map == MAP_LOG_BOTH) {
        for (int j = 0; j < d; j++) t[j] = log(x[j] > 0 ? x[j] : 0x1p-1074), t[d + j] = log1p(-x[j]);
        return;
    }
    memcpy(t, x, d * sizeof(double));
    t += d;
    if (map == MAP_LOG)
        for (int j = 0; j < d; j++) t[j] = log(x[j] > 0 ? x[j] : 0x1p-1074);
    else if (map == MAP_SQUARES)
        for (int j = 0; j < d; j++) t[j] = x[j] * x[j];
    else if (map == MAP_NORM) {
        for (int j = 0; j < d; j++) norm += x[j] * x[j];
        t[0] = norm;
    } else if (map == MAP_PAIRS)
        for (int i = 0; i < d; i++)
            for (int j = 0; j <= i; j++) *t++ = x[i] * x[j];
}

static const row_set T(rows) = {
    W, T(score_linear), T(score_diag), T(score_full), T(add_linear), T(add_diag), T(add_full), T(row_features),
    {T(scan_linear), T(scan_diag), T(scan_full)}, T(gather), T(bound_of), T(above), T(keep_best),
};

#undef V
#undef AT
#undef CAT
#undef ZERO
#undef AHEAD
