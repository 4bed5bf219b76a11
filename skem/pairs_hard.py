"""Hard passes of scores that are linear in pairs of columns: by float32 where it tells, else in double."""

import numpy as np

from skem._kernels.parts import Centred
from skem._kernels.passes import Prepared
from skem.rows import is_sparse

# Numbers that a pass must multiply for its set-up to be nothing beside it, and columns that a row must have.
LEAST_WORK = 1 << 22
LEAST_COLUMNS = 6
# Share of the rows in blocks that are scored in double, too, beyond which other passes are faster.
MOST_UNDECIDED = 0.3
# What such a pass may be asked for by row.
ROWS = {"assign", "sample_weight", "labels_in", "labels"}
# Half a unit in the last place of 1; products that are summed in float, at most; and the roundings of one of them: of
# the weight, the columns, their product and its product with the weight.
ROUNDING = 0.5 * float(np.finfo(np.float32).eps)
STRIP, OF_PRODUCT = 128, 6


def _serves(source, part, collectors, rows):
    """Whether a hard pass with this scorer may ask float first."""
    if rows["assign"] != "hard" or len(collectors) != 1 or getattr(part, "feature_map", None) != "x_pairs":
        return False
    if not set(rows) <= ROWS or rows.get("labels") is None or part.shared is not None or not source.float_tells:
        return False
    if source.index is not None or source.coding is not None or is_sparse(source.X):
        return False
    collector = collectors[0][0]
    if not isinstance(collector, Centred) or collector.structure != "full" or collector.dof is not None:
        return False
    n_components, m = part.weights.shape
    return (
        source.X.shape[1] >= LEAST_COLUMNS and n_components > 1 and float(len(source)) * n_components * m >= LEAST_WORK
    )


def _float_errors(weights, d):
    """Slope and base of what float errs in a difference of two scores, at most.

    A sum of products errs by less than gamma times the sum of their lengths, and that is at most
    |quadratic| |x|^2 + |linear| |x|, where |x| <= (1 + |x|^2) / 2.
    """
    gamma = (min(weights.shape[1], STRIP) + OF_PRODUCT) * ROUNDING
    linear, quadratic = (np.linalg.norm(own, axis=1).max() for own in (weights[:, :d], weights[:, d:]))
    return 2.0 * gamma * float(quadratic + 0.5 * linear), gamma * float(linear)


def _score(log_weights, weights, n_k, sums):
    """Sum over the rows of each component of its score."""
    mean, mass = sums["mean"], n_k[:, None]
    d = mean.shape[1]
    first, second = sums["features"][:, :d], sums["features"][:, d:]
    i, j = np.tril_indices(d)
    second = second + first[:, i] * mean[:, j] + mean[:, i] * first[:, j] + mass * (mean[:, i] * mean[:, j])
    first = first + mass * mean
    return float(n_k @ log_weights + (weights[:, :d] * first).sum() + (weights[:, d:] * second).sum())


def run(source, log_weights, part, collectors, **rows):
    """Label each row with its best score <w_k, [x, x_i x_j]> + c_k, and sum the rows of each label.

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
    if not _serves(source, part, collectors, rows):
        return None
    summary, d = source.family.summary_, source.X.shape[1]
    constant = log_weights + part.offset
    prepared = Prepared(
        source.X, summary.origin, summary.scale, len(constant), constant, [(part, 0, d)], collectors,
        float_errors=_float_errors(part.weights, d), **rows,
    )  # fmt: skip
    _, moved, n_k, sums = prepared.once()
    source.float_tells = prepared.n_undecided <= MOST_UNDECIDED * len(source)
    return _score(constant, part.weights, n_k, sums[0]), moved, n_k, sums
