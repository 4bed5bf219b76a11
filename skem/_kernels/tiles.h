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
#define AS_BITS(a) ((IV)(a))
#define AS_VALUE(a) ((V)(a))
#else
typedef double T(vec);
typedef int64_t T(ivec);
#define SELECT(mask, a, b) ((mask) ? (a) : (b))
static inline int64_t T(as_bits)(double a) { int64_t i; memcpy(&i, &a, 8); return i; }
static inline double T(as_value)(int64_t i) { double a; memcpy(&a, &i, 8); return a; }
#define AS_BITS(a) T(as_bits)(a)
#define AS_VALUE(a) T(as_value)(a)
#endif
#define V T(vec)
#define IV T(ivec)
#define AT(p) (*(V *)(p))
#define CAT(p) (*(const V *)(p))
#define ZERO ((V){0})

/* exp(x) for x <= 0, at most 1.5 ulp off: 2^n times a Taylor polynomial of degree 13 on [-ln2/2, ln2/2].
 * Below -708 the result is 0: no subnormals, which would be slow and carry nothing. */
static ALWAYS_INLINE V T(exp)(V x)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    V clamped = SELECT(x < -708.0, ZERO - 708.0, x);
    V shifted = clamped * 1.4426950408889634074 + magic;
    V n = shifted - magic;
    V r = clamped - n * 6.93147180369123816490e-01;
    r = r - n * 1.90821492927058770002e-10;
    V p = r * 1.6059043836821614599e-10 + 2.0876756987868098979e-09;
    p = p * r + 2.5052108385441718775e-08;
    p = p * r + 2.7557319223985890653e-07;
    p = p * r + 2.7557319223985890653e-06;
    p = p * r + 2.4801587301587301587e-05;
    p = p * r + 1.9841269841269841270e-04;
    p = p * r + 1.3888888888888888889e-03;
    p = p * r + 8.3333333333333333333e-03;
    p = p * r + 4.1666666666666666667e-02;
    p = p * r + 1.6666666666666666667e-01;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    V scale = AS_VALUE((AS_BITS(shifted) - AS_BITS(ZERO + magic) + 1023) << 52);
    return SELECT(x < -708.0, ZERO, p * scale);
}

/* log(x) for normal x >= 1 (a sum of exponentials whose largest term is 1): exponent and mantissa, then
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

/* Rows (row-major, columns adjacent) to a struct of arrays in internal coordinates, by W x W register transposes;
 * rows beyond `rows` become the origin. */
static void T(load)(const double *x, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows,
                    int d, int B, double *out)
{
    int full_rows = rows / W * W, full_columns = W > 1 ? d / W * W : 0;
    for (int n = 0; n < full_rows; n += W)
        for (int j = 0; j < full_columns; j += W) {
#if W > 1
            V r[W], o = CAT(origin + j), s = CAT(inv_scale + j);
            for (int i = 0; i < W; i++) r[i] = (CAT(x + (n + i) * row_stride + j) - o) * s;
#define EXCHANGE(step, low, high)                                                                                     \
    for (int i = 0; i < W; i++)                                                                                       \
        if (!(i & step)) {                                                                                            \
            V a = low(r[i], r[i + step]);                                                                             \
            r[i + step] = high(r[i], r[i + step]);                                                                    \
            r[i] = a;                                                                                                 \
        }
            EXCHANGE(1, LOW1, HIGH1)
#if W >= 4
            EXCHANGE(2, LOW2, HIGH2)
#endif
#if W == 8
            EXCHANGE(4, LOW4, HIGH4)
#endif
#undef EXCHANGE
            for (int i = 0; i < W; i++) AT(out + (size_t)(j + i) * B + n) = r[i];
#endif
        }
    for (int j = 0; j < d; j++) {
        double *to = out + (size_t)j * B;
        for (int n = j < full_columns ? full_rows : 0; n < rows; n++)
            to[n] = (x[n * row_stride + j] - origin[j]) * inv_scale[j];
        for (int n = rows; n < B; n++) to[n] = 0.0;
    }
}

/* ---- scores: S[k] += ... ------------------------------------------------------------------- */

/* S[k] += sum_i weights[k, i] F[i]; weights packed as (K / 4, m, 4), F is (m x B). */
static void T(linear_scores)(const double *F, int m, const double *packed, int K, double *S, int B)
{
    for (int b = 0; b < B; b += 4 * W)
        for (int k = 0; k < K; k += 4) {
            double *s0 = S + (size_t)k * B + b, *s1 = s0 + B, *s2 = s1 + B, *s3 = s2 + B;
            const double *w = packed + (size_t)k * m, *f = F + b;
            V a00 = AT(s0), a01 = AT(s0 + W), a02 = AT(s0 + 2 * W), a03 = AT(s0 + 3 * W);
            V a10 = AT(s1), a11 = AT(s1 + W), a12 = AT(s1 + 2 * W), a13 = AT(s1 + 3 * W);
            V a20 = AT(s2), a21 = AT(s2 + W), a22 = AT(s2 + 2 * W), a23 = AT(s2 + 3 * W);
            V a30 = AT(s3), a31 = AT(s3 + W), a32 = AT(s3 + 2 * W), a33 = AT(s3 + 3 * W);
            for (int i = 0; i < m; i++, f += B, w += 4) {
                V f0 = CAT(f), f1 = CAT(f + W), f2 = CAT(f + 2 * W), f3 = CAT(f + 3 * W);
                a00 += w[0] * f0; a01 += w[0] * f1; a02 += w[0] * f2; a03 += w[0] * f3;
                a10 += w[1] * f0; a11 += w[1] * f1; a12 += w[1] * f2; a13 += w[1] * f3;
                a20 += w[2] * f0; a21 += w[2] * f1; a22 += w[2] * f2; a23 += w[2] * f3;
                a30 += w[3] * f0; a31 += w[3] * f1; a32 += w[3] * f2; a33 += w[3] * f3;
            }
            AT(s0) = a00; AT(s0 + W) = a01; AT(s0 + 2 * W) = a02; AT(s0 + 3 * W) = a03;
            AT(s1) = a10; AT(s1 + W) = a11; AT(s1 + 2 * W) = a12; AT(s1 + 3 * W) = a13;
            AT(s2) = a20; AT(s2 + W) = a21; AT(s2 + 2 * W) = a22; AT(s2 + 3 * W) = a23;
            AT(s3) = a30; AT(s3 + W) = a31; AT(s3 + 2 * W) = a32; AT(s3 + 3 * W) = a33;
        }
}

/* S[k] -= |F_k (x - m_k)|^2 / 2, the difference formed first. The lower-triangular F_k is packed by
 * groups of four rows: for each group g the columns 0 .. min(4 g + 4, d) - 1, four numbers a column.
 * stride is the packed length, or 0 where the components share one factor. z: scratch (d x 4 W). */
static void T(full_scores)(const double *X, int d, const double *mean, const double *packed, size_t stride,
                           int K, double *S, int B, double *z)
{
    for (int b = 0; b < B; b += 4 * W)
        for (int k = 0; k < K; k++) {
            const double *x = X + b, *m = mean + (size_t)k * d, *f = packed + (size_t)k * stride;
            for (int j = 0; j < d; j++, x += B)
                for (int v = 0; v < 4; v++) AT(z + (4 * j + v) * W) = CAT(x + v * W) - m[j];
            V q0 = ZERO, q1 = ZERO, q2 = ZERO, q3 = ZERO;
            for (int i = 0; i < d; i += 4) {
                int columns = i + 4 < d ? i + 4 : d;
                const double *y = z;
                V a00 = ZERO, a01 = ZERO, a02 = ZERO, a03 = ZERO, a10 = ZERO, a11 = ZERO, a12 = ZERO, a13 = ZERO;
                V a20 = ZERO, a21 = ZERO, a22 = ZERO, a23 = ZERO, a30 = ZERO, a31 = ZERO, a32 = ZERO, a33 = ZERO;
                for (int j = 0; j < columns; j++, y += 4 * W, f += 4) {
                    V f0 = CAT(y), f1 = CAT(y + W), f2 = CAT(y + 2 * W), f3 = CAT(y + 3 * W);
                    a00 += f[0] * f0; a01 += f[0] * f1; a02 += f[0] * f2; a03 += f[0] * f3;
                    a10 += f[1] * f0; a11 += f[1] * f1; a12 += f[1] * f2; a13 += f[1] * f3;
                    a20 += f[2] * f0; a21 += f[2] * f1; a22 += f[2] * f2; a23 += f[2] * f3;
                    a30 += f[3] * f0; a31 += f[3] * f1; a32 += f[3] * f2; a33 += f[3] * f3;
                }
                q0 += a00 * a00; q1 += a01 * a01; q2 += a02 * a02; q3 += a03 * a03;
                q0 += a10 * a10; q1 += a11 * a11; q2 += a12 * a12; q3 += a13 * a13;
                q0 += a20 * a20; q1 += a21 * a21; q2 += a22 * a22; q3 += a23 * a23;
                q0 += a30 * a30; q1 += a31 * a31; q2 += a32 * a32; q3 += a33 * a33;
            }
            double *s = S + (size_t)k * B + b;
            AT(s) -= 0.5 * q0; AT(s + W) -= 0.5 * q1; AT(s + 2 * W) -= 0.5 * q2; AT(s + 3 * W) -= 0.5 * q3;
        }
}

/* S[k] -= sum_j (f_kj (x_j - m_kj))^2 / 2; factor is (K x d). */
static void T(diag_scores)(const double *X, int d, const double *mean, const double *factor, int K, double *S, int B)
{
    for (int b = 0; b < B; b += 4 * W)
        for (int k = 0; k < K; k++) {
            const double *x = X + b, *m = mean + (size_t)k * d, *f = factor + (size_t)k * d;
            V q0 = ZERO, q1 = ZERO, q2 = ZERO, q3 = ZERO;
            for (int j = 0; j < d; j++, x += B) {
                V y0 = (CAT(x) - m[j]) * f[j], y1 = (CAT(x + W) - m[j]) * f[j];
                V y2 = (CAT(x + 2 * W) - m[j]) * f[j], y3 = (CAT(x + 3 * W) - m[j]) * f[j];
                q0 += y0 * y0; q1 += y1 * y1; q2 += y2 * y2; q3 += y3 * y3;
            }
            double *s = S + (size_t)k * B + b;
            AT(s) -= 0.5 * q0; AT(s + W) -= 0.5 * q1; AT(s + 2 * W) -= 0.5 * q2; AT(s + 3 * W) -= 0.5 * q3;
        }
}

/* ---- assign -------------------------------------------------------------------------------- */

/* Scores in, weighted responsibilities out, in place: R[k] = w softmax(S)[k], lse = log sum exp S.
 * n_k (K x W) gathers the column sums as vectors. Returns sum w lse. */
static double T(assign_soft)(double *S, int K, const double *w, int B, double *lse, double *n_k)
{
    V total = ZERO;
    for (int b = 0; b < B; b += 4 * W) {
        double *s = S + b;
        V m0 = AT(s), m1 = AT(s + W), m2 = AT(s + 2 * W), m3 = AT(s + 3 * W);
        for (int k = 1; k < K; k++) {
            double *p = s + (size_t)k * B;
            m0 = SELECT(AT(p) > m0, AT(p), m0); m1 = SELECT(AT(p + W) > m1, AT(p + W), m1);
            m2 = SELECT(AT(p + 2 * W) > m2, AT(p + 2 * W), m2); m3 = SELECT(AT(p + 3 * W) > m3, AT(p + 3 * W), m3);
        }
        V t0 = ZERO, t1 = ZERO, t2 = ZERO, t3 = ZERO;
        for (int k = 0; k < K; k++) {
            double *p = s + (size_t)k * B;
            V e0 = T(exp)(AT(p) - m0), e1 = T(exp)(AT(p + W) - m1);
            V e2 = T(exp)(AT(p + 2 * W) - m2), e3 = T(exp)(AT(p + 3 * W) - m3);
            t0 += e0; t1 += e1; t2 += e2; t3 += e3;
            AT(p) = e0; AT(p + W) = e1; AT(p + 2 * W) = e2; AT(p + 3 * W) = e3;
        }
        V w0 = CAT(w + b), w1 = CAT(w + b + W), w2 = CAT(w + b + 2 * W), w3 = CAT(w + b + 3 * W);
        m0 += T(log)(t0); m1 += T(log)(t1); m2 += T(log)(t2); m3 += T(log)(t3);
        AT(lse + b) = m0; AT(lse + b + W) = m1; AT(lse + b + 2 * W) = m2; AT(lse + b + 3 * W) = m3;
        total += w0 * m0; total += w1 * m1; total += w2 * m2; total += w3 * m3;
        t0 = w0 / t0; t1 = w1 / t1; t2 = w2 / t2; t3 = w3 / t3;
        for (int k = 0; k < K; k++) {
            double *p = s + (size_t)k * B;
            V r0 = AT(p) * t0, r1 = AT(p + W) * t1, r2 = AT(p + 2 * W) * t2, r3 = AT(p + 3 * W) * t3;
            AT(p) = r0; AT(p + W) = r1; AT(p + 2 * W) = r2; AT(p + 3 * W) = r3;
            AT(n_k + k * W) += (r0 + r1) + (r2 + r3);
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

/* table[k, i] += sum_n R[k, n] F[i, n], kept as vectors: (K / 4, M / 4, 4, 4, W), K and M padded to 4. */
static void T(linear_sums)(const double *F, int M, const double *R, int K, double *table, int B)
{
    for (int k = 0; k < K; k += 4)
        for (int i = 0; i < M; i += 4) {
            const double *r = R + (size_t)k * B, *f = F + (size_t)i * B;
            double *t = table + ((size_t)k * M + 4 * i) * W;
            V a00 = ZERO, a01 = ZERO, a02 = ZERO, a03 = ZERO, a10 = ZERO, a11 = ZERO, a12 = ZERO, a13 = ZERO;
            V a20 = ZERO, a21 = ZERO, a22 = ZERO, a23 = ZERO, a30 = ZERO, a31 = ZERO, a32 = ZERO, a33 = ZERO;
            for (int b = 0; b < B; b += W) {
                V r0 = CAT(r + b), r1 = CAT(r + B + b), r2 = CAT(r + 2 * B + b), r3 = CAT(r + 3 * B + b);
                V f0 = CAT(f + b), f1 = CAT(f + B + b), f2 = CAT(f + 2 * B + b), f3 = CAT(f + 3 * B + b);
                a00 += r0 * f0; a01 += r0 * f1; a02 += r0 * f2; a03 += r0 * f3;
                a10 += r1 * f0; a11 += r1 * f1; a12 += r1 * f2; a13 += r1 * f3;
                a20 += r2 * f0; a21 += r2 * f1; a22 += r2 * f2; a23 += r2 * f3;
                a30 += r3 * f0; a31 += r3 * f1; a32 += r3 * f2; a33 += r3 * f3;
            }
            AT(t) += a00; AT(t + W) += a01; AT(t + 2 * W) += a02; AT(t + 3 * W) += a03;
            AT(t + 4 * W) += a10; AT(t + 5 * W) += a11; AT(t + 6 * W) += a12; AT(t + 7 * W) += a13;
            AT(t + 8 * W) += a20; AT(t + 9 * W) += a21; AT(t + 10 * W) += a22; AT(t + 11 * W) += a23;
            AT(t + 12 * W) += a30; AT(t + 13 * W) += a31; AT(t + 14 * W) += a32; AT(t + 15 * W) += a33;
        }
}

/* z = x - m and rz = r z for one component, as (d padded to 4) x B; padding rows stay zero. */
static void T(centre)(const double *X, int d, const double *m, const double *r, int B, double *z, double *rz)
{
    for (int j = 0; j < d; j++)
        for (int b = 0; b < B; b += W) {
            V a = CAT(X + (size_t)j * B + b) - m[j];
            AT(z + (size_t)j * B + b) = a;
            AT(rz + (size_t)j * B + b) = a * CAT(r + b);
        }
}

/* first[j] += sum r z_j (vectors); D columns, a multiple of 4. */
static void T(first_sums)(const double *rz, int D, double *first, int B)
{
    for (int j = 0; j < D; j++) {
        V a = ZERO;
        for (int b = 0; b < B; b += W) a += CAT(rz + (size_t)j * B + b);
        AT(first + j * W) += a;
    }
}

/* second += sum (r z) z' by tiles of 4 x 4 on and below the diagonal, each entry a vector. */
static void T(full_sums)(const double *z, const double *rz, int D, double *second, int B)
{
    for (int i = 0; i < D; i += 4)
        for (int j = 0; j <= i; j += 4, second += 16 * W) {
            const double *r = rz + (size_t)i * B, *f = z + (size_t)j * B;
            double *t = second;
            V a00 = ZERO, a01 = ZERO, a02 = ZERO, a03 = ZERO, a10 = ZERO, a11 = ZERO, a12 = ZERO, a13 = ZERO;
            V a20 = ZERO, a21 = ZERO, a22 = ZERO, a23 = ZERO, a30 = ZERO, a31 = ZERO, a32 = ZERO, a33 = ZERO;
            for (int b = 0; b < B; b += W) {
                V r0 = CAT(r + b), r1 = CAT(r + B + b), r2 = CAT(r + 2 * B + b), r3 = CAT(r + 3 * B + b);
                V f0 = CAT(f + b), f1 = CAT(f + B + b), f2 = CAT(f + 2 * B + b), f3 = CAT(f + 3 * B + b);
                a00 += r0 * f0; a01 += r0 * f1; a02 += r0 * f2; a03 += r0 * f3;
                a10 += r1 * f0; a11 += r1 * f1; a12 += r1 * f2; a13 += r1 * f3;
                a20 += r2 * f0; a21 += r2 * f1; a22 += r2 * f2; a23 += r2 * f3;
                a30 += r3 * f0; a31 += r3 * f1; a32 += r3 * f2; a33 += r3 * f3;
            }
            AT(t) += a00; AT(t + W) += a01; AT(t + 2 * W) += a02; AT(t + 3 * W) += a03;
            AT(t + 4 * W) += a10; AT(t + 5 * W) += a11; AT(t + 6 * W) += a12; AT(t + 7 * W) += a13;
            AT(t + 8 * W) += a20; AT(t + 9 * W) += a21; AT(t + 10 * W) += a22; AT(t + 11 * W) += a23;
            AT(t + 12 * W) += a30; AT(t + 13 * W) += a31; AT(t + 14 * W) += a32; AT(t + 15 * W) += a33;
        }
}

/* second[j] += sum (r z_j) z_j (vectors). */
static void T(diag_sums)(const double *z, const double *rz, int D, double *second, int B)
{
    for (int j = 0; j < D; j++) {
        V a = ZERO;
        for (int b = 0; b < B; b += W) a += CAT(rz + (size_t)j * B + b) * CAT(z + (size_t)j * B + b);
        AT(second + j * W) += a;
    }
}

/* Wide data: columns in vector lanes. x is (rows x D) row-major, D a multiple of 2 * WIDE; z and rz are
 * scratch of the same shape. first (D), second (D x D, tiles on and below the diagonal) are plain numbers. */
static void T(wide_sums)(const double *x, int rows, int D, const double *m, const double *r, double *z, double *rz,
                         double *first, double *second)
{
    for (int n = 0; n < rows; n++)
        for (int j = 0; j < D; j += W) {
            V a = CAT(x + (size_t)n * D + j) - CAT(m + j);
            V b = a * r[n];
            AT(z + (size_t)n * D + j) = a;
            AT(rz + (size_t)n * D + j) = b;
            AT(first + j) += b;
        }
    for (int i = 0; i < D; i += 8)
        for (int j = 0; j < i + 8; j += 2 * W) {
            const double *p = rz + i, *q = z + j;
            V a00 = ZERO, a01 = ZERO, a10 = ZERO, a11 = ZERO, a20 = ZERO, a21 = ZERO, a30 = ZERO, a31 = ZERO;
            V a40 = ZERO, a41 = ZERO, a50 = ZERO, a51 = ZERO, a60 = ZERO, a61 = ZERO, a70 = ZERO, a71 = ZERO;
            for (int n = 0; n < rows; n++, p += D, q += D) {
                V f0 = CAT(q), f1 = CAT(q + W);
                a00 += p[0] * f0; a01 += p[0] * f1; a10 += p[1] * f0; a11 += p[1] * f1;
                a20 += p[2] * f0; a21 += p[2] * f1; a30 += p[3] * f0; a31 += p[3] * f1;
                a40 += p[4] * f0; a41 += p[4] * f1; a50 += p[5] * f0; a51 += p[5] * f1;
                a60 += p[6] * f0; a61 += p[6] * f1; a70 += p[7] * f0; a71 += p[7] * f1;
            }
            double *t = second + (size_t)i * D + j;
            AT(t) += a00; AT(t + W) += a01; t += D; AT(t) += a10; AT(t + W) += a11; t += D;
            AT(t) += a20; AT(t + W) += a21; t += D; AT(t) += a30; AT(t + W) += a31; t += D;
            AT(t) += a40; AT(t + W) += a41; t += D; AT(t) += a50; AT(t + W) += a51; t += D;
            AT(t) += a60; AT(t + W) += a61; t += D; AT(t) += a70; AT(t + W) += a71;
        }
}

/* ---- feature maps: block of columns in, block of features out -------------------------------- */

static void T(features)(int map, const double *X, int d, double *F, int B)
{
    size_t area = (size_t)d * B;
    memcpy(F, X, area * sizeof(double));
    if (map == MAP_SQUARES)
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

static const tile_set T(tiles) = {
    W, T(load), T(linear_scores), T(full_scores), T(diag_scores), T(assign_soft), T(best_score), T(linear_sums),
    T(centre), T(first_sums), T(full_sums), T(diag_sums), T(wide_sums), T(features), T(lane_sum),
};

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
#undef AS_BITS
#undef AS_VALUE
