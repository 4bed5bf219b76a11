"""Rows merged two by two, cut at any number of components: one tree for all Gaussian candidates."""

from functools import cached_property

import numpy as np

from skem._kernels.agglomerate import ward
from skem.canonical import subsample
from skem.distinct import DistinctSource
from skem.families import Gaussian
from skem.inference.cuts import whiten
from skem.memory import recall
from skem.proposals import GROUPS
from skem.selection.neighbors import Start
from skem.starts import StandardRows
from skem.summary import summarize

# Distinct rows that are merged at most, and groups that are merged by likelihood.
MOST_MERGED = 2048
FEWEST_GROUPS = 128
MOST_GROUPS = 256


class Hierarchy:
    """Merges that cost the least likelihood, where mclust begins all its models (Fraley 1998).

    Components may have any covariances, whatever the candidates': Ward's tree in units of the data's covariance leaves
    groups, which are merged by the classification likelihood.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    most : int
        Largest number of components that will be asked for.
    """

    def __init__(self, X, sample_weight, most):
        self.about = X, sample_weight
        self.most = most

    @cached_property
    def _merged(self):
        return recall(self._merge, self.about, (self.most,))

    def _merge(self):
        X, sample_weight = self.about
        family = Gaussian()
        family = family.bind(summarize(X, sample_weight, family.equivariance))
        rows = subsample(X, sample_weight, MOST_MERGED)
        source = DistinctSource(X, rows.weight, family, rows.index)
        Z = whiten(StandardRows.of(source, rows).Z, rows.weight)
        groups = ward(Z, rows.weight, min(len(Z), max(FEWEST_GROUPS, GROUPS * self.most), MOST_GROUPS))
        stats = source.assign_given(int(groups.max()) + 1, codes=groups).stats
        if stats.n_components > self.most:
            # whatever is asked for, it comes by these merges
            groups = family.agglomerate(stats, self.most)[groups]
            stats = source.assign_given(self.most, codes=groups).stats
        return source, groups, stats

    def cut(self, n_components):
        """The rows in so many clusters.

        Parameters
        ----------
        n_components : int

        Returns
        -------
        start : Start or None
            None where there are too few groups.
        """
        source, groups, stats = self._merged
        if stats.n_components < n_components:
            return None

        def labels():
            return source.family.agglomerate(stats, n_components)[groups].astype(np.int32)

        return Start(source, recall(labels, self.about, (self.most, n_components)))
