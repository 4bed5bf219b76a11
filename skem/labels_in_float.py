"""Hard passes that ask float32 first, and decide in double where that cannot tell: labels are those of double."""

import numpy as np

from skem._kernels.nearest import assign_nearest
from skem._kernels.parts import is_of_differences, is_of_pairs
from skem._kernels.passes import Prepared
from skem.rows import is_sparse

# Numbers that a pass must multiply for its set-up to be nothing beside it, and columns that a row must have.
LEAST_WORK, LEAST_WORK_OF_SQUARES = 1 << 20, 1 << 22
LEAST_COLUMNS, LEAST_COLUMNS_OF_PAIRS, LEAST_COLUMNS_OF_DIFFERENCES = 16, 6, 16
# Share of the rows decided in double, beyond which other passes are faster.
MOST_SETTLED, MOST_UNDECIDED = 0.15, 0.3
# What such a pass may be asked for by row.
ROWS = {"assign", "sample_weight", "labels_in", "labels"}
# A tie keeps the old label: by how much a score must beat another, as in any hard pass.
TIE = 1e-12
# Half a unit in the last place of 1; products that are summed in float, at most; and the roundings of one of them: of
# the weight, the columns, their product and its product with the weight; or of the factor, and of a difference.
ROUNDING = 0.5 * float(np.finfo(np.float32).eps)
STRIP, OF_PRODUCT = 128, 6
# Sums of such lengths stay far from what float cannot hold.
LARGEST = 1e36


def run(source, log_weights, part, collectors, **rows):
    """Label each row with its best score, and sum the rows of each label.

    Scores are linear in the row or in pairs of its columns, or have a full factor.

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
    n, d = source.X.shape
    n_components, collector = len(log_weights), collectors[0][0]
    if n_components == 1:
        return None
    work = float(n) * n_components * d
    if getattr(part, "feature_map", None) == "x":
        if d >= LEAST_COLUMNS and work >= LEAST_WORK:
            return _by_centers(source, log_weights + part.offset, part.weights, **rows)
    elif work * d / 2 >= LEAST_WORK_OF_SQUARES and is_of_differences(collector):
        pairs = is_of_pairs(part) and d >= LEAST_COLUMNS_OF_PAIRS
        if pairs or (is_of_differences(part) and d >= LEAST_COLUMNS_OF_DIFFERENCES):
            return _by_squares(source, log_weights + part.offset, part, collectors, **rows)
    return None


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


def _by_squares(source, constant, part, collectors, **rows):
    """Scores with squares of rows, in float, and in double for rows that this cannot decide."""
    summary, d = source.family.summary_, source.X.shape[1]
    errors, score = _errors_of_pairs, _score_of_pairs
    if not is_of_pairs(part):
        errors, score = _errors_of_differences, _score_of_differences
    prepared = Prepared(
        source.X, summary.origin, summary.scale, len(constant), constant, [(part, 0, d)], collectors,
        float_errors=errors(part, d), **rows,
    )  # fmt: skip
    _, moved, n_k, sums = prepared.once()
    source.float_tells = prepared.n_undecided <= MOST_UNDECIDED * len(source)
    return float(n_k @ constant + score(part, n_k, sums[0])), moved, n_k, sums


def _errors_of_pairs(part, d):
    """Slope and base of what float errs in a difference of two scores, at most, and the length that it can square.

    A sum of products errs by less than gamma times the sum of their lengths, and that is at most
    |quadratic| |x|^2 + |linear| |x|, where |x| <= (1 + |x|^2) / 2.
    """
    gamma = (min(part.weights.shape[1], STRIP) + OF_PRODUCT) * ROUNDING
    linear, quadratic = (np.linalg.norm(own, axis=1).max() for own in (part.weights[:, :d], part.weights[:, d:]))
    largest = LARGEST / (1.0 + quadratic + linear)
    return 2.0 * gamma * float(quadratic + 0.5 * linear), gamma * float(linear), float(largest)


def _errors_of_differences(part, d):
    """The same of scores -|F (x - m)|^2 / 2.

    What rounding makes of F (x - m) is less than gamma |F| (|x| + |m|), lengths taken of every number: no longer than c
    (|x| + |m|) with c^2 the largest sum of a row of |F| times that of a column, or the squares of all F, where they are
    less. Squares take twice as much, their sum once more, and the square of a sum of two is at most two sums of
    squares.
    """
    gamma = (d + OF_PRODUCT) * ROUNDING
    lengths = np.abs(part.factor)
    of_rows, of_columns = (lengths.sum(axis=axis).max(axis=1) for axis in (2, 1))
    spread = float(np.minimum(of_rows * of_columns, (lengths**2).sum(axis=(1, 2))).max())
    farthest = float((part.mean**2).sum(axis=1).max())
    slope = 8.0 * gamma * spread
    return slope, slope * farthest, LARGEST / (1.0 + spread) - farthest


def _score_of_pairs(part, mass, sums):
    """Sum of the rows' scores, their constants left out."""
    mean, mass = sums["mean"], mass[:, None]
    d = mean.shape[1]
    first, second = sums["features"][:, :d], sums["features"][:, d:]
    i, j = np.tril_indices(d)
    second = second + first[:, i] * mean[:, j] + mean[:, i] * first[:, j] + mass * (mean[:, i] * mean[:, j])
    return (part.weights[:, :d] * (first + mass * mean)).sum() + (part.weights[:, d:] * second).sum()


def _score_of_differences(part, mass, sums):
    """The same: -1/2 tr(F S F') of each component's second moments S about its mean."""
    score, d = 0.0, part.mean.shape[1]
    i, j = np.tril_indices(d)
    second = np.empty((d, d))
    # component by component: a matrix of each would be the largest thing that a fit holds
    for k, features in enumerate(sums["features"]):
        shift = sums["mean"][k] - part.mean[k]
        second[i, j] = second[j, i] = features[d:]
        second += np.outer(features[:d], shift)
        second += np.outer(shift, features[:d] + mass[k] * shift)
        factor = part.factor[k % len(part.factor)]
        score -= 0.5 * float(((factor @ second) * factor).sum())
    return score
