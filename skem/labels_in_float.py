"""Hard passes that ask float32 first, and decide in double where that cannot tell: labels are those of double."""

import numpy as np

from skem._kernels.nearest import assign_nearest
from skem._kernels.parts import Centred
from skem._kernels.passes import Prepared
from skem.rows import is_sparse

# Numbers that a pass must multiply for its set-up to be nothing beside it, and columns that a row must have.
LEAST_WORK, LEAST_WORK_OF_PAIRS = 1 << 20, 1 << 22
LEAST_COLUMNS, LEAST_COLUMNS_OF_PAIRS = 16, 6
# Share of the rows decided in double, or in blocks of rows some of which are, beyond which other passes are faster.
MOST_SETTLED, MOST_UNDECIDED = 0.15, 0.3
# What such a pass may be asked for by row.
ROWS = {"assign", "sample_weight", "labels_in", "labels"}
# A tie keeps the old label: by how much a score must beat another, as in any hard pass.
TIE = 1e-12
# Half a unit in the last place of 1; products that are summed in float, at most; and the roundings of one of them: of
# the weight, the columns, their product and its product with the weight.
ROUNDING = 0.5 * float(np.finfo(np.float32).eps)
STRIP, OF_PRODUCT = 128, 6


def run(source, log_weights, part, collectors, **rows):
    """Label each row with its best score, linear in the row or in pairs of its columns, and sum the rows of each label.

    Parameters
    ----------
    source : Source
        Its `float_tells` falls where double had to decide too many rows.
    log_weights : ndarray of shape (n_components,)
    part : Linear, Centred, Several or None
        The scorer.
    collectors : list of (part, column, n_columns)
    **rows : dict
        Row state and outputs, as of any pass.

    Returns
    -------
    result : tuple (score, n_moved, n_k, sums), or None where another pass must do
    """
    if rows["assign"] != "hard" or not set(rows) <= ROWS or rows.get("labels") is None or len(collectors) != 1:
        return None
    if not source.float_tells or source.index is not None or source.coding is not None or is_sparse(source.X):
        return None
    if getattr(part, "feature_map", None) == "x" and _is_large(source, part, LEAST_COLUMNS, LEAST_WORK):
        return _by_centers(source, log_weights + part.offset, part.weights, **rows)
    if _is_pairs(part, collectors[0][0]) and _is_large(source, part, LEAST_COLUMNS_OF_PAIRS, LEAST_WORK_OF_PAIRS):
        return _by_pairs(source, log_weights + part.offset, part, collectors, **rows)
    return None


def _is_large(source, part, least_columns, least_work):
    n_components, m = part.weights.shape
    return (
        n_components > 1 and source.X.shape[1] >= least_columns and float(len(source)) * n_components * m >= least_work
    )


def _by_centers(source, constant, weights, *, assign, sample_weight=None, labels_in=None, labels):
    """Scores <w_k, x> + c_k as distances to centres.

    With any vector v and length s, |x - (w_k - v) / s|^2 less a discount is -2 / s times the score, up to what all
    components share. v is the mean of the w_k, and s makes the centres as long as rows, so that float tells most apart.
    """
    summary = source.family.summary_
    centers = weights - weights.mean(axis=0)
    longest = np.sqrt((centers**2).sum(axis=1).max())
    length = longest / np.sqrt((summary.mean**2 + summary.variance).sum()) if longest > 0 else 1.0
    centers /= length
    squares = (centers**2).sum(axis=1)
    slack = 2.0 * TIE * max(1.0 / length, squares.max())
    labels[...] = -1 if labels_in is None else labels_in
    n_moved, _, n_settled, mass, sums = assign_nearest(
        source.X, summary.origin, summary.scale, centers, labels, sample_weight=sample_weight,
        discount=squares + (2.0 / length) * (constant - constant.max()), slack=slack,
    )  # fmt: skip
    source.float_tells = n_settled <= MOST_SETTLED * len(source)
    return float(mass @ constant + (weights * sums).sum()), n_moved, mass, [{"features": sums}]


def _is_pairs(part, collector):
    """Whether scores are linear in pairs of columns, and second moments are what is summed."""
    linear = getattr(part, "feature_map", None) == "x_pairs" and part.shared is None
    return linear and isinstance(collector, Centred) and collector.structure == "full" and collector.dof is None


def _by_pairs(source, constant, part, collectors, **rows):
    """Scores <w_k, [x, x_i x_j]> + c_k, in float by blocks of rows, and in double for blocks that it cannot decide."""
    summary, d = source.family.summary_, source.X.shape[1]
    prepared = Prepared(
        source.X, summary.origin, summary.scale, len(constant), constant, [(part, 0, d)], collectors,
        float_errors=_float_errors(part.weights, d), **rows,
    )  # fmt: skip
    _, moved, n_k, sums = prepared.once()
    source.float_tells = prepared.n_undecided <= MOST_UNDECIDED * len(source)
    return _score_of_sums(constant, part.weights, n_k, sums[0]), moved, n_k, sums


def _float_errors(weights, d):
    """Slope and base of what float errs in a difference of two scores, at most.

    A sum of products errs by less than gamma times the sum of their lengths, and that is at most
    |quadratic| |x|^2 + |linear| |x|, where |x| <= (1 + |x|^2) / 2.
    """
    gamma = (min(weights.shape[1], STRIP) + OF_PRODUCT) * ROUNDING
    linear, quadratic = (np.linalg.norm(own, axis=1).max() for own in (weights[:, :d], weights[:, d:]))
    return 2.0 * gamma * float(quadratic + 0.5 * linear), gamma * float(linear)


def _score_of_sums(constant, weights, n_k, sums):
    """Sum over the rows of each component of its score."""
    mean, mass = sums["mean"], n_k[:, None]
    d = mean.shape[1]
    first, second = sums["features"][:, :d], sums["features"][:, d:]
    i, j = np.tril_indices(d)
    second = second + first[:, i] * mean[:, j] + mean[:, i] * first[:, j] + mass * (mean[:, i] * mean[:, j])
    first = first + mass * mean
    return float(n_k @ constant + (weights[:, :d] * first).sum() + (weights[:, d:] * second).sum())
