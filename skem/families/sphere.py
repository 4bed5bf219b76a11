"""The von Mises-Fisher distribution as a function of its concentration, for any dimension and concentration.

With x uniform on the unit sphere of d dimensions and nu = d / 2 - 1, everything follows from

    K(kappa) = log E exp(kappa x_1) = log Gamma(nu + 1) + nu log(2 / kappa) + log I_nu(kappa)

and its derivative A(kappa) = I_{nu + 1}(kappa) / I_nu(kappa), the mean resultant length. K is positive and small where
kappa is, unlike the logarithms of which it is the sum: they would leave no digit of it in thousands of dimensions.
"""

import functools

import numpy as np
from numpy.polynomial import Polynomial
from scipy.special import gammaln, ive

# From this order of the Bessel function on its uniform expansion serves, with so many terms; below it SciPy's function.
UNIFORM_ORDER = 30.0
TERMS = 9
# While the first term of the power series is at most this, so many of them are enough.
SERIES_REACH = 1.0
SERIES_TERMS = 16
# Newton's method ends where it has met a length but for so much, half a dozen steps on; there is nothing to gain after
# MAX_STEPS.
ROUNDING = 1e-15
MAX_STEPS = 12


@functools.lru_cache(maxsize=64)
def _debye(nu):
    """Coefficients in p of sum_k U_k(p) / nu^k and of its derivative, as columns, lowest power first.

    U_0, U_1, ... are the polynomials of the uniform expansion, DLMF 10.41.9 (Abramowitz & Stegun 9.3.9).
    """
    p = Polynomial([0.0, 1.0])
    u = total = Polynomial([1.0])
    for k in range(1, TERMS + 1):
        u = 0.5 * p**2 * (1.0 - p**2) * u.deriv() + ((1.0 - 5.0 * p**2) * u).integ() / 8.0
        total = total + u / nu**k
    return np.stack([total.coef, np.append(total.deriv().coef, 0.0)], axis=1)


def _expansion(p, nu):
    """Log of sum_k U_k(p) / nu^k, and its derivative in p."""
    coefficients = _debye(nu)
    total, slope = np.moveaxis(np.power.outer(p, np.arange(len(coefficients))) @ coefficients, -1, 0)
    return np.log(total), slope / total


def _series_term(kappa, d):
    """First term, (kappa / 2)^2 / (nu + 1), of the power series of the Bessel function after the one."""
    return 0.5 * kappa**2 / d


def log_mean_exp(kappa, d):
    """K(kappa) = log E exp(kappa x_1), x uniform on the unit sphere.

    The density of a von Mises-Fisher distribution is exp(kappa mu'x - K(kappa)) that of the uniform one. Orders from 30
    on take the uniform expansion of the Bessel function, in a form where log Gamma(nu + 1) has cancelled, smaller ones
    SciPy's scaled function, and small concentrations the power series.

    Parameters
    ----------
    kappa : array-like of shape (...)
        Concentrations >= 0.
    d : int
        Columns of the unit vectors.

    Returns
    -------
    values : ndarray of shape (...)

    References
    ----------
    DLMF 10.25.2 and 10.41.3 (Abramowitz & Stegun 9.6.10 and 9.7.7).

    Examples
    --------
    >>> from skem.families.sphere import log_mean_exp
    >>> float(log_mean_exp(2.0, 3).round(12)), float(np.log(np.sinh(2.0) / 2.0).round(12))
    (0.595221489439, 0.595221489439)
    """
    kappa, nu = np.asarray(kappa, dtype=np.float64), 0.5 * d - 1.0
    first = _series_term(kappa, d)
    small = first <= SERIES_REACH
    term = total = np.where(small, first, 0.0)
    for k in range(2, SERIES_TERMS):
        term = term * np.where(small, 0.25 * kappa**2, 0.0) / (k * (nu + k))
        total = total + term
    if nu >= UNIFORM_ORDER:
        z = kappa / nu
        s = np.hypot(1.0, z)
        rise = z**2 / (1.0 + s)  # s - 1
        more = _expansion(1.0 / s, nu)[0] - _expansion(1.0, nu)[0]
        large = nu * (rise - np.log1p(0.5 * rise)) - 0.5 * np.log1p(rise) + more
    else:
        safe = np.where(small, 1.0, kappa)
        large = gammaln(nu + 1.0) + nu * np.log(2.0 / safe) + np.log(ive(nu, safe)) + safe
    return np.where(small, np.log1p(total), large)


def resultant_length(kappa, d):
    """A(kappa) = K'(kappa), the length of the mean vector.

    Parameters
    ----------
    kappa : array-like of shape (...)
        Concentrations >= 0.
    d : int
        Columns of the unit vectors.

    Returns
    -------
    lengths : ndarray of shape (...)
        Within 0 and 1.
    """
    kappa, nu = np.asarray(kappa, dtype=np.float64), 0.5 * d - 1.0
    if nu >= UNIFORM_ORDER:
        z = kappa / nu
        s = np.hypot(1.0, z)
        p = 1.0 / s
        return z * (1.0 / (1.0 + s) - p**2 * (0.5 + p * _expansion(p, nu)[1]) / nu)
    small = _series_term(kappa, d) <= SERIES_REACH
    square = np.where(small, kappa**2, 0.0)
    # Gauss's continued fraction of the ratio, from its end
    ratio = np.zeros_like(square)
    for k in range(SERIES_TERMS, -1, -1):
        ratio = 1.0 / (d + 2 * k + square * ratio)
    safe = np.where(small, 1.0, kappa)
    return np.where(small, kappa * ratio, ive(nu + 1.0, safe) / ive(nu, safe))


def _bound(kappa, d):
    """A lower bound of A(kappa) that is exact at both ends, and its slope (Amos 1974)."""
    root = np.hypot(0.5 * (d + 1.0), kappa)
    below = 0.5 * (d - 1.0) + root
    return kappa / below, (below - kappa**2 / root) / below**2


def concentration_of(length, d):
    """Concentration whose mean vector has this length, by Newton's method.

    Parameters
    ----------
    length : array-like of shape (...)
        Within 0 and 1, the latter left out.
    d : int
        Columns of the unit vectors.

    Returns
    -------
    kappa : ndarray of shape (...)

    References
    ----------
    Banerjee, Dhillon, Ghosh & Sra (2005), Clustering on the unit hypersphere using von Mises-Fisher distributions.
    Sra (2012), A short note on parameter approximation for von Mises-Fisher distributions. Amos (1974), Computation of
    modified Bessel functions and their ratios: where the start of Banerjee et al., kappa = R (d - R^2) / (1 - R^2), has
    an error of half in few columns, the inverse of his bound has one of a few percent.
    """
    length = np.asarray(length, dtype=np.float64)
    if d == 1:
        return np.arctanh(length)
    a, rest = 0.5 * (d - 1.0), (1.0 - length) * (1.0 + length)
    kappa = length * (a + np.sqrt(a**2 + rest * d)) / rest
    for _ in range(MAX_STEPS):
        found = resultant_length(kappa, d)
        # A' = 1 - A^2 - (d - 1) A / kappa cancels where rows are far more concentrated than there are columns
        known = (kappa > 0) & (kappa < 100.0 * d)
        slope = np.where(known, 1.0 - found**2 - (d - 1.0) * found / np.where(known, kappa, 1.0), _bound(kappa, d)[1])
        step = (found - length) / slope
        kappa = np.maximum(kappa - step, 0.5 * kappa)
        if (np.abs(found - length) <= ROUNDING * length).all():
            break
    return kappa


@functools.lru_cache(maxsize=64)
def log_partition(n, d, most):
    """Log of the integral of exp(-n K(kappa)) over concentrations from 0 to `most`.

    Parameters
    ----------
    n : float
        > 0.
    d : int
    most : float

    Returns
    -------
    log_integral : float
    """
    # beyond exp(-40) nothing counts: K grows without bound, and is convex
    low, high = 0.0, most
    if n * log_mean_exp(most, d) > 40.0:
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if n * log_mean_exp(middle, d) > 40.0 else (middle, high)
    # nodes gather at zero, where the integrand of a small n still falls as a power
    nodes, weights = np.polynomial.legendre.leggauss(100)
    nodes = 0.5 * (nodes + 1.0)
    values = 4.0 * nodes**3 * np.exp(-n * log_mean_exp(high * nodes**4, d))
    return float(np.log(0.5 * high * (weights @ values)))


def sample_directions(means, kappa, rng):
    """Draw from von Mises-Fisher distributions, one row of each.

    Parameters
    ----------
    means : ndarray of shape (n, d)
        Unit vectors.
    kappa : ndarray of shape (n,)
    rng : numpy.random.Generator

    Returns
    -------
    rows : ndarray of shape (n, d)

    References
    ----------
    Wood (1994), Simulation of the von Mises-Fisher distribution.
    """
    n, d = means.shape
    if d == 1:
        return means * np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-2.0 * kappa)), 1.0, -1.0)[:, None]
    # 1 - mu'x by rejection; the difference itself, since it may be far smaller than one
    b = (d - 1.0) / (2.0 * kappa + np.hypot(2.0 * kappa, d - 1.0))
    x = (1.0 - b) / (1.0 + b)
    away, left = np.empty(n), np.arange(n)
    while len(left):
        z, u = rng.beta(0.5 * (d - 1.0), 0.5 * (d - 1.0), size=len(left)), rng.random(len(left))
        own_b, own_x, own_kappa = b[left], x[left], kappa[left]
        t = 2.0 * own_b * z / (1.0 - (1.0 - own_b) * z)
        # kappa w + (d - 1) log(1 - x w), less the same at w = x
        gain = own_kappa * (1.0 - own_x - t) + (d - 1.0) * np.log((1.0 - own_x + own_x * t) / (1.0 - own_x**2))
        taken = gain >= np.log(u)
        away[left[taken]] = t[taken]
        left = left[~taken]
    across = rng.standard_normal((n, d))
    across -= (across * means).sum(axis=1)[:, None] * means
    across /= np.linalg.norm(across, axis=1)[:, None]
    rows = (1.0 - away)[:, None] * means + np.sqrt(away * (2.0 - away))[:, None] * across
    return rows / np.linalg.norm(rows, axis=1)[:, None]
