/* Statistics of a block: table += ..., included by tiles.h. */

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
