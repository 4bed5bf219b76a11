"""Groups merged at the least loss of likelihood, for any family."""

import numpy as np


def merge_groups(family, stats, n_left):
    """Merge groups of rows two by two, the pair first that loses the least of the largest log-likelihood.

    Parameters
    ----------
    family : Family
        Bound.
    stats : SuffStats
        Of the groups, each with mass; what they share counts as far as the family's `worth` looks at it.
    n_left : int
        How many groups to leave.

    Returns
    -------
    labels : int32 ndarray of shape (n_groups,)
        From 0 to n_left - 1, numbered by their first groups.

    References
    ----------
    Banfield & Raftery (1993), Model-based Gaussian and non-Gaussian clustering.
    """
    n_groups = stats.n_components
    label = np.arange(n_groups)
    loss = np.full((n_groups, n_groups), np.inf)
    first, second = np.triu_indices(n_groups, 1)
    own = family.worth(stats)
    loss[first, second] = own[first] + own[second] - family.worth(stats.take(first).merge(stats.take(second)))
    index = np.arange(n_groups)
    for _ in range(n_groups - n_left):
        a, b = np.unravel_index(np.argmin(loss), loss.shape)
        label[label == b] = a
        # group a of the statistics becomes the union, b is never looked at again
        joined = stats.take([a, b]).join([0], [1])
        stats = stats.put([a], joined)
        own[a] = family.worth(joined)[0]
        loss[b] = loss[:, b] = np.inf
        others = index[(label == index) & (index != a)]
        union = stats.take(np.full(len(others), a)).merge(stats.take(others))
        loss[np.minimum(a, others), np.maximum(a, others)] = own[a] + own[others] - family.worth(union)
    return np.unique(label, return_inverse=True)[1].astype(np.int32)


def worth_of_groups(structure, stats, typical, ridge):
    """What Gaussian groups are worth, term by term, so that other blocks of columns can add theirs.

    Where groups have covariances of their own, their largest log-likelihood but for a constant, with a pseudo-row that
    keeps it finite; where all share one, what Ward's criterion makes of their means under a typical row's.

    Parameters
    ----------
    structure : Full
        Or one of its kind.
    stats : Moments
        Of the groups.
    typical : ndarray of shape (d, d), (d,) or ()
        Scatter of a typical row, in the structure's shape; a sum over the columns for an isotropic one.
    ridge : float
        Share of it that the pseudo-row has.

    Returns
    -------
    worth : ndarray of shape (n_groups,)
    """
    d = stats.mean.shape[1]
    if structure.shared:
        if typical.ndim == 2:
            squares = np.einsum("ki,ki->k", stats.mean, np.linalg.solve(typical, stats.mean.T).T)
        else:
            squares = (stats.mean**2 / (typical / d if structure.isotropic else typical)).sum(axis=1)
        return 0.5 * stats.kappa * squares
    mass = stats.kappa + 1.0
    scatter = stats.scatter + ridge * typical
    if structure.collect == "full":
        log_det = np.linalg.slogdet(scatter)[1] - d * np.log(mass)
    elif structure.isotropic:
        log_det = d * np.log(scatter / (d * mass))
    else:
        log_det = np.log(scatter / mass[:, None]).sum(axis=1)
    return -0.5 * stats.kappa * log_det
