"""Hard passes that give whole boxes of rows away, where rows are many and columns few."""

from typing import Any

import numpy as np

from skem._kernels.tree import Tree, max_features
from skem._kernels.tree_pass import assign_by_tree
from skem.engine import Pass, Source

# From so many rows, and rows x components, a pass by the tree wins, by number of columns; see docs/choosing.md.
LEAST_ROWS = {1: 50_000, 2: 50_000, 3: 100_000, 4: 1_000_000}
LEAST_WORK = {1: 2e5, 2: 2e5, 3: 1e6, 4: 4e7}
# Building takes as long as several passes: a run that ends sooner than this does without.
PATIENCE = 8
# Components thinner than this, as a squared ratio to the data's spread, take their rows one by one.
THINNEST = 1e6


class TreeSource(Source):
    """Rows whose hard passes go by a kd-tree with the statistics of its nodes (Pelleg & Moore 1999).

    Labels are those of a plain pass, and statistics differ by rounding alone. The tree is built when a run has gone on
    for a while; passes that are not hard, or for which the tree does not pay, are plain.

    Parameters
    ----------
    X, sample_weight, family
        As for `Source`; the family has the verb `whitened`.

    References
    ----------
    Pelleg & Moore (1999), Accelerating exact k-means algorithms with geometric reasoning, KDD. Kurihara & Welling
    (2009), Bayesian k-means as a maximization-expectation algorithm, Neural Computation 21.
    """

    def __init__(self, X, sample_weight, family):
        super().__init__(X, sample_weight, family)
        self._n_passes = 0
        self._tree: Any = None
        # labels that the last pass wrote, and the same in the tree's order
        self._labels: Any = None
        self._own: Any = None

    @staticmethod
    def serves(family, n_features):
        """Whether a tree may ever be of use."""
        return family.has("whitened") and n_features <= max_features

    def _pays(self, n_components):
        """Whether a pass by the tree is the faster one."""
        n, d = self.X.shape
        return LEAST_ROWS[d] <= n < 1 << 31 and n * n_components >= LEAST_WORK[d]

    def run(self, log_weights, theta=None, *, collect=True, collector=None, assign="soft", weighted=True, **rows):
        """Run one pass; see `Source.run`."""
        plain = not (collect and collector is None and assign == "hard" and weighted and theta is not None)
        if plain or rows.keys() != {"labels_in", "labels"} or not self._pays(len(log_weights)):
            return super().run(
                log_weights, theta, collect=collect, collector=collector, assign=assign, weighted=weighted, **rows
            )
        self._n_passes += 1
        if self._n_passes <= PATIENCE:
            return super().run(log_weights, theta, assign=assign, **rows)
        part = self.family.whitened(theta)
        return self._by_tree(log_weights + part.offset, part, **rows)

    def _by_tree(self, offset, part, labels_in, labels):
        """A hard pass by the tree."""
        if self._tree is None:
            summary = self.family.summary_
            self._tree = Tree(self.X, summary.origin, summary.scale, self.weight)
        if labels is not self._labels or labels_in is not labels:
            labels[:] = labels_in
            self._own = labels[self._tree.order]
        self._labels = None
        precision = (part.factor**2).sum(axis=1)
        thin = ((precision * self.family.summary_.variance).max(axis=1) > THINNEST).astype(np.uint8)
        score, moved, sums = assign_by_tree(self._tree, part.mean, part.factor, offset, thin, self._own, labels)
        # set after a pass that was not interrupted half way; between passes nobody else writes to them
        self._labels = labels
        features, d = sums[:, 1:], part.mean.shape[1]
        if self.family.start_collector(len(offset)).structure == "diag":
            features = np.take(features, [*range(d), *(d + i * (i + 3) // 2 for i in range(d))], axis=1)
        n_k = np.ascontiguousarray(sums[:, 0])
        own = {"features": np.ascontiguousarray(features), "mean": part.mean}
        return Pass(score, moved, n_k, self.family.statistics(n_k, own))
