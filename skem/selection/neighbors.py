"""Starts from fits with fewer or more components: a component cut in two, or two taken as one."""

import numpy as np

from skem.canonical import subsample
from skem.distinct import DistinctSource
from skem.inference.cuts import best_cuts
from skem.weights import safe_log

# Cuts of a component that are looked at.
N_CUTS = 2
# Fewest rows of a component that is cut.
FEWEST = 4


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
        rows = subsample(X, sample_weight)
        weight = None if (rows.weight == 1.0).all() else rows.weight
        self.source = DistinctSource(X, weight, family, rows.index)

    def _worth(self, stats, n_k):
        """Complete-data log-likelihood of the statistics' components, each at its maximum."""
        family = self.source.family
        return family.log_likelihood(family.mle(stats), stats) + n_k * safe_log(n_k)

    def _start(self, labels, n_components):
        """Log weights and parameters of labels of the subsample; None where a component has no row or is flat."""
        return self._begin(self.source.assign_given(n_components, codes=labels))

    def _begin(self, given):
        """Log weights and parameters of statistics; None where a component has no row or is flat."""
        family = self.source.family
        if not (given.n_k > 0).all() or family.degenerate(given.stats).any():
            return None
        return safe_log(given.n_k / given.n_k.sum()), family.mle(given.stats)

    def _cuts(self, labels, n_components):
        """Side of a cut that each row is on, one row a cut: -1 for rows of components without such a cut."""
        sides = np.full((N_CUTS, len(labels)), -1, dtype=np.int32)
        for k in range(n_components):
            rows = np.flatnonzero(labels == k)
            if len(rows) < FEWEST:
                continue
            for cut, side in enumerate(best_cuts(self.source.part(rows), N_CUTS)):
                sides[cut, rows] = side
        return sides

    def splits(self, fitted, n_components, n_starts):
        """Starts with more components than a fit has: those that gain the most by it cut in two.

        Parameters
        ----------
        fitted : BaseMixture
        n_components : int
        n_starts : int
            Most starts.

        Returns
        -------
        starts : list of (log_weights, theta)
        """
        labels, n_old = fitted.labels_[self.source.index], fitted.n_components_
        family, n_new = self.source.family, n_components - n_old
        whole = self.source.assign_given(n_old, codes=labels)
        worth, sides = self._worth(whole.stats, whole.n_k), self._cuts(labels, n_old)
        gains = np.full((N_CUTS, n_old), -np.inf)
        for cut, side in enumerate(sides):
            halves = self.source.assign_given(2 * n_old, codes=2 * labels + np.maximum(side, 0))
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
            starts.append(self._start(codes, n_components))
        return [start for start in starts if start is not None]

    def merges(self, fitted, n_components):
        """Starts with fewer components than a fit has: one, with those joined that lose the least by it.

        Parameters
        ----------
        fitted : BaseMixture
        n_components : int

        Returns
        -------
        starts : list of (log_weights, theta)
        """
        labels = fitted.labels_[self.source.index]
        while (n_old := 1 + int(labels.max())) > n_components:
            first, second = self._closest(labels, n_old)
            place = np.arange(n_old, dtype=np.int32)
            place[second:] -= 1
            place[second] = first
            labels = place[labels]
        start = self._start(labels, n_components) if n_old == n_components else None
        return [] if start is None else [start]

    def cut(self, hierarchy, n_components):
        """Starts from merged rows: one, or none.

        Parameters
        ----------
        hierarchy : Hierarchy
        n_components : int

        Returns
        -------
        starts : list of (log_weights, theta)
        """
        given = hierarchy.cut(n_components, self.source.family)
        start = None if given is None else self._begin(given)
        return [] if start is None else [start]

    def _closest(self, labels, n_components):
        """Return the pair of components, the lower first, that lose the least when they are joined."""
        given = self.source.assign_given(n_components, codes=labels)
        stats, n_k = given.stats, given.n_k
        first, second = np.triu_indices(n_components, 1)
        if stats.shared:
            worth = np.array([self._worth_joined(stats, n_k, i, j) for i, j in zip(first, second, strict=True)])
        else:
            own = self._worth(stats, n_k)
            joined = self._worth(stats.take(first).merge(stats.take(second)), n_k[first] + n_k[second])
            worth = joined - own[first] - own[second]
        best = int(np.argmax(worth))
        return int(first[best]), int(second[best])

    def _worth_joined(self, stats, n_k, first, second):
        """Complete-data log-likelihood of all components, two of which, the first < second, are one."""
        joined = np.delete(n_k, second)
        joined[first] += n_k[second]
        return self._worth(stats.join([first], [second]), joined).sum()
