"""What a fit knows of its data before it starts: coordinates, spread and the canonical rows."""

from typing import NamedTuple

import numpy as np

from skem._kernels.seeding import column_moments, row_hash

# Rows beyond this many robust standard deviations count as lying there when the data's mean and variance are
# taken, so that one wild row blurs neither priors nor constraints.
WINSOR = 20.0
# Above this many rows, seeds and medians come from a subsample that the rows' contents choose.
SUBSAMPLE = 1 << 14
# A coordinate beyond this, in robust standard deviations, would overflow when squared.
FARTHEST = 1e120


class Summary(NamedTuple):
    """Coordinates and spread of a data set.

    Attributes
    ----------
    n_features : int
    total_weight : float
    origin, scale : ndarray of shape (n_features,)
        Internal coordinates are (x - origin) / scale; the scale is a power of two.
    mean, variance : ndarray of shape (n_features,)
        Winsorised moments in internal coordinates; the variance is positive even for a constant column.
    covariance : ndarray of shape (n_features, n_features)
        Winsorised covariance in internal coordinates, divisor one less than the weight.
    constant : bool ndarray of shape (n_features,)
        Columns that never change.
    """

    n_features: int
    total_weight: float
    origin: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray
    constant: np.ndarray

    def to_internal(self, X):
        """Map rows (n, n_features) from the user's units; the result is float64."""
        return (np.asarray(X, dtype=np.float64) - self.origin) / self.scale

    def to_user(self, X):
        """Map rows back to the user's units."""
        return X * self.scale + self.origin

    @property
    def log_jacobian(self):
        """Log density lost by every row on the way to internal coordinates: sum of log scale."""
        return float(np.log(self.scale).sum())


class CanonicalRows(NamedTuple):
    """Distinct rows in an order that depends on their contents alone, equal rows joined.

    Attributes
    ----------
    index : intp ndarray of shape (m,)
        A representative of each distinct row.
    weight : ndarray of shape (m,)
        Total weight of the rows equal to it; rows of zero weight are left out.
    inverse : intp ndarray of shape (n,)
        Position of each row's twin in `index`, -1 for rows left out.
    """

    index: np.ndarray
    weight: np.ndarray
    inverse: np.ndarray


def _group_sorted(X, rows):
    """Lexicographic order of X[rows] and where a new content starts."""
    order = np.lexsort(X[rows].T[::-1]) if X.shape[1] <= 4 else np.argsort(X[rows, 0], kind="stable")
    if X.shape[1] > 4:
        # most columns of real data never decide: refine by further columns only while ties are left
        group = np.zeros(len(rows), dtype=np.intp)
        for column in X.T:
            values = column[rows]
            order = np.lexsort((values, group))
            step = (np.diff(values[order]) != 0) | (np.diff(group[order]) != 0)
            group[order] = np.concatenate([[0], np.cumsum(step)])
            if group[order[-1]] == len(rows) - 1:
                break
    sorted_rows = X[rows[order]]
    new = np.concatenate([[True], (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1)])
    return order, new


def canonical_rows(X, sample_weight=None, limit=None):
    """Distinct rows of X with summed weights, in an order that shuffling X does not change.

    Small sets are sorted by value, which changes of origin and unit leave alone too; large ones by a 64-bit
    hash of their contents, since sorting a million rows is too slow.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    sample_weight : ndarray of shape (n,), default=None
    limit : int, default=None
        Keep about this many rows, chosen by hash.

    Returns
    -------
    rows : CanonicalRows
    """
    n = len(X)
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight)
    rows = np.flatnonzero(weight > 0)
    keys = None
    if len(rows) > SUBSAMPLE:
        keys = row_hash(X)[rows]
        if limit is not None and len(rows) > limit:
            kept = keys <= np.partition(keys, limit)[limit]
            rows, keys = rows[kept], None
    if keys is None:
        order, new = _group_sorted(X, rows)
    else:
        order = np.argsort(keys, kind="stable")
        new = np.concatenate([[True], np.diff(keys[order]) != 0])
    group = np.cumsum(new) - 1
    inverse = np.full(n, -1, dtype=np.intp)
    inverse[rows[order]] = group
    return CanonicalRows(rows[order[new]], np.bincount(group, weights=weight[rows[order]]), inverse)


def _weighted_median(values, weight):
    """Lower weighted median of each column: an element of the column, so that differences to it are exact."""
    order = np.argsort(values, axis=0, kind="stable")
    cumulative = np.cumsum(weight[order], axis=0)
    at = (cumulative < 0.5 * cumulative[-1]).sum(axis=0)
    return np.take_along_axis(np.take_along_axis(values, order, 0), at[None], 0)[0]


def summarize(X, sample_weight, equivariance):
    """Summarize a data set for a family.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
    sample_weight : ndarray of shape (n,) or None
    equivariance : {"affine", "columns", "scalar"} or None
        Changes of units that the family is closed under: a scale a column, one for all, or none at all
        (then origin 0 and scale 1).

    Returns
    -------
    summary : Summary

    Raises
    ------
    ValueError
        If an entry lies so far out that its square would overflow in any unit.
    """
    n, d = X.shape
    origin, scale = np.zeros(d), np.ones(d)
    rows = canonical_rows(X, sample_weight, limit=SUBSAMPLE)
    sample = X[rows.index].astype(np.float64)
    if equivariance is not None:
        origin = _weighted_median(sample, rows.weight)
        width = 1.4826 * _weighted_median(np.abs(sample - origin), rows.weight)
        # where more than half of a column is one value its MAD is 0: the standard deviation serves
        largest = np.abs(sample - origin).max(axis=0)
        unit = np.where(largest > 0, largest, 1.0)
        deviation = unit * np.sqrt(rows.weight @ ((sample - origin) / unit) ** 2 / rows.weight.sum())
        width = np.where(width > 0, width, deviation)
        width = np.where(width > 0, width, np.abs(origin))
        width = np.where(width > 0, width, 1.0)
        if equivariance == "scalar":
            width = np.full(d, np.sqrt(np.mean((width / width.max()) ** 2)) * width.max())
        scale = np.exp2(np.round(np.log2(width)))
    with np.errstate(over="ignore"):
        farthest = np.maximum(np.abs(X.max(axis=0) - origin), np.abs(X.min(axis=0) - origin)) / scale
    if not (farthest < FARTHEST).all():
        column = int(np.argmax(farthest))
        row = int(np.argmax(np.abs(X[:, column] / 2 - origin[column] / 2)))
        raise ValueError(
            f"X[{row}, {column}] = {X[row, column]:.3g} lies {farthest[column]:.3g} standard deviations from the "
            f"median of column {column}; drop the row or transform the column"
        )
    total, mean, square = column_moments(X, origin, 1.0 / scale, sample_weight, WINSOR if equivariance else np.inf)
    variance = square - mean**2
    constant = farthest == 0 if equivariance is not None else X.max(axis=0) == X.min(axis=0)
    # a constant column has no spread of its own: its magnitude stands in, so that priors stay proper
    variance = np.where((variance > 1e-13 * square) & ~constant, variance, 1.0)
    sample = (sample - origin) / scale
    if equivariance is not None:
        np.clip(sample, -WINSOR, WINSOR, out=sample)
    sample -= rows.weight @ sample / rows.weight.sum()
    covariance = (sample.T * rows.weight) @ sample / max(rows.weight.sum() - 1.0, 1.0)
    return Summary(d, float(total), origin, scale, np.asarray(mean), variance, covariance, constant)
