"""Moves that change the number of clusters, or divide some of them anew, each with its exact gain."""

from typing import NamedTuple

import numpy as np

from skem.inference.base import UPDATES
from skem.inference.cuts import best_cuts, sample_to_cut
from skem.inference.hard import MaximizationExpectation, settle

# Cuts of a cluster that are followed up.
N_CUTS = 2
# Most sweeps of a cut, and batch updates of all rows after it; most sweeps of a border that was moved.
MAX_SWEEPS, MAX_UPDATES = 5, 5
BORDER_SWEEPS = 10


class Move(NamedTuple):
    """Some clusters divided anew.

    Attributes
    ----------
    kind : {"split", "nudge"}
    clusters : list of int
        Which are replaced.
    positions : intp ndarray of shape (m,)
        Their rows.
    labels : int32 ndarray of shape (m,)
        Which of the new clusters each row goes to.
    n_parts : int
        Number of the new clusters, of which one may have no row.
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
    best, found = -np.inf, None
    for cut in best_cuts(sample, N_CUTS):
        labels, given = settle(model, sample, cut, MAX_SWEEPS)
        if (given.n_k > 0).all():
            value = UPDATES["evidence"](model, given.stats, given.n_k).evidence
            if value > best:
                best, found = value, (labels, given)
    if found is None:
        return None
    labels, given = found
    if sample is source:
        gain = place.gain(given.stats, given.n_k)
        return Move(kind, place.clusters, place.positions, labels, 2, gain)
    state = UPDATES["evidence"](model, given.stats, given.n_k)
    fit = MaximizationExpectation(max_iter=MAX_UPDATES, sweeps=False).run(model, source, state)
    gain = place.gain(fit.state.stats, fit.state.n_k)
    return Move(kind, place.clusters, place.positions, fit.labels, 2, gain)


def nudge(place, shift):
    """Let the first cluster of a neighbourhood win or lose the rows that lie near its border, and all settle.

    Single moves cannot take many rows across a border at once, where one alone would lose.

    Parameters
    ----------
    place : Neighbourhood
    shift : float
        Log odds by which the cluster is favoured.

    Returns
    -------
    move : Move or None
        None where no two rows are so near.
    """
    n_parts = len(place.clusters)
    model = place.model(n_parts)
    state = UPDATES["evidence"](model, place.stats, place.n_k)
    log_weights, labels = state.log_weights.copy(), place.labels.copy()
    log_weights[0] += shift
    rows = {"labels_in": labels, "labels": labels}
    result = place.source.run(log_weights, state.theta, collect=False, assign="hard", **rows)
    if result.moved < 2:
        return None
    labels, given = settle(model, place.source, labels, BORDER_SWEEPS)
    return Move("nudge", place.clusters, place.positions, labels, n_parts, place.gain(given.stats, given.n_k))
