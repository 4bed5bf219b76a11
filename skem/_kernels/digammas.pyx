"""Shapes of Gamma and Beta distributions whose expected logarithms are given, by Newton's method.

With excess(x) = log x - digamma(x), which falls from infinity to zero, the equations keep their digits however large
the shapes are: excess(x) is about 1 / (2 x) there, where log x and digamma(x) agree in nearly all theirs.
"""

import numpy as np

from libc.math cimport exp, expm1, fabs, fmax, fmin, isnan, log, log1p, sqrt

cdef enum:
    MOST_STEPS = 100

# From here on the series have all their digits.
cdef double SERIES_FROM = 15.0
# A relative step below this is the last: the next one, of the order of its square, would be rounding.
cdef double LAST = 1e-10
# Most that one step may change the logarithm of a shape by.
cdef double LONGEST = 2.0


cdef double _excess(
    double x,                # IN  positive
    double *slope,           # OUT derivative there
) noexcept nogil:
    """Log x - digamma(x), by recurrence up to where the asymptotic series serves."""
    cdef double value = 0.0, change = 0.0, start = x, r, tail
    while x < SERIES_FROM:
        value += 1.0 / x
        change -= 1.0 / (x * x)
        x += 1.0
    if x > start:
        value += log(start / x)
        change += (x - start) / (start * x)
    r = 1.0 / (x * x)
    tail = 1.0 / 42 - r * (1.0 / 30 - r * (5.0 / 66 - r * 691.0 / 2730))
    slope[0] = change - r * (0.5 + (1.0 / 6 - r * (1.0 / 30 - r * tail)) / x)
    tail = 1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132 - r * 691.0 / 32760))
    return value + 0.5 / x + r * (1.0 / 12 - r * (1.0 / 120 - r * tail))


cdef double digamma(double x) noexcept nogil:
    cdef double slope
    return log(x) - _excess(x, &slope)


cdef double _inverse_slope_less(double x, double slope) noexcept nogil:
    """1 / trigamma(x) - x, which tends to -1/2."""
    return x * x * slope / (1.0 - x * slope)


cdef double _shape(double target, double largest) noexcept nogil:
    """The x with excess(x) = target, at most `largest`."""
    cdef double x, before, slope, value, inverse
    cdef int _step
    value = _excess(largest, &slope)
    if not target > value:
        return largest
    x = (3.0 - target + sqrt((target - 3.0) * (target - 3.0) + 24.0 * target)) / (12.0 * target)
    for _step in range(MOST_STEPS):
        value = _excess(x, &slope)
        # Newton's step for 1 / x, in which the equation is all but straight
        inverse = 1.0 / x + (value - target) / (x * x * slope)
        inverse = fmin(fmax(inverse, exp(-LONGEST) / x), exp(LONGEST) / x)
        before, x = x, 1.0 / inverse
        if fabs(x - before) <= LAST * x:
            break
    return fmin(x, largest)


cdef double _other(double a, double target, double start) noexcept nogil:
    """The b with digamma(b) - digamma(a + b) = target."""
    cdef double b = start, slope, whole_slope, value, rise, move
    cdef int _step
    for _step in range(MOST_STEPS):
        value = _excess(a + b, &whole_slope) - _excess(b, &slope) - log1p(a / b)
        # trigamma(b) - trigamma(a + b)
        rise = a / (b * (a + b)) - slope + whole_slope
        move = fmin(fmax((target - value) / (rise * b), -LONGEST), LONGEST)
        b *= exp(move)
        if fabs(move) <= LAST:
            break
    return b


cdef void _pair(
    double first, double second,   # IN  expected log x and log(1 - x)
    double largest,
    double *alpha, double *beta,   # OUT the smaller of them at most `largest`
) noexcept nogil:
    cdef double room, a, b, slope, slope_b, whole_slope, whole, miss, miss_b, p, p_b, common
    cdef double move, move_b
    cdef int _step
    # one less both geometric means; nothing but rounding is left of it where all x are one
    room = -expm1(second) - exp(first) if first <= second else -expm1(first) - exp(second)
    room = fmax(room, 1e-17 * exp(fmin(first, second)))
    a, b = 0.5 + 0.5 * exp(first) / room, 0.5 + 0.5 * exp(second) / room
    for _step in range(MOST_STEPS):
        if fmin(a, b) > largest or isnan(a) or isnan(b):
            break
        whole = _excess(a + b, &whole_slope)
        miss = first + _excess(a, &slope) + log1p(b / a) - whole
        miss_b = second + _excess(b, &slope_b) + log1p(a / b) - whole
        p, p_b = 1.0 / a - slope, 1.0 / b - slope_b
        common = _inverse_slope_less(a + b, whole_slope) - _inverse_slope_less(a, slope)
        common = (miss / p + miss_b / p_b) / (common - _inverse_slope_less(b, slope_b))
        move = fmin(fmax((miss + common) / (p * a), -LONGEST), LONGEST)
        move_b = fmin(fmax((miss_b + common) / (p_b * b), -LONGEST), LONGEST)
        a *= exp(move)
        b *= exp(move_b)
        if fmax(fabs(move), fabs(move_b)) <= LAST:
            break
    if not fmin(a, b) <= largest:
        # the best with the smaller of the two held
        if first <= second:
            a = largest
            b = fmax(_other(a, second, largest * exp(fmin(second - first, 600.0))), largest)
        else:
            b = largest
            a = fmax(_other(b, first, largest * exp(fmin(first - second, 600.0))), largest)
    alpha[0] = a
    beta[0] = b


def excess(x):
    """Log x - digamma(x).

    Parameters
    ----------
    x : ndarray
        Positive.

    Returns
    -------
    excess : ndarray of x's shape
    """
    cdef const double[::1] given = np.ascontiguousarray(x, np.float64).ravel()
    cdef double slope
    cdef Py_ssize_t i
    found = np.empty(np.shape(x))
    cdef double[::1] out = found.reshape(-1)
    for i in range(given.shape[0]):
        out[i] = _excess(given[i], &slope)
    return found


def gamma_shapes(target, double largest):
    """Shapes of largest likelihood of Gamma distributions.

    Parameters
    ----------
    target : ndarray
        Logarithm of the mean less mean logarithm.
    largest : float
        Where the shapes end.

    Returns
    -------
    shapes : ndarray of target's shape
        Those x with log x - digamma(x) = target, by Minka's (2002) iteration.
    """
    cdef const double[::1] given = np.ascontiguousarray(target, np.float64).ravel()
    cdef Py_ssize_t i
    found = np.empty(np.shape(target))
    cdef double[::1] out = found.reshape(-1)
    with nogil:
        for i in range(given.shape[0]):
            out[i] = _shape(given[i], largest)
    return found


def beta_shapes(first, second, double largest):
    """Parameters of largest likelihood of Beta distributions.

    Parameters
    ----------
    first, second : ndarray
        Means of log x and of log(1 - x).
    largest : float
        Where the smaller of the two parameters ends.

    Returns
    -------
    alphas, betas : ndarray of first's shape
    """
    cdef const double[::1] log_x = np.ascontiguousarray(first, np.float64).ravel()
    cdef const double[::1] log_rest = np.ascontiguousarray(second, np.float64).ravel()
    cdef Py_ssize_t i
    alphas, betas = np.empty(np.shape(first)), np.empty(np.shape(first))
    cdef double[::1] a = alphas.reshape(-1), b = betas.reshape(-1)
    with nogil:
        for i in range(log_x.shape[0]):
            _pair(log_x[i], log_rest[i], largest, &a[i], &b[i])
    return alphas, betas
