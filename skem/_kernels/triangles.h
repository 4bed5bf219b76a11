/* Scores of one component with a triangular factor, of doubles or of floats: see vectors.h. */

/* q += |rows of F z|^2 for R <= 4 rows of a triangle, of which the first has `before` entries left of the diagonal;
 * packed as four numbers a column, z as (columns, vectors, LANES). Returns the end of the packed rows. */
static ALWAYS_INLINE const REAL *N(triangle_rows)(const int vectors, const int R, const REAL *f, int before,
                                                  const REAL *z, VEC *q)
{
    VEC a[4][DEPTH];
    UNROLL for (int r = 0; r < R; r++)
        EACH(v) a[r][v] = (VEC){0};
    for (int j = 0; j < before; j++, f += 4, z += vectors * LANES)
        UNROLL for (int r = 0; r < R; r++)
            EACH(v) a[r][v] += f[r] * READ_VEC(z + v * LANES);
    UNROLL for (int j = 0; j < R; j++, f += 4, z += vectors * LANES)
        UNROLL for (int r = j; r < R; r++)
            EACH(v) a[r][v] += f[r] * READ_VEC(z + v * LANES);
    UNROLL for (int r = 0; r < R; r++)
        EACH(v) q[v] += a[r][v] * a[r][v];
    return f;
}

/* s -= |F (x - m)|^2 / 2 for so many vectors of rows, columns `step` numbers apart. z: scratch (d, vectors, LANES). */
static ALWAYS_INLINE void N(full_tile)(const int vectors, const REAL *x, ptrdiff_t step, int d, const REAL *m,
                                       const REAL *f, double *s, REAL *z)
{
    for (int j = 0; j < d; j++, x += step)
        EACH(v) VEC_AT(z + (vectors * j + v) * LANES) = READ_VEC(x + v * LANES) - m[j];
    VEC q[DEPTH];
    EACH(v) q[v] = (VEC){0};
    int i = 0;
    for (; i + 4 <= d; i += 4) f = N(triangle_rows)(vectors, 4, f, i, z, q);
    if (d - i == 3) N(triangle_rows)(vectors, 3, f, i, z, q);
    else if (d - i == 2) N(triangle_rows)(vectors, 2, f, i, z, q);
    else if (d - i == 1) N(triangle_rows)(vectors, 1, f, i, z, q);
    EACH(v) ADD_UP(s + v * LANES, -0.5f * q[v]);
}
