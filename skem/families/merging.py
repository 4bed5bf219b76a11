"""Groups merged at the least loss of likelihood, for any family."""

import numpy as np


def merge_groups(family, stats, n_left):
    """Merge groups of rows two by two, the pair first that loses the least of the largest log-likelihood.

    Parameters
    ----------
    family : Family
        Bound; its components share no parameter.
    stats : SuffStats
        Of the groups, each with mass.
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

    def value(groups):
        return family.log_likelihood(family.mle(groups), groups)

    n_groups = stats.n_components
    stats = stats.take(np.arange(n_groups))
    arrays = stats.to_dict()["arrays"]
    label = np.arange(n_groups)
    loss = np.full((n_groups, n_groups), np.inf)
    first, second = np.triu_indices(n_groups, 1)
    own = value(stats)
    union = stats.take(first).merge(stats.take(second))
    loss[first, second] = own[first] + own[second] - value(union)
    index = np.arange(n_groups)
    for _ in range(n_groups - n_left):
        a, b = np.unravel_index(np.argmin(loss), loss.shape)
        label[label == b] = a
        # group a of the statistics becomes the union, b is never looked at again
        joined = stats.take([a]).merge(stats.take([b]))
        for name, rows in joined.to_dict()["arrays"].items():
            arrays[name][a] = rows[0]
        own[a] = value(joined)[0]
        loss[b] = loss[:, b] = np.inf
        others = index[(label == index) & (index != a)]
        union = stats.take(np.full(len(others), a)).merge(stats.take(others))
        loss[np.minimum(a, others), np.maximum(a, others)] = own[a] + own[others] - value(union)
    return np.unique(label, return_inverse=True)[1].astype(np.int32)
