"""Rows of small whole numbers, coded once so that every pass reads a byte where it read several columns."""

from typing import NamedTuple

import numpy as np

from skem._kernels.coding import count_levels, encode
from skem.rows import is_sparse

# Entries that the columns of a byte may have together: tables of more leave the first-level cache without gain.
ENTRIES = 128
# Coding pays from so many rows, and so many for each entry of a table.
LEAST_ROWS = 2048
ROWS_PER_ENTRY = 8


class Coding(NamedTuple):
    """Rows as bytes, each of which stands for the levels of some columns side by side, the first counting fastest.

    Attributes
    ----------
    feature_map : {"x", "one_hot"}
        Of the parts that may be scored and collected by entry.
    codes : uint8 ndarray of shape (n, n_bytes)
    first : int32 ndarray of shape (n_bytes + 1,)
        Entry at which each byte's table begins.
    column : int32 ndarray of shape (n_bytes + 1,)
        First column of each byte.
    level : int32 ndarray of shape (d + 1,)
        Place of each column's first level in the two arrays below.
    feature : int32 ndarray of shape (n_levels,)
        The feature that each level of each column adds to,
    value : ndarray of shape (n_levels,)
        and how much of it.
    """

    feature_map: str
    codes: np.ndarray
    first: np.ndarray
    column: np.ndarray
    level: np.ndarray
    feature: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, X, family):
        """Code rows where passes gain from it.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n, d), float32 or float64
            CSR rows are not coded.
        family : Family
            Bound.

        Returns
        -------
        coding : Coding or None
        """
        n, d = X.shape
        if (
            is_sparse(X)
            or n < LEAST_ROWS
            or family.equivariance is not None
            or family.feature_map not in ("x", "one_hot")
        ):
            return None
        found = None if family.has("features") else count_levels(X)
        if found is None:
            return None
        low, n_levels = found
        byte, stride = _pack(n_levels)
        n_bytes = byte[-1] + 1
        column = np.searchsorted(byte, np.arange(n_bytes + 1))
        sizes = np.multiply.reduceat(n_levels, column[:-1])
        # a product costs less than an entry, so that a byte must stand for several columns to pay
        if (2 * n_bytes > d and family.feature_map == "x") or ROWS_PER_ENTRY * sizes.sum() > n:
            return None
        first, level = np.append(0, np.cumsum(sizes)), np.append(0, np.cumsum(n_levels))
        own = np.repeat(np.arange(d), n_levels)
        value = np.arange(level[-1]) - level[own] + low[own]
        value = (value - family.summary_.origin[own]) / family.summary_.scale[own]
        feature = own
        if family.feature_map == "one_hot":
            feature, value = value, np.ones(len(value))
        codes = encode(X, low, byte.astype(np.int32), stride.astype(np.int32), n_bytes)
        return cls(
            family.feature_map, codes, first.astype(np.int32), column.astype(np.int32), level.astype(np.int32),
            feature.astype(np.int32), value,
        )  # fmt: skip

    def serves(self, parts):
        """Whether all of these parts are scored or collected by entry."""
        return all(getattr(part, "feature_map", None) == self.feature_map for part in parts)


def _pack(n_levels):
    """Which byte takes each column, and what a step of the column adds to it."""
    byte, stride, size = np.zeros(len(n_levels), dtype=np.intp), np.ones(len(n_levels), dtype=np.intp), 1
    for j, own in enumerate(n_levels):
        new = j > 0 and size * own > ENTRIES
        byte[j] = byte[j - 1] + new if j else 0
        stride[j] = 1 if new else size
        size = stride[j] * own
    return byte, stride


__all__ = ["Coding"]
