"""What a fit knows of its data before it starts: coordinates and spread."""

from typing import Any, NamedTuple

import numpy as np

from skem.canonical import SUBSAMPLE, subsample, subsample_size
from skem.exceptions import ColumnError
from skem.memory import recall
from skem.rounding import step_of, variance_of
from skem.rows import column_moments, column_range, is_sparse

# Rows beyond this many robust standard deviations count as lying there when the data's mean and variance are
# taken, so that one wild row blurs neither priors nor constraints.
WINSOR = 20.0
# A coordinate beyond this, in robust standard deviations, would overflow when squared.
FARTHEST = 1e120
# Numbers of a sample whose columns are looked at together: few, for copies of them are held.
SIDE_BY_SIDE = 1 << 14
# A column whose range or typical value is beyond this has a variance beyond float64.
WIDEST = 1e154


class Summary(NamedTuple):
    """Coordinates and spread of a data set.

    Attributes
    ----------
    n_features : int
    total_weight : float
    origin, scale : ndarray of shape (n_features,)
        Internal coordinates are (x - origin) / scale; the scale is a power of two.
    mean, variance : ndarray of shape (n_features,)
        Moments in internal coordinates, winsorised where the family knows a centre; the variance is positive even for a
        constant column.
    covariance : ndarray of shape (n_features, n_features) or None
        Winsorised covariance in internal coordinates, divisor one less than the weight; None for a family of fixed
        units or zero, which may have more columns than fit in a square.
    constant : bool ndarray of shape (n_features,)
        Columns that never change.
    n_distinct : int
        Distinct rows with weight; the number of rows where there are more distinct ones than a subsample holds.
    parts : tuple of Summary or None
        Of blocks of columns side by side, where they are summarized apart; then there is no covariance of all.
    rounding : ndarray of shape (n_features,) or None
        Variance, in internal coordinates, of what rounding took from the columns (0 where they lie on no grid), if at
        least half of the rows hold one value in any column that is not constant, and more than n_features + 1 rows are
        distinct; else None.
    """

    n_features: int
    total_weight: float
    origin: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray | None
    constant: np.ndarray
    n_distinct: int = SUBSAMPLE
    parts: Any = None
    rounding: np.ndarray | None = None

    def to_internal(self, X, copy=True):
        """Map rows (n, n_features) from the user's units; the result is float64, in X itself where it need not copy.

        CSR rows are of fixed units and stay what they are.
        """
        if is_sparse(X):
            return X.astype(np.float64, copy=copy)
        internal = np.array(X, dtype=np.float64, copy=copy or None)
        internal -= self.origin
        internal /= self.scale
        return internal

    def to_user(self, X):
        """Map rows back to the user's units."""
        return X * self.scale + self.origin

    def take(self, columns):
        """Coordinates and spread of some columns.

        Parameters
        ----------
        columns : list of int

        Returns
        -------
        summary : Summary
        """
        by_column = ("origin", "scale", "mean", "variance", "constant")
        own = {name: getattr(self, name)[columns] for name in by_column}
        covariance = None if self.covariance is None else self.covariance[np.ix_(columns, columns)]
        rounding = None if self.rounding is None else self.rounding[columns]
        return self._replace(n_features=len(columns), covariance=covariance, rounding=rounding, **own)

    @classmethod
    def join(cls, parts, n_distinct):
        """Summary of blocks of columns side by side.

        Parameters
        ----------
        parts : sequence of Summary
        n_distinct : int
            Of the rows as a whole.

        Returns
        -------
        summary : Summary
        """
        by_column = ("origin", "scale", "mean", "variance", "constant")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in by_column}
        n_features = sum(part.n_features for part in parts)
        total = parts[0].total_weight
        return cls(n_features, total, covariance=None, n_distinct=n_distinct, parts=tuple(parts), **joined)

    @property
    def log_jacobian(self):
        """Log density lost by every row on the way to internal coordinates: sum of log scale."""
        return float(np.log(self.scale).sum())


def _medians(values, weight):
    """Lower weighted median of each row of values (d, n): one of them, so that differences to it are exact.

    Weight None means that all are equal.
    """
    if weight is None:
        middle = (values.shape[1] + 1) // 2 - 1
        return np.partition(values, middle, axis=1)[:, middle]
    order = np.argsort(values, axis=1, kind="stable")
    cumulative = np.cumsum(weight[order], axis=1)
    middle = (cumulative < 0.5 * cumulative[:, -1:]).sum(axis=1)
    each = np.arange(len(values))
    return values[each, order[each, middle]]


def _widths(distances, weight):
    """Robust standard deviations from distances (d, n) to medians, and where half of the distances are 0."""
    width = _medians(distances, weight)
    held = width == 0
    for j in np.flatnonzero(held):
        # the others tell the spread, one wild row among them or not
        away = distances[j] > 0
        if away.any():
            width[j] = _medians(distances[[j]][:, away], None if weight is None else weight[away])[0]
    return 1.4826 * width, held


def _spread(sample, weight, equivariance):
    """Origin and robust width of each column of a sample, and whether half of its rows hold one value.

    Where zero stays zero the origin is 0, and the width the size of what is not zero: a spread says little of columns
    that are far from symmetric.
    """
    d = sample.shape[1]
    origin, width, held = np.zeros(d), np.empty(d), np.zeros(d, dtype=bool)
    weight = None if weight.min() == weight.max() else weight
    step = max(1, SIDE_BY_SIDE // len(sample))
    for first in range(0, d, step):
        columns = slice(first, first + step)
        # side by side in memory: several times faster than along the first axis
        values = np.ascontiguousarray(sample[:, columns].T)
        if equivariance == "scale":
            width[columns], _ = _widths(values, weight)
        else:
            origin[columns] = _medians(values, weight)
            width[columns], held[columns] = _widths(np.abs(values - origin[columns, None]), weight)
    return origin, width, held


def _units(sample, weight, equivariance, constant):
    """Origin and scale of each column of a sample, and whether half of its rows hold one value."""
    origin, width, held = _spread(sample, weight, equivariance)
    if equivariance == "scalar":
        # a constant column says nothing of the one unit, unless all are constant
        known = width[~constant] if not constant.all() else np.abs(origin)
        largest = known.max()
        width = np.full(len(width), np.sqrt(np.mean((known / largest) ** 2)) * largest if largest > 0 else 1.0)
    width = np.where(width > 0, width, np.abs(origin))
    width = np.where(width > 0, width, 1.0)
    return origin, np.exp2(np.round(np.log2(width))), held


def _check_range(low, high):
    """Raise ValueError where a column's variance would leave float64."""
    with np.errstate(over="ignore"):
        # a constant column has its magnitude for a scale
        width = np.where(high > low, high - low, np.abs(high))
    if not (width < WIDEST).all():
        column = int(np.argmax(width))
        raise ColumnError(
            f"column {{column}} of X runs from {low[column]:.3g} to {high[column]:.3g}: its variance would leave the "
            "range of float64; rescale X",
            column,
        )


def summarize(X, sample_weight, equivariance, rows=None):
    """Summarize a data set for a family.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d), float32 or float64
    sample_weight : ndarray of shape (n,) or None
    equivariance : {"affine", "columns", "scalar", "scale"}, None or tuple
        Changes of units that the family is closed under: an origin and a scale a column ("affine": mixtures of columns,
        too), one scale for all ("scalar"), a scale a column where zero stays zero and nothing is negative ("scale",
        origin 0), or none at all (then origin 0 and scale 1). A tuple has such a word and the names of the columns for
        each of several blocks of them, side by side in X.
    rows : CanonicalRows, default=None
        Of X, where not a bit may depend on how rows were given: the order in which moments are summed.

    Returns
    -------
    summary : Summary

    Raises
    ------
    ValueError
        If a column's variance would overflow, or an entry lies so far out that its square would in any unit.
    """
    if isinstance(equivariance, tuple):
        return _summarize_blocks(X, sample_weight, equivariance, rows)
    # columns of their own units are seen alike, whatever else a family is closed under
    units = "columns" if equivariance == "affine" else equivariance
    return recall(lambda: _summarize(X, sample_weight, units, rows), (X, sample_weight, rows), units)


def _summarize(X, sample_weight, equivariance, rows):
    d = X.shape[1]
    origin, scale = np.zeros(d), np.ones(d)
    low, high = column_range(X, sample_weight)
    constant = low == high
    if equivariance is not None:
        _check_range(low, high)
    chosen = subsample(X, sample_weight)
    if equivariance is not None:
        sample = X[chosen.index].astype(np.float64, copy=False)
        origin, scale, held = _units(sample, chosen.weight, equivariance, constant)
    farthest = np.maximum(high - origin, origin - low) / scale
    if not (farthest < FARTHEST).all():
        column = int(np.argmax(farthest))
        distance = np.abs((X[:, [column]].toarray()[:, 0] if is_sparse(X) else X[:, column]) - origin[column])
        centre = "zero" if equivariance == "scale" else "median"
        row = int(np.argmax(distance if sample_weight is None else np.where(sample_weight > 0, distance, 0.0)))
        raise ColumnError(
            f"X[{row}, {{column}}] = {X[row, column]:.3g} lies {farthest[column]:.3g} standard deviations from the "
            f"{centre} of column {{column}}; drop the row or transform the column",
            column,
        )
    weight, index = (sample_weight, None) if rows is None else (rows.weight, rows.index)
    located = equivariance not in (None, "scale")
    # long tails to one side are nothing wild
    clip = WINSOR if located else np.inf
    total, mean, square = column_moments(X, origin, 1.0 / scale, weight, clip, index)
    variance = square - mean**2
    known = (variance > 1e-13 * square) & ~constant
    # a constant column has no spread of its own: its magnitude stands in, or the other columns where all have one
    # unit, so that priors stay proper
    stand_in = variance[known].mean() if equivariance == "scalar" and known.any() else 1.0
    variance = np.where(known, variance, stand_in)
    covariance = rounding = None
    if located:
        # of rows as few as a simplex has, nothing tells a step from any other difference
        if (held & ~constant).any() and len(chosen.index) > d + 1:
            # in what a constant column was recorded nobody knows: in steps of its scale it tells no clusters apart
            steps = [scale[j] if constant[j] else step_of(sample[:, j]) for j in range(d)]
            rounding = variance_of(np.array(steps) / scale)
        # in place, for in wide data the sample is the largest thing that a fit holds
        sample -= origin
        sample /= scale
        np.clip(sample, -WINSOR, WINSOR, out=sample)
        sample -= chosen.weight @ sample / chosen.weight.sum()
        sample *= np.sqrt(chosen.weight)[:, None]
        covariance = sample.T @ sample / max(chosen.weight.sum() - 1.0, 1.0)
    n_distinct = _n_distinct(X, chosen)
    return Summary(
        d, float(total), origin, scale, np.asarray(mean), variance, covariance, constant, n_distinct, rounding=rounding
    )


def _n_distinct(X, chosen):
    """Distinct rows with weight, as a subsample of them tells."""
    n_distinct = len(chosen.index)
    return X.shape[0] if n_distinct >= subsample_size(X.shape[1]) else n_distinct


def _summarize_blocks(X, sample_weight, blocks, rows):
    """Summary of blocks of columns, each by its own (equivariance, names of columns)."""
    parts, first = [], 0
    for equivariance, columns in blocks:
        try:
            parts.append(summarize(X[:, first : first + len(columns)], sample_weight, equivariance, rows))
        except ColumnError as error:
            raise error.among(columns) from None
        first += len(columns)
    return Summary.join(parts, _n_distinct(X, subsample(X, sample_weight)))
