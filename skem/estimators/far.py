"""Rows of a query so far out that their squares would overflow."""

import numpy as np
from scipy.special import logsumexp

from skem._kernels.seeding import column_range
from skem.engine import Source

# A query farther out than 2 ** FAR, in internal coordinates, is drawn in before it is squared.
FAR = 400
NEAR = 2.0 ** (FAR - 1)
# So few numbers are looked through sooner by Python.
FEW = 64
NONE = np.zeros(0, dtype=np.intp)
# How much nearer a second look is taken, where the density falls off by a power of the distance.
LOOK = 200


def _largest(X):
    """Largest magnitude in X."""
    if X.size <= FEW:
        numbers = X.ravel().tolist()
        return max(*numbers, -min(numbers))
    low, high = column_range(X, None)
    return max(float(high.max()), -float(low.min()))


class DrawnIn:
    """Rows of a query so far out that their squares overflow, and by how much each is drawn in.

    Out there the term of the highest power decides alone, so the direction from the origin is all that labels need.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    summary : Summary
    power : int or ndarray of shape (d,), default=2
        Of the distance, by which the log density falls off; 0 for columns that are left as they are.

    Attributes
    ----------
    rows : intp ndarray of shape (m,)
    halvings : int ndarray of shape (m,)
        Rows are drawn in by the factor 2 ** halvings.
    """

    def __init__(self, X, summary, power=2):
        self.origin = summary.origin
        # nearly always all columns are near by the units of the smallest, as plain numbers tell soonest
        farthest = _largest(X) + max(map(abs, self.origin.tolist()))
        if farthest < NEAR * min(summary.scale.tolist()):
            self.rows = self.halvings = NONE
            return
        power = np.broadcast_to(power, X.shape[1:])
        self.fixed = power == 0
        low, high = column_range(X, None)
        unit = np.frexp(summary.scale)[1]
        # halves, since the difference of two finite numbers may overflow
        reach = np.maximum(np.abs(high / 2 - self.origin / 2), np.abs(low / 2 - self.origin / 2))
        if np.where(self.fixed, 0, np.frexp(reach)[1] - unit).max() < FAR:
            self.rows = self.halvings = NONE
            return
        half = X.astype(np.float64) / 2 - self.origin / 2
        still = self.fixed | (half == 0.0)
        exponent = np.where(still, np.iinfo(np.int32).min // 2, np.frexp(half)[1] - unit).max(axis=1)
        self.rows = np.flatnonzero(exponent >= FAR)
        self.halvings = exponent[self.rows] - FAR
        self.half = half[self.rows]
        # far out the highest power decides
        far = ~self.fixed & (np.frexp(self.half)[1] - unit >= FAR)
        self.power = np.where(far, power, 0).max(axis=1)

    def near(self, extra=0):
        """Return the far rows drawn in, by 2 ** extra more than needed."""
        return self.origin + np.ldexp(self.half, np.where(self.fixed, 1, 1 - extra - self.halvings[:, None]))

    def stretch(self, value):
        """Return such terms (m,) or (m, K) of the far rows at their true distance, the lowest float at least."""
        doublings = (self.power * self.halvings).reshape((-1,) + (1,) * (value.ndim - 1))
        with np.errstate(over="ignore"):
            return np.maximum(np.ldexp(value, doublings), -np.finfo(np.float64).max)


def bounded_source(X, family):
    """Source of query rows, those too far out drawn in.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    family : Family
        Bound.

    Returns
    -------
    source : Source
        Of X's dtype.
    drawn : DrawnIn or None
        None where no row is too far out.
    """
    power = family.tail_power()
    fixed = not (power.any() if isinstance(power, np.ndarray) else power)
    drawn = None if fixed else DrawnIn(X, family.summary_, power)
    if drawn is None or not len(drawn.rows):
        return Source(X, None, family), None
    X = X.copy()
    X[drawn.rows] = drawn.near()
    return Source(X, None, family), drawn


def whole_density(source, density, drawn=None):
    """Complete log densities of a pass: base measure, Jacobian, and the true distance of rows drawn in.

    Parameters
    ----------
    source : Source
    density : ndarray of shape (n_samples,)
        Log sum exp of a pass; overwritten.
    drawn : DrawnIn, default=None
        Given where the density falls off as a Gaussian does.

    Returns
    -------
    density : ndarray of shape (n_samples,)
        In the user's units; the lowest float stands for all below.
    """
    family = source.family
    for rows in source.blocks():
        density[rows] += family.log_base_measure(source.X[rows])
    density -= family.summary_.log_jacobian
    if drawn is not None:
        density[drawn.rows] = drawn.stretch(density[drawn.rows])
    return density


def far_density(source, drawn, log_weights, theta, power):
    """Log densities, base measure left out, of rows that were drawn in, at their true distance.

    There each component's log density falls with the logarithm of the distance.

    Parameters
    ----------
    source : Source
    drawn : DrawnIn
    log_weights : ndarray of shape (n_components,)
    theta : Parameters
    power : ndarray of shape (n_components,)
        Of the distance, by which the component falls; inf for one that falls as a Gaussian does.

    Returns
    -------
    density : ndarray of shape (m,)
    """
    own = Source(np.ascontiguousarray(source.X[drawn.rows]), None, source.family)
    scores = np.empty((len(own), len(log_weights)))
    own.run(log_weights, theta, collect=False, scores=scores)
    finite = np.isfinite(power)
    fall = np.where(finite, power, 0.0) * (np.log(2.0) * drawn.halvings[:, None])
    return logsumexp(np.where(finite, scores - fall, drawn.stretch(scores)), axis=1)
