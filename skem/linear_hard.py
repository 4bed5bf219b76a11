"""Hard passes of linear scores as nearest centres, compared in float32 and decided in double where that is close."""

import numpy as np

from skem._kernels.nearest import assign_nearest
from skem.rows import is_sparse

# Numbers that a pass must multiply for its set-up to be nothing beside it, and columns that a row must have.
LEAST_WORK = 1 << 20
LEAST_COLUMNS = 16
# Share of the rows decided in double beyond which other passes are faster.
MOST_SETTLED = 0.15
# What such a pass may be asked for by row.
ROWS = {"assign", "sample_weight", "labels_in", "labels"}
# A tie keeps the old label: by how much a score must beat another, as in any hard pass.
TIE = 1e-12


def _serves(source, part, collectors, rows):
    """Whether a hard pass with this scorer may go by nearest centres."""
    if rows["assign"] != "hard" or len(collectors) != 1 or getattr(part, "feature_map", None) != "x":
        return False
    if not set(rows) <= ROWS or rows.get("labels") is None or not source.float_tells:
        return False
    if source.index is not None or source.coding is not None or is_sparse(source.X):
        return False
    n_components, d = part.weights.shape
    return d >= LEAST_COLUMNS and n_components > 1 and len(source) * n_components * d >= LEAST_WORK


def run(source, log_weights, part, collectors, **rows):
    """Label each row with its best score <w_k, x> + c_k, and sum the rows of each label.

    With any vector v and length s, |x - (w_k - v) / s|^2 less a discount is -2 / s times the score, up to what all
    components share. v is the mean of the w_k, and s makes the centres as long as rows, so that float tells most apart.

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
    summary, weights, constant, labels = source.family.summary_, part.weights, log_weights + part.offset, rows["labels"]
    centers = weights - weights.mean(axis=0)
    longest = np.sqrt((centers**2).sum(axis=1).max())
    length = longest / np.sqrt((summary.mean**2 + summary.variance).sum()) if longest > 0 else 1.0
    centers /= length
    squares = (centers**2).sum(axis=1)
    slack = 2.0 * TIE * max(1.0 / length, squares.max())
    old = rows.get("labels_in")
    labels[...] = -1 if old is None else old
    n_moved, _, n_settled, mass, sums = assign_nearest(
        source.X, summary.origin, summary.scale, centers, labels, sample_weight=rows["sample_weight"],
        discount=squares + (2.0 / length) * (constant - constant.max()), slack=slack,
    )  # fmt: skip
    source.float_tells = n_settled <= MOST_SETTLED * len(source)
    return float(mass @ constant + (weights * sums).sum()), n_moved, mass, [{"features": sums}]
