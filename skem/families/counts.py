"""Rows of counts: what they must be, and where they are not zero."""

import numpy as np

from skem.exceptions import ColumnError
from skem.rows import is_sparse

# Rows checked at a time.
BLOCK = 1 << 13


def check_rows(X, allowed, what):
    """Raise ColumnError, a ValueError, at the first entry that is not allowed.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    allowed : callable
        Of a block of entries, flags of the same shape; zeros are allowed.
    what : str
        What the message says after naming the entry.
    """
    if is_sparse(X):
        for start in range(0, X.nnz, BLOCK):
            flags = allowed(X.data[start : start + BLOCK])
            if not flags.all():
                at = start + int(np.argmin(flags))
                row = int(np.searchsorted(X.indptr, at, side="right")) - 1
                raise ColumnError(f"X[{row}, {{column}}] = {X.data[at]}: {what}", int(X.indices[at]))
        return
    # block by block, for flags of all rows at once would be the largest thing in memory
    for start in range(0, X.shape[0], BLOCK):
        block = X[start : start + BLOCK]
        flags = allowed(block)
        if not flags.all():
            row, column = np.argwhere(~flags)[0]
            raise ColumnError(f"X[{start + row}, {{column}}] = {block[row, column]}: {what}", int(column))


def check_counts(X, family):
    """Raise ValueError where X holds anything but counts, in the name of the family."""
    takes = f"{type(family).__name__}() takes counts, whole numbers from 0 up; use Gaussian() for measurements"
    # scikit-learn's words, that its checks look for
    check_rows(X, lambda block: block >= 0, f"Negative values in data; {takes}")
    check_rows(X, lambda block: np.floor(block) == block, takes)


def entries(X):
    """Rows, columns and values of the entries that are not zero.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)

    Returns
    -------
    rows, columns : int ndarray of shape (n_entries,)
    values : float64 ndarray of shape (n_entries,)
    """
    if is_sparse(X):
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        return rows, X.indices, X.data.astype(np.float64, copy=False)
    rows, columns = np.nonzero(X)
    return rows, columns, X[rows, columns].astype(np.float64)
