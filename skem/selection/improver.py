"""Climbs of a chain, taken further from starts that their neighbours give."""

from functools import cached_property

import numpy as np

from skem.canonical import canonical_rows
from skem.families import Gaussian
from skem.inference.compiled_runs import CompiledRuns
from skem.memory import recall
from skem.selection.hierarchy import Hierarchy
from skem.selection.neighbors import Neighbors
from skem.weights import safe_log

# Starts that are cut from the fit before, and iterations of their race.
N_SPLITS = 2
RACE = 15
# Starts that are more nats a row behind what is reached after their race go no further.
HOPELESS = 0.2


class Improver:
    """Runs of a chain's climbs from further starts, on rows that are prepared once.

    Parameters
    ----------
    climb : Climb
        Any of the chain.
    X : ndarray of shape (n_samples, n_features)
        Its rows as the selection has them.
    sample_weight : ndarray of shape (n_samples,) or None
    most : int
        Largest number of components of the chain.
    """

    def __init__(self, climb, X, sample_weight, most):
        source = climb.source
        family = climb.model.family
        # rows of other kinds have no covariance to tell them apart by
        self.hierarchy = Hierarchy(X, sample_weight, most) if type(family) is Gaussian else None
        self.neighbors = Neighbors(source.X, source.weight, family)

    def split(self, smaller, climb):
        """Improve a climb by starts that cut components of one with fewer."""
        if not smaller.flat:
            self._improve("split", climb, self.neighbors.splits(smaller.labels, climb.n_components, N_SPLITS))

    def merge(self, larger, climb):
        """Improve a climb by a start that joins components of one with more."""
        if not larger.flat:
            self._improve("merge", climb, self.neighbors.merges(larger.labels, climb.n_components))

    def agglomerate(self, climb):
        """Improve a climb by a start from rows merged by likelihood."""
        if self.hierarchy is not None and climb.n_components > 1:
            start = self.hierarchy.cut(climb.n_components)
            self._improve("hierarchical", climb, [] if start is None else [start])

    def _improve(self, name, climb, starts):
        """Let the best run from these starts take the lead, if it is better: after a race, one goes to the end."""
        runs = climb.runs
        first = runs.n_runs
        for start in starts:
            self._begin(runs, start)
        new = list(range(first, runs.n_runs))
        if not new:
            return
        best = first
        # a start that is alone has nobody to race
        if len(new) > 1:
            runs.go_on(new, RACE)
            merits = {run: climb.rate(run) for run in new}
            best = max(new, key=merits.__getitem__)
            *before, reached = climb.merit
            *after, worth = merits[best]
            if after <= before and worth < reached - HOPELESS * climb.model.total_weight:
                best = None
        if best is not None:
            runs.climb(best, climb.goal)
        climb.offer(name, best, new)

    def _begin(self, runs, start):
        """Add a run from a start, which has no part in a race where a component has no row or is flat."""
        if isinstance(runs, CompiledRuns):
            codes = self._codes(runs, start)
            if codes is not None:
                runs.begin(codes, share=0.0)
        elif (state := self._state(runs, start)) is not None:
            runs.begin_at(runs.source.run(*state, assign=runs.algorithm.assign))

    @staticmethod
    def _state(runs, start):
        """Log weights and parameters of a start's rows, or None where a component has no row or is flat."""
        model = runs.model
        given = start.source.seen_by(model.family).assign_given(model.n_components, codes=start.labels)
        if not (given.n_k > 0).all() or model.family.degenerate(given.stats).any():
            return None
        return safe_log(given.n_k / given.n_k.sum()), model.family.mle(given.stats)

    def _codes(self, runs, start):
        """Labels of all rows by those of a start; None where it has some rows only, and says nothing of the others."""
        if len(start.labels) > self._inverse.max():
            return start.labels[self._inverse]
        state = self._state(runs, start)
        if state is None:
            return None
        labels = np.zeros(len(runs.source), dtype=np.int32)
        runs.source.run(*state, collect=False, assign="hard", labels=labels)
        return labels

    @cached_property
    def _inverse(self):
        def rows():
            return canonical_rows(*self.neighbors.about)

        return recall(rows, self.neighbors.about).inverse
