"""Starts from fits with fewer or more components: a component cut in two, or two taken as one."""

from typing import NamedTuple

import numpy as np

from skem.canonical import subsample
from skem.distinct import DistinctSource
from skem.inference.cuts import best_cuts
from skem.memory import recall
from skem.weights import safe_log

# Cuts of a component that are looked at.
N_CUTS = 2
# Fewest rows of a component that is cut.
FEWEST = 4


class Start(NamedTuple):
    """Clusters that a run may begin with.

    Attributes
    ----------
    source : DistinctSource
        The rows that have labels.
    labels : int32 ndarray of shape (m,)
        Theirs.
    """

    source: DistinctSource
    labels: np.ndarray


class Neighbors:
    """Starts from fits to the same rows with other numbers of components.

    What is cut or joined is chosen by the complete-data log-likelihood of labels, on a subsample where rows are many.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    family : Family
        Bound to these rows.
    """

    def __init__(self, X, sample_weight, family):
        self.about = X, sample_weight
        rows = recall(self._rows, self.about)
        weight = None if (rows.weight == 1.0).all() else rows.weight
        self.source = DistinctSource(X, weight, family, rows.index)

    def _rows(self):
        return subsample(*self.about)

    def _worth(self, stats, n_k):
        """Complete-data log-likelihood of the statistics' components, each at its maximum."""
        family = self.source.family
        return family.log_likelihood(family.mle(stats), stats) + n_k * safe_log(n_k)

    def _owned(self, labels):
        """Labels of the rows by the components that own one, and the number of these."""
        used, labels = np.unique(labels[self.source.index], return_inverse=True)
        return labels.astype(np.int32), len(used)

    def _cuts(self, labels, n_components):
        """Side of a cut that each row is on, one row a cut: -1 for rows of components without such a cut."""
        sides = np.full((N_CUTS, len(labels)), -1, dtype=np.int32)
        for k in range(n_components):
            rows = np.flatnonzero(labels == k)
            if len(rows) < FEWEST:
                continue
            for cut, side in enumerate(self._cuts_of(rows)):
                sides[cut, rows] = side
        return sides

    def _cuts_of(self, rows):
        """Cuts of some rows."""

        def cuts():
            return best_cuts(self.source.part(rows), N_CUTS)

        # families that see the rows in the same coordinates cut them alike
        return recall(cuts, (*self.about, self.source.family.summary_), rows.tobytes()) if self.alike else cuts()

    @property
    def alike(self):
        """Whether cuts depend on the rows and their summary alone."""
        family = self.source.family
        return family.rounding_ is None and not (family.has("coordinates") or family.sparse)

    def splits(self, labels, n_components, n_starts):
        """Starts with more components than a fit has: those that gain the most by it cut in two.

        Parameters
        ----------
        labels : int32 ndarray of shape (n_samples,)
            Of the fit.
        n_components : int
        n_starts : int
            Most starts.

        Returns
        -------
        starts : list of Start
        """
        labels, n_old = self._owned(labels)
        n_new, family = n_components - n_old, self.source.family
        if n_new <= 0:
            return []
        whole = self.source.assign_given(n_old, codes=labels)
        worth, sides = self._worth(whole.stats, whole.n_k), self._cuts(labels, n_old)
        about = whole.stats.take(np.repeat(np.arange(n_old), 2))
        gains = np.full((N_CUTS, n_old), -np.inf)
        for cut, side in enumerate(sides):
            halves = self.source.assign_given(2 * n_old, codes=2 * labels + np.maximum(side, 0), about=about)
            bad = (halves.n_k <= 0) | family.degenerate(halves.stats)
            gain = self._worth(halves.stats, halves.n_k).reshape(-1, 2).sum(axis=1) - worth
            gains[cut] = np.where(bad.reshape(-1, 2).any(axis=1), -np.inf, gain)
        order = [divmod(int(i), n_old) for i in np.argsort(-gains, axis=None, kind="stable")]
        order = [(cut, k) for cut, k in order if np.isfinite(gains[cut, k])]
        starts = []
        for first in range(min(n_starts, len(order))):
            # several components at a time take the best cut of each, the start's own to begin with
            chosen: dict[int, int] = {}
            for cut, k in order[first:]:
                if len(chosen) < n_new:
                    chosen.setdefault(k, cut)
            if len(chosen) < n_new:
                break
            codes = labels.copy()
            for new, (k, cut) in enumerate(chosen.items(), start=n_old):
                codes[(labels == k) & (sides[cut] == 1)] = new
            starts.append(Start(self.source, codes))
        return starts

    def merges(self, labels, n_components):
        """Starts with fewer components than a fit has: one, with those joined that lose the least by it.

        Parameters
        ----------
        labels : int32 ndarray of shape (n_samples,)
            Of the fit.
        n_components : int

        Returns
        -------
        starts : list of Start
        """
        labels, n_old = self._owned(labels)
        if n_old <= n_components:
            return []
        for n_left in range(n_old, n_components, -1):
            given = self.source.assign_given(n_left, codes=labels)
            labels = self._joined(given.stats, given.n_k)[labels]
        return [Start(self.source, labels)]

    def _joined(self, stats, n_k):
        """Components' numbers after those two are joined that lose the least by it."""
        first, second = np.triu_indices(len(n_k), 1)
        if stats.shared:
            worth = np.array([self._worth_joined(stats, n_k, i, j) for i, j in zip(first, second, strict=True)])
        else:
            own = self._worth(stats, n_k)
            joined = self._worth(stats.take(first).merge(stats.take(second)), n_k[first] + n_k[second])
            worth = joined - own[first] - own[second]
        best = int(np.argmax(worth))
        place = np.arange(len(n_k), dtype=np.int32)
        place[second[best] :] -= 1
        place[second[best]] = first[best]
        return place

    def _worth_joined(self, stats, n_k, first, second):
        """Complete-data log-likelihood of all components, two of which, the first < second, are one."""
        joined = np.delete(n_k, second)
        joined[first] += n_k[second]
        return self._worth(stats.join([first], [second]), joined).sum()
