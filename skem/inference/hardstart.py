"""A partition as the start of soft shares."""

import numpy as np

from skem.distinct import DistinctSource
from skem.engine import Pass
from skem.inference.partition import Evidence
from skem.inference.search import Search
from skem.inference.updates import UPDATES
from skem.weights import BoundedPartitions

# So many rows are searched a second time, from one cluster: where no more clusters are allowed than there are, the way
# from many ends at the first that fit, and the way from one may divide others.
FEW = 1 << 13


def partition_start(model, source, given, concentration, rng, max_iter):
    """Statistics of the partition that Bayesian k-means, with splits and merges, reaches from a start.

    Its objective is the bound of variational Bayes at shares that are all 0 or 1, so that a run which starts there
    only rises.

    Parameters
    ----------
    model : Model
    source : Source
    given : Pass
        The start; its most probable labels are where the search begins.
    concentration : float
        Of the Dirichlet prior of the weights of `model.n_components` components.
    rng : numpy.random.Generator
        For the search.
    max_iter : int
        Most steps.

    Returns
    -------
    found : Pass
        `given` itself where the prior depends on the number of components: partitions do not compare then.
    """
    n_components = model.n_components
    try:
        evidence = Evidence(model, BoundedPartitions(n_components, concentration))
    except ValueError:
        return given
    distinct = DistinctSource.of(source)[0]
    state = UPDATES["expect"](model, given.stats, given.n_k)
    labels = np.zeros(len(distinct), dtype=np.int32)
    distinct.run(state.log_weights, state.theta, collect=False, assign="hard", labels=labels)
    search = Search(evidence, distinct, rng, max_iter)
    search.run(labels, n_components)
    if len(distinct) <= FEW:
        search.run(np.zeros_like(labels), 1)
    best = search.best
    n_more = n_components - best.n_clusters
    return Pass(best.objective, 0, np.concatenate([best.n_k, np.zeros(n_more)]), best.stats.extend(n_more))
