"""Labels of training rows, as a fit leaves them and as they are published."""

import numpy as np


def owners(source, labels, n_components):
    """Which components own a row with weight, and which own a row at all.

    Block by block, as `renumber`: NumPy makes 64-bit indices of labels.

    Parameters
    ----------
    source : Source
    labels : int32 ndarray of shape (n,)
    n_components : int

    Returns
    -------
    owned, owning : bool ndarray of shape (n_components,)
    """
    owned, owning = np.zeros((2, n_components), dtype=bool)
    for rows in source.blocks():
        block = labels[rows]
        owning[block] = True
        owned[block if source.weight is None else block[source.weight[rows] > 0]] = True
    return owned, owning


def renumber(source, labels, rank):
    """Labels with component k called rank[k].

    Parameters
    ----------
    source : Source
    labels : int32 ndarray of shape (n,)
    rank : int32 ndarray of shape (n_components,)

    Returns
    -------
    renumbered : int32 ndarray of shape (n,)
    """
    renumbered = np.empty_like(labels)
    for rows in source.blocks():
        renumbered[rows] = rank[labels[rows]]
    return renumbered
