"""Starts of several kinds, for races between them."""

import numpy as np

from skem._kernels.agglomerate import ward
from skem.inference.cuts import whiten
from skem.starts import find_centers, inner_rows, label_rest, lloyd

# Starts of each kind that a race begins with, in pairs: one in units that make the columns alike, one in units of the
# data's covariance where the family knows correlations.
ENTRIES = (("k-means", 1), ("hierarchical", 1), ("random", 8), ("projection", 4))
# Groups that are merged by likelihood, a component.
GROUPS = 6
# Up to so many rows the groups are those of Ward's tree, of more rows those of k-means.
WARD_ROWS = 512
# Lloyd iterations of the k-means that starts or groups come from.
LLOYD = 5


def _labels(Z, centers):
    unit = np.ones(Z.shape[1])
    return lloyd(Z, None, centers, np.zeros_like(unit), unit, 0)[1]


def _cut(Z, weight, n_components, n_starts, rng):
    """Labels (n_starts, m) of rows by intervals of a random direction, each of a random share of the weight."""
    values = Z @ rng.standard_normal((Z.shape[1], n_starts))
    order = np.argsort(values, axis=0, kind="stable")
    share = np.cumsum(weight[order], axis=0) / weight.sum()
    ends = np.cumsum(rng.dirichlet(np.full(n_components, 2.0), n_starts), axis=1)[:, :-1]
    labels = np.empty((n_starts, len(Z)), dtype=np.int32)
    for i in range(n_starts):
        labels[i, order[:, i]] = np.searchsorted(ends[i], share[:, i])
    return labels


def _scatter(Z, weight, n_components, n_starts, rng):
    """Labels (n_starts, m) of rows by the nearest of rows drawn by weight, without repeats while there are others."""
    keys = np.log(rng.random((n_starts, len(Z)))) / weight
    n_seeds = min(n_components, len(Z))
    seeds = Z[np.argpartition(keys, -n_seeds, axis=1)[:, -n_seeds:].ravel()]
    distances = (0.5 * (seeds**2).sum(axis=1) - Z @ seeds.T).reshape(len(Z), n_starts, n_seeds)
    return np.ascontiguousarray(distances.argmin(axis=2).T, dtype=np.int32)


def _merge(source, Z, weight, n_components, rng, by_tree):
    """Labels of rows by groups that are merged at the least loss of likelihood."""
    n_groups = min(GROUPS * n_components, len(Z))
    if by_tree and len(Z) <= WARD_ROWS:
        groups = ward(Z, weight, n_groups)
    else:
        groups = _labels(Z, find_centers(Z, weight, n_groups, "k-means", rng, LLOYD))
    used, group = np.unique(groups, return_inverse=True)
    if len(used) <= n_components:
        return group.astype(np.int32)
    given = source.assign_given(len(used), codes=group)
    return source.family.agglomerate(given.stats, n_components)[group]


def propose(source, Z, weight, n_components, rng):
    """Starts of every kind.

    Parameters
    ----------
    source : DistinctSource
    Z : ndarray of shape (m, d)
        Its rows in units that make the columns alike.
    weight : ndarray of shape (m,)
    n_components : int
    rng : numpy.random.Generator

    Returns
    -------
    starts : list of (name, labels)
        Labels are int32 ndarrays of shape (m,).
    """
    metrics = [Z] if source.family.equivariance != "affine" else [Z, whiten(Z, weight)]
    starts = []
    for name, count in ENTRIES:
        for i, own in enumerate(metrics):
            n_starts = count * 2 // len(metrics)
            if name == "projection":
                found = _cut(own, weight, n_components, n_starts, rng)
            elif name == "random":
                found = _scatter(own, weight, n_components, n_starts, rng)
            elif name == "hierarchical":
                found = [_merge(source, own, weight, n_components, rng, i == j) for j in range(n_starts)]
            else:
                centers = (find_centers(own, weight, n_components, name, rng, LLOYD) for _ in range(n_starts))
                found = [_labels(own, each) for each in centers]
            starts += [(name, labels) for labels in found]
    return starts


def propose_inner(source, Z, weight, n_components, rng):
    """Starts of every kind that no row far out has a part in."""
    inner = inner_rows(Z, weight)
    starts = propose(source.part(np.flatnonzero(inner)), Z[inner], weight[inner], n_components, rng)
    return [(name, label_rest(Z, weight, inner, labels, n_components)) for name, labels in starts]
