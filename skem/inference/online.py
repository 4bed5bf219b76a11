"""Learning from a stream: statistics of batches blended into those of all rows seen."""

from typing import NamedTuple

import numpy as np

from skem.inference.updates import UPDATES
from skem.suffstats import SuffStats

# Step size (weight of the batch / weight seen) ** FORGETTING: 1 would be the plain sum, in which the poor
# responsibilities of the first batches never fade (Cappe & Moulines 2009 ask for an exponent in (1/2, 1]).
FORGETTING = 0.7


class Seen(NamedTuple):
    """What a mixture remembers of the rows it has seen.

    Attributes
    ----------
    stats : SuffStats
        Scaled to the total weight seen.
    n_k : ndarray of shape (n_components,)
        Component masses, of the same scale.
    total_weight : float
    """

    stats: SuffStats
    n_k: np.ndarray
    total_weight: float


def blend(seen, stats, n_k, weight):
    """Blend a batch into what was seen.

    Parameters
    ----------
    seen : Seen
    stats : SuffStats
        Of the batch, under the current parameters.
    n_k : ndarray of shape (n_components,)
    weight : float
        Total weight of the batch.

    Returns
    -------
    seen : Seen
    """
    total = seen.total_weight + weight
    step = (weight / total) ** FORGETTING
    keep, take = (1.0 - step) * total / seen.total_weight, step * total / weight
    return Seen(seen.stats.scale(keep).merge(stats.scale(take)), keep * seen.n_k + take * n_k, total)


def online_step(algorithm, model, source, theta, log_weights, seen):
    """One step of online EM or variational Bayes on a batch.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
        Of the batch.
    source : Source
    theta : Parameters
    log_weights : ndarray of shape (n_components,)
    seen : Seen

    Returns
    -------
    state : State
    seen : Seen
    """
    result = source.run(log_weights, theta, assign=algorithm.assign)
    seen = blend(seen, result.stats, result.n_k, model.total_weight)
    return UPDATES[algorithm.update](model, seen.stats, seen.n_k, theta), seen
