"""Distinct rows in an order that depends on their contents alone, all of them or a sample."""

from typing import NamedTuple

import numpy as np

from skem.rows import column_range, order_by_value, row_hash

# Above this many rows, seeds and medians come from a subsample that the rows' contents choose; in wide data above
# SUBSAMPLE_VALUES / d, but not below LEAST_SUBSAMPLE, so that it stays a few megabytes.
SUBSAMPLE = 1 << 14
SUBSAMPLE_VALUES = 1 << 19
LEAST_SUBSAMPLE = 1 << 12


class CanonicalRows(NamedTuple):
    """Distinct rows in an order that depends on their contents alone, equal rows joined.

    Attributes
    ----------
    index : intp ndarray of shape (m,)
        A representative of each distinct row.
    weight : ndarray of shape (m,)
        Total weight of the rows equal to it; rows of zero weight are left out.
    inverse : intp ndarray of shape (n,) or None
        Position of each row's twin in `index`, -1 for rows left out; None in a subsample.
    """

    index: np.ndarray  # type: ignore[assignment] # rows are read by name, never searched as a tuple
    weight: np.ndarray
    inverse: np.ndarray | None


def _join_equal(X, weight, rows, inverse=None):
    """Canonical rows of X[rows], `weight` theirs, sorted by value; their positions are written into `inverse`."""
    order, group = order_by_value(X, rows)
    weight = np.bincount(group, None if weight is None else weight[order]).astype(np.float64)
    order = rows[order]
    if inverse is not None:
        inverse[order] = group
    return CanonicalRows(order[np.flatnonzero(np.diff(group, prepend=-1))], weight, inverse)


def _weighted_rows(X, sample_weight):
    """Rows with weight, and their weights (None where all are 1)."""
    if sample_weight is None:
        return np.arange(X.shape[0]), None
    rows = np.flatnonzero(sample_weight)
    return rows, sample_weight[rows]


def _inverse_span(low, high):
    """1 / (high - low); with `low` it makes of `row_hash` the hash of a row's place within the columns' ranges.

    A change of origin or unit hardly touches that hash.
    """
    with np.errstate(over="ignore", divide="ignore"):
        return np.minimum(1.0 / (high - low), np.finfo(np.float64).max)


def canonical_rows(X, sample_weight=None):
    """Distinct rows of X with summed weights, in an order that shuffling X does not change.

    Up to SUBSAMPLE distinct rows are sorted by value, which a change of origin or unit leaves alone. More are
    sorted by a hash of their place within the columns' ranges, in float precision, since sorting a million rows by
    value is too slow: another unit may swap the few rows whose place it rounds otherwise.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    sample_weight : ndarray of shape (n,), default=None

    Returns
    -------
    rows : CanonicalRows
    """
    rows, weight = _weighted_rows(X, sample_weight)
    inverse = np.full(X.shape[0], -1, dtype=np.intp)
    if len(rows) <= SUBSAMPLE:
        return _join_equal(X, weight, rows, inverse)
    exact, first, group = np.unique(row_hash(X)[rows], return_index=True, return_inverse=True)
    index = rows[first]
    if len(index) <= SUBSAMPLE:
        order = order_by_value(X, index)[0]
    else:
        low, high = column_range(X, sample_weight)
        order = np.lexsort((exact, row_hash(X, low, _inverse_span(low, high))[index]))
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    inverse[rows] = rank[group]
    weight = np.bincount(group, weight).astype(np.float64)
    return CanonicalRows(index[order], weight[order], inverse)


def subsample_size(d):
    """Most distinct rows of d columns in a subsample."""
    return max(LEAST_SUBSAMPLE, min(SUBSAMPLE, SUBSAMPLE_VALUES // d))


def subsample(X, sample_weight=None, most=SUBSAMPLE, least=0):
    """Canonical rows, of at most about SUBSAMPLE distinct ones (fewer in wide data) that their hashes choose.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    sample_weight : ndarray of shape (n,), default=None
    most : int, default=SUBSAMPLE
        Rows that are enough.
    least : int, default=0
        Rows that are needed, whatever the above.

    Returns
    -------
    rows : CanonicalRows
        Sorted by value, without `inverse`.
    """
    n, size = X.shape[0], max(least, min(most, subsample_size(X.shape[1])))
    if n <= size:
        rows, weight = _weighted_rows(X, sample_weight)
        return _join_equal(X, weight, rows)
    low, high = column_range(X, sample_weight)
    inv_span = _inverse_span(low, high)
    rows, keys, weight = np.empty(0, np.intp), np.empty(0, np.uint64), np.empty(0)
    limit, n_kept = np.uint64(np.iinfo(np.uint64).max), 0
    for start in range(0, n, SUBSAMPLE):
        # block by block, for a key of each row would be the largest thing in memory
        block = slice(start, min(start + SUBSAMPLE, n))
        own = row_hash(X[block], low, inv_span)
        mass = np.ones(len(own)) if sample_weight is None else sample_weight[block]
        near = (own <= limit) & (mass > 0)
        rows, keys = np.append(rows, start + np.flatnonzero(near)), np.append(keys, own[near])
        weight = np.append(weight, mass[near])
        if len(keys) <= 2 * max(n_kept, size) and block.stop < n:
            continue
        # repeated rows share a key, and count once
        distinct = np.sort(keys)
        distinct = distinct[np.append(True, distinct[1:] != distinct[:-1])]
        if len(distinct) >= size:
            limit = distinct[size - 1]
            near = keys <= limit
            rows, keys, weight = rows[near], keys[near], weight[near]
        if len(keys) > 2 * size or len(distinct) < size:
            # they pile up, and are joined
            exact, first, group = np.unique(row_hash(X[rows]), return_index=True, return_inverse=True)
            rows, keys, weight = rows[first], keys[first], np.bincount(group, weight)
        n_kept = len(keys)
    if len(distinct) < size and len(rows) > SUBSAMPLE:
        # the columns' ranges tell too few rows apart: all stay, as in `canonical_rows`
        order = np.lexsort((exact, keys))
        return CanonicalRows(rows[order], weight[order], None)
    return _join_equal(X, weight, rows)
