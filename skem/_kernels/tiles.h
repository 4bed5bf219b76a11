/* The vector micro-kernels of a pass in one instruction set, see every_isa.h for W and T.
 *
 * A block holds B rows (a multiple of 4 W) as a struct of arrays: row n of column j stands at X[j * B + n],
 * so that rows lie in vector lanes. S and R are (components x B) in the same way. Every function is pure
 * arithmetic: no allocation, no Python, no branch on data but where said.
 */

#if W > 1
typedef double T(vec) __attribute__((vector_size(W * 8), aligned(8), may_alias));
typedef int64_t T(ivec) __attribute__((vector_size(W * 8), aligned(8), may_alias));
#define SELECT(mask, a, b) ((V)(((IV)(mask) & (IV)(a)) | (~(IV)(mask) & (IV)(b))))
#define WHERE(mask, a) ((V)((IV)(mask) & (IV)(a)))
#define AS_BITS(a) ((IV)(a))
#define AS_VALUE(a) ((V)(a))
#else
typedef double T(vec);
typedef int64_t T(ivec);
#define SELECT(mask, a, b) ((mask) ? (a) : (b))
#define WHERE(mask, a) ((mask) ? (a) : 0.0)
static inline int64_t T(as_bits)(double a) { int64_t i; memcpy(&i, &a, 8); return i; }
static inline double T(as_value)(int64_t i) { double a; memcpy(&a, &i, 8); return a; }
#define AS_BITS(a) T(as_bits)(a)
#define AS_VALUE(a) T(as_value)(a)
#endif
#if W == 8 && defined(__AVX512F__)
#define MAX(a, b) ((V)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#elif W == 4 && defined(__AVX__)
#define MAX(a, b) ((V)_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#else
#define MAX(a, b) SELECT((a) > (b), a, b)
#endif
#define V T(vec)
#define IV T(ivec)
#define AT(p) (*(V *)(p))
#define CAT(p) (*(const V *)(p))
#define ZERO ((V){0})
/* Tiles of four numbers by NV vectors: twelve sums keep the multipliers of AVX2 busy, and with 16 registers more would
 * spill; without fused products they would, too. Where `left` vectors do not fill whole tiles, the last ones take two
 * vectors: left is even. */
#define NV (W == 8 ? 4 : W == 4 ? 3 : 2)
#define VECTORS(left) ((left) >= NV && (left) != NV + 1 ? NV : 2)
#define UNROLL PRAGMA(GCC unroll 16)
#define EACH(v) UNROLL for (int v = 0; v < vectors; v++)
/* Vectors in step where each waits for itself. */
#define STEP 4
#define EACH_STEP(v) UNROLL for (int v = 0; v < STEP; v++)

/* a = exp(a) for a <= 0, STEP vectors in step (a chain of multiplications alone would wait for itself); at most 1.5 ulp
 * off. With n the nearest integer to a / ln2 it is 2^n times a minimax polynomial of degree 11; where a register holds a
 * table of 2^(j/8), n counts eighths and degree 7 does, either 4e-18 off. Below -708 the result is 0: no subnormals,
 * which would be slow and carry nothing; what is computed there on the way is masked out. */
static ALWAYS_INLINE void T(exp)(V *a)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer, kept in the low bits */
    V n[STEP], r[STEP], p[STEP];
#if W == 8 && defined(__AVX512F__)
    static const double coefficients[] = {
        0.0013889782552146295, 0.008333333355642484, 0.041666666569533224, 0.16666666666664826, 0.50000000000003, 1.0,
    };
    const V table = {1.0, 1.0905077326652577, 1.189207115002721, 1.2968395546510096,
                     1.4142135623730951, 1.5422108254079407, 1.681792830507429, 1.8340080864093424};
    EACH_STEP(v) n[v] = a[v] * (8 * 1.4426950408889634074) + magic;
    EACH_STEP(v) r[v] = a[v] - (n[v] - magic) * (6.93147180369123816490e-01 / 8);
    EACH_STEP(v) r[v] = r[v] - (n[v] - magic) * (1.90821492927058770002e-10 / 8);
    EACH_STEP(v) p[v] = ZERO + 0.00019841086765091292;
    UNROLL for (int i = 0; i < 6; i++) EACH_STEP(v) p[v] = p[v] * r[v] + coefficients[i];
    EACH_STEP(v) p[v] = p[v] * r[v];
    EACH_STEP(v) {
        /* the lowest three bits choose the root, those above belong into the exponent */
        V root = (V)_mm512_permutexvar_pd((__m512i)n[v], (__m512d)table);
        p[v] = p[v] * root + root;
        n[v] = AS_VALUE((AS_BITS(n[v]) << 49) & (int64_t)0xfff0000000000000);
        a[v] = WHERE(a[v] >= -708.0, AS_VALUE(AS_BITS(p[v]) + AS_BITS(n[v])));
    }
#else
    static const double coefficients[] = {
        2.7630262295233136e-07, 2.7557585848612797e-06, 2.4801493056989953e-05, 0.00019841269507067088,
        0.0013888888943673922,  0.008333333333494303,   0.041666666666529975,   0.16666666666666413,
        0.5000000000000011,     1.0,                    1.0,
    };
    EACH_STEP(v) n[v] = a[v] * 1.4426950408889634074 + magic;
    EACH_STEP(v) r[v] = a[v] - (n[v] - magic) * 6.93147180369123816490e-01;
    EACH_STEP(v) r[v] = r[v] - (n[v] - magic) * 1.90821492927058770002e-10;
    EACH_STEP(v) p[v] = ZERO + 2.500024795333959e-08;
    UNROLL for (int i = 0; i < 11; i++) EACH_STEP(v) p[v] = p[v] * r[v] + coefficients[i];
    EACH_STEP(v) a[v] = WHERE(a[v] >= -708.0, AS_VALUE(AS_BITS(p[v]) + (AS_BITS(n[v]) << 52)));
#endif
}

/* log(x) for normal x > 0 (a sum of exponentials whose largest term is 1, say): exponent and mantissa, then
 * 2 atanh((m - 1) / (m + 1)) as a series in its square; at most 2 ulp off. */
static ALWAYS_INLINE V T(log)(V x)
{
    IV bits = AS_BITS(x);
    IV exponent = (bits >> 52) - 1023;
    V m = AS_VALUE((bits & 0xfffffffffffffLL) | 0x3ff0000000000000LL);
    IV large = (IV)(m > 1.4142135623730951);
#if W == 1
    large = -large;
#endif
    m = SELECT(large, m * 0.5, m);
    exponent = exponent - large;
    /* small integers to double without a conversion instruction that older sets lack */
    V e = AS_VALUE(exponent + AS_BITS(ZERO + 6755399441055744.0)) - 6755399441055744.0;
    V t = (m - 1.0) / (m + 1.0);
    V s = t * t;
    V p = s * (2.0 / 23) + 2.0 / 21;
    p = p * s + 2.0 / 19;
    p = p * s + 2.0 / 17;
    p = p * s + 2.0 / 15;
    p = p * s + 2.0 / 13;
    p = p * s + 2.0 / 11;
    p = p * s + 2.0 / 9;
    p = p * s + 2.0 / 7;
    p = p * s + 2.0 / 5;
    p = p * s + 2.0 / 3;
    p = p * s * t + 2.0 * t;
    return e * 1.90821492927058770002e-10 + p + e * 6.93147180369123816490e-01;
}

/* log(x) for x >= 0: subnormal numbers are made normal first, and 0 counts as a number below them all. */
static ALWAYS_INLINE V T(log_any)(V x)
{
    V small = SELECT(x < 0x1p-1022, ZERO + 1.0, ZERO);
    return T(log)(SELECT(small > 0.0, x * 0x1p54, x)) - small * 37.42994775023704814;
}

static ALWAYS_INLINE double T(lane_sum)(const double *p)
{
    double total = 0;
    for (int v = 0; v < W; v++) total += p[v];
    return total;
}

/* ---- loading ------------------------------------------------------------------------------- */

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

/* ---- scores: S[k] += ... ------------------------------------------------------------------- */

/* One tile of the scores of four components. */
static ALWAYS_INLINE void T(score_tile)(const int vectors, const double *f, int m, const double *w, const double *start,
                                        double *s, int B)
{
    V a[4][NV];
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) {
            if (start) a[c][v] = ZERO + start[c];
            else a[c][v] = AT(s + c * B + v * W);
        }
    for (int i = 0; i < m; i++, f += B, w += 4)
        UNROLL for (int c = 0; c < 4; c++)
            EACH(v) a[c][v] += w[c] * CAT(f + v * W);
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) AT(s + c * B + v * W) = a[c][v];
}

/* S[k] = (start[k], or S[k] where start is NULL) + sum_i weights[k, i] F[i]; weights packed as (K / 4, m, 4), F is
 * (m x B). */
static void T(linear_scores)(const double *F, int m, const double *packed, int K, const double *start, double *S,
                             int B)
{
    for (int b = 0, n = 0; b < B; b += n * W) {
        n = VECTORS((B - b) / W);
        for (int k = 0; k < K; k += 4) {
            const double *w = packed + (size_t)k * m, *from = start ? start + k : NULL;
            double *s = S + (size_t)k * B + b;
            if (n == NV) T(score_tile)(NV, F + b, m, w, from, s, B);
            else T(score_tile)(2, F + b, m, w, from, s, B);
        }
    }
}

/* q += |rows of F z|^2 for R <= 4 rows of a triangle, of which the first has `before` entries left of the diagonal;
 * packed as four numbers a column, z as (columns, vectors, W). Returns the end of the packed rows. */
static ALWAYS_INLINE const double *T(triangle_rows)(const int vectors, const int R, const double *f, int before,
                                                    const double *z, V *q)
{
    V a[4][NV];
    UNROLL for (int r = 0; r < R; r++)
        EACH(v) a[r][v] = ZERO;
    for (int j = 0; j < before; j++, f += 4, z += vectors * W)
        UNROLL for (int r = 0; r < R; r++)
            EACH(v) a[r][v] += f[r] * CAT(z + v * W);
    UNROLL for (int j = 0; j < R; j++, f += 4, z += vectors * W)
        UNROLL for (int r = j; r < R; r++)
            EACH(v) a[r][v] += f[r] * CAT(z + v * W);
    UNROLL for (int r = 0; r < R; r++)
        EACH(v) q[v] += a[r][v] * a[r][v];
    return f;
}

static ALWAYS_INLINE void T(full_tile)(const int vectors, const double *x, int d, const double *m, const double *f,
                                       double *s, int B, double *z)
{
    for (int j = 0; j < d; j++, x += B)
        EACH(v) AT(z + (vectors * j + v) * W) = CAT(x + v * W) - m[j];
    V q[NV];
    EACH(v) q[v] = ZERO;
    int i = 0;
    for (; i + 4 <= d; i += 4) f = T(triangle_rows)(vectors, 4, f, i, z, q);
    if (d - i == 3) T(triangle_rows)(vectors, 3, f, i, z, q);
    else if (d - i == 2) T(triangle_rows)(vectors, 2, f, i, z, q);
    else if (d - i == 1) T(triangle_rows)(vectors, 1, f, i, z, q);
    EACH(v) AT(s + v * W) -= 0.5 * q[v];
}

/* S[k] -= |F_k (x - m_k)|^2 / 2, the difference formed first. The lower-triangular F_k is packed by
 * groups of four rows: for each group g the columns 0 .. min(4 g + 4, d) - 1, four numbers a column.
 * stride is the packed length, or 0 where the components share one factor. z: scratch (d x 4 W). */
static void T(full_scores)(const double *X, int d, const double *mean, const double *packed, size_t stride,
                           int K, double *S, int B, double *z)
{
    for (int b = 0, n = 0; b < B; b += n * W) {
        n = VECTORS((B - b) / W);
        for (int k = 0; k < K; k++) {
            const double *m = mean + (size_t)k * d, *f = packed + (size_t)k * stride;
            double *s = S + (size_t)k * B + b;
            if (n == NV) T(full_tile)(NV, X + b, d, m, f, s, B, z);
            else T(full_tile)(2, X + b, d, m, f, s, B, z);
        }
    }
}

/* S[k] -= sum_j (f_kj (x_j - m_kj))^2 / 2; factor is (K x d). */
static void T(diag_scores)(const double *X, int d, const double *mean, const double *factor, int K, double *S, int B)
{
    for (int b = 0; b < B; b += 4 * W)
        for (int k = 0; k < K; k++) {
            const double *x = X + b, *m = mean + (size_t)k * d, *f = factor + (size_t)k * d;
            V q[4];
            UNROLL for (int v = 0; v < 4; v++) q[v] = ZERO;
            for (int j = 0; j < d; j++, x += B)
                UNROLL for (int v = 0; v < 4; v++) {
                    V y = (CAT(x + v * W) - m[j]) * f[j];
                    q[v] += y * y;
                }
            double *s = S + (size_t)k * B + b;
            UNROLL for (int v = 0; v < 4; v++) AT(s + v * W) -= 0.5 * q[v];
        }
}

/* Student-t tails of one component, in place: Q holds -q / 2 and becomes u = (nu + d) / (nu + q), L becomes
 * log(1 + q / nu) and S -= (nu + d) / 2 L. Without tails (nu = inf) u is 1, S += -q / 2, and L becomes (q - 2 d) q / 4,
 * the part of the slope of the log density in 1 / nu that depends on the row. */
static void T(tail_scores)(double dof, int d, double *Q, double *L, double *S, int B)
{
    if (dof > 1.7e308) {
        for (int b = 0; b < B; b += W) {
            V q = CAT(Q + b);
            AT(S + b) += q;
            AT(L + b) = (q + d) * q;
            AT(Q + b) = ZERO + 1.0;
        }
        return;
    }
    double rate = -2.0 / dof, top = (dof + d) / dof, power = -0.5 * (dof + d);
    for (int b = 0; b < B; b += STEP * W) {
        V z[STEP], y[STEP], inverse[STEP];
        EACH_STEP(v) z[v] = CAT(Q + b + v * W) * rate;
        EACH_STEP(v) y[v] = z[v] + 1.0;
        EACH_STEP(v) inverse[v] = 1.0 / y[v];
        EACH_STEP(v) AT(Q + b + v * W) = inverse[v] * top;
        /* what the sum has lost of z */
        EACH_STEP(v) z[v] = (z[v] - (y[v] - 1.0)) * inverse[v];
        EACH_STEP(v) y[v] = T(log)(y[v]) + z[v];
        EACH_STEP(v) AT(L + b + v * W) = y[v];
        EACH_STEP(v) AT(S + b + v * W) += y[v] * power;
    }
}

/* ---- assign -------------------------------------------------------------------------------- */

/* Scores in, weighted responsibilities out, in place: R[k] = w softmax(S)[k], lse = log sum exp S.
 * n_k (K x W) gathers the column sums as vectors. Returns sum w lse.
 *
 * w NULL means weights of one, and lse NULL that nobody asks for it: with both the logarithms of 16 vectors of sums,
 * each between 1 and K, are taken as the one of their product. */
static double T(assign_soft)(double *S, int K, const double *w, int B, double *lse, double *n_k)
{
    V total = ZERO, product = ZERO + 1.0;
    int one_log = w == NULL && lse == NULL;
    for (int b = 0; b < B; b += STEP * W) {
        double *p = S + b;
        V m[STEP], t[STEP], share[STEP];
        EACH_STEP(v) m[v] = AT(p + v * W);
        for (int k = 1; k < K; k++) {
            p += B;
            EACH_STEP(v) m[v] = MAX(AT(p + v * W), m[v]);
        }
        EACH_STEP(v) t[v] = ZERO;
        p = S + b;
        for (int k = 0; k < K; k++, p += B) {
            V e[STEP];
            EACH_STEP(v) e[v] = AT(p + v * W) - m[v];
            T(exp)(e);
            EACH_STEP(v) t[v] += e[v];
            EACH_STEP(v) AT(p + v * W) = e[v];
        }
        if (one_log) {
            EACH_STEP(v) total += m[v];
            EACH_STEP(v) product *= t[v];
            if ((b / W + STEP) % 16 == 0 || b + STEP * W == B) {
                total += T(log)(product);
                product = ZERO + 1.0;
            }
            EACH_STEP(v) share[v] = 1.0 / t[v];
        } else
            EACH_STEP(v) {
                V weight = ZERO + 1.0;
                if (w) weight = CAT(w + b + v * W);
                m[v] += T(log)(t[v]);
                if (lse) AT(lse + b + v * W) = m[v];
                total += weight * m[v];
                share[v] = weight / t[v];
            }
        p = S + b;
        for (int k = 0; k < K; k++, p += B) {
            V sum = ZERO;
            EACH_STEP(v) AT(p + v * W) *= share[v];
            EACH_STEP(v) sum += AT(p + v * W);
            AT(n_k + k * W) += sum;
        }
    }
    return T(lane_sum)((double *)&total);
}

/* The best score of each row and its component (as a double), the first where several tie. */
static void T(best_score)(const double *S, int K, int B, double *best, double *index)
{
    for (int b = 0; b < B; b += W) {
        V top = CAT(S + b), at = ZERO;
        for (int k = 1; k < K; k++) {
            V s = CAT(S + (size_t)k * B + b);
            at = SELECT(s > top, ZERO + (double)k, at);
            top = SELECT(s > top, s, top);
        }
        AT(best + b) = top; AT(index + b) = at;
    }
}

/* ---- statistics: table += ... -------------------------------------------------------------- */

/* One tile of the sums of four components. */
static ALWAYS_INLINE void T(sum_tile)(const int vectors, const double *f, const double *r, double *t, int B)
{
    V a[4][NV];
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) a[c][v] = ZERO;
    for (int b = 0; b < B; b += W)
        UNROLL for (int c = 0; c < 4; c++)
            EACH(v) a[c][v] += CAT(r + c * B + b) * CAT(f + v * B + b);
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) AT(t + (4 * v + c) * W) += a[c][v];
}

/* table[k, i] += sum_n R[k, n] F[i, n], kept as vectors: (K / 4, M, 4, W), K and M padded to 4. */
static void T(linear_sums)(const double *F, int M, const double *R, int K, double *table, int B)
{
    for (int k = 0; k < K; k += 4)
        for (int i = 0, n = 0; i < M; i += n) {
            const double *r = R + (size_t)k * B, *f = F + (size_t)i * B;
            double *t = table + ((size_t)k * M + 4 * i) * W;
            n = VECTORS(M - i);
            if (n == NV) T(sum_tile)(NV, f, r, t, B);
            else T(sum_tile)(2, f, r, t, B);
        }
}

/* Wide rows where they lie, columns in vector lanes: table (4, D) += sum over members n of R[c, n] x[n] in the columns
 * of so many vectors. */
static ALWAYS_INLINE void T(member_tile)(const int is_float, const int vectors, const void *x, ptrdiff_t row_stride,
                                      const int *members, int count, const double *R, int B, double *table, int D)
{
    const float *xf = x;
    const double *xd = x;
    V a[4][6];
    UNROLL for (int c = 0; c < 4; c++)
        UNROLL for (int v = 0; v < vectors; v++) a[c][v] = ZERO;
    for (int i = 0; i < count; i++) {
        ptrdiff_t n = members[i];
        V z[6];
        UNROLL for (int v = 0; v < vectors; v++) z[v] = READ(n * row_stride + v * W);
        UNROLL for (int c = 0; c < 4; c++)
            UNROLL for (int v = 0; v < vectors; v++) a[c][v] += R[c * B + n] * z[v];
    }
    UNROLL for (int c = 0; c < 4; c++)
        UNROLL for (int v = 0; v < vectors; v++) AT(table + c * D + v * W) += a[c][v];
}

static ALWAYS_INLINE void T(member_sums_any)(const int is_float, const void *x, ptrdiff_t row_stride, int d,
                                          const int *members, int count, const double *R, int B, double *table, int D)
{
    enum { MANY = W == 8 ? 6 : 3 };
    const float *xf = x;
    const double *xd = x;
#define FROM(j) (is_float ? (const void *)(xf + (j)) : (const void *)(xd + (j)))
    int j = 0;
    for (; j + MANY * W <= d; j += MANY * W)
        T(member_tile)(is_float, MANY, FROM(j), row_stride, members, count, R, B, table + j, D);
    for (; j + W <= d; j += W) T(member_tile)(is_float, 1, FROM(j), row_stride, members, count, R, B, table + j, D);
#undef FROM
    for (; j < d; j++)
        for (int c = 0; c < 4; c++)
            for (int i = 0; i < count; i++) {
                ptrdiff_t at = members[i] * row_stride + j;
                table[c * D + j] += R[c * B + members[i]] * (is_float ? xf[at] : xd[at]);
            }
}

/* table (4, D) += sum over `count` members n of R[c, n] x[n], x of doubles or floats of d columns; plain numbers. */
static void T(member_sums)(const void *x, int is_float, ptrdiff_t row_stride, int d, const int *members, int count,
                        const double *R, int B, double *table, int D)
{
    if (is_float) T(member_sums_any)(1, x, row_stride, d, members, count, R, B, table, D);
    else T(member_sums_any)(0, x, row_stride, d, members, count, R, B, table, D);
}

/* Columns of a centred tile: a divisor of four. */
#define CN (W == 8 ? 4 : 2)

/* first += sum r z (vectors, for a tile on the diagonal), t += sum (r z_i) z_j for one tile of R <= 4 rows by CN columns,
 * z = x - m; of a tile on the diagonal only what lies on or below it, `shift` columns right of its start. */
static ALWAYS_INLINE void T(centred_tile)(const int R, const int diagonal, const int shift, const double *xi,
                                          const double *xj, const double *mi, const double *mj, const double *r,
                                          double *first, double *t, int B)
{
    V a[4][CN], s[4];
    UNROLL for (int c = 0; c < R; c++) {
        s[c] = ZERO;
        UNROLL for (int v = 0; v < CN; v++) a[c][v] = ZERO;
    }
    for (int b = 0; b < B; b += W) {
        V z[CN], weight = CAT(r + b);
        UNROLL for (int v = 0; v < CN; v++) if (!diagonal || v + shift < R) z[v] = CAT(xj + v * B + b) - mj[v];
        UNROLL for (int c = 0; c < R; c++) {
            V rz = weight * (CAT(xi + c * B + b) - mi[c]);
            if (diagonal && shift == 0) s[c] += rz;
            UNROLL for (int v = 0; v < CN; v++) if (!diagonal || v + shift <= c) a[c][v] += rz * z[v];
        }
    }
    UNROLL for (int c = 0; c < R; c++) {
        if (diagonal && shift == 0) AT(first + c * W) += s[c];
        UNROLL for (int v = 0; v < CN; v++) if (!diagonal || v + shift <= c) AT(t + (4 * c + v) * W) += a[c][v];
    }
}

/* The tiles of R rows from row i on, up to and with the one on the diagonal. */
static ALWAYS_INLINE void T(centred_rows)(const int R, const double *X, int i, const double *m, const double *r,
                                          double *first, double *second, int B)
{
    const double *x = X + (size_t)i * B;
    for (int j = 0; j < i; j += CN)
        T(centred_tile)(R, 0, 0, x, X + (size_t)j * B, m + i, m + j, r, NULL, second + (16 * (j / 4) + j % 4) * W, B);
    second += 4 * i * W;
    T(centred_tile)(R, 1, 0, x, x, m + i, m + i, r, first + i * W, second, B);
    if (CN < R) T(centred_tile)(R, 1, CN, x, x + CN * B, m + i, m + i + CN, r, NULL, second + CN * W, B);
}

/* first (d) += sum r z, second += sum r z z' by tiles of 4 x 4 on and below the diagonal, z = x - m; each entry a
 * vector. */
static void T(full_sums)(const double *X, int d, const double *m, const double *r, double *first, double *second, int B)
{
    int i = 0;
    for (; i + 4 <= d; i += 4) {
        T(centred_rows)(4, X, i, m, r, first, second, B);
        second += 4 * (i + 4) * W;
    }
    if (d - i == 3) T(centred_rows)(3, X, i, m, r, first, second, B);
    else if (d - i == 2) T(centred_rows)(2, X, i, m, r, first, second, B);
    else if (d - i == 1) T(centred_rows)(1, X, i, m, r, first, second, B);
}

/* scaled = r u; sums (two vectors) += sum r u, sum r L. */
static void T(latent_sums)(const double *r, const double *u, const double *L, double *scaled, double *sums, int B)
{
    V weight = ZERO, log_weight = ZERO;
    for (int b = 0; b < B; b += W) {
        V ru = CAT(r + b) * CAT(u + b);
        AT(scaled + b) = ru;
        weight += ru;
        log_weight += CAT(r + b) * CAT(L + b);
    }
    AT(sums) += weight;
    AT(sums + W) += log_weight;
}

/* first (D) += sum r z, second (D) += sum r z^2, z = x - m; each entry a vector; D columns, a multiple of 4. */
static void T(diag_sums)(const double *X, int D, const double *m, const double *r, double *first, double *second, int B)
{
    for (int j = 0; j < D; j += 4) {
        const double *x = X + (size_t)j * B;
        V a[4], q[4];
        UNROLL for (int c = 0; c < 4; c++) a[c] = q[c] = ZERO;
        for (int b = 0; b < B; b += W)
            UNROLL for (int c = 0; c < 4; c++) {
                V z = CAT(x + c * B + b) - m[j + c], rz = z * CAT(r + b);
                a[c] += rz;
                q[c] += rz * z;
            }
        UNROLL for (int c = 0; c < 4; c++) {
            AT(first + (j + c) * W) += a[c];
            AT(second + (j + c) * W) += q[c];
        }
    }
}

/* Wide data, columns in vector lanes: x and y are panels of 8 columns, (D / 8, rows, 8), so that a panel's rows lie
 * side by side whatever D is. One tile: WIDE_ROWS rows of the second moments by so many vectors from column j on. */
#define WIDE_ROWS (W == 8 ? 8 : 4)
static ALWAYS_INLINE void T(wide_tile)(const int vectors, const double *p, const double *y, int j, int rows, int width,
                                       double *t)
{
    const double *q[3];
    V a[WIDE_ROWS][3];
    UNROLL for (int v = 0; v < vectors; v++) q[v] = y + (size_t)(j + v * W) / 8 * 8 * rows + (j + v * W) % 8;
    UNROLL for (int c = 0; c < WIDE_ROWS; c++)
        EACH(v) a[c][v] = ZERO;
    for (ptrdiff_t n = 0; n < 8 * (ptrdiff_t)rows; n += 8)
        UNROLL for (int c = 0; c < WIDE_ROWS; c++)
            EACH(v) a[c][v] += p[n + c] * CAT(q[v] + n);
    UNROLL for (int c = 0; c < WIDE_ROWS; c++)
        EACH(v) AT(t + (size_t)c * width + j + v * W) += a[c][v];
}

/* One panel of y = sqrt(r) (x - m), and first (8) += sum r (x - m). The sums of one vector wait for themselves: those of
 * odd and even rows go side by side. */
static ALWAYS_INLINE void T(wide_panel)(const double *x, const int *members, int count, const double *m,
                                        const double *root, double *y, double *first)
{
    enum { EACH_ROW = 8 / W };
    V sum[2][EACH_ROW], centre[EACH_ROW];
    UNROLL for (int v = 0; v < EACH_ROW; v++) {
        sum[0][v] = sum[1][v] = ZERO;
        centre[v] = CAT(m + v * W);
    }
#define WIDE_ROW(n, odd)                                                                                              \
    UNROLL for (int v = 0; v < EACH_ROW; v++) {                                                                       \
        V a = (CAT(x + 8 * members[n] + v * W) - centre[v]) * root[n];                                                \
        AT(y + 8 * (n) + v * W) = a;                                                                                  \
        sum[odd][v] += a * root[n];                                                                                   \
    }
    int n = 0;
    for (; n + 2 <= count; n += 2) {
        WIDE_ROW(n, 0)
        WIDE_ROW(n + 1, 1)
    }
    if (n < count) WIDE_ROW(n, 0)
#undef WIDE_ROW
    UNROLL for (int v = 0; v < EACH_ROW; v++) AT(first + v * W) += sum[0][v] + sum[1][v];
}

/* first (D) += sum r z, second += sum r z z' on and below the diagonal, over `count` members of the block's rows,
 * z = x - m; plain numbers. Of second, each eight rows reach as far as their diagonal does: 8 x 8, 8 x 16, .. 8 x D.
 * root holds sqrt(r) of the members: with y = sqrt(r) z one array serves both sides of the products. y is scratch of the
 * shape of x. */
static void T(wide_sums)(const double *x, int rows, const int *members, int count, int D, const double *m,
                         const double *root, double *y, double *first, double *second)
{
    for (int i = 0, width = 8; i < D; i += 8, second += 8 * width, width += 8) {
        double *yi = y + (size_t)i * count;
        T(wide_panel)(x + (size_t)i * rows, members, count, m + i, root, yi, first + i);
        for (int row = 0; row < 8; row += WIDE_ROWS) {
            /* vectors that reach up to the diagonal; what they hold beyond it nobody reads */
            int j = 0, left = (i + row + WIDE_ROWS + W - 1) / W;
            double *t = second + (size_t)row * width;
            /* three and one would be four sums alone, waiting for themselves: two and two */
            for (; left == 3 || left > 4; left -= 3, j += 3 * W) T(wide_tile)(3, yi + row, y, j, count, width, t);
            for (; left > 1; left -= 2, j += 2 * W) T(wide_tile)(2, yi + row, y, j, count, width, t);
            if (left) T(wide_tile)(1, yi + row, y, j, count, width, t);
        }
    }
}

/* ---- feature maps: block of columns in, block of features out -------------------------------- */

static void T(features)(int map, const double *X, int d, double *F, int B)
{
    size_t area = (size_t)d * B;
    if (map == MAP_LOG_BOTH) {
        for (size_t b = 0; b < area; b += W) {
            /* what rounding took from 1 - x goes back in */
            V x = CAT(X + b), rest = 1.0 - x;
            AT(F + b) = T(log_any)(x);
            AT(F + area + b) = T(log)(rest) - ((rest - 1.0) + x) / rest;
        }
        return;
    }
    memcpy(F, X, area * sizeof(double));
    if (map == MAP_LOG)
        for (size_t b = 0; b < area; b += W) AT(F + area + b) = T(log_any)(CAT(X + b));
    else if (map == MAP_SQUARES)
        for (size_t b = 0; b < area; b += W) AT(F + area + b) = CAT(X + b) * CAT(X + b);
    else if (map == MAP_NORM)
        for (int b = 0; b < B; b += W) {
            V a = ZERO;
            for (int j = 0; j < d; j++) a += CAT(X + (size_t)j * B + b) * CAT(X + (size_t)j * B + b);
            AT(F + area + b) = a;
        }
    else if (map == MAP_PAIRS) {
        double *f = F + area;
        for (int i = 0; i < d; i++)
            for (int j = 0; j <= i; j++, f += B)
                for (int b = 0; b < B; b += W) AT(f + b) = CAT(X + (size_t)i * B + b) * CAT(X + (size_t)j * B + b);
    }
}

/* ---- one-hot rows --------------------------------------------------------------------------- */

/* A row of d codes stands for a feature vector of m numbers, ones where its codes point and zeros elsewhere: nobody
 * writes it. Components lie in vector lanes here, K of them padded to KW = a multiple of W. */

/* Codes row by row, held within 0 and m - 1, for they become addresses. */
static void T(read_codes)(const double *X, int d, int m, int32_t *codes, int B)
{
    for (int j = 0; j < d; j++)
        for (int b = 0; b < B; b++) {
            double x = X[(size_t)j * B + b];
            codes[b * d + j] = x > 0 ? (x < m ? (int32_t)x : m - 1) : 0;
        }
}

/* z (4, KW) = sums of the rows of packed (m, KW) that four rows' codes name, `count` vectors from v on. */
static ALWAYS_INLINE void T(gather_four)(const int32_t *codes, int d, const double *packed, int KW, double *z, int v,
                                         const int count)
{
    V a[4][4];
    UNROLL for (int c = 0; c < 4; c++)
        UNROLL for (int i = 0; i < count; i++) a[c][i] = AT(z + c * KW + (v + i) * W);
    for (int j = 0; j < d; j++)
        UNROLL for (int c = 0; c < 4; c++) {
            const double *w = packed + (size_t)codes[c * d + j] * KW + v * W;
            UNROLL for (int i = 0; i < count; i++) a[c][i] += CAT(w + i * W);
        }
    UNROLL for (int c = 0; c < 4; c++)
        UNROLL for (int i = 0; i < count; i++) AT(z + c * KW + (v + i) * W) = a[c][i];
}

/* S (K, B) = start + the weights that each row's codes name, or += without a start; z is scratch (4, KW). */
static void T(gather_scores)(const int32_t *codes, int d, const double *packed, int K, const double *start, double *S,
                             int B, double *z)
{
    int KW = (K + W - 1) / W * W, vectors = KW / W;
    for (int b = 0; b < B; b += 4) {
        for (int c = 0; c < 4; c++)
            for (int k = 0; k < KW; k++) z[c * KW + k] = k < K ? (start ? start[k] : S[(size_t)k * B + b + c]) : 0.0;
        int v = 0;
        for (; v + 4 <= vectors; v += 4) T(gather_four)(codes + b * d, d, packed, KW, z, v, 4);
        for (; v + 2 <= vectors; v += 2) T(gather_four)(codes + b * d, d, packed, KW, z, v, 2);
        for (; v < vectors; v++) T(gather_four)(codes + b * d, d, packed, KW, z, v, 1);
        for (int k = 0; k < K; k++)
            for (int c = 0; c < 4; c++) S[(size_t)k * B + b + c] = z[c * KW + k];
    }
}

/* table (m, KW) += the responsibilities of each row where its codes point; z is scratch (KW). */
static void T(gather_sums)(const int32_t *codes, int d, const double *R, int K, double *table, int B, double *z)
{
    int KW = (K + W - 1) / W * W;
    for (int k = K; k < KW; k++) z[k] = 0.0;
    for (int b = 0; b < B; b++, codes += d) {
        for (int k = 0; k < K; k++) z[k] = R[(size_t)k * B + b];
        for (int v = 0; v < KW; v += W) {
            V r = CAT(z + v);
            for (int j = 0; j < d; j++) AT(table + (size_t)codes[j] * KW + v) += r;
        }
    }
}

#include "coded.h"

static const tile_set T(tiles) = {
    W, T(load), T(load_floats), T(linear_scores), T(full_scores), T(diag_scores), T(assign_soft), T(best_score),
    T(linear_sums), T(member_sums), T(full_sums), T(diag_sums), T(wide_sums), T(features), T(read_codes),
    T(gather_scores), T(gather_sums), T(unfold), T(fold), T(coded_scores), T(coded_sums), T(unlog), T(coded_soft),
    T(top_scores), T(lane_sum), T(tail_scores), T(latent_sums),
};

#undef READ
#undef LOW1
#undef HIGH1
#undef LOW2
#undef HIGH2
#undef LOW4
#undef HIGH4
#undef V
#undef IV
#undef AT
#undef CAT
#undef ZERO
#undef SELECT
#undef WHERE
#undef MAX
#undef NV
#undef VECTORS
#undef STEP
#undef EACH_STEP
#undef CN
#undef WIDE_ROWS
#undef UNROLL
#undef EACH
#undef AS_BITS
#undef AS_VALUE
