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
from libc.math cimport fmin, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from skem._kernels.passes import max_threads

cdef extern from "nearest_dispatch.h" nogil:
    const int TILE
    const float BELOW
    ctypedef struct nearest_set:
        int rows, itemsize
        void (*load)(const void *data, Py_ssize_t row_stride, const void *origin, const void *inv_scale,
                     const int32_t *index, int rows, int d, void *panel) noexcept nogil
        void (*load_doubles)(const void *data, Py_ssize_t row_stride, const void *origin, const void *inv_scale,
                             const int32_t *index, int rows, int d, void *panel) noexcept nogil
        uint64_t (*nearest)(const void *panel, int d, const void *packed, int K, int64_t keep, double reach,
                            double norm, int rows, int32_t *labels, float *lower) noexcept nogil
        void (*own)(const void *data, Py_ssize_t row_stride, const double *origin, const double *inv_scale, int rows,
                    int d, const double *centers, const int32_t *labels, double *out) noexcept nogil
        void (*sums)(const void *data, Py_ssize_t row_stride, const double *origin, int rows, int d,
                     const double *weight, const int32_t *labels, double *sums, double *mass) noexcept nogil
        void (*squares)(const double *panel, int d, const double *centers, int K, double *out) noexcept nogil
    const nearest_set *select_nearest(int is_float)

cdef extern from "tickets.h" nogil:
    long take_ticket(volatile long *counter)
    void wait_turn(volatile long *turn, long mine)
    void pass_turn(volatile long *turn)

cdef enum:
    ASSIGN = 0                     # label rows and sum them
    OWN = 1                        # squared distance of each row to the centre of its label
    ALL = 2                        # squared distance of each row to each centre
    LARGEST_PANEL = 64             # rows: a bit of a word each
    TRIED = 192                    # rows of a chunk after which its scores may be given up ...
    HOPELESS = 3                   # ... where more than one row in so many is left to be settled
    CHUNK_BYTES = 1 << 18          # of a chunk, which is read twice: half of a second-level cache
    CHUNK_ROWS = 4096

# A lower bound in float, after subtracting a movement, is at most this much too high.
cdef double ROUNDED = 1.0 - 1.0 / (1 << 22)
# Float scores whose best two differ by less, relative to the squares, are settled in double: above this, too many.
cdef double FLOAT_REACH = 1.0 / (1 << 11)
# The squared norms of centres between which float holds double data: far from underflow, and from overflow.
cdef double FLOAT_LEAST = 1e-20, FLOAT_LARGEST = 1e30


cdef struct Job:
    const nearest_set *tiles       # of the numbers that scores are formed in
    const nearest_set *rows        # of the numbers that a chunk's rows are given in
    const nearest_set *doubles
    int mode, d, K, is_float, is_staged, collects
    Py_ssize_t n, chunk_rows, last_chunk
    const char *x
    Py_ssize_t row_stride, column_stride
    const double *origin
    const double *inv_scale
    const double *centers          # (K, d)
    const void *tile_origin        # the same in the rows' numbers
    const void *tile_scale
    const void *packed
    void (*load)(const void *data, Py_ssize_t row_stride, const void *origin, const void *inv_scale,
                 const int32_t *index, int rows, int d, void *panel) noexcept nogil
    int64_t keep
    double reach, norm
    const double *weight
    const double *drift            # (K), or NULL: compare all centres
    const double *discount         # (K) off the squared distances to each centre, or NULL
    double slack                   # by how much the nearest must beat the old label, where there are discounts
    int32_t identity[LARGEST_PANEL]
    int32_t *labels
    const int32_t *given           # labels that are only read
    float *lower                   # or NULL
    double *out
    double *total                  # sums (K, d) not scaled, mass (K), rows moved, compared, settled in double
    size_t n_sums
    long ticket, turn
    int failed

cdef struct Buffers:
    double *all                    # the one allocation behind the rest
    char *stage                    # the chunk, row-major, where the data are not or are to be widened
    double *panel
    double *gathered               # a few rows in double
    double *squares                # (K, rows of a panel)
    double *own
    double *sums
    int32_t *index                 # rows of the chunk to compare with all centres
    int32_t *close                 # rows of the chunk to decide in double
    int32_t *old                   # labels that the rows to compare had


cdef int _allocate(Job *job, Buffers *buf) noexcept nogil:
    cdef size_t sizes[9]
    cdef size_t total = 8
    cdef int i
    cdef double *p
    sizes[0] = <size_t> job.chunk_rows * job.d if job.is_staged else 0
    sizes[1] = <size_t> LARGEST_PANEL * job.d
    sizes[2] = sizes[1]
    sizes[3] = <size_t> LARGEST_PANEL * job.K
    sizes[4] = job.chunk_rows
    sizes[5] = job.n_sums
    sizes[6] = job.chunk_rows // 2 + 1
    sizes[7] = job.chunk_rows // 2 + 1
    sizes[8] = job.chunk_rows // 2 + 1
    for i in range(9):
        sizes[i] = (sizes[i] + 7) & ~<size_t>7
        total += sizes[i]
    buf.all = <double *> calloc(total, sizeof(double))
    if buf.all == NULL:
        return 0
    p = <double *> ((<size_t> buf.all + 63) & ~<size_t>63)
    buf.stage = <char *> p
    buf.panel = p + sizes[0]
    buf.gathered = buf.panel + sizes[1]
    buf.squares = buf.gathered + sizes[2]
    buf.own = buf.squares + sizes[3]
    buf.sums = buf.own + sizes[4]
    buf.index = <int32_t *> (buf.sums + sizes[5])
    buf.close = <int32_t *> (buf.sums + sizes[5] + sizes[6])
    buf.old = <int32_t *> (buf.sums + sizes[5] + sizes[6] + sizes[7])
    return 1


cdef void _copy(
    const char *data,              # IN  doubles, or floats
    bint is_float,                 # IN
    Py_ssize_t row_stride,         # IN  in numbers
    Py_ssize_t column_stride,      # IN
    const int32_t *index,          # IN  rows to take, or NULL for the first `rows`
    int rows,                      # IN
    int d,                         # IN
    floating *out,                 # OUT (rows, d)
) noexcept nogil:
    cdef const float *f = <const float *> data
    cdef const double *x = <const double *> data
    cdef Py_ssize_t at
    cdef int n, j
    for n in range(rows):
        at = (n if index == NULL else index[n]) * row_stride
        for j in range(d):
            out[n * <Py_ssize_t> d + j] = <floating> (
                f[at + j * column_stride] if is_float else x[at + j * column_stride]
            )


cdef void _all_squares(
    Job *job, Buffers *buf,
    const char *x,                 # IN  the chunk, as _copy reads it
    bint is_float,                 # IN
    Py_ssize_t row_stride,         # IN
    Py_ssize_t column_stride,      # IN
    const int32_t *index,          # IN  at most a panel of its rows, or NULL for the first
    int rows,                      # IN
) noexcept nogil:
    """Squared distances of rows to all centres, as (K, rows of a panel)."""
    _copy[double](x, is_float, row_stride, column_stride, index, rows, job.d, buf.gathered)
    job.doubles.load(buf.gathered, job.d, job.origin, job.inv_scale, job.identity, rows, job.d, buf.panel)
    job.doubles.squares(buf.panel, job.d, job.centers, job.K, buf.squares)


cdef int _fail_bounds(
    Job *job, Buffers *buf,
    const char *x, Py_ssize_t row_stride,   # IN  the chunk
    Py_ssize_t row,                # IN  its first row
    int rows,                      # IN
) noexcept nogil:
    """List the rows that another centre may have come nearer to (Hamerly 2010); their number."""
    cdef int n, count = 0
    cdef double low
    job.rows.own(x, row_stride, job.origin, job.inv_scale, rows, job.d, job.centers, job.labels + row, buf.own)
    for n in range(rows):
        low = job.lower[row + n] * ROUNDED - job.drift[job.labels[row + n]]
        job.lower[row + n] = <float> low
        # no branch: whether a row fails is anybody's guess
        buf.index[count] = n
        count += 1 - ((low > 0.0) & (buf.own[n] < low * low))
    return count


cdef void _settle(
    Job *job, Buffers *buf,
    const char *x, Py_ssize_t row_stride,   # IN  the chunk, in the rows' numbers
    Py_ssize_t row,                # IN  its first row
    int count,                     # IN  rows of the chunk in buf.close
) noexcept nogil:
    """Label rows by distances from differences, the first of equal ones."""
    cdef int panel = job.doubles.rows, at = 0, m, n, r, k, label, old
    cdef double best, second, square
    while at < count:
        m = min(panel, count - at)
        _all_squares(job, buf, x, job.rows != job.doubles, row_stride, 1, buf.close + at, m)
        if job.discount != NULL:
            for k in range(job.K):
                for n in range(m):
                    buf.squares[k * <Py_ssize_t> panel + n] -= job.discount[k]
        for n in range(m):
            best, second, label = buf.squares[n], DBL_MAX, 0
            for k in range(1, job.K):
                square = buf.squares[k * <Py_ssize_t> panel + n]
                if square < best:
                    second = best
                    best = square
                    label = k
                elif square < second:
                    second = square
            r = buf.close[at + n]
            if job.discount != NULL:
                # without bounds all rows of the chunk are compared, in their order
                old = buf.old[r]
                if old >= 0 and buf.squares[old * <Py_ssize_t> panel + n] - best <= job.slack:
                    label = old
            job.labels[row + r] = label
            if job.lower != NULL:
                job.lower[row + r] = <float> fmin(sqrt(second), FLT_MAX) * BELOW
        at += m


cdef void _assign(
    Job *job, Buffers *buf,
    const char *x, Py_ssize_t row_stride,   # IN  the chunk, in the rows' numbers
    Py_ssize_t row,                # IN  its first row
    int rows,                      # IN
) noexcept nogil:
    cdef int panel = job.tiles.rows, count = rows, n_close = 0, at = 0, moved = 0, m, n, r
    cdef uint64_t close
    cdef int32_t labels[LARGEST_PANEL]
    cdef float bounds[LARGEST_PANEL]
    cdef int32_t *new = job.labels + row
    cdef float *lower = NULL if job.lower == NULL else job.lower + row
    cdef const double *weight = NULL
    if job.drift != NULL:
        count = _fail_bounds(job, buf, x, row_stride, row, rows)
    else:
        for n in range(rows):
            buf.index[n] = n
    for n in range(count):
        buf.old[n] = new[buf.index[n]]
    while at < count and not (at >= TRIED and n_close * HOPELESS > at):
        m = min(panel, count - at)
        job.load(x, row_stride, job.tile_origin, job.tile_scale, buf.index + at, m, job.d, buf.panel)
        close = job.tiles.nearest(buf.panel, job.d, job.packed, job.K, job.keep, job.reach, job.norm, m, labels,
                                  NULL if lower == NULL else bounds)
        for n in range(m):
            r = buf.index[at + n]
            new[r] = labels[n]
            buf.close[n_close] = r
            n_close += (close >> n) & 1
        if lower != NULL:
            for n in range(m):
                lower[buf.index[at + n]] = bounds[n]
        at += m
    for n in range(at, count):
        buf.close[n_close] = buf.index[n]
        n_close += 1
    _settle(job, buf, x, row_stride, row, n_close)
    for n in range(count):
        moved += buf.old[n] != new[buf.index[n]]
    if job.collects:
        if job.weight != NULL:
            weight = job.weight + row
        job.rows.sums(x, row_stride, job.origin, rows, job.d, weight, new, buf.sums,
                      buf.sums + <Py_ssize_t> job.K * job.d)
    buf.sums[job.n_sums - 3] = moved
    buf.sums[job.n_sums - 2] = count
    buf.sums[job.n_sums - 1] = n_close


cdef void _write_all(
    Job *job, Buffers *buf,
    const char *x,                 # IN  the chunk as the user's array holds it
    Py_ssize_t row,                # IN  its first row
    int rows,                      # IN
) noexcept nogil:
    cdef int panel = job.doubles.rows, at = 0, m, n, k
    cdef Py_ssize_t step = job.row_stride * (4 if job.is_float else 8)
    cdef double *to
    while at < rows:
        m = min(panel, rows - at)
        _all_squares(job, buf, x + at * step, job.is_float, job.row_stride, job.column_stride, NULL, m)
        for n in range(m):
            to = job.out + (row + at + n) * job.K
            for k in range(job.K):
                to[k] = buf.squares[k * <Py_ssize_t> panel + n]
        at += m


cdef void _chunk(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef const char *x = job.x + row * job.row_stride * (4 if job.is_float else 8)
    cdef Py_ssize_t row_stride = job.row_stride
    if job.mode == ALL:
        _write_all(job, buf, x, row, rows)
        return
    if job.is_staged:
        if job.rows == job.doubles:
            _copy[double](x, job.is_float, row_stride, job.column_stride, NULL, rows, job.d, <double *> buf.stage)
        else:
            _copy[float](x, job.is_float, row_stride, job.column_stride, NULL, rows, job.d, <float *> buf.stage)
        x = buf.stage
        row_stride = job.d
    if job.mode == OWN:
        job.rows.own(x, row_stride, job.origin, job.inv_scale, rows, job.d, job.centers, job.given + row,
                     job.out + row)
    else:
        _assign(job, buf, x, row_stride, row, rows)


cdef void _worker(Job *job) noexcept nogil:
    cdef Buffers buf
    cdef Py_ssize_t chunk, row
    cdef size_t i
    if not _allocate(job, &buf):
        job.failed = 1
        return
    while not job.failed:
        chunk = take_ticket(&job.ticket)
        if chunk >= job.last_chunk:
            break
        memset(buf.sums, 0, job.n_sums * sizeof(double))
        row = chunk * job.chunk_rows
        _chunk(job, &buf, row, <int> min(job.chunk_rows, job.n - row))
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
    job.chunk_rows = <Py_ssize_t> min(<double> min(CHUNK_ROWS, CHUNK_BYTES // (job.rows.itemsize * job.d)), 5e7 / work)
    job.chunk_rows = max(panel, job.chunk_rows // panel * panel)
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
