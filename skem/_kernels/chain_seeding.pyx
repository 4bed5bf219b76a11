"""k-means++ seeds by Markov chains: their cost does not grow with the rows (AFK-MC^2).

k-means++ measures all rows for every seed. Here each seed ends a chain of few rows, drawn in proportion to their
squared distance from the first seed and their weight, which tends to the distribution that k-means++ draws from.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

cdef enum:
    LANES = 8                  # rows of a chain measured side by side

# Squared distances stop here, so that products of two stay finite.
cdef double FARTHEST = 1e150


cdef void _gather(
    const double[:, ::1] X,
    const int64_t[::1] rows,       # IN  (length)
    double[:, :, ::1] panels,      # OUT (length / LANES, d, LANES)
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(panels.shape[0] * LANES):
        for j in range(X.shape[1]):
            # the lanes left over repeat the first row
            panels[i // LANES, j, i % LANES] = X[rows[i if i < rows.shape[0] else 0], j]


cdef void _closest(
    const double[:, :, ::1] panels,
    const double[:, ::1] seeds,
    Py_ssize_t n_seeds,
    double[::1] closest,           # OUT (length in whole panels) squared distance to the nearest seed
) noexcept nogil:
    cdef Py_ssize_t p, k, j, t, d = seeds.shape[1]
    cdef double near[LANES]
    cdef double squared[LANES]
    cdef double step
    cdef const double *x
    cdef const double *seed
    for p in range(panels.shape[0]):
        for t in range(LANES):
            near[t] = FARTHEST
        for k in range(n_seeds):
            x = &panels[p, 0, 0]
            seed = &seeds[k, 0]
            for t in range(LANES):
                squared[t] = 0.0
            for j in range(d):
                for t in range(LANES):
                    step = x[j * LANES + t] - seed[j]
                    squared[t] += step * step
            for t in range(LANES):
                near[t] = squared[t] if squared[t] < near[t] else near[t]
        for t in range(LANES):
            closest[p * LANES + t] = near[t]


def chain_seeds(
    const double[:, ::1] X, const double[::1] w, Py_ssize_t n_seeds, const double[:, :, ::1] uniforms,
):
    """Rows chosen as seeds by weighted AFK-MC^2.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    w : ndarray of shape (n_samples,)
        Not negative; a row of weight zero is never chosen.
    n_seeds : int
    uniforms : ndarray of shape (n_seeds, length, 2)
        In [0, 1). The first seed takes `uniforms[0, 0, 0]`; seed s a chain of `length` rows: one number draws each
        row, the other decides whether the chain moves there.

    Returns
    -------
    indices : ndarray of shape (n_seeds,), int64
        A row can come twice where chains are short, or there are fewer distinct rows than seeds.

    References
    ----------
    O. Bachem, M. Lucic, S. H. Hassani and A. Krause, "Fast and provably good seedings for k-means", NIPS 2016,
    algorithm 1.
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], length = uniforms.shape[1], s, i, at
    if w.shape[0] != n:
        raise ValueError("w needs one value per row of X")
    if n_seeds < 1 or length < 1 or uniforms.shape[0] < n_seeds or uniforms.shape[2] < 2:
        raise ValueError("uniforms must have the shape (n_seeds, length, 2), the first two at least 1")
    if n == 0 or d == 0:
        raise ValueError("X is empty")
    weight = np.asarray(w)
    total = weight.sum()
    if not total > 0:
        raise ValueError("the total weight of the rows must be positive")
    indices, seeds = np.empty(n_seeds, dtype=np.int64), np.empty((n_seeds, d))
    indices[0] = _draw(weight, np.asarray(uniforms)[0, :1, 0])[0]
    seeds[0] = np.asarray(X)[indices[0]]
    squared = np.minimum(((np.asarray(X) - seeds[0]) ** 2).sum(axis=1), FARTHEST)
    spread = weight @ squared
    # in units of a row's weight, as weights cancel from the chain's odds
    density = 0.5 / total + 0.5 * squared / (spread if spread > 0 else 1.0)
    drawn = _draw(weight * density, np.asarray(uniforms)[1:n_seeds, :, 0].reshape(-1)).reshape(n_seeds - 1, length)
    cdef int64_t[:, ::1] rows = drawn
    cdef int64_t[::1] chosen = indices
    cdef double[:, ::1] found = seeds
    cdef const double[::1] odds = density
    cdef double[:, :, ::1] panels = np.empty(((length + LANES - 1) // LANES, d, LANES))
    cdef double[::1] closest = np.empty(panels.shape[0] * LANES)
    for s in range(1, n_seeds):
        with nogil:
            _gather(X, rows[s - 1], panels)
            _closest(panels, found, s, closest)
            at = 0
            for i in range(1, length):
                # where the chain rests on a seed it moves on in any case
                if closest[i] * odds[rows[s - 1, at]] > uniforms[s, i, 1] * closest[at] * odds[rows[s - 1, i]]:
                    at = i
            chosen[s] = rows[s - 1, at]
            found[s, :] = X[chosen[s], :]
        PyErr_CheckSignals()
    return indices


def _draw(mass, uniforms):
    """Rows in proportion to their mass, by the cumulative sum."""
    reached = np.cumsum(mass)
    last = np.flatnonzero(mass > 0).max()
    return np.minimum(np.searchsorted(reached, uniforms * reached.max(), side="right"), last)
