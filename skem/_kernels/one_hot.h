/* One-hot rows, included by tiles.h.
 *
 * A row of d codes stands for a feature vector of m numbers, ones where its codes point and zeros elsewhere: nobody
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
