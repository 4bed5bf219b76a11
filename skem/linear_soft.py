"""Soft passes of linear scores over float32 rows, in float32 arithmetic."""

import numpy as np

from skem._kernels.passes import Prepared
from skem.rows import is_sparse

# Numbers that a pass must multiply, and columns that a row must have, for float to gain anything.
LEAST_WORK = 1 << 20
LEAST_COLUMNS = 32
# By how much a score may be off.
LARGEST_ERROR = 2.0**-11


def serves(source, n_components):
    """Whether the rows are such that float is the faster way to score them.

    Parameters
    ----------
    source : Source
    n_components : int

    Returns
    -------
    serves : bool
    """
    X = source.X
    if is_sparse(X) or X.dtype != np.float32 or source.index is not None or source.coding is not None:
        return False
    n, d = X.shape
    if d < LEAST_COLUMNS or n * n_components * d < LEAST_WORK or X.strides[1] != X.itemsize:
        return False
    origin = source.family.summary_.origin
    return np.array_equal(origin.astype(np.float32), origin)


def run(source, log_weights, part, collectors):
    """Score rows and sum them; what the mean of the weights w_k adds to all scores alike is added in double.

    Parameters
    ----------
    source : Source
    log_weights : ndarray of shape (n_components,)
    part : Linear, Centred, Several or None
        The scorer.
    collectors : list of (part, column, n_columns)

    Returns
    -------
    result : tuple (score, n_moved, n_k, sums), or None where another pass must do
    error : float
        Typical error of a score, at most: n_features roundings of products as large as the length of w_k times that of
        a row, which add up like random steps, stay below one of their sum.
    """
    linear = [getattr(own, "feature_map", None) == "x" for own in (part, *(place[0] for place in collectors))]
    if linear != [True, True] or not serves(source, len(log_weights)):
        return None, 0.0
    summary, d = source.family.summary_, source.X.shape[1]
    center = part.weights.mean(axis=0)
    weights = part.weights - center
    length = np.sqrt((weights**2).sum(axis=1).max() * (summary.mean**2 + summary.variance).sum())
    error = np.finfo(np.float32).eps * length
    if not error <= LARGEST_ERROR:
        return None, 0.0
    place = [(part._replace(weights=weights), 0, d)]
    score, moved, n_k, sums = Prepared(
        source.X, summary.origin, summary.scale, len(log_weights), log_weights + part.offset, place, place,
        sample_weight=source.weight, in_float=True,
    ).once()  # fmt: skip
    return (score + float(center @ source.total), moved, n_k, sums), float(error)
