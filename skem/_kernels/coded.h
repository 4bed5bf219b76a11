/* Rows coded as bytes, included by tiles.h: a row of whole numbers between 0 and some small top is worth no products.
 *
 * Each byte stands for the levels of some columns side by side, the first counting fastest, and names an entry of a
 * table of its own: a score is a sum of entries, one a byte, and statistics are added up by entry. Only then the sums
 * of entries are told apart by column. Components lie in vector lanes; tables are (vectors, n_entries, W), those of all
 * bytes in turn.
 */

/* tables = sums over each byte's columns of value * weights[k, feature], for every entry; weights are (K, m). */
static void T(unfold)(const coding *c, const double *weights, int K, int m, double *tables)
{
    for (int v = 0; v < K; v += W, tables += (size_t)c->n_entries * W)
        for (int g = 0; g < c->n_bytes; g++) {
            double *t = tables + (size_t)c->first[g] * W;
            int size = 1;
            AT(t) = ZERO;
            for (int j = c->column[g]; j < c->column[g + 1]; j++) {
                /* downwards, for level 0 overwrites what the others start from */
                for (int l = c->level[j + 1] - c->level[j] - 1; l >= 0; l--) {
                    int at = c->level[j] + l;
                    double step[W];
                    for (int i = 0; i < W; i++)
                        step[i] = v + i < K ? c->value[at] * weights[(size_t)(v + i) * m + c->feature[at]] : 0.0;
                    for (int i = 0; i < size; i++) AT(t + (l * size + i) * W) = CAT(t + i * W) + CAT(step);
                }
                size *= c->level[j + 1] - c->level[j];
            }
        }
}

/* The reverse: sums (K, m) += value * the tables' entries, by feature; the tables are spoilt. */
static void T(fold)(const coding *c, double *tables, int K, int m, double *sums)
{
    for (int v = 0; v < K; v += W, tables += (size_t)c->n_entries * W)
        for (int g = 0; g < c->n_bytes; g++) {
            double *t = tables + (size_t)c->first[g] * W;
            int size = c->first[g + 1] - c->first[g];
            for (int j = c->column[g + 1] - 1; j >= c->column[g]; j--) {
                int n_levels = c->level[j + 1] - c->level[j];
                size /= n_levels;
                for (int l = 0; l < n_levels; l++) {
                    int at = c->level[j] + l;
                    double *own = t + (size_t)l * size * W, lanes[W];
                    V total = ZERO;
                    for (int i = 0; i < size; i++) total += CAT(own + i * W);
                    for (int i = 0; l > 0 && i < size; i++) AT(t + i * W) += CAT(own + i * W);
                    AT(lanes) = total;
                    for (int i = 0; i < W && v + i < K; i++)
                        sums[(size_t)(v + i) * m + c->feature[at]] += c->value[at] * lanes[i];
                }
            }
        }
}

/* S (K, B) = start + the entries that each row's bytes name, or += without a start. */
static void T(coded_scores)(const coding *c, const uint8_t *bytes, const double *tables, int K, const double *start,
                            double *S, int B)
{
    int G = c->n_bytes;
    for (int v = 0; v < K; v += W, tables += (size_t)c->n_entries * W)
        for (int b = 0; b < B; b += W) {
            const uint8_t *row = bytes + (size_t)b * G;
            int lanes = K - v < W ? K - v : W;
            V r[W];
            UNROLL for (int i = 0; i < W; i++) r[i] = start ? CAT(start + v) : ZERO;
            for (int g = 0; g < G; g++) {
                const double *t = tables + (size_t)c->first[g] * W;
                UNROLL for (int i = 0; i < W; i++) r[i] += CAT(t + (size_t)row[i * G + g] * W);
            }
            TRANSPOSE(W, V, r)
            for (int i = 0; i < lanes; i++) {
                double *s = S + (size_t)(v + i) * B + b;
                if (start) AT(s) = r[i];
                else AT(s) += r[i];
            }
        }
}

/* tables += the responsibilities R (K, B) of each row at the entries that its bytes name. */
static void T(coded_sums)(const coding *c, const uint8_t *bytes, const double *R, int K, double *tables, int B)
{
    int G = c->n_bytes;
    for (int v = 0; v < K; v += W, tables += (size_t)c->n_entries * W)
        for (int b = 0; b < B; b += W) {
            const uint8_t *row = bytes + (size_t)b * G;
            V r[W];
            UNROLL for (int i = 0; i < W; i++) r[i] = v + i < K ? CAT(R + (size_t)(v + i) * B + b) : ZERO;
            TRANSPOSE(W, V, r)
            for (int g = 0; g < G; g++) {
                double *t = tables + (size_t)c->first[g] * W;
                UNROLL for (int i = 0; i < W; i++) AT(t + (size_t)row[i * G + g] * W) += r[i];
            }
        }
}

/* Densities in place of their logarithms: entries' exponentials, divided by the largest of their components, whose
 * logarithm is `top` (n_entries); `start` belongs to the first byte. A row's density is then a product of entries, and
 * nobody takes an exponential. Returns how many rows' densities multiplied stay normal numbers, at most 16; 0 where one
 * may not. `products` has room for STEP more vectors. */
static int T(unlog)(const coding *c, const double *logs, const double *start, int K, double *products, double *top)
{
    size_t slice = (size_t)c->n_entries * W, length = (size_t)((K + W - 1) / W) * slice;
    double depth = 0.0;
    for (int g = 0; g < c->n_bytes; g++) {
        double deepest = 0.0;
        for (int e = c->first[g]; e < c->first[g + 1]; e++) {
            double high = -1e300, low = 1e300;
            for (int k = 0; k < K; k++) {
                size_t at = k / W * slice + (size_t)e * W + k % W;
                double x = logs[at] + (g == 0 ? start[k] : 0.0);
                products[at] = x;
                high = x > high ? x : high;
                low = x < low ? x : low;
            }
            for (int k = 0; k < (K + W - 1) / W * W; k++) {
                size_t at = k / W * slice + (size_t)e * W + k % W;
                products[at] = k < K ? products[at] - high : -1e3;
            }
            top[e] = high;
            deepest = high - low > deepest ? high - low : deepest;
        }
        depth += deepest;
    }
    if (!(depth <= 650.0)) return 0;
    for (size_t i = 0; i < length; i += STEP * W) {
        V a[STEP];
        EACH_STEP(v) a[v] = CAT(products + i + v * W);
        T(exp)(a);
        EACH_STEP(v) AT(products + i + v * W) = a[v];
    }
    return depth * 16 <= 650.0 ? 16 : (int)(650.0 / depth);
}

/* The sums of W vectors as one. */
static ALWAYS_INLINE V T(row_sums)(const V *r)
{
#if W == 1
    return r[0];
#else
    V a[W / 2];
    UNROLL for (int i = 0; i < W / 2; i++) a[i] = LOW1(W, r[2 * i], r[2 * i + 1]) + HIGH1(W, r[2 * i], r[2 * i + 1]);
#if W >= 4
    UNROLL for (int i = 0; i < W / 4; i++) a[i] = LOW2(W, a[2 * i], a[2 * i + 1]) + HIGH2(W, a[2 * i], a[2 * i + 1]);
#endif
#if W == 8
    a[0] = LOW4(W, a[0], a[1]) + HIGH4(W, a[0], a[1]);
#endif
    return a[0];
#endif
}

/* A whole soft pass over a block for `count` vectors of components: tables += w R, n_k (K x W) += sum w R. Returns
 * sum w log(density), each row's top entries left out. w NULL means weights of one, and logarithms of `every` rows'
 * densities are then taken as the one of their product. */
static ALWAYS_INLINE double T(coded_soft_of)(const int count, const coding *c, const uint8_t *bytes,
                                             const double *products, int K, const double *w, int every, double *tables,
                                             double *n_k, int B)
{
    int G = c->n_bytes, left = every;
    size_t slice = (size_t)c->n_entries * W;
    V total = ZERO, product = ZERO + 1.0, mass[2] = {ZERO, ZERO};
    for (int b = 0; b < B; b += W) {
        const uint8_t *row = bytes + (size_t)b * G;
        V r[2][W], whole[W];
        double share[W];
        UNROLL for (int v = 0; v < count; v++)
            UNROLL for (int i = 0; i < W; i++) r[v][i] = CAT(products + v * slice + (size_t)row[i * G] * W);
        for (int g = 1; g < G; g++) {
            const double *p = products + (size_t)c->first[g] * W;
            UNROLL for (int v = 0; v < count; v++)
                UNROLL for (int i = 0; i < W; i++) r[v][i] *= CAT(p + v * slice + (size_t)row[i * G + g] * W);
        }
        UNROLL for (int i = 0; i < W; i++) {
            whole[i] = r[0][i];
            if (count > 1) whole[i] += r[1][i];
        }
        V t = T(row_sums)(whole);
        if (w) {
            V weight = CAT(w + b);
            total += weight * T(log)(t);
            AT(share) = weight / t;
        } else {
            AT(share) = 1.0 / t;
            product *= t;
            if (--left == 0 || b + W == B) {
                total += T(log)(product);
                product = ZERO + 1.0;
                left = every;
            }
        }
        UNROLL for (int v = 0; v < count; v++)
            UNROLL for (int i = 0; i < W; i++) {
                r[v][i] *= share[i];
                mass[v] += r[v][i];
            }
        for (int g = 0; g < G; g++) {
            double *t = tables + (size_t)c->first[g] * W;
            UNROLL for (int v = 0; v < count; v++)
                UNROLL for (int i = 0; i < W; i++) AT(t + v * slice + (size_t)row[i * G + g] * W) += r[v][i];
        }
    }
    for (int k = 0; k < K; k++) n_k[k * W] += ((double *)mass)[k];
    return T(lane_sum)((double *)&total);
}

static double T(coded_soft)(const coding *c, const uint8_t *bytes, const double *products, int K, const double *w,
                            int every, double *tables, double *n_k, int B)
{
    return K > W ? T(coded_soft_of)(2, c, bytes, products, K, w, every, tables, n_k, B)
                 : T(coded_soft_of)(1, c, bytes, products, K, w, every, tables, n_k, B);
}

/* What `coded_soft` left out: each entry's top times the weight of its rows, which is the sum of their shares. */
static double T(top_scores)(const coding *c, const double *tables, int K, const double *top)
{
    double total = 0.0;
    for (int v = 0; v < K; v += W, tables += (size_t)c->n_entries * W)
        for (int e = 0; e < c->n_entries; e++) total += top[e] * T(lane_sum)(tables + (size_t)e * W);
    return total;
}
