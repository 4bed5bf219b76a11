/* How a truncated pass searches for components, in one instruction set (see every_isa.h for W and T): float scores of
 * many components for four rows at a time, and which of them are worth an exact score.
 *
 * Components lie in vector lanes, tiles of 4 W. A tile is packed as (numbers, 4 W), as skem._kernels.scans lays it out;
 * out is (4, stride), tile after tile.
 */

#if W > 1
typedef float T(scan_floats) __attribute__((vector_size(W * 8), aligned(4), may_alias));
typedef int32_t T(scan_ints) __attribute__((vector_size(W * 8), aligned(4), may_alias));
#define FLOATS (2 * W)
#else
typedef float T(scan_floats);
typedef int32_t T(scan_ints);
#define FLOATS 1
#endif
#define VF T(scan_floats)
#define VI T(scan_ints)
#define CATF(p) (*(const VF *)(p))
#define UNROLL4 PRAGMA(GCC unroll 4)
/* four rows by two vectors */
#define EACH(r) UNROLL4 for (int r = 0; r < 4; r++)
#define STORE(r) *(VF *)(out + (size_t)r * stride + b) = s0[r], *(VF *)(out + (size_t)r * stride + b + FLOATS) = s1[r]
#define EACH_TILE                                                                                                     \
    for (int g = 0; g < tiles; g++, packed += (size_t)size * 4 * W, offset += 4 * W, out += 4 * W)                    \
        for (int b = 0; b < 4 * W; b += 2 * FLOATS)

/* offset + <w, t>, w the tile's `size` = m numbers; t is (4, m). */
static void T(scan_linear)(const float *t, int m, int size, const float *packed, const float *offset, int tiles,
                           float *out, int stride)
{
    EACH_TILE {
        const float *w = packed + b;
        VF s0[4], s1[4];
        EACH(r) s0[r] = CATF(offset + b), s1[r] = CATF(offset + b + FLOATS);
        for (int i = 0; i < m; i++, w += 4 * W) {
            VF w0 = CATF(w), w1 = CATF(w + FLOATS);
            EACH(r) s0[r] += t[r * m + i] * w0, s1[r] += t[r * m + i] * w1;
        }
        EACH(r) STORE(r);
    }
}

/* offset - |f x - f m|^2 / 2: the tile holds f and f m of a column one after the other. */
static void T(scan_diag)(const float *x, int d, int size, const float *packed, const float *offset, int tiles,
                         float *out, int stride)
{
    EACH_TILE {
        const float *w = packed + b;
        VF s0[4], s1[4];
        EACH(r) s0[r] = s1[r] = CATF(offset + b) * 0.0f;
        for (int j = 0; j < d; j++, w += 8 * W) {
            VF f0 = CATF(w), f1 = CATF(w + FLOATS), m0 = CATF(w + 4 * W), m1 = CATF(w + 4 * W + FLOATS);
            EACH(r) {
                VF y0 = x[r * d + j] * f0 - m0, y1 = x[r * d + j] * f1 - m1;
                s0[r] += y0 * y0, s1[r] += y1 * y1;
            }
        }
        EACH(r) s0[r] = CATF(offset + b) - 0.5f * s0[r], s1[r] = CATF(offset + b + FLOATS) - 0.5f * s1[r];
        EACH(r) STORE(r);
    }
}

/* The same for triangles: the tile holds row i of F as far as its diagonal, then (F m)_i. */
static void T(scan_full)(const float *x, int d, int size, const float *packed, const float *offset, int tiles,
                         float *out, int stride)
{
    EACH_TILE {
        const float *w = packed + b;
        VF s0[4], s1[4];
        EACH(r) s0[r] = s1[r] = CATF(offset + b) * 0.0f;
        for (int i = 0; i < d; i++, w += 4 * W) {
            const float *last = w + (size_t)(i + 1) * 4 * W;
            VF y0[4], y1[4];
            EACH(r) y0[r] = -CATF(last), y1[r] = -CATF(last + FLOATS);
            for (int j = 0; j <= i; j++, w += 4 * W)
                EACH(r) y0[r] += x[r * d + j] * CATF(w), y1[r] += x[r * d + j] * CATF(w + FLOATS);
            EACH(r) s0[r] += y0[r] * y0[r], s1[r] += y1[r] * y1[r];
        }
        EACH(r) s0[r] = CATF(offset + b) - 0.5f * s0[r], s1[r] = CATF(offset + b + FLOATS) - 0.5f * s1[r];
        EACH(r) STORE(r);
    }
}

/* A tile of 4 W components from their numbers (K, size). */
static void T(gather)(const float *numbers, int size, const int32_t *set, float *packed)
{
    const float *from[4 * W];
    for (int c = 0; c < 4 * W; c++) from[c] = numbers + (size_t)set[c] * size;
    for (int i = 0; i < size; i++)
        for (int c = 0; c < 4 * W; c++) packed[(size_t)i * 4 * W + c] = from[c][i];
}

/* Floats and whole numbers of the same order. */
static inline int32_t T(to_key)(float a)
{
    int32_t key;
    memcpy(&key, &a, sizeof key);
    return key < 0 ? key ^ 0x7fffffff : key;
}

static inline float T(of_key)(int32_t key)
{
    float a;
    key = key < 0 ? key ^ 0x7fffffff : key;
    memcpy(&a, &key, sizeof a);
    return a;
}

static ALWAYS_INLINE int T(count_above)(const float *s, int count, float bound)
{
#if W > 1
    VI total = {0};
    int found = 0;
    for (int i = 0; i < count; i += FLOATS) total -= CATF(s + i) > bound;
    for (int v = 0; v < FLOATS; v++) found += total[v];
    return found;
#else
    int found = 0;
    for (int i = 0; i < count; i++) found += s[i] > bound;
    return found;
#endif
}

/* A bound that at least `wanted` of the scores (a multiple of 4 W) lie above, and not many more: from the best of
 * groups of them, which go to `best` (4 wanted + 4 W); -inf where there are too few. */
static float T(bound_of)(const float *s, int count, int wanted, float *best)
{
    int vectors = count / FLOATS, groups = (4 * wanted + FLOATS - 1) / FLOATS;
    groups = groups < vectors ? groups : vectors;
    if (groups * FLOATS < wanted) return -INFINITY;
    for (int g = 0; g < groups; g++) *(VF *)(best + g * FLOATS) = CATF(s + g * FLOATS);
    for (int i = groups, g = 0; i < vectors; i++, g = g + 1 == groups ? 0 : g + 1) {
        VF a = CATF(s + (size_t)i * FLOATS), b = CATF(best + g * FLOATS);
#if W > 1
        VI more = a > b;
        *(VF *)(best + g * FLOATS) = (VF)((more & (VI)a) | (~more & (VI)b));
#else
        best[g] = a > b ? a : b;
#endif
    }
    /* halve by numbers in the order of floats, since some scores may lie far below the others */
    int32_t low = T(to_key)(-INFINITY), high = T(to_key)(INFINITY);
    float highest = -INFINITY, lowest = INFINITY;
    for (int i = 0; i < groups * FLOATS; i++) {
        highest = best[i] > highest ? best[i] : highest;
        lowest = best[i] < lowest ? best[i] : lowest;
    }
    if (highest < INFINITY) high = T(to_key)(highest);
    if (lowest > -INFINITY && T(to_key)(lowest) > low) low = T(to_key)(lowest) - 1;
    if (T(count_above)(best, groups * FLOATS, T(of_key)(low)) < wanted) return -INFINITY;
    for (int step = 0; step < 16; step++) {
        int32_t middle = (int32_t)(((int64_t)low + high) >> 1);
        int above = T(count_above)(best, groups * FLOATS, T(of_key)(middle));
        if (above >= wanted) {
            low = middle;
            if (above <= wanted + wanted / 4) break;
        } else
            high = middle;
    }
    return T(of_key)(low);
}

/* Places of the scores (a multiple of 4 W) above a bound; their number. */
static int T(above)(const float *s, int count, float bound, int32_t *places)
{
    int found = 0;
#if (W == 4 && defined(__AVX__)) || (W == 8 && defined(__AVX512F__))
    for (int i = 0; i < count; i += FLOATS) {
#if W == 8
        unsigned mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(s + i), _mm512_set1_ps(bound), _CMP_GT_OQ);
#else
        unsigned mask = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(s + i), _mm256_set1_ps(bound), _CMP_GT_OQ));
#endif
        for (; mask; mask &= mask - 1) places[found++] = i + __builtin_ctz(mask);
    }
#else
    for (int i = 0; i < count; i++)
        if (s[i] > bound) places[found++] = i;
#endif
    return found;
}

/* Where the least of `count` numbers stands. */
static ALWAYS_INLINE int T(least)(const double *kept, int count)
{
    double bound = kept[0];
    int slot = 0;
    for (int j = 1; j < count; j++) bound = kept[j] < bound ? kept[j] : bound;
    while (slot < count - 1 && kept[slot] != bound) slot++;
    return slot;
}

/* Put the scores that beat the least of the `count` kept ones, and the components they are of, in its place. */
static void T(keep_best)(double *kept, int32_t *members, int count, const double *s, const int32_t *set, int n)
{
    int slot = T(least)(kept, count);
    for (int c = 0; c < n; c++)
        if (s[c] > kept[slot]) {
            kept[slot] = s[c];
            members[slot] = set[c];
            slot = T(least)(kept, count);
        }
}

#undef FLOATS
#undef VF
#undef VI
#undef CATF
#undef EACH
#undef STORE
#undef EACH_TILE
#undef UNROLL4
