"""Fresh starts around a number of clusters, where many partitions are about as good, and from one cluster."""

import numpy as np

from skem.inference.cuts import whiten

# Rows that are different, at most, and how often each is there on average, at least.
FEW, REPEATED = 512, 5.0
# Numbers of clusters, beside the one that was found, and starts of each.
AROUND, N_STARTS = (-2, -1, 0, 1), 10
# The best of them that are followed.
N_FOLLOWED = 5
# Starts with two clusters about random seeds, where one for all rows was found.
N_IN_TWO = 5
# Standard deviations that the rows' fourth moment is from a Gaussian's, at least, where that is worth a try.
TELLING = 4.0


def confuse(source):
    """Whether few rows stand for many: moves of one carry much weight then, and a search rests early.

    Parameters
    ----------
    source : DistinctSource

    Returns
    -------
    confusing : bool
    """
    return len(source) <= FEW and source.total_weight >= REPEATED * len(source)


def is_like_one(source):
    """Whether the fourth moment of the rows is that of one Gaussian, as far as they can tell (Mardia 1970).

    Parameters
    ----------
    source : DistinctSource

    Returns
    -------
    likely : bool
        Of rows that are far from Gaussian by their kind, counts say, it is false.
    """
    Z, weight = source.coordinates(), source.canonical().weight
    white = whiten(Z, weight)
    rank = white.shape[1]
    moment = weight @ (white**2).sum(axis=1) ** 2 / weight.sum()
    return abs(moment - rank * (rank + 2)) <= TELLING * np.sqrt(8.0 * rank * (rank + 2) / weight.sum())


def fresh_starts(source, n_clusters, begin):
    """Partitions that are worth climbing from, the best first.

    Clusters that overlap much lie on no two sides of a plane: one cluster that no plane divides may be two about seeds.

    Parameters
    ----------
    source : DistinctSource
    n_clusters : int
        About how many there will be.
    begin : callable
        Maps a number of clusters, and the kind of their seeds, to the partition that a start leads to.

    Returns
    -------
    partitions : list of Partition
    """
    found = []
    if n_clusters == 1 < len(source) and not is_like_one(source):
        found = [begin(2, "random") for _ in range(N_IN_TWO)]
    followed = _best(found, 1)
    if confuse(source):
        numbers = [n_clusters + more for more in AROUND if 1 < n_clusters + more <= len(source) // 2]
        followed += _best([begin(number, "k-means") for number in numbers for _ in range(N_STARTS)], N_FOLLOWED)
    return followed


def _best(partitions, number):
    return sorted(partitions, key=lambda partition: -partition.objective)[:number]
