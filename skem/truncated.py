"""Rows that spread over a few components each, so that a pass costs no more where there are thousands."""

from typing import Any

import numpy as np

from skem._kernels.truncated import run_truncated, tile_components
from skem.engine import Source

# Components of the sets of rows alike that a row looks at in a pass, at most; where there are no more at all, those.
NEAR = 512
# A row looks at others in one of so many soft passes, where not all are near: sets change slowly.
EVERY = 3
# Rows of up to so many bytes are copied in the order in which passes take them: longer ones are read where they lie.
SHORT = 512
# Share of the rows with another best component than when they were copied, beyond which they are copied anew.
ASTRAY = 0.25


class TruncatedSource(Source):
    """Rows whose responsibilities are spread over `n_active` components each (Luecke & Forster 2019).

    A pass that collects statistics scores the components of each row's set. In one of `EVERY` soft passes, and in each
    hard one, a row looks at others for better ones: those of the sets of rows with the same best component, and a
    window of `n_active` of all components that moves on from turn to turn. The best `n_active` are the next set. The
    first pass looks at all components. The score of such a pass is a lower bound of the full one, and under the same
    parameters only grows with the search.

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
        # rows, their weights and sets as they lie in memory, where each comes from, and its best component then
        self._rows: Any = self.X
        self._weight: Any = self.weight
        self._sets: Any = None
        self._from: Any = None
        self._best_then: Any = None
        # in which order passes take them
        self._order: Any = None
        self._n_searches = 0

    def _best(self):
        """Each row's best component, in two bytes where these will do: they are sorted by radix."""
        best = self._sets[:, 0]
        return best.astype(np.uint16) if best.max(initial=0) < 1 << 16 else best.copy()

    def _sort(self):
        """Order rows alike one after the other: they look at each other's components, and these stay in the cache."""
        best = self._best()
        order = np.argsort(best, kind="stable")
        short = self.X.shape[1] * self.X.itemsize <= SHORT
        if not short or (self._from is not None and (best != self._best_then).mean() <= ASTRAY):
            self._order = order.astype(np.int32)
            return
        self._from = order if self._from is None else self._from[order]
        self._sets, self._best_then, self._order = self._sets[order], best[order], None
        # the old copy first makes room for the new one
        self._rows = None
        self._rows = self.X[self._from]
        self._weight = None if self.weight is None else self.weight[self._from]

    def _once(self, log_weights, part, collectors, *, assign="soft", **rows):
        plain = {"sample_weight", "labels_in", "labels"} >= rows.keys()
        if part is None or not collectors or not plain or assign == "draw":
            return super()._once(log_weights, part, collectors, assign=assign, **rows)
        n_components, summary = len(log_weights), self.family.summary_
        all_tiles = n_tiles = -(-n_components // tile_components)
        near, every = 0, 1
        fresh = self._sets is None
        if fresh:
            self._sets = np.empty((len(self), self.n_active), dtype=np.int32)
        elif n_components > NEAR:
            n_tiles = min(all_tiles, -(-self.n_active // tile_components))
            near, every = NEAR, 1 if assign == "hard" else EVERY
        turn, due = divmod(self._n_searches, every)
        placed = dict(rows, sample_weight=None if rows.get("sample_weight") is None else self._weight)
        if self._from is not None:
            placed |= {name: rows[name][self._from] for name in ("labels_in", "labels") if rows.get(name) is not None}
        result = run_truncated(
            self._rows, summary.origin, summary.scale, n_components, log_weights + part.offset, part,
            collectors[0][0], self._sets, fresh=fresh, first_tile=turn * n_tiles % all_tiles,
            n_tiles=n_tiles, near=near, every=every, due=due, order=self._order, hard=assign == "hard", **placed,
        )  # fmt: skip
        self._n_searches += not fresh
        if rows.get("labels") is not None and self._from is not None:
            rows["labels"][self._from] = placed["labels"]
        if assign == "hard" and result[1] == 0:
            # no row moves within its set: whether one would elsewhere, a whole pass tells
            result = super()._once(log_weights, part, collectors, assign=assign, **rows)
            labels = rows["labels"] if self._from is None else rows["labels"][self._from]
            lost = (self._sets != labels[:, None]).all(axis=1)
            self._sets[lost, 0] = labels[lost]
        self._sort()
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
