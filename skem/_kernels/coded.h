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
            T(transpose)(r);
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
            T(transpose)(r);
            for (int g = 0; g < G; g++) {
                double *t = tables + (size_t)c->first[g] * W;
                UNROLL for (int i = 0; i < W; i++) AT(t + (size_t)row[i * G + g] * W) += r[i];
            }
        }
}
