"""Passes over CSR rows: scores by gathering, assignment to the best, sums a cluster.

Rows are never centred and never made dense. A cluster's sums are added up row by row by one thread, so that they
have the same bits for any number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY, fmax
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from skem._kernels.passes import max_threads

from skem._kernels._hash cimport GOLDEN, bits, mix

ctypedef fused index_t:
    int32_t
    int64_t

cdef enum:
    CHUNK_ROWS = 256      # rows that a thread takes at a time
    SLICE_ROWS = 1 << 14  # rows between two looks at the signals where a row is soon done

# Multiply-adds of a thread between two looks at the signals.
cdef double SLICE_WORK = 1e8
# Below this many multiply-adds, waking other threads takes longer than the work.
cdef double LEAST_WORK = 2e6


def row_hash(
    const floating[::1] data, const index_t[::1] indices, const index_t[::1] indptr, Py_ssize_t n_columns,
    const double[::1] low=None, const double[::1] inv_span=None,
):
    """64-bit hash of each row's content, or of its place between given ends: that of the row made dense, bit for bit.

    Parameters
    ----------
    data, indices, indptr : ndarray
        A CSR matrix without duplicate entries, in any order.
    n_columns : int
    low, inv_span : ndarray of shape (n_columns,), default=None
        As for `skem._kernels.seeding.row_hash`.

    Returns
    -------
    hashes : uint64 ndarray of shape (n_samples,)
    """
    cdef Py_ssize_t n = indptr.shape[0] - 1, i, j
    cdef index_t p
    cdef bint relative = low is not None
    cdef uint64_t zeros = 0, total
    cdef double value
    hashes = np.zeros(n, dtype=np.uint64)
    of_zero = np.empty(n_columns, dtype=np.uint64)
    cdef uint64_t[::1] out = hashes, nothing = of_zero
    with nogil:
        # a sum of mixed values does not depend on their order: a row starts as all zeros, and entries take their places
        for j in range(n_columns):
            value = <float> (-low[j] * inv_span[j]) if relative else 0.0
            nothing[j] = mix(bits(value) + <uint64_t> (j + 1) * GOLDEN)
            zeros += nothing[j]
        for i in range(n):
            total = zeros
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                value = data[p]
                if relative:
                    value = <float> ((value - low[j]) * inv_span[j])
                total += mix(bits(value) + <uint64_t> (j + 1) * GOLDEN) - nothing[j]
            out[i] = mix(total)
    return hashes


def column_sums(
    const floating[::1] data, const index_t[::1] indices, const index_t[::1] indptr, Py_ssize_t n_columns,
    const double[::1] weights=None, const Py_ssize_t[::1] index=None,
):
    """Range, sum and sum of squares of each column over the rows that have weight, zeros included.

    Parameters
    ----------
    data, indices, indptr : ndarray
        A CSR matrix without duplicate entries.
    n_columns : int
    weights : ndarray of shape (n_samples,), default=None
        None stands for ones.
    index : intp ndarray of shape (m,), default=None
        The rows to sum, in this order; weights are then theirs.

    Returns
    -------
    total_weight : float
    low, high, first, second : ndarray of shape (n_columns,)
        inf and -inf for the range where no row has weight.
    """
    cdef Py_ssize_t n = indptr.shape[0] - 1 if index is None else index.shape[0], i, j, row, start = 0, stop
    cdef Py_ssize_t n_rows = 0
    cdef index_t p
    cdef double w = 1.0, x, total = 0.0
    cdef double[:, ::1] out = np.zeros((4, n_columns))
    cdef Py_ssize_t[::1] count = np.zeros(n_columns, dtype=np.intp)
    for j in range(n_columns):
        out[0, j], out[1, j] = INFINITY, -INFINITY
    while start < n:
        stop = min(start + SLICE_ROWS, n)
        with nogil:
            for i in range(start, stop):
                if weights is not None:
                    w = weights[i]
                    if w == 0:
                        continue
                row = i if index is None else index[i]
                total += w
                n_rows += 1
                for p in range(indptr[row], indptr[row + 1]):
                    j, x = indices[p], data[p]
                    out[0, j], out[1, j] = min(x, out[0, j]), max(x, out[1, j])
                    out[2, j] += w * x
                    out[3, j] += w * x * x
                    count[j] += 1
        PyErr_CheckSignals()
        start = stop
    for j in range(n_columns):
        if count[j] < n_rows:
            out[0, j], out[1, j] = min(0.0, out[0, j]), max(0.0, out[1, j])
    low, high, first, second = np.asarray(out)
    return total, low, high, first, second


cdef int _assign_rows(
    const floating *data,       # IN
    const index_t *indices,     # IN
    const index_t *indptr,      # IN
    Py_ssize_t start,           # IN
    Py_ssize_t stop,            # IN
    const double *centers_t,    # IN (d, K)
    const double *offset,       # IN (K,)
    Py_ssize_t K,               # IN
    int32_t *labels,            # OUT
    double *scores,             # OUT (n, K) or NULL
) noexcept nogil:
    """Score rows and label each with its best score, the first of equals. Returns 0 without memory."""
    cdef double *s = <double *> malloc(K * sizeof(double))
    cdef const double *c
    cdef double v
    cdef Py_ssize_t i, k
    cdef index_t p
    cdef int32_t label
    if s == NULL:
        return 0
    for i in range(start, stop):
        for k in range(K):
            s[k] = offset[k]
        for p in range(indptr[i], indptr[i + 1]):
            v = data[p]
            c = centers_t + <Py_ssize_t> indices[p] * K
            for k in range(K):
                s[k] += v * c[k]
        label = 0
        for k in range(1, K):
            if s[k] > s[label]:
                label = <int32_t> k
        labels[i] = label
        if scores != NULL:
            memcpy(scores + i * K, s, K * sizeof(double))
    free(s)
    return 1


cdef void _sum_cluster(
    const floating *data,       # IN
    const index_t *indices,     # IN
    const index_t *indptr,      # IN
    const double *weight,       # IN or NULL
    const Py_ssize_t *rows,     # IN (count,) rows of the cluster in ascending order
    Py_ssize_t count,           # IN
    double *sums,               # IN OUT (d,)
    double *mass,               # IN OUT
) noexcept nogil:
    cdef Py_ssize_t t, i
    cdef index_t p
    cdef double w
    for t in range(count):
        i = rows[t]
        w = 1.0 if weight == NULL else weight[i]
        mass[0] += w
        for p in range(indptr[i], indptr[i + 1]):
            sums[indices[p]] += w * data[p]


def run_csr_pass(
    const floating[::1] data, const index_t[::1] indices, const index_t[::1] indptr,
    const double[:, ::1] centers_t, const double[::1] offset, *, const double[::1] sample_weight=None,
    double[:, ::1] scores=None, bint collect=True, int n_threads=0,
):
    """Score CSR rows linearly, assign each to its best component and sum the rows of each.

    Parameters
    ----------
    data, indices, indptr : ndarray
        The matrix; data float32 or float64, indices int32 or int64.
    centers_t : ndarray of shape (n_features, n_clusters)
        Row i scores offset_k + <x_i, centers_t[:, k]>.
    offset : ndarray of shape (n_clusters,)
    sample_weight : ndarray of shape (n_samples,), default=None
    scores : ndarray of shape (n_samples, n_clusters), default=None
        Written where given.
    collect : bool, default=True
        Whether to sum.
    n_threads : int, default=0
        0 lets OpenMP decide.

    Returns
    -------
    labels : int32 ndarray of shape (n_samples,)
        The first of equally good ones.
    mass : ndarray of shape (n_clusters,)
        Weight of each cluster.
    sums : ndarray of shape (n_clusters, n_features)
        Weighted sum of each cluster's rows.
    """
    cdef Py_ssize_t n = indptr.shape[0] - 1, d = centers_t.shape[0], K = centers_t.shape[1]
    cdef Py_ssize_t start = 0, stop, step, chunk, n_chunks, k, i
    cdef int threads = n_threads or max_threads(), done = 1
    cdef double work = K * (1.0 + <double> data.shape[0] / max(n, 1))
    cdef const floating *x = &data[0] if data.shape[0] else NULL
    cdef const index_t *columns = &indices[0] if data.shape[0] else NULL
    cdef const double *w = NULL
    cdef double *out = NULL
    labels = np.empty(n, dtype=np.int32)
    mass = np.zeros(K)
    sums = np.zeros((K, d)) if collect else np.zeros((K, 0))
    cdef int32_t[::1] label = labels
    cdef double[::1] total = mass
    cdef double[:, ::1] table = sums
    if n * work < LEAST_WORK and not n_threads:
        threads = 1
    step = max(<Py_ssize_t> CHUNK_ROWS, <Py_ssize_t> (threads * SLICE_WORK / work))
    step = min(step, max(n, 1))
    cdef Py_ssize_t[::1] order = np.empty(step, dtype=np.intp)
    cdef Py_ssize_t[::1] begin = np.empty(K + 1, dtype=np.intp)
    if sample_weight is not None:
        w = &sample_weight[0]
    if scores is not None:
        out = &scores[0, 0]
    while start < n:
        stop = min(start + step, n)
        n_chunks = (stop - start + CHUNK_ROWS - 1) // CHUNK_ROWS
        for chunk in prange(n_chunks, nogil=True, num_threads=threads, schedule="dynamic"):
            if not _assign_rows(
                x, columns, &indptr[0], start + chunk * CHUNK_ROWS,
                min(start + (chunk + 1) * CHUNK_ROWS, stop), &centers_t[0, 0], &offset[0], K,
                &label[0], out,
            ):
                done = 0
        if not done:
            raise MemoryError("no memory for the buffers of a pass")
        PyErr_CheckSignals()
        if collect:
            # rows by cluster, ascending in each: the order of sums is that of the rows
            with nogil:
                for k in range(K + 1):
                    begin[k] = 0
                for i in range(start, stop):
                    begin[label[i] + 1] += 1
                for k in range(K):
                    begin[k + 1] += begin[k]
                for i in range(start, stop):
                    order[begin[label[i]]] = i
                    begin[label[i]] += 1
                for k in range(K, 0, -1):
                    begin[k] = begin[k - 1]
                begin[0] = 0
            for k in prange(K, nogil=True, num_threads=threads, schedule="dynamic"):
                if begin[k + 1] > begin[k]:
                    _sum_cluster(
                        x, columns, &indptr[0], w, &order[begin[k]], begin[k + 1] - begin[k],
                        &table[k, 0], &total[k],
                    )
            PyErr_CheckSignals()
        start = stop
    return labels, mass, sums


def squared_distances(
    const floating[::1] data, const index_t[::1] indices, const index_t[::1] indptr,
    const double[:, ::1] centers, const int32_t[::1] labels,
):
    """Squared distance of each CSR row to the centre that its label names.

    Differences are formed where the row has entries, so that a row equal to its centre is at distance zero.

    Parameters
    ----------
    data, indices, indptr : ndarray
        A CSR matrix without duplicate entries, columns in ascending order.
    centers : ndarray of shape (n_clusters, n_features)
    labels : int32 ndarray of shape (n_samples,)

    Returns
    -------
    squared : ndarray of shape (n_samples,)
    """
    cdef Py_ssize_t n = indptr.shape[0] - 1, d = centers.shape[1], K = centers.shape[0], i, j, k
    cdef index_t p
    cdef double near, seen, c
    squared = np.empty(n)
    norms = np.zeros(K)
    cdef double[::1] out = squared
    cdef double[::1] norm = norms
    with nogil:
        for k in range(K):
            for j in range(d):
                norm[k] += centers[k, j] * centers[k, j]
        for i in range(n):
            k = labels[i]
            near = seen = 0
            for p in range(indptr[i], indptr[i + 1]):
                c = centers[k, indices[p]]
                seen += c * c
                near += (data[p] - c) * (data[p] - c)
            out[i] = near + fmax(norm[k] - seen, 0.0)
    return squared
