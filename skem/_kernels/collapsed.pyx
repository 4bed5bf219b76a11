"""Which collapsed pass serves which kind of family."""

from skem._kernels import collapsed_counts, collapsed_gaussian, collapsed_rates
from skem._kernels.collapsed_product import ProductMoves

KINDS = dict.fromkeys(collapsed_gaussian.KINDS, collapsed_gaussian.GaussianMoves)
KINDS |= collapsed_counts.KINDS | collapsed_rates.KINDS


def Collapsed(kind, posterior, n_k, alpha):
    """Posteriors of K components, changed row by row.

    Parameters
    ----------
    kind : str
        One of `KINDS`, or "product".
    posterior : dict of ndarray
        Prior merged with the statistics of the rows, in the names of the family; copied. See the class of the kind. Of
        a product, the kind and the posterior of each block, in the order of their columns.
    n_k : ndarray of shape (K,)
        Weight of the rows of each component.
    alpha : ndarray of shape (K,) or float
        Dirichlet prior of the mixing weights.

    Returns
    -------
    state : skem._kernels.moves.Moves
    """
    if kind == "product":
        *others, state = [Collapsed(*block, n_k, alpha) for block in posterior.values()]
        for other in reversed(others):
            state = ProductMoves(kind, other, state, n_k, alpha)
        return state
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {sorted(KINDS)}, got {kind!r}")
    return KINDS[kind](kind, posterior, n_k, alpha)
