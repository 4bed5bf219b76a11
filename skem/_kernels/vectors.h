/* Vectors of doubles and their exponentials and logarithms, included by tiles.h. */

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
/* What triangles.h and wide_sums.h are written in: doubles, until float_tiles.h makes it floats. Sums are added up in
 * double in any case. DEPTH: the most vectors of rows that a tile takes. PANEL: columns side by side of wide rows. */
#define REAL double
#define N(name) T(name)
#define VEC V
#define LANES W
#define DEPTH NV
#define PANEL 8
#define READ_VEC(p) CAT(p)
#define VEC_AT(p) AT(p)
#define ADD_UP(p, a) (AT(p) += (a))
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
