/* The micro-kernels of a pass over CSR rows (csr.pyx) in one instruction set, see every_isa.h for W and T.
 *
 * Components lie in vector lanes, KW of them padded to whole vectors: an entry meets one run of memory in the table of
 * weights, and one in the table of sums.
 */

#if W > 1
typedef double T(csr_vec) __attribute__((vector_size(W * 8), aligned(8), may_alias));
#define UNROLL PRAGMA(GCC unroll 8)
#else
typedef double T(csr_vec);
#define UNROLL
#endif
#define V T(csr_vec)
#define AT(p) (*(V *)(p))
#define CAT(p) (*(const V *)(p))
#if defined(__GNUC__)
#define PREFETCH(p, write) __builtin_prefetch(p, write)
#else
#define PREFETCH(p, write)
#endif
/* Entries ahead whose place in a table is asked for: a table of many columns lies far off. */
#define AHEAD 8

/* z (KW) = sums of x times the rows of packed (m, KW) that `columns` names, `count` vectors from lane v on. */
static ALWAYS_INLINE void T(csr_gather)(const double *x, const int32_t *columns, ptrdiff_t n, const double *packed,
                                        int KW, int v, double *z, const int count)
{
    V a[8];
    UNROLL for (int i = 0; i < count; i++) a[i] = (V){0};
    for (ptrdiff_t p = 0; p < n; p++) {
        const double *w = packed + (size_t)columns[p] * KW + v;
        const double *next = packed + (size_t)columns[p + AHEAD < n ? p + AHEAD : p] * KW + v;
        UNROLL for (int i = 0; i < count; i += 8 / W) PREFETCH(next + i * W, 0);
        double value = x[p];
        UNROLL for (int i = 0; i < count; i++) a[i] += value * CAT(w + i * W);
    }
    UNROLL for (int i = 0; i < count; i++) AT(z + v + i * W) = a[i];
}

static void T(csr_scores)(const double *x, const int32_t *columns, ptrdiff_t n, const double *packed, int KW, double *z)
{
    int v = 0;
    for (; v + 8 * W <= KW; v += 8 * W) T(csr_gather)(x, columns, n, packed, KW, v, z, 8);
    for (; v + 4 * W <= KW; v += 4 * W) T(csr_gather)(x, columns, n, packed, KW, v, z, 4);
    switch ((KW - v) / W) {
    case 3: T(csr_gather)(x, columns, n, packed, KW, v, z, 3); break;
    case 2: T(csr_gather)(x, columns, n, packed, KW, v, z, 2); break;
    case 1: T(csr_gather)(x, columns, n, packed, KW, v, z, 1); break;
    }
}

/* Rows of table (m, KW) that `columns` names += x r, `count` vectors from lane v on. */
static ALWAYS_INLINE void T(csr_scatter)(const double *x, const int32_t *columns, ptrdiff_t n, const double *r, int KW,
                                         int v, double *table, const int count)
{
    V a[8];
    UNROLL for (int i = 0; i < count; i++) a[i] = CAT(r + v + i * W);
    for (ptrdiff_t p = 0; p < n; p++) {
        double *t = table + (size_t)columns[p] * KW + v;
        double *next = table + (size_t)columns[p + AHEAD < n ? p + AHEAD : p] * KW + v;
        UNROLL for (int i = 0; i < count; i += 8 / W) PREFETCH(next + i * W, 1);
        double value = x[p];
        UNROLL for (int i = 0; i < count; i++) AT(t + i * W) += value * a[i];
    }
}

/* Whether any of `count` vectors from r on holds anything but zeros. */
static ALWAYS_INLINE int T(csr_any)(const double *r, int count)
{
    for (int k = 0; k < count * W; k++)
        if (r[k] != 0.0) return 1;
    return 0;
}

/* Vectors of components that have no share in the row are left out: of long rows, that is most of them. */
static void T(csr_sums)(const double *x, const int32_t *columns, ptrdiff_t n, const double *r, int KW, double *table)
{
    int v = 0;
    while (v < KW) {
        if (!T(csr_any)(r + v, 1)) {
            v += W;
            continue;
        }
        int count = 1;
        while (count < 4 && v + (count + 1) * W <= KW && T(csr_any)(r + v + count * W, 1)) count++;
        switch (count) {
        case 4: T(csr_scatter)(x, columns, n, r, KW, v, table, 4); break;
        case 3: T(csr_scatter)(x, columns, n, r, KW, v, table, 3); break;
        case 2: T(csr_scatter)(x, columns, n, r, KW, v, table, 2); break;
        default: T(csr_scatter)(x, columns, n, r, KW, v, table, 1);
        }
        v += count * W;
    }
}

static const csr_set T(csr) = {W, T(csr_scores), T(csr_sums)};

#undef V
#undef AT
#undef CAT
#undef UNROLL
#undef PREFETCH
#undef AHEAD
