"""One row against a panel of components, and rank-one changes: the collapsed pass's arithmetic.

Components lie in panels of LANES side by side, each number of the state in LANES copies, one a
component. Loops over a panel's lanes have no dependence between them, which a triangular solve
alone does not offer.
"""

from libc.math cimport floor, fmax, log, log1p, sqrt

cdef enum:
    LANES = 8
    MOST_FACTORS = 16          # of numbers within 1e-18 and 1e18, so that a product stays finite

cdef struct Row:
    const double *x            # (length,)
    const Py_ssize_t *columns  # (length,) columns of x where the others are zero; NULL where x is all of them
    Py_ssize_t length

cdef extern from *:
    """
    #define SKEM_LEAST_LEFT 1e-15
    """
    # Part of a positive number that a subtraction leaves at least.
    const double LEAST_LEFT "SKEM_LEAST_LEFT"


# --------------------------------------------------------------------------------------------------
# Scalar pieces


cdef inline double left(double total, double part) noexcept nogil:
    """Total - part, for numbers that stay positive in exact arithmetic."""
    return fmax(total - part, LEAST_LEFT * total)


cdef inline double stirling(double z) noexcept nogil:
    """Log Gamma(z) without (z - 1/2) log z - z + log(2 pi) / 2, to 3e-15 from z = 12 up."""
    cdef double s = 1 / (z * z)
    return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188)))) / z


cdef inline double log_rising(double a, double w) noexcept nogil:
    """Log Gamma(a + w) - log Gamma(a), for a > 0 and w >= 0.

    Not by two calls of lgamma: at counts of a million these agree in all but the last few digits.
    """
    cdef double product = 1
    cdef Py_ssize_t i
    if w <= MOST_FACTORS and w == floor(w):
        for i in range(<Py_ssize_t> w):
            product *= a + i
        return log(product)
    while a < 12:
        product *= a / (a + w)
        a += 1
    return (
        log(product) + (a + w - 0.5) * log1p(w / a) + w * (log(a) - 1)
        + (stirling(a + w) - stirling(a))
    )


cdef inline double log_rising_multivariate(double nu, double w, Py_ssize_t d) noexcept nogil:
    """Log Gamma_d((nu + w) / 2) - log Gamma_d(nu / 2)."""
    cdef double total = 0
    cdef Py_ssize_t i
    if w == 1:
        return log_rising(0.5 * (nu - d + 1), 0.5 * d)   # the d differences telescope
    for i in range(d):
        total += log_rising(0.5 * (nu - i), 0.5 * w)
    return total


# --------------------------------------------------------------------------------------------------
# One row against the components of a panel


cdef inline void whiten(
    const double *x,           # IN (d,)
    const double *mean,        # IN (d, LANES)
    const double *tri,         # IN (d (d + 1) / 2, LANES) Cholesky factor by rows
    const double *inv,         # IN (d, LANES) inverse of its diagonal
    Py_ssize_t d,              # IN
    double *y,                 # OUT (d, LANES) the row, centred and whitened
    double *squared,           # OUT (LANES,) its squared length
) noexcept nogil:
    cdef Py_ssize_t i, j, t
    cdef double rest[LANES]
    cdef double total[LANES]
    for t in range(LANES):
        total[t] = 0
    for i in range(d):
        for t in range(LANES):
            rest[t] = x[i] - mean[i * LANES + t]
        for j in range(i):
            for t in range(LANES):
                rest[t] -= tri[j * LANES + t] * y[j * LANES + t]
        tri += (i + 1) * LANES
        for t in range(LANES):
            rest[t] *= inv[i * LANES + t]
            y[i * LANES + t] = rest[t]
            total[t] += rest[t] * rest[t]
    for t in range(LANES):
        squared[t] = total[t]


cdef inline void square(
    const double *x,           # IN (d,)
    const double *mean,        # IN (d, LANES)
    const double *inv,         # IN (LANES,) inverse of the scatter
    Py_ssize_t d,              # IN
    double *squared,           # OUT (LANES,) squared distance over the scatter
) noexcept nogil:
    cdef Py_ssize_t i, t
    cdef double step
    cdef double total[LANES]
    for t in range(LANES):
        total[t] = 0
    for i in range(d):
        for t in range(LANES):
            step = x[i] - mean[i * LANES + t]
            total[t] += step * step
    for t in range(LANES):
        squared[t] = total[t] * inv[t]


cdef inline void grow_diag(
    const double *x,           # IN (d,)
    const double *mean,        # IN (d, LANES)
    const double *inv,         # IN (d, LANES) inverse of the scatter
    const double *coef,        # IN (LANES,)
    Py_ssize_t d,              # IN
    double *growth,            # OUT (LANES,) product of (1 + coef step^2 / scatter), less 1
) noexcept nogil:
    cdef Py_ssize_t i, t
    cdef double step, part
    cdef double total[LANES]
    for t in range(LANES):
        total[t] = 0
    for i in range(d):
        for t in range(LANES):
            step = x[i] - mean[i * LANES + t]
            part = coef[t] * step * step * inv[i * LANES + t]
            # The product less 1, not the product: small growths keep all their digits.
            total[t] += part * (1 + total[t])
    for t in range(LANES):
        growth[t] = total[t]


cdef inline double log_grow_diag(
    const double *x,           # IN (d,)
    const double *mean,        # IN (d, LANES), from the lane on
    const double *inv,         # IN (d, LANES), from the lane on
    double coef,               # IN negative to shrink
    Py_ssize_t d,              # IN
) noexcept nogil:
    """Log of the product that `grow_diag` forms, for one lane, factor by factor."""
    cdef Py_ssize_t i
    cdef double step, total = 0
    for i in range(d):
        step = x[i] - mean[i * LANES]
        total += log1p(fmax(coef * step * step * inv[i * LANES], LEAST_LEFT - 1))
    return total


cdef struct Matrix:
    const double *x            # (n, d), or the values of CSR entries
    const Py_ssize_t *columns  # of the entries; NULL where rows are whole
    const Py_ssize_t *start    # (n + 1) where the entries of each row begin
    Py_ssize_t d


cdef inline Row whole_row(const double *x, Py_ssize_t d) noexcept nogil:
    cdef Row row
    row.x, row.columns, row.length = x, NULL, d
    return row


cdef inline Row row_of(const Matrix *m, Py_ssize_t i) noexcept nogil:
    cdef Row row
    if m.columns == NULL:
        return whole_row(m.x + i * m.d, m.d)
    row.x, row.columns, row.length = m.x + m.start[i], m.columns + m.start[i], m.start[i + 1] - m.start[i]
    return row


cdef inline Py_ssize_t column_of(const Row *row, Py_ssize_t t) noexcept nogil:
    """The column of a row's t-th entry."""
    return t if row.columns == NULL else row.columns[t]


cdef inline void rise_counts(
    const Row *row,            # IN counts
    double w,                  # IN
    const double *total,       # IN (d, LANES)
    const double *slope,       # IN (d, LANES) or NULL for zeros
    double *rise,              # OUT (LANES,) sum of log Gamma(total + w x) / Gamma(total) + slope x
) noexcept nogil:
    # Small whole numbers take a product over all columns and few logs; others one difference each.
    cdef Py_ssize_t i, j, t, e, n_factors = 0
    cdef double count
    cdef double product[LANES]
    for t in range(LANES):
        rise[t] = 0
        product[t] = 1
    for e in range(row.length):
        count = w * row.x[e]
        if count == 0:
            continue
        j = column_of(row, e)
        if slope != NULL:
            for t in range(LANES):
                rise[t] += slope[j * LANES + t] * row.x[e]
        if count > MOST_FACTORS or count != floor(count):
            for t in range(LANES):
                rise[t] += log_rising(total[j * LANES + t], count)
            continue
        if n_factors + count > MOST_FACTORS:
            for t in range(LANES):
                rise[t] += log(product[t])
                product[t] = 1
            n_factors = 0
        for i in range(<Py_ssize_t> count):
            for t in range(LANES):
                product[t] *= total[j * LANES + t] + i
        n_factors += <Py_ssize_t> count
    for t in range(LANES):
        rise[t] += log(product[t])


cdef inline void sum_slopes(
    const Row *row,            # IN zeros and ones
    const double *slope,       # IN (d, LANES)
    double *rise,              # OUT (LANES,) sum of the slopes where the row has ones
) noexcept nogil:
    cdef Py_ssize_t e, t
    cdef const double *at
    for t in range(LANES):
        rise[t] = 0
    for e in range(row.length):
        if row.x[e] != 0:
            at = slope + column_of(row, e) * LANES
            for t in range(LANES):
                rise[t] += at[t]


# --------------------------------------------------------------------------------------------------
# Rank-one changes of one lane


cdef inline void update_factor(
    double *tri,               # IN OUT (d (d + 1) / 2, LANES), from the lane on
    double *inv,               # IN OUT (d, LANES), from the lane on
    double *v,                 # IN, destroyed (d,)
    Py_ssize_t d,              # IN
) noexcept nogil:
    """Factor of L L^T + v v^T."""
    cdef Py_ssize_t i, j
    cdef double *pivot = tri
    cdef double *entry
    cdef double c, s, root
    for j in range(d):
        root = sqrt(pivot[0] * pivot[0] + v[j] * v[j])
        c = root / pivot[0]
        s = v[j] / pivot[0]
        pivot[0] = root
        inv[j * LANES] = 1 / root
        entry = pivot
        for i in range(j + 1, d):
            entry += i * LANES
            entry[0] = (entry[0] + s * v[i]) / c
            v[i] = c * v[i] - s * entry[0]
        pivot += (j + 2) * LANES


cdef inline bint downdate_factor(
    double *tri,               # IN OUT (d (d + 1) / 2, LANES), from the lane on
    double *inv,               # IN OUT (d, LANES), from the lane on
    double *v,                 # IN, destroyed (d,)
    Py_ssize_t d,              # IN
) noexcept nogil:
    """Factor of L L^T - v v^T by mixed hyperbolic rotations; True if a pivot had to be held up."""
    cdef Py_ssize_t i, j
    cdef double *pivot = tri
    cdef double *entry
    cdef double c, s, left
    cdef bint repaired = False
    for j in range(d):
        left = (1 - v[j] / pivot[0]) * (1 + v[j] / pivot[0])
        if not left > LEAST_LEFT:
            left = LEAST_LEFT
            v[j] = pivot[0] if v[j] > 0 else -pivot[0]
            repaired = True
        c = sqrt(left)
        s = v[j] / pivot[0]
        pivot[0] *= c
        inv[j * LANES] = 1 / pivot[0]
        entry = pivot
        for i in range(j + 1, d):
            entry += i * LANES
            entry[0] = (entry[0] - s * v[i]) / c
            v[i] = c * v[i] - s * entry[0]
        pivot += (j + 2) * LANES
    return repaired
