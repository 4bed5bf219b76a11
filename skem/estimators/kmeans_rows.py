"""Rows as k-means sees them: dense rows about an origin in one unit, or CSR rows as they are."""

from typing import Any, NamedTuple

import numpy as np

from skem._kernels.nearest import assign_nearest, squared_to_all, squared_to_own
from skem._kernels.seeding import column_moments
from skem._kernels.sparse import run_csr_pass, squared_distances
from skem.canonical import SUBSAMPLE, CanonicalRows, canonical_rows, subsample
from skem.engine import BLOCK
from skem.estimators.far import DrawnIn
from skem.rows import row_hash
from skem.starts import choose_seeds

# Squares of entries beyond this would overflow in CSR rows, which have no unit of their own.
LARGEST = 1e150
# A candidate seed must be better than another by more than rounding.
SAME_POTENTIAL = 1e-12


class Frame(NamedTuple):
    """Coordinates (x - origin) / scale with one power of two for all columns.

    Attributes
    ----------
    origin, scale : ndarray of shape (d,)
    """

    origin: np.ndarray
    scale: np.ndarray


class DenseRows:
    """Rows in the coordinates of a frame, formed as they are loaded.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
    weight : ndarray of shape (n,) or None
    frame : Frame
    """

    takes_bounds = True

    def __init__(self, X, weight, frame):
        self.X, self.weight, self.frame = X, weight, frame
        self.unit = frame.scale[0]
        # far out direction alone decides, and squares would overflow
        self.drawn = DrawnIn(X, frame)
        if len(self.drawn.rows):
            self.X = X.astype(np.float64)
            self.X[self.drawn.rows] = self.drawn.near()

    def __len__(self):
        return len(self.X)

    def to_internal(self, X):
        """Map rows from the user's units."""
        return (np.asarray(X, dtype=np.float64) - self.frame.origin) / self.unit

    def to_user(self, centers):
        """Map centres back."""
        return centers * self.unit + self.frame.origin

    def mean_variance(self):
        """Mean over columns of the weighted variance."""
        _, mean, square = column_moments(self.X, self.frame.origin, 1.0 / self.frame.scale, self.weight, np.inf)
        return float(np.mean(np.maximum(square - np.asarray(mean) ** 2, 0.0)))

    def canonical(self):
        """Distinct rows in an order of their own."""
        return canonical_rows(self.X, self.weight)

    def row(self, i):
        """One row."""
        return self.to_internal(self.X[i])

    def seeds(self, n_clusters, init, rng):
        """Centres at rows chosen by k-means++ or at random."""
        rows = subsample(self.X, self.weight)
        Z = np.ascontiguousarray(self.to_internal(self.X[rows.index]))
        return Z[choose_seeds(Z, rows.weight, n_clusters, init, rng)]

    def assign(self, centers, labels, bounds=None, collect=True):
        """Nearest centre of each row; mass and sum of the rows of each centre.

        Parameters
        ----------
        centers : ndarray of shape (n_clusters, d)
        labels : int32 ndarray of shape (n,)
            Old labels in, -1 where there is none; new ones out, the first of equally near centres.
        bounds : Bounds, default=None
        collect : bool, default=True

        Returns
        -------
        n_moved : int
            Rows whose label changed.
        mass : ndarray of shape (n_clusters,)
        sums : ndarray of shape (n_clusters, d)
            None, as the mass, where nothing is collected.
        """
        lower, drift = (None, None) if bounds is None else (bounds.lower, bounds.follow(centers, labels))
        n_moved, _, _, mass, sums = assign_nearest(
            self.X, self.frame.origin, self.frame.scale, centers, labels,
            sample_weight=self.weight, lower=lower, drift=drift, collect=collect,
        )  # fmt: skip
        return n_moved, mass, sums

    def squared(self, centers, labels):
        """Squared distance of each row to the centre of its label."""
        return squared_to_own(self.X, self.frame.origin, self.frame.scale, centers, labels)

    def distances(self, centers, dtype):
        """Distance of each row to each centre, in the user's units, of `dtype`."""
        distances = np.empty((len(self.X), len(centers)), dtype=dtype)

        def write(rows, halvings=0):
            with np.errstate(over="ignore"):
                squared = squared_to_all(self.X[rows], self.frame.origin, self.frame.scale, centers)
                exact = np.sqrt(squared) * self.unit
                distances[rows] = np.minimum(np.ldexp(exact, halvings), np.finfo(dtype).max)

        for start in range(0, len(self.X), BLOCK):
            write(slice(start, start + BLOCK))
        if len(self.drawn.rows):
            write(self.drawn.rows, self.drawn.halvings[:, None])
        return distances

    def inertia(self, centers, labels):
        """Weighted sum of squared distances, in the user's units."""
        squared = self.squared(centers, labels)
        with np.errstate(over="ignore"):
            if len(self.drawn.rows):
                squared[self.drawn.rows] = -self.drawn.stretch(-squared[self.drawn.rows])
            total = (squared if self.weight is None else self.weight * squared).sum()
            total = total * self.unit * self.unit
        return float(min(total, np.finfo(np.float64).max))


class SparseRows:
    """CSR rows, neither centred nor made dense.

    Parameters
    ----------
    X : CSR matrix or array of shape (n, d), float32 or float64
        In canonical format: columns in order, none twice.
    weight : ndarray of shape (n,) or None
    """

    frame = None
    takes_bounds = False

    def __init__(self, X, weight):
        if X.nnz and not max(float(X.data.max()), -float(X.data.min())) <= LARGEST:
            raise ValueError(f"X holds an entry beyond {LARGEST:g}: squared distances overflow; divide X by a constant")
        self.X, self.weight = X, weight
        self.parts = (X.data, X.indices, X.indptr)

    def __len__(self):
        return self.X.shape[0]

    def to_internal(self, X):
        """Map rows from the user's units: they are kept."""
        return np.array(X, dtype=np.float64)

    def to_user(self, centers):
        """Map centres back: they are kept."""
        return centers

    def _total(self, values):
        return (values if self.weight is None else self.weight * values).sum()

    def _squared_norms(self):
        n, d = self.X.shape
        return squared_distances(*self.parts, np.zeros((1, d)), np.zeros(n, dtype=np.int32))

    def mean_variance(self):
        """Mean over columns of the weighted variance."""
        d = self.X.shape[1]
        _, mass, sums = run_csr_pass(*self.parts, np.zeros((d, 1)), np.zeros(1), sample_weight=self.weight)
        mean = sums[0] / mass[0]
        return max(float(self._total(self._squared_norms()) / mass[0] - (mean**2).sum()), 0.0) / d

    def canonical(self, limit=None):
        """Distinct rows in an order of their own: that of a hash of their contents."""
        n = self.X.shape[0]
        weight = np.ones(n) if self.weight is None else self.weight
        rows = np.flatnonzero(weight > 0)
        keys = row_hash(self.X)[rows]
        if limit is not None and len(rows) > limit:
            kept = keys <= np.partition(keys, limit)[limit]
            rows, keys = rows[kept], keys[kept]
        order = np.argsort(keys, kind="stable")
        new = np.concatenate([[True], np.diff(keys[order]) != 0])
        group = np.cumsum(new) - 1
        inverse = np.full(n, -1, dtype=np.intp)
        inverse[rows[order]] = group
        return CanonicalRows(rows[order[new]], np.bincount(group, weights=weight[rows[order]]), inverse)

    def row(self, i):
        """One row, dense."""
        return self.X[[i]].toarray()[0].astype(np.float64)

    def seeds(self, n_clusters, init, rng):
        """Centres at rows chosen by k-means++ or at random."""
        rows = self.canonical(SUBSAMPLE)
        chosen = SparseRows(self.X[rows.index], rows.weight)
        if init == "random":
            picks = choose_seeds(rows.index, rows.weight, n_clusters, init, rng)
        else:
            picks = chosen._plusplus(n_clusters, rng)
        return np.ascontiguousarray(chosen.X[picks].toarray(), dtype=np.float64)

    def _plusplus(self, n_seeds, rng):
        """Greedy k-means++ among rows with weights (Arthur & Vassilvitskii 2007)."""
        n_trials = 2 + int(np.log(n_seeds))
        uniforms = rng.random((n_seeds, n_trials))
        constant = np.zeros(self.X.shape[0], dtype=np.int32)

        def pick(mass, uniform):
            heap = np.cumsum(mass)
            return min(int(np.searchsorted(heap, uniform * heap[-1], side="right")), len(mass) - 1)

        def distances(i):
            return squared_distances(*self.parts, self.row(i)[None], constant)

        picks = [pick(self.weight, uniforms[0, 0])]
        closest = distances(picks[0])
        for trials in uniforms[1:]:
            mass = self.weight * closest
            if not mass.sum() > 0:
                # every row has a seed on it: the seeds that are left go by weight alone
                picks.append(pick(self.weight, trials[0]))
                continue
            best: Any = None
            for uniform in trials:
                i = pick(mass, uniform)
                nearer = np.minimum(closest, distances(i))
                potential = (self.weight * nearer).sum()
                if best is None or potential < best[0] * (1.0 - SAME_POTENTIAL):
                    best = potential, i, nearer
            picks.append(best[1])
            closest = best[2]
        return np.array(picks)

    def assign(self, centers, labels, bounds=None, collect=True):
        """Nearest centre of each row; mass and sum of the rows of each centre. There are no bounds for CSR rows."""
        offset = -0.5 * (centers**2).sum(axis=1)
        new, mass, sums = run_csr_pass(
            *self.parts, np.ascontiguousarray(centers.T), offset, sample_weight=self.weight, collect=collect
        )
        n_moved = np.count_nonzero(new != labels)
        labels[:] = new
        return n_moved, mass, sums

    def squared(self, centers, labels):
        """Squared distance of each row to the centre of its label."""
        return squared_distances(*self.parts, np.ascontiguousarray(centers), labels)

    def distances(self, centers, dtype):
        """Distance of each row to each centre, of `dtype`."""
        norms = (centers**2).sum(axis=1)
        scores = np.empty((len(self), len(centers)))
        run_csr_pass(*self.parts, np.ascontiguousarray(centers.T), -0.5 * norms, scores=scores, collect=False)
        distances = np.sqrt(np.maximum(self._squared_norms()[:, None] - 2.0 * scores, 0.0))
        with np.errstate(over="ignore"):
            return np.minimum(distances, np.finfo(dtype).max).astype(dtype, copy=False)

    def inertia(self, centers, labels):
        """Weighted sum of squared distances."""
        return float(self._total(self.squared(centers, labels)))
