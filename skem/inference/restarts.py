"""Fresh starts around a number of clusters, for rows so few that many partitions are about as good."""

# Rows that are different, at most, and how often each is there on average, at least.
FEW, REPEATED = 512, 5.0
# Numbers of clusters, beside the one that was found, and starts of each.
AROUND, N_STARTS = (-2, -1, 0, 1), 10
# The best of them that are followed.
N_FOLLOWED = 5


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


def fresh_starts(n_clusters, most, begin):
    """Partitions from many starts, the best first.

    Parameters
    ----------
    n_clusters : int
        About how many there will be.
    most : int
        Largest number of clusters to begin with.
    begin : callable
        Maps a number of clusters to the partition that a start leads to.

    Returns
    -------
    partitions : list of Partition
    """
    numbers = [n_clusters + more for more in AROUND if 1 < n_clusters + more <= most]
    partitions = [begin(number) for number in numbers for _ in range(N_STARTS)]
    return sorted(partitions, key=lambda partition: -partition.objective)[:N_FOLLOWED]
