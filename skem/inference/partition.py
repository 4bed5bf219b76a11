"""Partitions of the rows, their exact objective, and what it would gain from a merge."""

from typing import NamedTuple

import numpy as np

from skem.inference.model import Model
from skem.suffstats import SuffStats
from skem.weights import PartitionWeights

# Numbers in the statistics of pairs that are merged at a time.
CHUNK = 1 << 20


class Partition(NamedTuple):
    """Clusters, each of which owns a row with weight.

    Attributes
    ----------
    labels : int32 ndarray of shape (n,)
    stats : SuffStats
    n_k : ndarray of shape (n_clusters,)
    objective : float
        log p(x, partition), see `Evidence`.
    """

    labels: np.ndarray
    stats: SuffStats
    n_k: np.ndarray
    objective: float

    @property
    def n_clusters(self):
        """Number of clusters."""
        return len(self.n_k)

    def resembles(self, other, weight, share):
        """Whether this is not the other, but each cluster and one of the other's, of as many, share more than `share`.

        Parameters
        ----------
        other : Partition
        weight : ndarray of shape (n,) or None
        share : float
            Of the heavier of the two.
        """
        if self is other or self.n_clusters != other.n_clusters:
            return False
        shape = (self.n_clusters, other.n_clusters)
        both = np.bincount(np.ravel_multi_index((self.labels, other.labels), shape), weight, np.prod(shape))
        both = both.reshape(shape)
        partner = both.argmax(axis=1)
        return bool((both.max(axis=1) > share * np.maximum(self.n_k, other.n_k[partner])).all())


class Evidence:
    """log p(x, partition): the joint evidence of rows and partition, parameters and weights integrated out.

    sum_k [G(prior + S_k) - G(prior)] + log p(partition) + sum log h(x), with S_k the statistics of cluster k and G the
    family's log normaliser. It does not know the names of labels, and compares any two partitions of the same rows.

    Parameters
    ----------
    model : Model
        Of any number of components.
    partitions : DirichletPartitions
        Prior of partitions.

    Raises
    ------
    ValueError
        If the prior of a component depends on their number: evidences would then be those of different models.
    """

    def __init__(self, model, partitions):
        one, two = model.resize(1).prior, model.resize(2).prior
        for name, value in one.to_dict()["arrays"].items():
            if not np.array_equal(value, two.take([0]).to_dict()["arrays"][name]):
                raise ValueError(
                    f"the prior of {type(model.family).__name__}() depends on n_components here, so that numbers of "
                    "clusters do not compare; choose a prior that does not, or give n_components"
                )
        self.model = model
        self.partitions = partitions
        self.prior = one
        #: whether G is a sum over the clusters
        self.additive = np.ndim(model.family.log_normalizer(one)) > 0
        self._norm = float(np.sum(model.family.log_normalizer(one)))
        self._models: dict[int, Model] = {}

    def priors(self, n_clusters):
        """Prior of `n_clusters` components."""
        return self.at(n_clusters).prior

    def at(self, n_clusters, prior=None):
        """Model of a number of components, under a given prior where other rows have their say in what is shared."""
        if n_clusters not in self._models:
            weights = PartitionWeights(self.partitions, self.model.total_weight)
            self._models[n_clusters] = self.model._replace(
                weights=weights, n_components=n_clusters, prior=self.prior.take(np.zeros(n_clusters, dtype=np.intp)),
                weight_prior=weights.prior(n_clusters),
            )  # fmt: skip
        model = self._models[n_clusters]
        return model if prior is None else model._replace(prior=prior)

    def of_rows(self, stats, prior=None):
        """Log evidence of the clusters' rows, without the partition's prior and the base measure."""
        log_normalizer, n_clusters = self.model.family.log_normalizer, stats.n_components
        if self.additive:
            return float(np.sum(log_normalizer(self.priors(n_clusters).merge(stats))) - n_clusters * self._norm)
        prior = self.priors(n_clusters) if prior is None else prior
        return float(log_normalizer(prior.merge(stats)) - log_normalizer(prior))

    def of_sizes(self, n_k):
        """Log prior probability of a partition."""
        sizes = self.partitions.log_sizes(n_k).sum()
        return float(sizes) + self.partitions.log_count(len(n_k), self.model.total_weight)

    def value(self, stats, n_k):
        """The objective."""
        return self.of_rows(stats) + self.of_sizes(n_k) + self.model.log_base

    def scores(self, stats, n_k):
        """Terms of the clusters of an additive objective, ndarray of shape (n_clusters,)."""
        posterior = self.priors(len(n_k)).merge(stats)
        return self.model.family.log_normalizer(posterior) - self._norm + self.partitions.log_sizes(n_k)

    def count_gain(self, before, after):
        """What the objective gains where only the number of clusters changes."""
        count, total = self.partitions.log_count, self.model.total_weight
        return count(after, total) - count(before, total)

    def merge_gains(self, stats, n_k, first, second):
        """Gains of the objective if pairs of clusters were merged, each pair for itself.

        Parameters
        ----------
        stats : SuffStats
        n_k : ndarray of shape (n_clusters,)
        first, second : intp ndarray of shape (n_pairs,)

        Returns
        -------
        gains : ndarray of shape (n_pairs,)
        """
        n_clusters = len(n_k)
        numbers = sum(value.size for value in stats.to_dict()["arrays"].values()) // (
            n_clusters if self.additive else 1
        )
        step = max(1, CHUNK // numbers)
        gains = np.empty(len(first))
        for start in range(0, len(first), step):
            pairs = slice(start, start + step)
            gains[pairs] = self._merge_gains(stats, n_k, first[pairs], second[pairs])
        return gains + self.count_gain(n_clusters, n_clusters - 1) if len(first) else gains

    def _merge_gains(self, stats, n_k, first, second):
        """Gains without that of the clusters' count."""
        if self.additive:
            merged = self.scores(stats.take(first).merge(stats.take(second)), n_k[first] + n_k[second])
            scores = self.scores(stats, n_k)
            return merged - scores[first] - scores[second]
        family, prior, sizes = self.model.family, self.priors(len(n_k)), self.partitions.log_sizes
        if family.has("merged_log_normalizers"):
            fewer = family.log_normalizer(self.priors(len(n_k) - 1))
            rows = family.merged_log_normalizers(prior, stats, first, second) - fewer
        else:
            rows = np.array([self.of_rows(stats.join([i], [j])) for i, j in zip(first, second, strict=True)])
        gains = sizes(n_k[first] + n_k[second]) - sizes(n_k[first]) - sizes(n_k[second])
        return gains + rows - self.of_rows(stats)

    def partition(self, source, labels, n_clusters, about=None):
        """Partition by labels, clusters without weight left out.

        Parameters
        ----------
        source : Source
        labels : int32 ndarray of shape (n,)
        n_clusters : int
            One more than the largest label, at least.
        about : SuffStats, default=None
            Of clusters near these, where any are known.

        Returns
        -------
        partition : Partition
        """
        given = source.assign_given(n_clusters, codes=labels, about=about)
        return self.occupied(labels, given.stats, given.n_k)

    def occupied(self, labels, stats, n_k):
        """Partition from labels and their statistics, clusters without weight left out."""
        kept = n_k > 0
        if not kept.all():
            labels = (np.cumsum(kept, dtype=np.int32) - np.int32(1))[labels]
            stats, n_k = stats.take(kept), n_k[kept]
        return Partition(labels, stats, n_k, self.value(stats, n_k))


class Merges:
    """Gains of merging every pair of clusters, kept while merges go on.

    Parameters
    ----------
    evidence : Evidence
    stats : SuffStats
    n_k : ndarray of shape (n_clusters,)

    Attributes
    ----------
    gains : ndarray of shape (n_clusters, n_clusters)
        Symmetric; -inf on the diagonal.
    groups : list of list of int
        Clusters of the beginning that each present one is made of.
    """

    def __init__(self, evidence, stats, n_k):
        self.evidence, self.stats, self.n_k = evidence, stats, n_k
        self.groups = [[k] for k in range(len(n_k))]
        n_clusters = len(n_k)
        self.gains = np.full((n_clusters, n_clusters), -np.inf)
        self._measure(*np.triu_indices(n_clusters, 1))

    def _measure(self, first, second):
        gains = self.evidence.merge_gains(self.stats, self.n_k, first, second)
        self.gains[first, second] = self.gains[second, first] = gains

    def best(self):
        """Return the pair of the largest gain, the lower first, and the gain."""
        if len(self.n_k) < 2:
            return 0, 0, -np.inf
        first, second = np.unravel_index(int(np.argmax(self.gains)), self.gains.shape)
        return int(first), int(second), float(self.gains[first, second])

    def mutual(self):
        """Pairs of clusters that gain most from one another, and gain: the lower of each, and the other."""
        partner = np.argmax(self.gains, axis=1)
        everywhere = np.arange(len(partner))
        pairs = (partner[partner] == everywhere) & (everywhere < partner) & (self.gains[everywhere, partner] > 0)
        return everywhere[pairs], partner[pairs]

    def merge(self, first, second):
        """Merge pairs of clusters, each into the place of the first.

        Parameters
        ----------
        first, second : array-like of int
            No cluster twice.
        """
        evidence, n_before = self.evidence, len(self.n_k)
        self.stats = self.stats.join(first, second)
        n_k = self.n_k.copy()
        n_k[first] += n_k[second]
        for i, j in zip(first, second, strict=True):
            self.groups[i] += self.groups[j]
        left = np.delete(np.arange(n_before), second)
        self.n_k = n_k[left]
        self.groups = [self.groups[k] for k in left]
        self.gains = self.gains[np.ix_(left, left)]
        n_clusters = len(left)
        i, j = np.triu_indices(n_clusters, 1)
        if evidence.additive and n_clusters > 1:
            # what changes for pairs of which neither has merged is the count of clusters alone
            self.gains += evidence.count_gain(n_clusters, n_clusters - 1) - evidence.count_gain(n_before, n_before - 1)
            changed = np.isin(left, first)
            changed = changed[i] | changed[j]
            i, j = i[changed], j[changed]
        self._measure(i, j)

    def labels(self, labels):
        """Labels of the clusters of the beginning as labels of the present ones."""
        place = np.empty(sum(map(len, self.groups)), dtype=np.int32)
        for new, group in enumerate(self.groups):
            place[group] = new
        return place[labels]


def dendrogram(evidence, stats, n_k):
    """Merge clusters, always the pair that loses least, until all are one.

    Parameters
    ----------
    evidence : Evidence
    stats : SuffStats
    n_k : ndarray of shape (n_clusters,)

    Returns
    -------
    children : intp ndarray of shape (n_clusters - 1, 2)
        Clusters, and from number n_clusters up what earlier rows have merged.
    distances : ndarray of shape (n_clusters - 1,)
        Loss of the objective in each merge; where an earlier merge lost more, that loss, so that branches do not
        cross.
    """
    merges = Merges(evidence, stats, n_k)
    n_clusters = len(n_k)
    nodes = list(range(n_clusters))
    children, losses = np.empty((n_clusters - 1, 2), dtype=np.intp), np.empty(n_clusters - 1)
    for step in range(n_clusters - 1):
        first, second, gain = merges.best()
        children[step], losses[step] = sorted((nodes[first], nodes[second])), -gain
        nodes[first] = n_clusters + step
        del nodes[second]
        merges.merge([first], [second])
    return children, np.maximum.accumulate(np.maximum(losses, 0.0)) if n_clusters > 1 else losses


class Neighbourhood:
    """Some clusters and their rows, to be divided anew while all others stay.

    What components share (a tied scatter) counts the rows of the others as part of the prior, so that differences of
    the objective are exact.

    Parameters
    ----------
    evidence : Evidence
    source : DistinctSource
    partition : Partition
    clusters : list of int
    positions : intp ndarray of shape (m,)
        Their rows.

    Attributes
    ----------
    source : DistinctSource
        Their rows.
    labels : int32 ndarray of shape (m,)
        By place in `clusters`, as are `stats` and `n_k`.
    stats : SuffStats
    n_k : ndarray of shape (n_clusters,)
    """

    def __init__(self, evidence, source, partition, clusters, positions):
        self.evidence = evidence
        self.clusters = clusters
        self.positions = positions
        self.source = source.part(positions)
        self.n_outside = partition.n_clusters - len(clusters)
        place = np.empty(partition.n_clusters, dtype=np.int32)
        place[clusters] = np.arange(len(clusters))
        self.labels = place[partition.labels[positions]]
        stats, self._prior = partition.stats.take(clusters), evidence.prior
        if stats.shared:
            own = self.source.assign_given(len(clusters), codes=self.labels).stats
            others = np.setdiff1d(np.arange(partition.n_clusters), clusters)
            if len(others):
                outside = partition.stats.take(others).condition(own.scale(-1.0))
                outside = evidence.priors(len(others)).merge(outside)
                self._prior = self._prior.condition(outside.condition(self._prior.scale(-1.0)))
            stats = own
        self.stats, self.n_k = stats, partition.n_k[clusters]
        self._before = self._value(stats, self.n_k)

    def _value(self, stats, n_k):
        prior = self._prior.take(np.zeros(len(n_k), dtype=np.intp))
        evidence = self.evidence
        count = evidence.partitions.log_count(self.n_outside + len(n_k), evidence.model.total_weight)
        return evidence.of_rows(stats, prior) + float(evidence.partitions.log_sizes(n_k).sum()) + count

    def model(self, n_components) -> Model:
        """Model of these rows alone."""
        evidence = self.evidence
        prior = self._prior.take(np.zeros(n_components, dtype=np.intp))
        weights = PartitionWeights(evidence.partitions, evidence.model.total_weight, self.n_outside)
        return evidence.at(n_components, prior)._replace(
            weights=weights, log_base=0.0, total_weight=self.source.total_weight
        )

    def gain_at(self, log_evidence) -> float:
        """Gain of the objective, to rounding, if the rows had so much evidence under `model` of some components."""
        count = self.evidence.partitions.log_count
        outside = count(self.n_outside, self.evidence.model.total_weight) if self.n_outside else 0.0
        return log_evidence + outside - self._before

    def gain(self, stats, n_k) -> float:
        """Gain of the objective if the rows were divided into clusters of these statistics.

        Parameters
        ----------
        stats : SuffStats
        n_k : ndarray of shape (n_components,)
            Zero for a component that is none.

        Returns
        -------
        gain : float
        """
        kept = n_k > 0
        return self._value(stats.take(kept), n_k[kept]) - self._before
