"""Which collapsed pass serves which kind of family."""

from skem._kernels import collapsed_counts, collapsed_gaussian

KINDS = dict.fromkeys(collapsed_gaussian.KINDS, collapsed_gaussian.GaussianMoves) | collapsed_counts.KINDS


def Collapsed(kind, posterior, n_k, alpha):
    """Posteriors of K components, changed row by row.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    posterior : dict of ndarray
        Prior merged with the statistics of the rows, in the names of the family; copied. See the class of the kind.
    n_k : ndarray of shape (K,)
        Weight of the rows of each component.
    alpha : ndarray of shape (K,) or float
        Dirichlet prior of the mixing weights.

    Returns
    -------
    state : skem._kernels.moves.Moves
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {sorted(KINDS)}, got {kind!r}")
    return KINDS[kind](kind, posterior, n_k, alpha)
