/* Rows to panels, of double or of float: the file that includes this defines REAL, LANES (numbers in a vector), N(name)
 * and, for float, REAL_IS_FLOAT, and undefines DEEP, ROWS and ACROSS when it is done.
 *
 * A panel holds ROWS rows as columns of ROWS numbers, row n of column j at panel[j * ROWS + n].
 */

#include "interleave.h"

/* Vectors of rows in a panel: with tiles of four multipliers their sums fit 16 registers, and enough are in flight. */
#define DEEP 3
#define ROWS (DEEP * LANES)

/* Square blocks of ACROSS numbers are transposed in registers. */
#if W >= 4 && defined(REAL_IS_FLOAT)
#define ACROSS 8
#elif W > 1 && defined(REAL_IS_FLOAT)
#define ACROSS 4
#else
#define ACROSS W
#endif

#if ACROSS > 1
typedef REAL N(square) __attribute__((vector_size(ACROSS * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef double N(doubles) __attribute__((vector_size(ACROSS * 8), aligned(8), may_alias));

/* Some columns of a row in internal coordinates, formed in the type of the data. */
static ALWAYS_INLINE N(square) N(columns)(const int is_double, const void *x, const void *origin, const void *inv_scale,
                                          ptrdiff_t at, int j)
{
#define COLUMNS(type, number)                                                                                         \
    ((*(const type *)((const number *)x + at) - *(const type *)((const number *)origin + j)) *                        \
     *(const type *)((const number *)inv_scale + j))
    if (is_double) return __builtin_convertvector(COLUMNS(N(doubles), double), N(square));
    return COLUMNS(N(square), REAL);
#undef COLUMNS
}
#endif

/* The rows that `index` names (NULL: the first ones), to a panel in internal coordinates; the origin fills it up. Data,
 * origin and scale are of the panel's type, or double: then a coordinate is rounded once. */
static ALWAYS_INLINE void N(load_any)(const int is_double, const void *data, ptrdiff_t row_stride, const void *origin,
                                      const void *inv_scale, const int32_t *index, int rows, int d, REAL *panel)
{
    const REAL *x = data, *o = origin, *s = inv_scale;
    const double *xd = data, *od = origin, *sd = inv_scale;
    int full_rows = ACROSS > 1 ? rows / ACROSS * ACROSS : 0, full_columns = ACROSS > 1 ? d / ACROSS * ACROSS : 0;
#if ACROSS > 1
    for (int n = 0; n < full_rows; n += ACROSS)
        for (int j = 0; j < full_columns; j += ACROSS) {
            N(square) r[ACROSS];
            for (int i = 0; i < ACROSS; i++)
                r[i] = N(columns)(is_double, data, origin, inv_scale, (index ? index[n + i] : n + i) * row_stride + j, j);
            TRANSPOSE(ACROSS, N(square), r)
            for (int i = 0; i < ACROSS; i++) *(N(square) *)(panel + (size_t)(j + i) * ROWS + n) = r[i];
        }
#endif
    for (int n = 0; n < rows; n++) {
        ptrdiff_t at = (index ? index[n] : n) * row_stride;
        for (int j = n < full_rows ? full_columns : 0; j < d; j++)
            panel[(size_t)j * ROWS + n] =
                is_double ? (REAL)((xd[at + j] - od[j]) * sd[j]) : (x[at + j] - o[j]) * s[j];
    }
    if (rows < ROWS)
        for (int j = 0; j < d; j++)
            for (int n = rows; n < ROWS; n++) panel[(size_t)j * ROWS + n] = 0;
}
