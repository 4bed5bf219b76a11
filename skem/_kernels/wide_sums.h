/* Second moments of wide rows, included by tiles.h. */

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
