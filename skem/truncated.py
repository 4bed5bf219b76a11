"""Rows that spread over a few components each, so that a pass costs no more where there are thousands."""

from typing import Any

import numpy as np

from skem._kernels.truncated import run_truncated, tile_components
from skem.engine import Source

# Components of the sets of rows alike that a row looks at in a pass, at most; where there are no more at all, those.
NEAR = 512


class TruncatedSource(Source):
    """Rows whose responsibilities are spread over `n_active` components each (Luecke & Forster 2019).

    A pass that collects statistics scores the components of each row's set, and looks at others for better ones: those
    of the sets of rows with the same best component, and a window of `n_active` of all components that moves on from
    pass to pass. The best `n_active` are the next set. The first pass looks at all components. The score of such a pass
    is a lower bound of the full one, and under the same parameters only grows with the search.

    Passes that only score, and those with outputs other than labels, are exact. So is the last of a hard run: labels
    have come to rest when no row moves though all components are looked at.

    Parameters
    ----------
    X, sample_weight, family
        As for `Source`.
    n_active : int
        Fewer than the components.

    References
    ----------
    Luecke & Forster (2019), k-means as a variational EM approximation of Gaussian mixture models, Pattern
    Recognition Letters 125.
    """

    exact = False

    def __init__(self, X, sample_weight, family, n_active):
        super().__init__(X, sample_weight, family)
        self.n_active = n_active
        self._forget()

    def _forget(self):
        """Begin anew: the next pass finds the sets."""
        self._sets: Any = None
        self._order: Any = None
        self._first_tile = 0

    def _window(self, n_components):
        """Tiles of components that the next pass looks at, whatever the rows' sets."""
        n_tiles = -(-n_components // tile_components)
        if self._sets is None or n_components <= NEAR:
            return n_tiles
        return min(n_tiles, -(-self.n_active // tile_components))

    def _once(self, log_weights, part, collectors, *, assign="soft", **rows):
        plain = {"sample_weight", "labels_in", "labels"} >= rows.keys()
        if part is None or not collectors or not plain or assign == "draw":
            return super()._once(log_weights, part, collectors, assign=assign, **rows)
        n_components, summary = len(log_weights), self.family.summary_
        n_tiles, fresh = self._window(n_components), self._sets is None
        near = NEAR if n_tiles * tile_components < n_components else 0
        if fresh:
            self._sets = np.empty((len(self), self.n_active), dtype=np.int32)
        result = run_truncated(
            self.X, summary.origin, summary.scale, n_components, log_weights + part.offset, part, collectors[0][0],
            self._sets, fresh=fresh, first_tile=self._first_tile, n_tiles=n_tiles, near=near,
            order=self._order, hard=assign == "hard", **rows,
        )  # fmt: skip
        # rows alike one after the other: they look at the components of each other's sets, and these stay in the cache
        best = self._sets[:, 0]
        # two bytes are sorted by radix
        best = best.astype(np.uint16) if n_components <= 1 << 16 else best
        self._order = np.argsort(best, kind="stable").astype(np.int32)
        self._first_tile = (self._first_tile + n_tiles) % -(-n_components // tile_components)
        if assign == "hard" and result[1] == 0:
            # no row moves within its set: whether one would elsewhere, a whole pass tells
            result = super()._once(log_weights, part, collectors, assign=assign, **rows)
            labels = rows["labels"]
            lost = (self._sets != labels[:, None]).all(axis=1)
            self._sets[lost, 0] = labels[lost]
        return result

    def assign_given(self, n_components, *, codes=None, resp=None, about=None):
        """Statistics of rows whose labels or responsibilities are given; see `Source.assign_given`."""
        self._forget()
        return super().assign_given(n_components, codes=codes, resp=resp, about=about)

    def finish(self, log_weights, theta, labels):
        """Write the rows' most probable components, and return the exact score; see `Source.finish`."""
        densities = np.empty(len(self))
        self.run(log_weights, theta, collect=False, weighted=False, labels=labels, lse=densities)
        return float(densities.sum() if self.weight is None else self.weight @ densities)
