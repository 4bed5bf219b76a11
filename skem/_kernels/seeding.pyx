"""What a start needs of the rows: their content hash, robust column moments, and k-means++ seeds.

All three treat the data as a weighted set: rows of weight zero have no say, and a row of weight two
counts like two equal rows. Sums run in a fixed order. The GIL is let go in short slices, so Ctrl-C
is answered fast.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from skem._kernels._hash cimport GOLDEN, bits, mix

cdef enum:
    BLOCK_ROWS = 256            # rows of one partial sum
    LANES = 4                   # candidate seeds measured side by side
    SLICE_VALUES = 4_000_000    # values worked on between two looks for Ctrl-C, about 10 ms

# Squared distances stop here, so that their weighted sum stays finite whatever the data.
cdef double FARTHEST = 1e280

# Two candidates this close are alike: a repeated row must not decide between them by its rounding.
cdef double SAME_POTENTIAL = 1e-12


cdef inline Py_ssize_t _slice_rows(Py_ssize_t values_per_row) noexcept nogil:
    """Whole blocks of rows for one slice."""
    return max(1, SLICE_VALUES // (BLOCK_ROWS * max(1, values_per_row))) * BLOCK_ROWS


cdef inline Py_ssize_t _n_blocks(Py_ssize_t n) noexcept nogil:
    return (n + BLOCK_ROWS - 1) // BLOCK_ROWS


# --------------------------------------------------------------------------------------------------
# Content hash


cdef void _hash_rows(
    const floating[:, :] X,     # IN
    const double[::1] low,      # IN (d,), or None
    const double[::1] inv_span,  # IN (d,), or None
    Py_ssize_t start,           # IN
    Py_ssize_t stop,            # IN
    uint64_t[::1] hashes,       # OUT
) noexcept nogil:
    # A sum of mixed values, each salted by its column: no value waits for the one before it, as it
    # would in a chain, and the salt makes the order of columns matter.
    cdef Py_ssize_t i, j, d = X.shape[1]
    cdef bint relative = low is not None
    cdef uint64_t total, salt
    cdef double value
    for i in range(start, stop):
        total = 0
        salt = 0
        for j in range(d):
            salt += GOLDEN
            value = X[i, j]
            if relative:
                # Float precision: the rounding of another unit must not show.
                value = <float> ((value - low[j]) * inv_span[j])
            total += mix(bits(value) + salt)
        hashes[i] = mix(total)


def row_hash(
    const floating[:, :] X, const double[::1] low=None, const double[::1] inv_span=None
):
    """64-bit hash of each row's content, or of its place between given ends.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        In any memory order; C order is the fastest. Values are hashed as float64, and -0.0 as 0.0.
    low, inv_span : ndarray of shape (n_features,), default=None
        Where given, (X - low) * inv_span is hashed in float precision: with the columns' least values and
        inverse ranges the hash hardly depends on origin and unit, but rows that differ may share it.

    Returns
    -------
    hashes : ndarray of shape (n_samples,), uint64
        Equal rows have equal hashes; columns are not interchangeable.
    """
    cdef Py_ssize_t n = X.shape[0], start = 0, stop, step = _slice_rows(X.shape[1])
    if low is not None and (low.shape[0] != X.shape[1] or inv_span.shape[0] != X.shape[1]):
        raise ValueError("low and inv_span need one value per column of X")
    hashes = np.empty(n, np.uint64)
    cdef uint64_t[::1] out = hashes
    while start < n:
        stop = min(start + step, n)
        with nogil:
            _hash_rows(X, low, inv_span, start, stop, out)
        PyErr_CheckSignals()
        start = stop
    return hashes


# --------------------------------------------------------------------------------------------------
# Column ranges


cdef void _widen_range(
    const floating[:, :] X,     # IN
    const double[::1] weights,  # IN (n,), or None
    Py_ssize_t start,           # IN
    Py_ssize_t stop,            # IN
    double[::1] low,            # IN OUT (d,)
    double[::1] high,           # IN OUT (d,)
) noexcept nogil:
    cdef Py_ssize_t i, j, d = X.shape[1]
    cdef bint weighted = weights is not None
    cdef double value
    for i in range(start, stop):
        if weighted and weights[i] == 0:
            continue
        for j in range(d):
            value = X[i, j]
            low[j] = value if value < low[j] else low[j]
            high[j] = value if value > high[j] else high[j]


def column_range(const floating[:, :] X, const double[::1] weights):
    """Least and largest value of each column over the rows that have weight.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        In any memory order.
    weights : ndarray of shape (n_samples,) or None
        None stands for ones.

    Returns
    -------
    low, high : ndarray of shape (n_features,)
        inf and -inf where no row has weight.
    """
    cdef Py_ssize_t n = X.shape[0], start = 0, stop, step = _slice_rows(X.shape[1])
    if weights is not None and weights.shape[0] != n:
        raise ValueError("weights need one value per row of X")
    low_array, high_array = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    cdef double[::1] low = low_array, high = high_array
    while start < n:
        stop = min(start + step, n)
        with nogil:
            _widen_range(X, weights, start, stop, low, high)
        PyErr_CheckSignals()
        start = stop
    return low_array, high_array


# --------------------------------------------------------------------------------------------------
# Column moments


cdef void _add_moments(
    const floating[:, :] X,     # IN
    const double[::1] origin,   # IN (d,)
    const double[::1] inv_scale,  # IN (d,)
    const double[::1] weights,  # IN (n,), or None
    const Py_ssize_t[::1] index,  # IN (n,) rows of X in the order of their sums, or None
    double clip,                # IN
    Py_ssize_t start,           # IN a multiple of BLOCK_ROWS
    Py_ssize_t stop,            # IN
    double *block,              # scratch (2, d)
    double *sums,               # IN OUT (2, d) sums of w y and w y^2
    double *sum_w,              # IN OUT
) noexcept nogil:
    cdef Py_ssize_t b, i, j, row, d = X.shape[1]
    cdef bint weighted = weights is not None, indexed = index is not None
    cdef double w = 1, y, block_w
    for b in range(start // BLOCK_ROWS, _n_blocks(stop)):
        memset(block, 0, 2 * d * sizeof(double))
        block_w = 0
        for i in range(b * BLOCK_ROWS, min((b + 1) * BLOCK_ROWS, stop)):
            if weighted:
                w = weights[i]
                if w == 0:
                    continue
            block_w += w
            row = index[i] if indexed else i
            for j in range(d):
                y = (X[row, j] - origin[j]) * inv_scale[j]
                if y > clip:
                    y = clip
                elif y < -clip:
                    y = -clip
                block[j] += w * y
                block[d + j] += w * y * y
        sum_w[0] += block_w
        for j in range(2 * d):
            sums[j] += block[j]


def column_moments(
    const floating[:, :] X,
    const double[::1] origin,
    const double[::1] inv_scale,
    const double[::1] weights,
    double clip,
    const Py_ssize_t[::1] index=None,
):
    """Weighted mean and mean square of y = (X - origin) * inv_scale, held within -clip and clip.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        In any memory order.
    origin : ndarray of shape (n_features,)
    inv_scale : ndarray of shape (n_features,)
    weights : ndarray of shape (n_samples,) or None
        None stands for ones.
    clip : float
        May be infinite.
    index : intp ndarray of shape (m,), default=None
        The rows of X to sum, in this order; weights are then theirs.

    Returns
    -------
    sum_w : float
        Total weight.
    mean : ndarray of shape (n_features,)
        Mean of y.
    mean_square : ndarray of shape (n_features,)
        Mean of y^2.
    """
    cdef Py_ssize_t n = X.shape[0] if index is None else index.shape[0]
    cdef Py_ssize_t d = X.shape[1], start = 0, stop, step = _slice_rows(d)
    cdef double sum_w = 0
    if origin.shape[0] != d or inv_scale.shape[0] != d:
        raise ValueError("origin and inv_scale need one value per column of X")
    if weights is not None and weights.shape[0] != n:
        raise ValueError("weights need one value per row of X")
    sums_array = np.zeros((2, d))
    scratch_array = np.empty(2 * d + 1)
    cdef double[:, ::1] sums = sums_array
    cdef double[::1] scratch = scratch_array
    while start < n and d > 0:
        stop = min(start + step, n)
        with nogil:
            _add_moments(
                X, origin, inv_scale, weights, index, clip, start, stop, &scratch[0], &sums[0, 0], &sum_w
            )
        PyErr_CheckSignals()
        start = stop
    if not sum_w > 0:
        raise ValueError("the total weight of the rows must be positive")
    sums_array /= sum_w
    return sum_w, sums_array[0], sums_array[1]


# --------------------------------------------------------------------------------------------------
# k-means++


cdef struct Rows:
    const double *X             # (n, d)
    const double *w             # (n,)
    double *closest             # (n,) squared distance to the nearest seed, or ones
    double *mass                # (n_blocks,) sums of w * closest
    Py_ssize_t n
    Py_ssize_t d


cdef void _weigh(
    Rows *rows,                 # IN OUT
    Py_ssize_t start,           # IN a multiple of BLOCK_ROWS
    Py_ssize_t stop,            # IN
) noexcept nogil:
    cdef Py_ssize_t b, i
    cdef double total
    for b in range(start // BLOCK_ROWS, _n_blocks(stop)):
        total = 0
        for i in range(b * BLOCK_ROWS, min((b + 1) * BLOCK_ROWS, stop)):
            total += rows.w[i] * rows.closest[i]
        rows.mass[b] = total


cdef double _total_mass(const Rows *rows) noexcept nogil:
    cdef Py_ssize_t b
    cdef double total = 0
    for b in range(_n_blocks(rows.n)):
        total += rows.mass[b]
    return total


cdef Py_ssize_t _pick(
    const Rows *rows,           # IN
    double uniform,             # IN in [0, 1)
) noexcept nogil:
    """First row at which the cumulative mass exceeds the given part of the total."""
    cdef Py_ssize_t b, i, block = 0, chosen = 0
    cdef double target = uniform * _total_mass(rows), reached = 0, before = 0, mass
    # Where rounding leaves no such row, the last one that has mass is meant.
    for b in range(_n_blocks(rows.n)):
        if rows.mass[b] > 0:
            block = b
            before = reached
            reached += rows.mass[b]
            if reached > target:
                break
    reached = before
    for i in range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, rows.n)):
        mass = rows.w[i] * rows.closest[i]
        if mass > 0:
            chosen = i
            reached += mass
            if reached > target:
                break
    return chosen


cdef void _try_candidates(
    const Rows *rows,           # IN
    Py_ssize_t start,           # IN a multiple of BLOCK_ROWS
    Py_ssize_t stop,            # IN
    const double *candidates,   # IN (n_groups, d, LANES)
    Py_ssize_t n_groups,        # IN
    double *potential,          # IN OUT (n_groups, LANES) mass that would be left
) noexcept nogil:
    cdef Py_ssize_t b, i, j, g, t
    cdef double squared[LANES]
    cdef double total[LANES]
    cdef double step, near, w
    cdef const double *x
    cdef const double *centre
    for b in range(start // BLOCK_ROWS, _n_blocks(stop)):
        for g in range(n_groups):
            for t in range(LANES):
                total[t] = 0
            centre = candidates + g * rows.d * LANES
            for i in range(b * BLOCK_ROWS, min((b + 1) * BLOCK_ROWS, stop)):
                x = rows.X + i * rows.d
                w = rows.w[i]
                near = rows.closest[i]
                for t in range(LANES):
                    squared[t] = 0
                for j in range(rows.d):
                    for t in range(LANES):
                        step = x[j] - centre[j * LANES + t]
                        squared[t] += step * step
                for t in range(LANES):
                    total[t] += w * (squared[t] if squared[t] < near else near)
            for t in range(LANES):
                potential[g * LANES + t] += total[t]


cdef void _accept(
    Rows *rows,                 # IN OUT
    Py_ssize_t start,           # IN a multiple of BLOCK_ROWS
    Py_ssize_t stop,            # IN
    Py_ssize_t seed,            # IN
) noexcept nogil:
    cdef const double *centre = rows.X + seed * rows.d
    cdef const double *x
    cdef Py_ssize_t i, j
    cdef double squared, step
    for i in range(start, stop):
        x = rows.X + i * rows.d
        squared = 0
        for j in range(rows.d):
            step = x[j] - centre[j]
            squared += step * step
        if squared < rows.closest[i]:
            rows.closest[i] = squared
    _weigh(rows, start, stop)


cdef _accept_in_slices(Rows *rows, Py_ssize_t seed):
    cdef Py_ssize_t start = 0, stop, step = _slice_rows(rows.d)
    while start < rows.n:
        stop = min(start + step, rows.n)
        with nogil:
            _accept(rows, start, stop, seed)
        PyErr_CheckSignals()
        start = stop


cdef Py_ssize_t _best_candidate(
    const Rows *rows,
    const int64_t[::1] picks,   # IN (n_trials,)
    double[:, :, ::1] candidates,  # scratch (n_groups, d, LANES)
    double[:, ::1] potential,   # scratch (n_groups, LANES)
) except -1:
    """Candidate that leaves the least mass; one better by no more than rounding does not count."""
    cdef Py_ssize_t n_trials = picks.shape[0], n_groups = potential.shape[0]
    cdef Py_ssize_t start = 0, stop, step = _slice_rows(n_groups * LANES * rows.d), t, j, best = 0
    for t in range(n_groups * LANES):
        potential[t // LANES, t % LANES] = 0
        for j in range(rows.d):
            # The lanes left over repeat the first candidate.
            candidates[t // LANES, j, t % LANES] = rows.X[
                picks[t if t < n_trials else 0] * rows.d + j
            ]
    while start < rows.n:
        stop = min(start + step, rows.n)
        with nogil:
            _try_candidates(rows, start, stop, &candidates[0, 0, 0], n_groups, &potential[0, 0])
        PyErr_CheckSignals()
        start = stop
    for t in range(1, n_trials):
        if (
            potential[t // LANES, t % LANES]
            < potential[best // LANES, best % LANES] * (1 - SAME_POTENTIAL)
        ):
            best = t
    return best


def kmeans_plusplus(
    const double[:, ::1] X,
    const double[::1] w,
    Py_ssize_t n_seeds,
    const double[:, ::1] uniforms,
    Py_ssize_t n_trials,
):
    """Rows chosen as seeds by weighted greedy k-means++.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    w : ndarray of shape (n_samples,)
        Not negative; a row of weight zero is never chosen.
    n_seeds : int
    uniforms : ndarray of shape (n_seeds, n_trials)
        In [0, 1). The first seed takes `uniforms[0, 0]`, seed s takes row s.
    n_trials : int
        Candidates drawn for each seed; the one that leaves the least mass is kept.

    Returns
    -------
    indices : ndarray of shape (n_seeds,), int64
        A row can come twice only if there are fewer distinct rows than seeds.

    References
    ----------
    D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], s, t, best
    cdef bint exhausted = False
    cdef Rows rows
    if w.shape[0] != n:
        raise ValueError("w needs one value per row of X")
    if n_seeds < 1 or n_trials < 1 or uniforms.shape[0] < n_seeds or uniforms.shape[1] < n_trials:
        raise ValueError("uniforms must have the shape (n_seeds, n_trials), both at least 1")
    if n == 0 or d == 0:
        raise ValueError("X is empty")

    n_groups = (n_trials + LANES - 1) // LANES
    closest = np.ones(n)
    indices = np.empty(n_seeds, np.int64)
    cdef double[::1] closest_view = closest
    cdef double[::1] mass = np.empty(_n_blocks(n))
    cdef double[:, :, ::1] candidates = np.empty((n_groups, d, LANES))
    cdef double[:, ::1] potential = np.empty((n_groups, LANES))
    cdef int64_t[::1] picks = np.empty(n_trials, np.int64)
    cdef int64_t[::1] chosen = indices
    rows.X = &X[0, 0]
    rows.w = &w[0]
    rows.closest = &closest_view[0]
    rows.mass = &mass[0]
    rows.n = n
    rows.d = d

    _weigh(&rows, 0, n)
    if not _total_mass(&rows) > 0:
        raise ValueError("the total weight of the rows must be positive")
    chosen[0] = _pick(&rows, uniforms[0, 0])
    closest.fill(FARTHEST)
    _accept_in_slices(&rows, chosen[0])
    for s in range(1, n_seeds):
        if not exhausted and not _total_mass(&rows) > 0:
            # Every row has a seed on it: the seeds that are left are drawn by weight alone.
            exhausted = True
            closest.fill(1)
            _weigh(&rows, 0, n)
        if exhausted:
            chosen[s] = _pick(&rows, uniforms[s, 0])
            PyErr_CheckSignals()
            continue
        for t in range(n_trials):
            picks[t] = _pick(&rows, uniforms[s, t])
        best = _best_candidate(&rows, picks, candidates, potential) if n_trials > 1 else 0
        chosen[s] = picks[best]
        _accept_in_slices(&rows, chosen[s])
    return indices
