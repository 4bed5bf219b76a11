"""A kd-tree with the statistics of every node.

A node is a run of the rows in tree order and their bounding box.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int32_t

from skem._kernels.passes import max_threads

cdef enum:
    ALONE = 1 << 13                # rows of a selection that one step may take without a look at signals

max_features = MAX_D


cdef bint _narrow(double *rows, int32_t *order, int d, Selection *select) noexcept nogil:
    """One step of a selection: part the rows from low to high, go on with the side of the wanted one.

    Returns whether it is in its place.
    """
    cdef Py_ssize_t i = select.low, j = select.high
    cdef int w = select.column, c
    cdef int32_t swapped
    cdef double pivot, value
    cdef double a = rows[i * d + w], b = rows[(i + (j - i) // 2) * d + w], e = rows[j * d + w]
    if i >= j:
        return True
    pivot = max(min(a, b), min(max(a, b), e))
    while i <= j:
        while rows[i * d + w] < pivot:
            i += 1
        while rows[j * d + w] > pivot:
            j -= 1
        if i <= j:
            for c in range(d):
                value = rows[i * d + c]
                rows[i * d + c] = rows[j * d + c]
                rows[j * d + c] = value
            swapped = order[i]
            order[i] = order[j]
            order[j] = swapped
            i += 1
            j -= 1
    if select.wanted <= j:
        select.high = j
    elif select.wanted >= i:
        select.low = i
    else:
        return True
    return False


cdef void _box(
    const double *rows,            # IN  (m, d)
    Py_ssize_t m,                  # IN
    int d,                         # IN
    double *center,                # OUT (d)
    double *half,                  # OUT (d)
) noexcept nogil:
    cdef double low[MAX_D]
    cdef double high[MAX_D]
    cdef double value
    cdef Py_ssize_t i
    cdef int j
    for j in range(d):
        low[j] = high[j] = rows[j]
    for i in range(1, m):
        for j in range(d):
            value = rows[i * d + j]
            low[j] = min(low[j], value)
            high[j] = max(high[j], value)
    for j in range(d):
        center[j] = 0.5 * (low[j] + high[j])
        # no row may lie outside by the rounding of the centre
        half[j] = max(high[j] - center[j], center[j] - low[j])


cdef int _widest(const double *half, int d) noexcept nogil:
    cdef int j, best = 0
    for j in range(1, d):
        if half[j] > half[best]:
            best = j
    return best


cdef void _summarize_leaf(
    double *rows,                  # IN  (m, d); OUT (d, m)
    const int32_t *order,          # IN  (m)
    const double *weight,          # IN  (n) or NULL
    Py_ssize_t m,                  # IN
    int d,                         # IN
    double *mass,                  # OUT
    double *mean,                  # OUT (d)
    double *scatter,               # OUT (d (d + 1) / 2)
) noexcept nogil:
    cdef double turned[LEAF * MAX_D]
    cdef double total = 0, w, share
    cdef double step[MAX_D]
    cdef Py_ssize_t i
    cdef int j, k, at
    for j in range(d):
        mean[j] = 0
    for j in range(d * (d + 1) // 2):
        scatter[j] = 0
    for i in range(m):
        w = 1.0 if weight == NULL else weight[order[i]]
        if w > 0:
            share = total * w / (total + w)
            total += w
            for j in range(d):
                step[j] = rows[i * d + j] - mean[j]
            at = 0
            for j in range(d):
                mean[j] += w / total * step[j]
                for k in range(j + 1):
                    scatter[at] += share * step[j] * step[k]
                    at += 1
        for j in range(d):
            turned[j * m + i] = rows[i * d + j]
    mass[0] = total
    for i in range(m * d):
        rows[i] = turned[i]


cdef void _join(
    Py_ssize_t i,                  # IN  the node; its children are summarized
    int d,                         # IN
    double *mass,                  # OUT at i
    double *mean,                  # OUT at i
    double *scatter,               # OUT at i
) noexcept nogil:
    cdef Py_ssize_t left = 2 * i + 1, right = 2 * i + 2
    cdef int width = d * (d + 1) // 2, j, k, at = 0
    cdef double total = mass[left] + mass[right]
    cdef double share = mass[right] / total if total > 0 else 0.0, between = mass[left] * share
    cdef double step[MAX_D]
    mass[i] = total
    for j in range(d):
        step[j] = mean[right * d + j] - mean[left * d + j]
        mean[i * d + j] = mean[left * d + j] + share * step[j]
        for k in range(j + 1):
            scatter[i * width + at] = (
                scatter[left * width + at] + scatter[right * width + at] + between * step[j] * step[k]
            )
            at += 1


cdef class Tree:
    """Rows in the order of a balanced kd-tree, with mass, mean and scatter of every node.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
        1 <= d <= `max_features`.
    origin, scale : ndarray of shape (d,)
        The tree works in the coordinates (x - origin) / scale.
    sample_weight : float64 ndarray of shape (n,), default=None
    n_threads : int, default=0
        0 means as many as there are.
    """

    def __init__(self, X, const double[::1] origin, const double[::1] scale, sample_weight=None, int n_threads=0):
        n, d = X.shape
        if not 1 <= d <= MAX_D:
            raise ValueError(f"a tree takes 1 to {MAX_D} columns, got {d}")
        self.n_samples, self.n_features = n, d
        self.n_levels = max((n - 1) // LEAF, 0).bit_length()
        n_nodes = (2 << self.n_levels) - 1
        self.rows = np.empty(n * d)
        self.places = np.arange(n, dtype=np.int32)
        self.weight = sample_weight
        self.center, self.half, self.mean = (np.empty((n_nodes, d)) for _ in range(3))
        self.scatter = np.empty((n_nodes, d * (d + 1) // 2))
        self.mass = np.empty(n_nodes)
        (_copy_float if X.dtype == np.float32 else _copy_double)(X, origin, scale, np.asarray(self.rows))
        self._build(n_threads or max_threads())

    def _build(self, int n_threads):
        cdef int level, d = self.n_features
        cdef Py_ssize_t place, n = self.n_samples, n_places, first
        cdef const double *weight = NULL
        if self.weight is not None:
            weight = &self.weight[0]
        for level in range(self.n_levels):
            n_places = (<Py_ssize_t> 1) << level
            if n >> level > ALONE:
                for place in range(n_places):
                    self._part_with_signals(level, place)
                continue
            for place in prange(n_places, nogil=True, num_threads=n_threads, schedule="dynamic"):
                self._part(level, place)
            PyErr_CheckSignals()
        level = self.n_levels
        first = ((<Py_ssize_t> 1) << level) - 1
        for place in prange(first + 1, nogil=True, num_threads=n_threads, schedule="static"):
            self._close(level, place, weight)
        for place in range(first - 1, -1, -1):
            _join(place, d, &self.mass[0], &self.mean[0, 0], &self.scatter[0, 0])

    cdef Selection _begin(self, int level, Py_ssize_t place) noexcept nogil:
        """Box of a node, and the selection that parts it at the middle of its widest side."""
        cdef Selection select
        cdef Py_ssize_t node = ((<Py_ssize_t> 1) << level) - 1 + place, n = self.n_samples
        cdef int d = self.n_features
        select.low = start_of(n, level, place)
        select.high = start_of(n, level, place + 1) - 1
        _box(&self.rows[select.low * d], select.high - select.low + 1, d, &self.center[node, 0],
             &self.half[node, 0])
        select.column = _widest(&self.half[node, 0], d)
        select.wanted = start_of(n, level + 1, 2 * place + 1)
        return select

    cdef void _part(self, int level, Py_ssize_t place) noexcept nogil:
        cdef Selection select = self._begin(level, place)
        while not _narrow(&self.rows[0], &self.places[0], self.n_features, &select):
            pass

    cdef _part_with_signals(self, int level, Py_ssize_t place):
        cdef Selection select = self._begin(level, place)
        cdef bint done = False
        while not done:
            with nogil:
                done = _narrow(&self.rows[0], &self.places[0], self.n_features, &select)
            PyErr_CheckSignals()

    cdef void _close(self, int level, Py_ssize_t place, const double *weight) noexcept nogil:
        """Box and statistics of a leaf, whose rows are turned to columns."""
        cdef Py_ssize_t node = ((<Py_ssize_t> 1) << level) - 1 + place, start = start_of(self.n_samples, level, place)
        cdef Py_ssize_t m = start_of(self.n_samples, level, place + 1) - start
        cdef int d = self.n_features
        _box(&self.rows[start * d], m, d, &self.center[node, 0], &self.half[node, 0])
        _summarize_leaf(&self.rows[start * d], &self.places[start], weight, m, d, &self.mass[node],
                        &self.mean[node, 0], &self.scatter[node, 0])

    @property
    def order(self):
        """Row at each place in the tree, an int32 ndarray of shape (n,)."""
        return np.asarray(self.places)


def _copy(const floating[:, :] X, const double[::1] origin, const double[::1] scale, double[::1] rows):
    """Rows in internal coordinates, one after the other."""
    cdef Py_ssize_t i, d = X.shape[1], j
    with nogil:
        for i in range(X.shape[0]):
            for j in range(d):
                rows[i * d + j] = (X[i, j] - origin[j]) / scale[j]


_copy_float, _copy_double = _copy["float"], _copy["double"]
