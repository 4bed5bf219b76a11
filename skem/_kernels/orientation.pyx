"""The common orientation of covariances: axes along which each component has variances of its own.

For models EVE and VVE of Celeux & Govaert (1995), see `skem._kernels.shapes`. Axes improve plane by plane: with the
variances fixed the best angle in each is known (Flury & Gautschi 1986 rotate, too), so that every step is uphill.

Scatters are kept as roots, W = Y Y' with one row an axis, as in Hestenes' one-sided method: a plane then concerns two
rows of each, which lie in one piece, and what is small keeps its digits.
"""

from libc.math cimport exp, fabs, hypot, log, sqrt
from libc.string cimport memcpy

from skem._kernels.linalg cimport eigen, factorize, gram

cdef enum:
    TRIAL_ROUNDS = 8           # from each of several axes, of which the best go on

# Gain of a round, per unit of mass, below which the rounds end.
cdef double LEAST_GAIN = 1e-13


cdef double _shapes(
    bint equal_volume, int K, int d,
    const double *n_k,         # IN  (K)
    const double *square,      # IN  (K, d), scatters along the axes
    double *variance,          # OUT (K, d)
) noexcept nogil:
    """Best variances along common axes; return sum_k n_k log |Sigma_k|, infinite where one is 0."""
    cdef int k, j
    cdef double total = 0.0, mass = 0.0, volume = 0.0, own
    for k in range(K):
        own = 0.0
        for j in range(d):
            variance[k * d + j] = square[k * d + j]
            if not variance[k * d + j] > 0.0:
                return -1e308
            own += log(variance[k * d + j])
        mass += n_k[k]
        if equal_volume:
            own = exp(own / d)
            volume += own
        else:
            total += n_k[k] * (own - d * log(n_k[k]))
            own = n_k[k]
        for j in range(d):
            variance[k * d + j] /= own
    if not equal_volume:
        return total
    for j in range(K * d):
        variance[j] *= volume / mass
    return mass * d * log(volume / mass)


cdef double _dot(int d, const double *x, const double *y) noexcept nogil:
    cdef int m
    cdef double a = 0.0, b = 0.0, c = 0.0, e = 0.0
    for m in range(0, d - 3, 4):
        a += x[m] * y[m]
        b += x[m + 1] * y[m + 1]
        c += x[m + 2] * y[m + 2]
        e += x[m + 3] * y[m + 3]
    for m in range(d - d % 4, d):
        a += x[m] * y[m]
    return (a + b) + (c + e)


cdef void _rotate_rows(int d, double c, double s, double *x, double *y) noexcept nogil:
    cdef int m
    cdef double before
    for m in range(d):
        before = x[m]
        x[m] = c * before + s * y[m]
        y[m] = c * y[m] - s * before


cdef void _rotate(
    int K, int d, int i, int j,
    const double *variance,    # IN  (K, d)
    double *turned,            # IN OUT (K, d, d), roots of the scatters, one axis a row
    double *square,            # IN OUT (K, d), scatters along the axes
    double *axes,              # IN OUT (d, d), one a row
    double *cross,             # (K)
) noexcept nogil:
    """Turn two axes in their plane to where sum_k tr(W_k Sigma_k^-1) is least, variances fixed."""
    cdef int k
    cdef double cosine = 0.0, sine = 0.0, length, c, s, x, y
    cdef double *root
    for k in range(K):
        root = turned + <size_t> k * d * d
        cross[k] = _dot(d, root + i * d, root + j * d)
        x = 1.0 / variance[k * d + i] - 1.0 / variance[k * d + j]
        cosine += 0.5 * x * (square[k * d + j] - square[k * d + i])
        sine -= x * cross[k]
    length = hypot(cosine, sine)
    if not length > 0.0 or fabs(sine) <= 1e-17 * cosine:
        return
    cosine, sine = cosine / length, sine / length
    # half the angle, without cancellation
    if cosine >= 0.0:
        c = sqrt(0.5 * (1.0 + cosine))
        s = 0.5 * sine / c
    else:
        s = sqrt(0.5 * (1.0 - cosine))
        c = 0.5 * fabs(sine) / s
        s = s if sine >= 0.0 else -s
    for k in range(K):
        root = turned + <size_t> k * d * d
        _rotate_rows(d, c, s, root + i * d, root + j * d)
        x, y = square[k * d + i], square[k * d + j]
        square[k * d + i] = c * c * x + 2.0 * c * s * cross[k] + s * s * y
        square[k * d + j] = s * s * x - 2.0 * c * s * cross[k] + c * c * y
    _rotate_rows(d, c, s, axes + i * d, axes + j * d)


cdef bint _root(
    int d,
    const double *scatter,     # IN  (d, d)
    double *values,            # (d)
    double *vectors,           # (d, d)
    double *work,              # of `eigen`
    double *root,              # OUT (d, d), root root' = scatter
) noexcept nogil:
    """A root of a scatter, which may be flat; false where it is not finite."""
    cdef int i, m
    if factorize(d, scatter, True, False, root, NULL):
        return True
    if not eigen(d, scatter, values, vectors, work):
        return False
    for m in range(d):
        for i in range(d):
            root[i * d + m] = vectors[m * d + i] * sqrt(max(values[m], 0.0))
    return True


cdef void _turn(
    int d,
    const double *root,        # IN  (d, d)
    const double *axes,        # IN  (d, d), one a row
    double *turned,            # OUT (d, d), axes root
) noexcept nogil:
    cdef int i, j, m
    for i in range(d):
        for j in range(d):
            turned[i * d + j] = 0.0
        for m in range(d):
            for j in range(d):
                turned[i * d + j] += axes[i * d + m] * root[m * d + j]


cdef void _measure(int K, int d, const double *turned, double *square) noexcept nogil:
    cdef int j
    for j in range(K * d):
        square[j] = _dot(d, turned + <size_t> j * d, turned + <size_t> j * d)


cdef double _align(
    bint equal_volume, int K, int d,
    const double *n_k,         # IN  (K)
    const double *roots,       # IN  (K, d, d)
    int n_rounds,              # IN
    double *axes,              # IN OUT (d, d), one a row
    double *turned,            # (K, d, d)
    double *square,            # (K, d)
    double *variance,          # OUT (K, d)
    double *cross,             # (K)
) noexcept nogil:
    """Variances along the common axes and the axes, in turns; return sum_k n_k log |Sigma_k|."""
    cdef int k, i, j, _r
    cdef double value, new, mass = 0.0
    for k in range(K):
        mass += n_k[k]
        _turn(d, roots + <size_t> k * d * d, axes, turned + <size_t> k * d * d)
    _measure(K, d, turned, square)
    value = _shapes(equal_volume, K, d, n_k, square, variance)
    for _r in range(n_rounds):
        if not fabs(value) < 1e300:
            break
        for i in range(d):
            for j in range(i):
                _rotate(K, d, i, j, variance, turned, square, axes, cross)
        _measure(K, d, turned, square)
        new = _shapes(equal_volume, K, d, n_k, square, variance)
        if value - new <= LEAST_GAIN * mass:
            return new
        value = new
    return value


cdef void compose(
    int d,
    const double *axes,        # IN  (d, d), one a row
    const double *variance,    # IN  (d)
    double *covariance,        # OUT (d, d)
) noexcept nogil:
    cdef int i, j, m
    for i in range(d * d):
        covariance[i] = 0.0
    for m in range(d):
        for i in range(d):
            for j in range(i + 1):
                covariance[i * d + j] += variance[m] * axes[m * d + i] * axes[m * d + j]
    for i in range(d):
        for j in range(i):
            covariance[j * d + i] = covariance[i * d + j]


cdef bint common_axes(
    bint equal_volume, int K, int d,
    const double *n_k,         # IN  (K)
    const double *scatter,     # IN  (K, d, d)
    const double *factor,      # IN  (K, d, d) precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    int n_rounds,              # IN
    double *scratch,           # of `_scratch_size`
    double *covariance,        # OUT (K, d, d)
) noexcept nogil:
    cdef int k, i, j, n_trial = n_rounds if factor != NULL else min(n_rounds, TRIAL_ROUNDS)
    cdef size_t e, size = <size_t> d * d
    cdef double value, best, share
    cdef double *roots = scratch
    cdef double *turned = roots + K * size
    cdef double *square = turned + K * size
    cdef double *variance = square + <size_t> K * d
    cdef double *cross = variance + <size_t> K * d
    cdef double *axes = cross + K
    cdef double *found = axes + size
    cdef double *pooled = found + size
    cdef double *product = pooled + size
    cdef double *values = product + size
    cdef double *work = values + d
    for e in range(size):
        pooled[e] = 0.0
    for k in range(K):
        # no two alike, so that axes on which some precisions differ are told apart
        share = 1.0 + 0.6180339887498949 * (k + 1) % 1.0
        if factor != NULL:
            gram(d, factor + k * size, product)
            share *= exp(-2.0 * log_det[k] / d)
        for i in range(d):
            for j in range(i + 1):
                if factor == NULL:
                    pooled[i * d + j] += scatter[k * size + i * d + j]
                else:
                    pooled[i * d + j] += share * product[i * d + j]
    for i in range(d):
        for k in range(i):
            pooled[k * d + i] = pooled[i * d + k]
    for k in range(K):
        if not _root(d, scatter + k * size, values, product, work, roots + k * size):
            return False
    if not eigen(d, pooled, values, axes, work):
        return False
    best = _align(equal_volume, K, d, n_k, roots, n_trial, axes, turned, square, variance, cross)
    for k in range(0 if factor != NULL else K):
        # nothing is known of the axes yet: those of each component are tried, too
        if not eigen(d, scatter + k * size, values, found, work):
            continue
        value = _align(equal_volume, K, d, n_k, roots, n_trial, found, turned, square, variance, cross)
        if fabs(value) < 1e300 and not value >= best - 1e-12 * fabs(best):
            best = value
            memcpy(axes, found, size * sizeof(double))
    if factor == NULL:
        best = _align(equal_volume, K, d, n_k, roots, n_rounds, axes, turned, square, variance, cross)
    if not fabs(best) < 1e300:
        return False
    for k in range(K):
        compose(d, axes, variance + <size_t> k * d, covariance + k * size)
    return True
