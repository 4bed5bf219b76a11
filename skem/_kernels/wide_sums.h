/* Second moments of wide rows, of doubles or of floats: see vectors.h. */

/* Wide data, columns in vector lanes: x and y are panels of PANEL columns, (D / PANEL, rows, PANEL), so that a panel's
 * rows lie side by side whatever D is. One tile: WIDE_ROWS rows of the second moments by so many vectors from column j
 * on. */
#define WIDE_ROWS (W == 8 ? 8 : 4)
static ALWAYS_INLINE void N(wide_tile)(const int vectors, const REAL *p, const REAL *y, int j, int rows, int width,
                                       double *t)
{
    const REAL *q[3];
    VEC a[WIDE_ROWS][3];
    UNROLL for (int v = 0; v < vectors; v++) {
        int column = j + v * LANES;
        q[v] = y + (size_t)column / PANEL * PANEL * rows + column % PANEL;
    }
    UNROLL for (int c = 0; c < WIDE_ROWS; c++)
        EACH(v) a[c][v] = (VEC){0};
    for (ptrdiff_t n = 0; n < PANEL * (ptrdiff_t)rows; n += PANEL)
        UNROLL for (int c = 0; c < WIDE_ROWS; c++)
            EACH(v) a[c][v] += p[n + c] * READ_VEC(q[v] + n);
    UNROLL for (int c = 0; c < WIDE_ROWS; c++)
        EACH(v) ADD_UP(t + (size_t)c * width + j + v * LANES, a[c][v]);
}

/* One panel of y = sqrt(r) (x - m), and first (PANEL) += sum r (x - m). The sums of one vector wait for themselves: those
 * of odd and even rows go side by side. */
static ALWAYS_INLINE void N(wide_panel)(const REAL *x, const int *members, int count, const REAL *m,
                                        const REAL *root, REAL *y, double *first)
{
    enum { EACH_ROW = PANEL / LANES };
    VEC sum[2][EACH_ROW], centre[EACH_ROW];
    UNROLL for (int v = 0; v < EACH_ROW; v++) {
        sum[0][v] = sum[1][v] = (VEC){0};
        centre[v] = READ_VEC(m + v * LANES);
    }
#define WIDE_ROW(n, odd)                                                                                              \
    UNROLL for (int v = 0; v < EACH_ROW; v++) {                                                                       \
        VEC a = (READ_VEC(x + PANEL * members[n] + v * LANES) - centre[v]) * root[n];                                 \
        VEC_AT(y + PANEL * (n) + v * LANES) = a;                                                                      \
        sum[odd][v] += a * root[n];                                                                                   \
    }
    int n = 0;
    for (; n + 2 <= count; n += 2) {
        WIDE_ROW(n, 0)
        WIDE_ROW(n + 1, 1)
    }
    if (n < count) WIDE_ROW(n, 0)
#undef WIDE_ROW
    UNROLL for (int v = 0; v < EACH_ROW; v++) ADD_UP(first + v * LANES, sum[0][v] + sum[1][v]);
}

/* first (D) += sum r z, second += sum r z z' on and below the diagonal, over `count` members of the block's rows,
 * z = x - m; plain numbers. Of second, each PANEL rows reach as far as their diagonal does: of eight, 8 x 8, 8 x 16, .. 8 x D.
 * root holds sqrt(r) of the members: with y = sqrt(r) z one array serves both sides of the products. y is scratch of the
 * shape of x. */
static void N(wide_sums)(const REAL *x, int rows, const int *members, int count, int D, const REAL *m,
                         const REAL *root, REAL *y, double *first, double *second)
{
    for (int i = 0, width = PANEL; i < D; i += PANEL, second += PANEL * width, width += PANEL) {
        REAL *yi = y + (size_t)i * count;
        N(wide_panel)(x + (size_t)i * rows, members, count, m + i, root, yi, first + i);
        for (int row = 0; row < PANEL; row += WIDE_ROWS) {
            /* vectors that reach up to the diagonal; what they hold beyond it nobody reads */
            int j = 0, left = (i + row + WIDE_ROWS + LANES - 1) / LANES;
            double *t = second + (size_t)row * width;
            /* three and one would be four sums alone, waiting for themselves: two and two */
            for (; left == 3 || left > 4; left -= 3, j += 3 * LANES) N(wide_tile)(3, yi + row, y, j, count, width, t);
            for (; left > 1; left -= 2, j += 2 * LANES) N(wide_tile)(2, yi + row, y, j, count, width, t);
            if (left) N(wide_tile)(1, yi + row, y, j, count, width, t);
        }
    }
}
