"""The nearest centre of each row, and sums over the rows of each centre.

Rows are scored panel by panel in float where it can tell most centres apart; a row whose best two scores differ by no
more than rounding may explain is decided in double, by distances from differences. So labels are those of comparing all
distances whatever the instruction set, the first of equal ones, and bounds on distances change the time alone. Chunks
of rows are shared out to the threads by a ticket and committed in their order, so that the sums have the same bits for
any number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from cython.parallel cimport parallel
from libc.float cimport DBL_EPSILON, DBL_MAX, FLT_EPSILON, FLT_MAX
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from skem._kernels.passes import max_threads

from skem._kernels._nearest cimport (
    ALL, ASSIGN, CHUNK_ROWS, LARGEST_PANEL, OWN, PIECE_BYTES, PIECE_ROWS, TILE, Buffers, Job, allocate_buffers,
    pass_turn, run_chunk, select_nearest, take_ticket, wait_turn,
)

# Float scores whose best two differ by less, relative to the squares, are settled in double: above this, too many.
cdef double FLOAT_REACH = 1.0 / (1 << 11)
# The squared norms of centres between which float holds double data: far from underflow, and from overflow.
cdef double FLOAT_LEAST = 1e-20, FLOAT_LARGEST = 1e30


cdef void _worker(Job *job) noexcept nogil:
    cdef Buffers buf
    cdef Py_ssize_t chunk, row
    cdef size_t i
    if not allocate_buffers(job, &buf):
        job.failed = 1
        return
    while not job.failed:
        chunk = take_ticket(&job.ticket)
        if chunk >= job.last_chunk:
            break
        memset(buf.sums, 0, job.n_sums * sizeof(double))
        row = chunk * job.chunk_rows
        run_chunk(job, &buf, row, min(row + job.chunk_rows, job.n))
        wait_turn(&job.turn, chunk)
        for i in range(job.n_sums):
            job.total[i] += buf.sums[i]
        pass_turn(&job.turn)
    free(buf.all)


cdef _pack(
    const double[:, ::1] centers,
    const double[::1] discount,    # IN  or None
    floating[::1] packed,          # OUT tiles as the micro-kernels read them
):
    cdef Py_ssize_t K = centers.shape[0], d = centers.shape[1], k, j
    cdef floating *to
    cdef double norm
    for k in range((K + TILE - 1) // TILE * TILE):
        to = &packed[k // TILE * TILE * (d + 1) + k % TILE]
        norm = 0.0 if discount is None or k >= K else -discount[k]
        for j in range(d):
            to[(j + 1) * TILE] = <floating> centers[k, j] if k < K else 0
            norm += centers[k, j] * centers[k, j] if k < K else 0
        to[0] = <floating> (-0.5 * norm)
        if k >= K:                 # a centre that fills the tile is nobody's
            to[0] = -FLT_MAX if floating is float else -DBL_MAX


cdef _run(Job *job, double work, int n_threads):
    """Walk the chunks in slices, answering signals between them; work: multiply-adds a row."""
    cdef Py_ssize_t n_chunks, slice_chunks
    cdef Py_ssize_t panel = max(job.tiles.rows, job.doubles.rows)
    # the size of chunks depends on the work alone, never on the threads, for the sums to have the same bits
    job.piece_rows = <Py_ssize_t> min(<double> min(PIECE_ROWS, PIECE_BYTES // (job.rows.itemsize * job.d)), 5e7 / work)
    job.piece_rows = max(panel, job.piece_rows // panel * panel)
    job.chunk_rows = <Py_ssize_t> min(<double> CHUNK_ROWS, 5e7 / work)
    job.chunk_rows = max(<Py_ssize_t> 1, (job.chunk_rows + job.piece_rows - 1) // job.piece_rows) * job.piece_rows
    n_chunks = (job.n + job.chunk_rows - 1) // job.chunk_rows
    n_threads = min(n_threads or max_threads(), n_chunks)
    if job.n * work < 1e6:
        n_threads = 1
    slice_chunks = max(n_threads, <Py_ssize_t> (n_threads * 1e8 / (work * job.chunk_rows)))
    while job.turn < n_chunks:
        job.ticket = job.turn
        job.last_chunk = min(job.turn + slice_chunks, n_chunks)
        if n_threads == 1:
            with nogil:
                _worker(job)
        else:
            with nogil, parallel(num_threads=n_threads):
                _worker(job)
        if job.failed:
            raise MemoryError("no memory for the buffers of a pass")
        PyErr_CheckSignals()


cdef list _describe(Job *job, X, origin, scale, const double[:, ::1] centers, bint in_float):
    """Fill in data and centres; return what must outlive the job."""
    cdef const float[:, :] xf
    cdef const double[:, :] xd
    cdef const double[::1] o, s
    cdef const float[::1] of, sf
    cdef int i
    memset(job, 0, sizeof(Job))
    job.n, job.d = X.shape
    job.K = centers.shape[0]
    job.is_float = X.dtype == np.float32
    if job.is_float:
        xf = X
        job.x = <const char *> &xf[0, 0]
        job.row_stride, job.column_stride = xf.strides[0] // 4, xf.strides[1] // 4
    else:
        xd = X
        job.x = <const char *> &xd[0, 0]
        job.row_stride, job.column_stride = xd.strides[0] // 8, xd.strides[1] // 8
    o, s = origin, 1.0 / np.asarray(scale)
    job.origin, job.inv_scale, job.centers = &o[0], &s[0], &centers[0, 0]
    job.tile_origin, job.tile_scale = job.origin, job.inv_scale
    job.doubles = select_nearest(False)
    job.tiles = select_nearest(in_float)
    job.rows = select_nearest(in_float and job.is_float)
    job.load = job.tiles.load if job.rows == job.tiles else job.tiles.load_doubles
    keep = [X, o, s, centers]
    if job.rows != job.doubles:
        of, sf = np.asarray(o, dtype=np.float32), np.asarray(s, dtype=np.float32)
        job.tile_origin, job.tile_scale = &of[0], &sf[0]
        keep += [of, sf]
    job.is_staged = job.column_stride != 1 or (job.is_float and job.rows == job.doubles)
    for i in range(LARGEST_PANEL):
        job.identity[i] = i
    return keep


def assign_nearest(
    X, const double[::1] origin, const double[::1] scale, const double[:, ::1] centers, int32_t[::1] labels, *,
    const double[::1] sample_weight=None, float[::1] lower=None, const double[::1] drift=None,
    const double[::1] discount=None, double slack=0.0, bint collect=True, int n_threads=0,
):
    """Label each row with its nearest centre, and sum the rows of each centre.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64, any strides
        Rows in user's units; (x - origin) / scale is what the centres are compared with.
    origin, scale : ndarray of shape (d,)
    centers : ndarray of shape (n_clusters, d)
    labels : int32 ndarray of shape (n,)
        Old labels in, -1 where there is none; new ones out, the first of equally near centres.
    sample_weight : ndarray of shape (n,), default=None
    lower : float32 ndarray of shape (n,), default=None
        Written where given: every centre but the nearest is at least so far away.
    drift : ndarray of shape (n_clusters,), default=None
        Where given, `labels` and `lower` are those of earlier centres, and this is for each centre the farthest that
        another one has moved since; rows that cannot have changed are not compared.
    discount : ndarray of shape (n_clusters,), default=None
        Off the squared distances to each centre, by which rows are labelled then: linear scores are of this kind.
    slack : float, default=0.0
        With discounts an old label stays while no other beats it by more.
    collect : bool, default=True
        Whether to sum.
    n_threads : int, default=0
        0 lets OpenMP decide.

    Returns
    -------
    n_moved : int
        Rows whose label changed.
    n_compared : int
        Rows compared with all centres.
    n_settled : int
        Those of them that were decided in double.
    mass : ndarray of shape (n_clusters,)
        Weight of each cluster.
    sums : ndarray of shape (n_clusters, d)
        Weighted sum of each cluster's rows, in the coordinates of the centres. Both are None where nothing is summed.
    """
    cdef Job job
    cdef Py_ssize_t K = centers.shape[0], d = centers.shape[1]
    cdef double[::1] total
    cdef double[::1] packed
    cdef float[::1] packed_float
    cdef int64_t below = 1
    while below < K + TILE:
        below *= 2
    cdef double units = d + 4 + below    # of rounding, in a score
    squares = np.square(centers).sum(axis=1)
    norm = squares.max() if discount is None else 0.5 * (np.abs(squares - np.asarray(discount)) + squares).max()
    # float loses nothing where what it leaves open is settled in double
    in_float = units * FLT_EPSILON < FLOAT_REACH and (
        np.array_equal(np.asarray(origin, dtype=np.float32), origin) if X.dtype == np.float32
        else FLOAT_LEAST < norm < FLOAT_LARGEST
    )
    alive = _describe(&job, X, origin, scale, centers, in_float)
    job.mode, job.collects = ASSIGN, collect
    job.keep = ~(below - 1)
    job.norm = norm
    if in_float:
        job.reach = units * FLT_EPSILON
        packed_float = np.empty((K + TILE - 1) // TILE * TILE * (d + 1), dtype=np.float32)
        _pack(centers, discount, packed_float)
        job.packed = &packed_float[0]
    else:
        job.reach = units * DBL_EPSILON
        packed = np.empty((K + TILE - 1) // TILE * TILE * (d + 1))
        _pack(centers, discount, packed)
        job.packed = &packed[0]
    job.labels = &labels[0]
    if sample_weight is not None:
        job.weight = &sample_weight[0]
    if lower is not None:
        job.lower = &lower[0]
    if drift is not None:
        job.drift = &drift[0]
    if discount is not None:
        if lower is not None or drift is not None:
            raise ValueError("discounts and bounds do not go together")
        job.discount, job.slack = &discount[0], slack
        # what beats another score by no more than the slack is left open, too: half of it, for scores are half squares
        job.norm += slack / (4.0 * job.reach)
    job.n_sums = 3 + (K * d + K if collect else 0)
    sums = np.zeros(job.n_sums)
    total = sums
    job.total = &total[0]
    _run(&job, <double> K * (d + 4), n_threads)
    del alive
    if collect:
        results = sums[K * d:K * d + K], sums[:K * d].reshape(K, d) / np.asarray(scale)
    else:
        results = None, None
    return (*[int(number) for number in total[job.n_sums - 3:]], *results)


def squared_to_own(
    X, const double[::1] origin, const double[::1] scale, const double[:, ::1] centers, const int32_t[::1] labels, *,
    int n_threads=0,
):
    """Squared distance of each row to the centre of its label, differences formed first.

    Parameters
    ----------
    X, origin, scale, centers
        As in `assign_nearest`.
    labels : int32 ndarray of shape (n,)
    n_threads : int, default=0

    Returns
    -------
    squared : ndarray of shape (n,)
        In the coordinates of the centres.
    """
    cdef Job job
    cdef double[::1] out
    alive = _describe(&job, X, origin, scale, centers, X.dtype == np.float32)
    squared = np.empty(job.n)
    out = squared
    job.mode, job.out, job.given = OWN, &out[0], &labels[0]
    _run(&job, job.d, n_threads)
    del alive
    return squared


def squared_to_all(
    X, const double[::1] origin, const double[::1] scale, const double[:, ::1] centers, *, int n_threads=0,
):
    """Squared distance of each row to each centre, differences formed first.

    Parameters
    ----------
    X, origin, scale, centers
        As in `assign_nearest`.
    n_threads : int, default=0

    Returns
    -------
    squared : ndarray of shape (n, n_clusters)
        In the coordinates of the centres.
    """
    cdef Job job
    cdef double[:, ::1] out
    alive = _describe(&job, X, origin, scale, centers, False)
    squared = np.empty((job.n, job.K))
    out = squared
    job.mode, job.out = ALL, &out[0, 0]
    _run(&job, 2.0 * job.K * job.d, n_threads)
    del alive
    return squared
