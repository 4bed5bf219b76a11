"""Distinct rows of a source, in canonical order."""

import numpy as np

from skem.canonical import CanonicalRows
from skem.engine import Source
from skem.rows import SKETCH_COLUMNS, sketch


class DistinctSource(Source):
    """Distinct rows in canonical order: what is found in them is the same however X is shuffled or repeated.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    weight : ndarray of shape (m,) or None
        Of the rows chosen.
    family : Family
        Bound to a summary of the data.
    index : intp ndarray of shape (m,)
        The rows, none of them twice.
    coding : Coding, default=None
        Of all rows of X.
    """

    @classmethod
    def of(cls, source):
        """Distinct rows of a source (itself where they are distinct), and the canonical rows that they are."""
        rows = source.canonical()
        if isinstance(source, cls):
            return source, rows
        weight = None if (rows.weight == 1.0).all() else rows.weight
        return cls(source.X, weight, source.family, rows.index, source.coding), rows

    def evenly(self, most):
        """Positions of at most so many rows, by a stride: a fair sample of rows ordered by value, or by a hash."""
        return np.arange(0, len(self), -(-len(self) // most))

    def part(self, positions):
        """Some of the rows, by position."""
        weight = None if self.weight is None else self.weight[positions]
        return DistinctSource(self.X, weight, self.family, self.index[positions], self.coding)

    def coordinates(self):
        """Rows where distances mean something: internal coordinates, or the family's own where it has them."""
        X = self.family.summary_.to_internal(self.take(slice(None)))
        Z = self.family.coordinates(X) if self.family.has("coordinates") else X
        return sketch(Z) if self.family.sparse else Z

    @property
    def n_coordinates(self):
        """Columns of the coordinates, no more than those of X."""
        return min(self.X.shape[1], SKETCH_COLUMNS) if self.family.sparse else self.X.shape[1]

    def canonical(self):
        """All rows, in their order."""
        everywhere = np.arange(len(self))
        return CanonicalRows(everywhere, np.ones(len(self)) if self.weight is None else self.weight, everywhere)
