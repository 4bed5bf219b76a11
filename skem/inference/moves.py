"""Moves that change the number of clusters, or divide some of them anew, each with its exact gain."""

from typing import NamedTuple

import numpy as np

from skem.inference.cuts import best_cuts, sample_to_cut
from skem.inference.hard import MaximizationExpectation, Rows, settle
from skem.inference.partition import Merges
from skem.inference.updates import UPDATES

# Cuts of a cluster that are followed up.
N_CUTS = 2
# Most sweeps of a cut, and batch updates of all rows after it; most sweeps of rows whose labels were drawn.
MAX_SWEEPS, MAX_UPDATES = 5, 5
DRAW_SWEEPS = 20
# Pairs of clusters that are looked at for moves that lose, and nats below which two divided anew are the same two.
N_PAIRS, UNCHANGED = 2, 1e-6
# Nats of gain below which rounding does not decide whether a move gains.
LOST = -1.0
# Rows whose second best cluster is farther behind than this, times the temperature, keep their labels in a draw.
IN_DOUBT = 5.0


class Move(NamedTuple):
    """Some clusters divided anew.

    Attributes
    ----------
    kind : {"split", "merge", "exchange"}
    clusters : list of int
        Which are replaced.
    positions : intp ndarray of shape (m,)
        Their rows.
    labels : int32 ndarray of shape (m,)
        Which of the new clusters each row goes to.
    n_parts : int
        Number of the new clusters.
    gain : float
        Exact gain of the objective.
    """

    kind: str
    clusters: list[int]
    positions: np.ndarray
    labels: np.ndarray
    n_parts: int
    gain: float

    def apply(self, labels, n_clusters):
        """Write the move into labels of all rows; new clusters take the old ones' numbers, then further ones.

        Returns
        -------
        n_clusters : int
            One more than the largest label.
        """
        n_more = max(self.n_parts - len(self.clusters), 0)
        numbers = np.array([*self.clusters, *range(n_clusters, n_clusters + n_more)], dtype=np.int32)
        labels[self.positions] = numbers[self.labels]
        return n_clusters + n_more


def split(place, kind="split"):
    """Divide the rows of a neighbourhood in two, by the best of a few cuts.

    Parameters
    ----------
    place : Neighbourhood
    kind : str, default="split"

    Returns
    -------
    move : Move or None
        None where all rows are one.
    """
    source, model = place.source, place.model(2)
    sample = sample_to_cut(source)
    about = place.stats.pool().take([0, 0])
    best, labels = -np.inf, None
    for cut in best_cuts(sample, N_CUTS):
        settled, value = settle(model, sample, cut, MAX_SWEEPS, about)
        if value > best and settled.min() < settled.max():
            best, labels = value, settled
    if labels is None:
        return None
    if sample is source and (gain := place.gain_at(best)) < LOST:
        return Move(kind, place.clusters, place.positions, labels, 2, gain)
    given = sample.assign_given(2, codes=labels, about=about)
    if sample is source:
        gain = place.gain(given.stats, given.n_k)
        return Move(kind, place.clusters, place.positions, labels, 2, gain)
    state = UPDATES["evidence"](model, given.stats, given.n_k)
    fit = MaximizationExpectation(max_iter=MAX_UPDATES, sweeps=False).run(model, source, state)
    gain = place.gain(fit.state.stats, fit.state.n_k)
    return Move(kind, place.clusters, place.positions, fit.labels, 2, gain)


def merge(place, gain):
    """All rows of a neighbourhood as one cluster, at the gain that is known."""
    return Move("merge", place.clusters, place.positions, np.zeros(len(place.positions), np.int32), 1, gain)


def losing(evidence, partition, attempts, place):
    """Splits that have failed, merges, and pairs of clusters divided anew, from the least loss.

    Parameters
    ----------
    evidence : Evidence
    partition : Partition
    attempts : list of (Move or None)
        The split of each cluster that has failed before.
    place : callable
        Maps clusters to their `Neighbourhood`.

    Returns
    -------
    moves : list of Move
    """
    moves = [
        attempt._replace(clusters=[k])
        for k, attempt in enumerate(attempts)
        if attempt is not None and attempt.n_parts > 1
    ]
    gains = Merges(evidence, partition.stats, partition.n_k).gains
    first, second = np.triu_indices(partition.n_clusters, 1)
    gains = gains[first, second]
    for pair in np.argsort(-gains, kind="stable")[:N_PAIRS]:
        here = place([first[pair], second[pair]])
        moves.append(merge(here, gains[pair]))
        if (move := split(here, "exchange")) is not None and abs(move.gain) > UNCHANGED:
            moves.append(move)
    return sorted(moves, key=lambda move: -move.gain)


class Doubts:
    """Rows of a partition by how much better their cluster suits them than any other.

    Parameters
    ----------
    evidence : Evidence
    source : DistinctSource
    partition : Partition
        Of two clusters or more.
    """

    def __init__(self, evidence, source, partition):
        self.source, self.labels = source, partition.labels
        self.model = evidence.at(partition.n_clusters)
        self._start = UPDATES["evidence"](self.model, partition.stats, partition.n_k)
        self.scores = np.empty((len(source), partition.n_clusters))
        source.run(self._start.log_weights, self._start.theta, collect=False, weighted=False, scores=self.scores)
        everywhere, own = np.arange(len(source)), self.scores[np.arange(len(source)), self.labels]
        others = self.scores.copy()
        others[everywhere, self.labels] = -np.inf
        #: the best of the other clusters, and by how much it is behind
        self.other = others.argmax(axis=1)
        self.margin = own - others[everywhere, self.other]
        self._rows: Rows | None = None

    def drawn(self, temperature, rng):
        """Labels that rows in doubt settle at from labels drawn by their scores; None where they gain nothing.

        Single moves cannot take many rows across a border at once, where one alone would lose.

        Parameters
        ----------
        temperature : float
            What scores are divided by, and what counts as doubt multiplied.
        rng : numpy.random.Generator

        Returns
        -------
        labels : int32 ndarray of shape (n,) or None
        """
        rows = np.flatnonzero(self.margin < IN_DOUBT * temperature)
        if len(rows) < 2:
            return None
        drawn = self.labels.copy()
        gumbel = rng.gumbel(size=(len(rows), self.model.n_components))
        drawn[rows] = (self.scores[rows] / temperature + gumbel).argmax(axis=1)
        return self._settled(rows, drawn)

    def shifted(self, cluster, margin):
        """Labels that rows settle at after a cluster's borders have moved; None where they gain nothing.

        Parameters
        ----------
        cluster : int
        margin : float
            Rows that prefer another cluster by less than this become the cluster's; if negative, those that prefer it
            by less go to their second best.

        Returns
        -------
        labels : int32 ndarray of shape (n,) or None
        """
        inside, outside = self.labels == cluster, self.other == cluster
        moved = np.flatnonzero((self.margin < abs(margin)) & (outside if margin > 0 else inside))
        if len(moved) < 2:
            return None
        labels = self.labels.copy()
        labels[moved] = self.other[moved]
        return self._settled(np.flatnonzero((inside | outside) & (self.margin < IN_DOUBT + abs(margin))), labels)

    def _settled(self, rows, labels):
        """Labels that some rows settle at from others; None where they gain nothing."""
        if self.model.family.collapsed_kind is None:
            settled, evidence = settle(self.model, self.source, labels, DRAW_SWEEPS)
            return settled if evidence > self._start.evidence else None
        if self._rows is None:
            self._rows = Rows(self.model, self.source, self._start, self.labels)
        return self._rows.settled(rows, labels, DRAW_SWEEPS)
