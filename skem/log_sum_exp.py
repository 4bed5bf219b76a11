"""Maximise log sum_i exp f_i(x) by its lower bound: the step from which EM has grown."""

from typing import Any, NamedTuple

import numpy as np

# Newton steps are taken where they promise at most this much (in nats, doubled): near a maximum, so that a step leads
# to the one that the bound's own steps would reach.
NEAR = 0.1
# Curvature, relative to that along the coordinates, below which a direction counts as flat.
FLAT = 1e-12
# Numbers that one evaluation of quadratics holds at a time.
BLOCK = 1 << 20


class Maximum(NamedTuple):
    """Where `maximize_log_sum_exp` has ended.

    Attributes
    ----------
    x : ndarray of shape (d,) or (n_starts, d)
        Where the ascents have ended.
    value : float or ndarray of shape (n_starts,)
        log sum_i exp f_i(x).
    n_iter : int or ndarray of shape (n_starts,)
        Steps taken.
    converged : bool or ndarray of shape (n_starts,)
        Whether a step gained `tol` at most.
    values : ndarray of shape (max(n_iter) + 1,) or (max(n_iter) + 1, n_starts)
        Value at the start and after each step; never falls. Starts that rest repeat their last one.
    """

    x: np.ndarray
    value: Any
    n_iter: Any
    converged: Any
    values: np.ndarray


class QuadraticTerms:
    """Quadratic terms f_i(x) = c_i + b_i'(x - m_i) - (x - m_i)'A_i(x - m_i) / 2.

    Parameters
    ----------
    A : array-like of shape (n, d, d)
        Symmetric and positive semidefinite; weighted sums of them must be positive definite.
    b : array-like of shape (n, d), default=0.0
        Slopes at the centres.
    c : array-like of shape (n,), default=0.0
        Values at the centres.
    centers : array-like of shape (n, d), default=0.0
        Centres m_i. Terms that peak far from the origin keep their digits if they are written about their peaks.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import QuadraticTerms, maximize_log_sum_exp
    >>> terms = QuadraticTerms(np.ones((2, 1, 1)), centers=[[0.0], [3.0]])
    >>> maximize_log_sum_exp(terms, [[0.5], [2.5]]).x.round(3)
    array([[0.037],
           [2.963]])
    """

    def __init__(self, A, b=0.0, c=0.0, *, centers=0.0):
        A = np.asarray(A, dtype=np.float64)
        if A.ndim != 3 or A.shape[1] != A.shape[2] or 0 in A.shape:
            raise ValueError(f"A must have shape (n, d, d), got {A.shape}")
        self.A = A
        self.b, self.centers = (_of_shape(value, A.shape[:2], name) for value, name in ((b, "b"), (centers, "centers")))
        self.c = _of_shape(c, A.shape[:1], "c")
        for value, name in ((self.A, "A"), (self.b, "b"), (self.c, "c"), (self.centers, "centers")):
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds NaN or infinity")

    def _slopes(self, x):
        """Deviations from the centres and A times them, (..., n, d)."""
        deviation = x[..., None, :] - self.centers
        return deviation, np.einsum("nij,...nj->...ni", self.A, deviation)

    def _values(self, rows):
        deviation, pulled = self._slopes(rows)
        return self.c + ((self.b - 0.5 * pulled) * deviation).sum(axis=-1)

    def _derivatives(self, rows):
        """Gradients (m, n, d) of the terms, and shares a of A and b of their squares in Hessians -a A + b g g'."""
        slopes = self.b - self._slopes(rows)[1]
        return slopes, np.ones(slopes.shape[:-1]), 0.0

    def values(self, x):
        """Value of each term.

        Parameters
        ----------
        x : ndarray of shape (..., d)
            Points.

        Returns
        -------
        values : ndarray of shape (..., n)
            The f_i(x).
        """
        x = np.asarray(x, dtype=np.float64)
        rows = x.reshape(-1, x.shape[-1])
        values = np.empty((len(rows), len(self.c)))
        size = max(BLOCK // self.centers.size, 1)
        for start in range(0, len(rows), size):
            values[start : start + size] = self._values(rows[start : start + size])
        return values.reshape(*x.shape[:-1], -1)

    def maximize(self, weights):
        """Point at which a weighted sum of the terms is largest.

        Parameters
        ----------
        weights : ndarray of shape (..., n)
            Weights >= 0.

        Returns
        -------
        x : ndarray of shape (..., d)
            Equal to (sum_i weights_i A_i)^-1 sum_i weights_i (A_i m_i + b_i).
        """
        weights = np.asarray(weights, dtype=np.float64)
        # about the mean of the centres, for what they have in common need not cancel then
        middle = weights @ self.centers / weights.sum(axis=-1, keepdims=True)
        total = np.einsum("...n,nij->...ij", weights, self.A)
        pull = np.einsum("...n,ni->...i", weights, self.b)
        pull += np.einsum("...n,nij,nj->...i", weights, self.A, self.centers, optimize=True)
        pull -= np.einsum("...ij,...j->...i", total, middle)
        try:
            return middle + np.linalg.solve(total, pull[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise ValueError(
                "a weighted sum of the terms has no single maximum, for its matrix A is singular; the terms that "
                "matter at a point must curve in every direction together"
            ) from None

    def derivatives(self, x, shares):
        """Gradient and Hessian of log sum_i exp f_i.

        Parameters
        ----------
        x : ndarray of shape (n_points, d)
            Points.
        shares : ndarray of shape (n_points, n)
            Softmax of the terms' values there.

        Returns
        -------
        gradient : ndarray of shape (n_points, d)
            The mean g = sum_i q_i g_i of the terms' gradients.
        hessian : ndarray of shape (n_points, d, d)
            Equal to sum_i q_i [(g_i - g)(g_i - g)' + H_i], H_i = -A_i the Hessian of a quadratic term.
        """
        gradient = np.empty(x.shape)
        hessian = np.empty((*x.shape, x.shape[1]))
        size = max(BLOCK // self.centers.size, 1)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            slopes, curved, bent = self._derivatives(x[rows])
            mean = gradient[rows] = np.einsum("mn,mni->mi", shares[rows], slopes)
            own = np.swapaxes(shares[rows][..., None] * bent * slopes, 1, 2) @ slopes if np.any(bent) else 0.0
            slopes = slopes - mean[:, None]
            weighted = np.swapaxes(shares[rows][..., None] * slopes, 1, 2)
            hessian[rows] = weighted @ slopes + own - np.einsum("mn,nij->mij", shares[rows] * curved, self.A)
        return gradient, hessian


def _of_shape(value, shape, name):
    value = np.asarray(value, dtype=np.float64)
    if value.shape not in ((), shape):
        raise ValueError(f"{name} must have shape {shape} or be one number, got shape {value.shape}")
    return np.broadcast_to(value, shape)


def _value_and_shares(terms, x):
    """Log sum exp of the terms at rows x, and the terms' shares in it."""
    values = np.asarray(terms.values(x), dtype=np.float64)
    if values.ndim != x.ndim or values.shape[:-1] != x.shape[:-1]:
        raise ValueError(f"terms.values must return shape {(*x.shape[:-1], 'n')} at x of shape {x.shape}, "
                         f"got {values.shape}")  # fmt: skip
    peak = values.max(axis=-1, keepdims=True)
    shares = np.exp(values - np.where(np.isfinite(peak), peak, 0.0))
    total = shares.sum(axis=-1, keepdims=True)
    value = (peak + np.log(total))[..., 0]
    if not np.isfinite(value).all():
        raise ValueError("log sum_i exp f_i(x) is not finite at a point; start where a term is finite")
    return value, shares / total


def _finish(terms, x, value, shares):
    """Take Newton's steps, in place, from those rows where they lead on and a maximum is near."""
    gradient, hessian = terms.derivatives(x, shares)
    # a unit diagonal, so that units of coordinates are not taken for directions without curvature
    root = np.sqrt(np.maximum(-np.einsum("mii->mi", hessian), 0.0))
    rows = np.flatnonzero((root > 0).all(axis=1))
    root = root[rows]
    curvature, axes = np.linalg.eigh(-hessian[rows] / (root[:, :, None] * root[:, None, :]))
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.einsum("mji,mj->mi", axes, gradient[rows] / root)
        near = (curvature[:, 0] > FLAT) & ((along**2 / curvature).sum(axis=1) <= NEAR)
    rows = rows[near]
    if not len(rows):
        return
    step = np.einsum("mij,mj->mi", axes[near], along[near] / curvature[near]) / root[near]
    ahead = x[rows] + step
    best, best_shares = _value_and_shares(terms, ahead)
    better = best > value[rows]
    rows = rows[better]
    x[rows], value[rows], shares[rows] = ahead[better], best[better], best_shares[better]


class OneByOne:
    """Terms that know nothing of rows, in the clothes of those that do.

    Parameters
    ----------
    terms : object
        Has `values` and `maximize` for one point.
    """

    def __init__(self, terms):
        self.terms = terms

    def values(self, x):
        """Values at a single row."""
        return np.asarray(self.terms.values(x[0]), dtype=np.float64)[None]

    def maximize(self, weights):
        """Maximum for a single row of weights."""
        return np.asarray(self.terms.maximize(weights[0]), dtype=np.float64)[None]


def ascend(terms, x, tol, max_iter):
    """Climb from every row of x.

    Parameters
    ----------
    terms : object
        See `maximize_log_sum_exp`; takes rows.
    x : ndarray of shape (n_starts, d)
    tol : float
    max_iter : int

    Returns
    -------
    maximum : Maximum
    """
    x = np.array(x, dtype=np.float64)
    value, shares = _value_and_shares(terms, x)
    values = [value.copy()]
    n_iter = np.zeros(len(x), dtype=np.intp)
    rows = np.arange(len(x))
    for _ in range(max_iter):
        if not len(rows):
            break
        # terms whose weighted sums have no maximum in closed form know a point where such a sum is no lower
        ahead = terms.step(x[rows], shares[rows]) if hasattr(terms, "step") else terms.maximize(shares[rows])
        step = np.asarray(ahead, dtype=np.float64)
        if step.shape != (len(rows), x.shape[1]):
            raise ValueError(f"terms.maximize returns the wrong shape: {step.shape[1:]} for a point in {x.shape[1]} "
                             "dimensions")  # fmt: skip
        new, new_shares = _value_and_shares(terms, step)
        if hasattr(terms, "derivatives"):
            _finish(terms, step, new, new_shares)
        gain = new - value[rows]
        # the bound cannot fall but by rounding, which then keeps the point where it is
        up = gain > 0
        x[rows[up]], value[rows[up]], shares[rows[up]] = step[up], new[up], new_shares[up]
        n_iter[rows] += 1
        values.append(value.copy())
        rows = rows[gain > tol]
    converged = np.ones(len(x), dtype=bool)
    converged[rows] = False
    return Maximum(x, value, n_iter, converged, np.array(values))


def maximize_log_sum_exp(terms, x0, *, tol=1e-12, max_iter=1000):
    """Maximise log sum_i exp f_i(x) from given points, by its lower bound.

    With the terms' shares q_i proportional to exp f_i(x), sum_i q_i f_i(y) + entropy(q) is a lower bound of the
    objective at every y, and touches it at y = x. So each step goes to the maximum of sum_i q_i f_i, and none leads
    down. For log densities of Gaussians the steps are those of mean shift; EM is the same step for a sum over the
    values of hidden labels.

    Parameters
    ----------
    terms : object
        ``values(x)`` gives f_i(x) of shape (n,), ``maximize(weights)`` the x that maximises sum_i weights_i f_i(x),
        weights of shape (n,). To serve several starts, both take a leading axis as well. Terms that also offer
        ``derivatives(x, shares)``, as `QuadraticTerms` does, end in Newton's steps where those are better.
    x0 : array-like of shape (d,) or (n_starts, d)
        Where to start; each start runs on its own.
    tol : float, default=1e-12
        Gain of a step at which a start has converged; 0 goes on while there is a gain at all.
    max_iter : int, default=1000
        Most steps.

    Returns
    -------
    maximum : Maximum
        Named tuple of `x`, `value`, `n_iter`, `converged` and `values`, the trace.

    Raises
    ------
    ValueError
        Where x0 or what the terms return has the wrong shape, or the objective is not finite.

    References
    ----------
    Carreira-Perpinan (2007), Gaussian mean-shift is an EM algorithm, IEEE PAMI 29.

    Examples
    --------
    Terms of one's own: which x is nearest to any of three points, softly?

    >>> import numpy as np
    >>> from skem import maximize_log_sum_exp
    >>> class Points:
    ...     points = np.array([0.0, 0.5, 4.0])
    ...
    ...     def values(self, x):
    ...         return -((x - self.points) ** 2)
    ...
    ...     def maximize(self, weights):
    ...         return np.atleast_1d(weights @ self.points / weights.sum())
    >>> maximize_log_sum_exp(Points(), [1.0]).x.round(3)
    array([0.25])
    """
    x = np.asarray(x0, dtype=np.float64)
    if x.ndim not in (1, 2) or 0 in x.shape or not np.isfinite(x).all():
        raise ValueError(f"x0 must be finite numbers of shape (d,) or (n_starts, d), got shape {x.shape}")
    if not (tol >= 0 and max_iter >= 0):
        raise ValueError(f"tol={tol!r} and max_iter={max_iter!r} must be >= 0")
    if x.ndim == 2:
        return ascend(terms, x, tol, max_iter)
    x, value, n_iter, converged, values = ascend(
        terms if hasattr(terms, "derivatives") else OneByOne(terms), x[None], tol, max_iter
    )
    return Maximum(x[0], float(value[0]), int(n_iter[0]), bool(converged[0]), values[:, 0])
