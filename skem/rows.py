"""What is asked of rows before any family sees them, dense or CSR alike: content hashes, column moments, their order.

CSR rows come in canonical format without explicit zeros (see `skem._compat.validate_rows`), and answer as if they were
dense: the same hashes and the same order.
"""

from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array, issparse

from skem._kernels import seeding, sparse
from skem._kernels.sparse import column_sums

# Columns that a sketch has, and how many of them each column of wide rows is added to.
SKETCH_COLUMNS = 256
SPREAD = 4


def is_sparse(X: Any) -> bool:
    """Whether rows are a sparse matrix."""
    return issparse(X)


def row_hash(X, low=None, inv_span=None):
    """64-bit hash of each row's content; see `skem._kernels.seeding.row_hash`."""
    if is_sparse(X):
        return sparse.row_hash(X.data, X.indices, X.indptr, X.shape[1], low, inv_span)
    return seeding.row_hash(X, low, inv_span)


def squared_norms(X):
    """Sum of squares of each row, in float64."""
    if is_sparse(X):
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        return np.bincount(rows, np.square(X.data, dtype=np.float64), minlength=X.shape[0])
    return np.einsum("ij,ij->i", X, X, dtype=np.float64)


def column_range(X, weights):
    """Least and largest value of each column over the rows that have weight."""
    if is_sparse(X):
        return column_sums(X.data, X.indices, X.indptr, X.shape[1], weights)[1:3]
    return seeding.column_range(X, weights)


def column_moments(X, origin, inv_scale, weights, clip, index=None):
    """Weighted mean and mean square of (X - origin) * inv_scale; CSR rows are in fixed units and taken as they are."""
    if is_sparse(X):
        total, _, _, first, second = column_sums(X.data, X.indices, X.indptr, X.shape[1], weights, index)
        return total, first / total, second / total
    return seeding.column_moments(X, origin, inv_scale, weights, clip, index)


def order_by_value(X, rows):
    """Lexicographic order of X[rows], and in that order the number of each row's group of equal ones."""
    if is_sparse(X):
        return _order_entries(X[rows])
    group = np.zeros(len(rows), dtype=np.intp)
    for j in range(X.shape[1]):
        column = X[rows, j]
        order = np.lexsort((column, group)) if j else np.argsort(column, kind="stable")
        column, numbers = column[order], group[order]
        step = (column[1:] != column[:-1]) | (numbers[1:] != numbers[:-1])
        np.cumsum(step, out=numbers[1:])
        group[order] = numbers
        # most columns of real data never decide: go on only while ties are left
        if group[order[-1]] == len(rows) - 1:
            break
    return order, group[order]


def _order_entries(X):
    """The same for all rows of a CSR matrix, by strings of bytes that compare as the rows do."""
    # at the first column where two rows differ the one without an entry has zero there: it comes after those with
    # negative entries and before those with positive ones, the earlier column the further away
    n, d = X.shape
    place = (d - X.indices.astype(np.int64)) * np.sign(X.data).astype(np.int64)
    bits = np.ascontiguousarray(X.data, dtype=np.float64).view(np.int64)
    keys = np.empty((X.nnz, 2), dtype=">u8")
    keys[:, 0] = (place + (1 << 62)).astype(np.uint64)
    # negative numbers have their bits turned round, so that unsigned numbers are ordered as the floats are
    keys[:, 1] = np.where(bits < 0, ~bits, bits | np.int64(-(2**63))).view(np.uint64)
    end = (1 << 62).to_bytes(8, "big")
    text = [keys[X.indptr[i] : X.indptr[i + 1]].tobytes() + end for i in range(n)]
    order = np.array(sorted(range(n), key=text.__getitem__), dtype=np.intp)
    step = [text[order[i]] != text[order[i - 1]] for i in range(1, n)]
    return order, np.concatenate([[0], np.cumsum(step, dtype=np.intp)]).astype(np.intp)


def _salted(numbers, salt):
    """64 mixed bits of each number (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        z = (numbers.astype(np.uint64) + np.uint64(salt + 1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def sketch(Z):
    """Dense rows of few columns with about the same distances between them.

    Each column of wide rows is added, with a random sign, to a few of `SKETCH_COLUMNS`; the choice depends on the
    column's number alone. Rows that have no more columns than that are only made dense.

    Parameters
    ----------
    Z : ndarray or CSR matrix of shape (n, d)

    Returns
    -------
    Z : ndarray of shape (n, min(d, SKETCH_COLUMNS))

    References
    ----------
    Kane & Nelson (2014), Sparser Johnson-Lindenstrauss transforms, Journal of the ACM 61.
    """
    d = Z.shape[1]
    if d <= SKETCH_COLUMNS:
        return Z.toarray() if is_sparse(Z) else Z
    width = SKETCH_COLUMNS // SPREAD
    columns = np.tile(np.arange(d), SPREAD)
    mixed = np.concatenate([_salted(np.arange(d), part * d) for part in range(SPREAD)])
    # a block of columns for each copy, so that no two of them fall together
    place = (mixed % np.uint64(width)).astype(np.intp) + np.repeat(np.arange(SPREAD) * width, d)
    signs = np.where(mixed >> np.uint64(63), 1.0, -1.0) / np.sqrt(SPREAD)
    turn = csc_array(coo_array((signs, (columns, place)), shape=(d, SKETCH_COLUMNS)))
    Z = Z @ turn
    return Z.toarray() if is_sparse(Z) else np.asarray(Z)
