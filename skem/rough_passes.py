"""Soft passes over float32 rows in float32 arithmetic: rough ones, which say by how much they may be off."""

import numpy as np

from skem._kernels.parts import Linear, is_of_differences, is_of_pairs
from skem._kernels.passes import Prepared
from skem.rows import is_sparse

# Columns that a row must have, fewer where pairs of them are multiplied, and numbers that a pass must multiply, for
# float to gain anything: many, where the iterations that it takes the place of are compiled.
LEAST_COLUMNS = 32
LEAST_COLUMNS_OF_PAIRS = 8
LEAST_WORK = 1 << 20
LEAST_WORK_COMPILED = 1 << 28
# By how much a score may be off.
LARGEST_ERROR = 2.0**-11
# Standard deviations of a column that a row may lie away where distances are squared: what they lose grows likewise.
FARTHEST = 32.0
# How far from 1 the largest weight may be, for products of weights and squares to stay what float can hold.
MOST_WEIGHT = 2.0**40
# Half a unit in the last place of 1: what rounding to float loses of a number.
ROUNDING = 0.5 * float(np.finfo(np.float32).eps)


def _is_linear(part):
    return isinstance(part, Linear) and part.feature_map == "x"


def serves(source, part, n_components, compiled=False):
    """Whether the rows are such that float is the faster way to score them.

    Parameters
    ----------
    source : Source
    part : Linear, Centred, Several or None
        The scorer.
    n_components : int
    compiled : bool, default=False
        Whether the iterations run compiled without it.

    Returns
    -------
    serves : bool
    """
    X = source.X
    if is_sparse(X) or X.dtype != np.float32 or source.index is not None or source.coding is not None:
        return False
    n, d = X.shape
    if not (_is_linear(part) or is_of_pairs(part) or is_of_differences(part)) or X.strides[1] != X.itemsize:
        return False
    if d < (LEAST_COLUMNS_OF_PAIRS if is_of_pairs(part) else LEAST_COLUMNS):
        return False
    work = float(n) * n_components * (d if _is_linear(part) else d * (d + 1))
    if work < (LEAST_WORK_COMPILED if compiled else LEAST_WORK):
        return False
    if source.weight is not None and not 1.0 / MOST_WEIGHT <= source.weight.max() <= MOST_WEIGHT:
        return False
    summary = source.family.summary_
    if _is_linear(part):
        return _is_float(summary.origin) and _is_float(1.0 / summary.scale)
    return _is_float(1.0 / summary.scale) and source.farthest <= FARTHEST


def _is_float(values):
    """Whether float holds these doubles as they are."""
    with np.errstate(over="ignore"):
        return np.array_equal(values.astype(np.float32), values)


def run(source, log_weights, part, collectors):
    """Score rows and sum them.

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
        Typical error of a score, at most.
    """
    own = [part, *(place[0] for place in collectors)]
    kinds = ((_is_linear, _run_linear), (is_of_pairs, _run_pairs), (is_of_differences, _run_centred))
    for is_kind, run_kind in kinds:
        if len(own) == 2 and all(map(is_kind, own)) and serves(source, part, len(log_weights)):
            return run_kind(source, log_weights, *own)
    return None, 0.0


def _run_linear(source, log_weights, part, collector):
    """What the mean of the weights w_k adds to all scores alike is added in double.

    n_features roundings of products as large as the length of w_k times that of a row, which add up like random steps,
    stay below one of their sum.
    """
    summary = source.family.summary_
    center = part.weights.mean(axis=0)
    weights = part.weights - center
    length = np.sqrt((weights**2).sum(axis=1).max() * (summary.mean**2 + summary.variance).sum())
    error = 2.0 * ROUNDING * length
    if not error <= LARGEST_ERROR:
        return None, 0.0
    own = part._replace(weights=weights)
    score, moved, n_k, sums = _in_float(source, log_weights + part.offset, own, own, summary.origin)
    return (score + float(center @ source.total), moved, n_k, sums), float(error)


def _float_origin(summary):
    """Origin that float holds, and how far from it the summary's is, in internal coordinates."""
    origin = summary.origin.astype(np.float32).astype(np.float64)
    return origin, (summary.origin - origin) / summary.scale


def _error_of_distances(summary, precision, mean):
    """By how much half of a squared distance is off, at most.

    With x and m_k as long as the component's own units make them, it is a sum of terms that may be as large as these
    lengths squared, and off by less than a rounding of that: most roundings are of smaller numbers, and all add up like
    random steps. `precision` is the diagonal of the precision matrices.
    """
    return ROUNDING * float((precision * (summary.mean**2 + summary.variance + mean**2)).sum(axis=1).max())


def _run_pairs(source, log_weights, part, collector):
    """Scores of products of pairs, moved to the origin that float holds; their sums are moved back."""
    summary = source.family.summary_
    K, d = len(part.weights), source.X.shape[1]
    origin, shift = _float_origin(summary)
    rows, columns = np.tril_indices(d)
    quadratic = np.zeros((K, d, d))
    quadratic[:, rows, columns] = part.weights[:, d:]
    quadratic += np.swapaxes(quadratic, 1, 2)
    mean = np.linalg.solve(quadratic, -part.weights[:, :d, None])[..., 0]
    error = _error_of_distances(summary, -np.einsum("kii->ki", quadratic), mean)
    if not error <= LARGEST_ERROR:
        return None, 0.0
    turn = quadratic @ shift
    weights = np.concatenate([part.weights[:, :d] - turn, part.weights[:, d:]], axis=1)
    constant = part.offset - part.weights[:, :d] @ shift + 0.5 * turn @ shift
    own = part._replace(weights=weights)
    score, moved, n_k, (sums,) = _in_float(source, log_weights + constant, own, own, origin)
    first, second = sums["features"][:, :d], sums["features"][:, d:]
    if not (np.isfinite(score) and np.isfinite(sums["features"]).all()):
        return None, 0.0
    mass = n_k[:, None]
    second = (
        second
        - first[:, rows] * shift[columns]
        - first[:, columns] * shift[rows]
        + mass * (shift[rows] * shift[columns])
    )
    features = np.concatenate([first - mass * shift, second], axis=1)
    return (score, moved, n_k, [{"features": features}]), error


def _run_centred(source, log_weights, part, collector):
    """Differences x - m_k are formed first, of numbers rounded to float; sums are taken about the means so rounded."""
    summary = source.family.summary_
    origin, shift = _float_origin(summary)
    error = _error_of_distances(summary, (part.factor**2).sum(axis=1), part.mean)
    if not error <= LARGEST_ERROR:
        return None, 0.0
    places = [one._replace(mean=(one.mean + shift).astype(np.float32).astype(np.float64)) for one in (part, collector)]
    score, moved, n_k, (sums,) = _in_float(source, log_weights + part.offset, places[0], places[1], origin)
    if not (np.isfinite(score) and np.isfinite(sums["features"]).all()):
        return None, 0.0
    return (score, moved, n_k, [{**sums, "mean": sums["mean"] - shift}]), error


def _in_float(source, log_weights, scorer, collector, origin):
    """The pass of one scorer and one collector."""
    d = source.X.shape[1]
    return Prepared(
        source.X, origin, source.family.summary_.scale, len(log_weights), log_weights, [(scorer, 0, d)],
        [(collector, 0, d)], sample_weight=source.weight, in_float=True,
    ).once()  # fmt: skip
