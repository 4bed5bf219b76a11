"""Lloyd's iterations: labels and means in turn, with bounds that spare comparisons where they pay."""

import numpy as np

# Bounds are kept from this many clusters and rows: below, a row is compared with all centres as fast.
BOUNDED_CLUSTERS = 50
BOUNDED_ROWS = 1 << 14
# They serve once fewer than this share of the rows must be compared with all centres, as these many rows tell.
FAILING = 0.7
SAMPLE = 1 << 10
# A cluster that holds no more than a row's own weight, rounding aside, is that row.
ALONE = 1.0 + 1e-12


def relocate(rows, centers, labels, mass, sums):
    """Give each empty cluster the row that lies farthest from its centre, as scikit-learn does.

    Equal rows count as one, rows of zero weight not at all, and no row leaves a cluster empty. The order of rows
    does not matter: equally far ones are taken in canonical order.

    Returns
    -------
    moved : bool
        `mass` and `sums` are changed in place where true.
    """
    empty = list(np.flatnonzero(mass <= 0))
    distinct = rows.canonical()
    far = rows.squared(centers, labels)[distinct.index]
    moved = False
    for at in np.argsort(-far, kind="stable"):
        if not empty or far[at] <= 0:
            break
        i, weight = distinct.index[at], distinct.weight[at]
        old = labels[i]
        if mass[old] <= weight * ALONE:
            continue
        new = empty.pop(0)
        row = weight * rows.row(i)
        sums[old] -= row
        sums[new] = row
        mass[old] -= weight
        mass[new] = weight
        moved = True
    return moved


class Bounds:
    """A lower bound on the distance of each row to every centre but its own (Hamerly 2010).

    A row nearer to its own centre than that has kept its label. A bound falls with the movement of the centres, and is
    renewed where it fails.

    Parameters
    ----------
    rows : DenseRows

    Attributes
    ----------
    lower : float32 ndarray of shape (n,)
        Written by every assignment.
    """

    def __init__(self, rows):
        self.lower = np.empty(len(rows), dtype=np.float32)
        self.centers = None
        self.sample = np.linspace(0, len(rows) - 1, SAMPLE).astype(np.intp)
        self.rows = rows.to_internal(rows.X[self.sample])

    def follow(self, centers, labels):
        """Move on to new centres.

        Parameters
        ----------
        centers : ndarray of shape (n_clusters, d)
        labels : int32 ndarray of shape (n,)
            Of the earlier ones.

        Returns
        -------
        drift : ndarray of shape (n_clusters,) or None
            For each centre the farthest that another one has moved; None where bounds do not pay.
        """
        before, self.centers = self.centers, centers
        if before is None:
            return None
        moved = np.sqrt(((centers - before) ** 2).sum(axis=1))
        first, second = np.argsort(-moved)[:2]
        drift = np.full(len(centers), moved[first])
        drift[first] = moved[second]
        # a movement is a rounded sum of d squares
        drift *= 1.0 + 1e-9
        labels = labels[self.sample]
        lower = self.lower[self.sample] - drift[labels]
        own = ((self.rows - centers[labels]) ** 2).sum(axis=1)
        return drift if np.mean((lower > 0) & (own < lower**2)) > 1.0 - FAILING else None


def label(rows, centers):
    """Nearest centre of each row.

    Parameters
    ----------
    rows : DenseRows or SparseRows
    centers : ndarray of shape (n_clusters, d)

    Returns
    -------
    labels : int32 ndarray of shape (n,)
    """
    labels = np.full(len(rows), -1, dtype=np.int32)
    rows.assign(centers, labels, collect=False)
    return labels


def lloyd(rows, centers, max_iter, tol, verbose):
    """Lloyd's iterations from given centres.

    Parameters
    ----------
    rows : DenseRows or SparseRows
    centers : ndarray of shape (n_clusters, d)
        In the coordinates of `rows`.
    max_iter : int
    tol : float
        Stop when the squared movement of all centres together is at most this.
    verbose : int

    Returns
    -------
    centers : ndarray of shape (n_clusters, d)
    labels : int32 ndarray of shape (n,)
        Nearest of the returned centres.
    n_iter : int
    """
    labels = np.full(len(rows), -1, dtype=np.int32)
    bounded = rows.takes_bounds and len(centers) >= BOUNDED_CLUSTERS and len(rows) >= BOUNDED_ROWS
    bounds = Bounds(rows) if bounded else None
    for n_iter in range(1, max_iter + 1):
        old = centers
        n_moved, mass, sums = rows.assign(centers, labels, bounds)
        relocated = (mass <= 0).any() and relocate(rows, centers, labels, mass, sums)
        centers = np.where(mass[:, None] > 0, sums / np.where(mass > 0, mass, 1.0)[:, None], centers)
        if verbose:
            print(f"Iteration {n_iter}, inertia {rows.inertia(old, labels):.8g}")  # noqa: T201
        if n_moved == 0 and not relocated:
            return centers, labels, n_iter
        if float(((centers - old) ** 2).sum()) <= tol:
            break
    rows.assign(centers, labels, bounds, collect=False)
    return centers, labels, n_iter
