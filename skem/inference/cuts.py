"""Where a cloud of rows may be cut in two: few directions, each at its best threshold."""

import numpy as np

from skem._kernels.thresholds import best_thresholds

# Directions of the largest variance that are looked at, and of the fourth moments at either end.
N_AXES = 4
N_ENDS = 3
# Relative eigenvalues of the correlations below this carry no direction.
FLAT = 1e-10
# Weight of a side's variance before it has rows, in rows, and the variance, that of the whole being one.
PSEUDO_ROWS, PSEUDO_VARIANCE = 3.0, 0.02
# A cut is worked out on so many rows, and on more where there are many columns.
SAMPLE, SAMPLE_COLUMNS = 1024, 32
# Cuts that agree on more than this share of rows count as one.
ALIKE = 0.9


def _directions(Z, weight):
    """Directions (d, m) in which centred rows have unit variance: principal axes, and those of extreme fourth moment.

    The eigenvectors of E |z|^2 z z' for whitened z (Cardoso's fourth-order blind identification) end in the directions
    of the flattest and the most peaked projections: those in which a mixture of two shows, whatever the columns' units
    and the components' shape.
    """
    d = Z.shape[1]
    unit = np.sqrt(weight @ Z**2 / weight.sum())
    varying = np.flatnonzero(unit > 0)
    if len(varying) == 0:
        return np.empty((d, 0))
    Z, unit = Z[:, varying] / unit[varying], unit[varying]
    whitening = _whitening(Z, weight / weight.sum())
    white = Z @ whitening
    fourth = (white * (weight * (white**2).sum(axis=1))[:, None]).T @ white
    ends = np.linalg.eigh(fourth)[1]
    if ends.shape[1] > 2 * N_ENDS:
        ends = np.hstack([ends[:, :N_ENDS], ends[:, -N_ENDS:]])
    found = np.hstack([whitening[:, :N_AXES], whitening @ ends])
    directions = np.zeros((d, found.shape[1]))
    directions[varying] = found / unit[:, None]
    return directions


def whiten(Z, weight):
    """Rows (n, m) along their principal axes, to the widest, in units of their deviations; flat directions left out.

    Rows without spread stay as they are.
    """
    share = weight / weight.sum()
    centred = Z - share @ Z
    axes = _whitening(centred, share)[:, ::-1]
    return np.ascontiguousarray(centred @ axes) if axes.shape[1] else Z


def _whitening(Z, share):
    """Principal axes (d, m) of centred rows, from the widest, over the standard deviations of the rows along them."""
    if len(Z) >= Z.shape[1]:
        values, axes = np.linalg.eigh((Z * share[:, None]).T @ Z)
        kept = values > FLAT * values[-1]
        return (axes[:, kept] / np.sqrt(values[kept]))[:, ::-1]
    # rows fewer than columns, the levels of many say: their inner products are the smaller matrix
    rows = Z * np.sqrt(share)[:, None]
    values, weights = np.linalg.eigh(rows @ rows.T)
    kept = values > FLAT * values[-1]
    return (rows.T @ (weights[:, kept] / values[kept]))[:, ::-1]


def sample_to_cut(source):
    """Rows that stand for all of a source while cuts of it are tried.

    Parameters
    ----------
    source : DistinctSource

    Returns
    -------
    sample : DistinctSource
        The source itself where it has few rows.
    """
    most = max(SAMPLE, SAMPLE_COLUMNS * source.n_coordinates)
    return source.part(source.evenly(most)) if len(source) > most else source


def best_cuts(source, n_cuts):
    """Divide the rows of a source in two by planes, the most promising first.

    Parameters
    ----------
    source : DistinctSource
    n_cuts : int
        Most cuts to return.

    Returns
    -------
    cuts : list of int32 ndarray of shape (n,)
        Labels 0 and 1; empty where all rows are one.
    """
    return _planes(source.coordinates(), source.canonical().weight, n_cuts, source.family.rounding_)


def _planes(Z, weight, n_cuts, rounding=None):
    """Cuts of rows Z (n, d) by planes; `rounding` is the variance that was taken from each column, if any was."""
    Z = Z - weight @ Z / weight.sum()
    directions = _directions(Z, weight)
    if len(Z) < 2 or directions.shape[1] == 0:
        return []
    # each direction's values lie together
    P = np.ascontiguousarray((Z @ directions).T)
    # no side is narrower than that
    least = np.zeros(len(P)) if rounding is None else rounding @ directions**2
    order = np.argsort(P, axis=1)
    at, best = best_thresholds(P, order, weight, least, PSEUDO_ROWS, PSEUDO_VARIANCE)
    cuts: list[np.ndarray] = []
    for one in np.argsort(-best, kind="stable"):
        if len(cuts) == n_cuts or not np.isfinite(best[one]):
            break
        labels = np.zeros(len(Z), dtype=np.int32)
        labels[order[one, at[one] :]] = 1
        agreements = (weight @ (labels == cut) / weight.sum() for cut in cuts)
        if all(1.0 - ALIKE <= agreement <= ALIKE for agreement in agreements):
            cuts.append(labels)
    return cuts
