"""A pass whose rows spread over a few components each: the truncated E-step and its statistics.

Every row keeps a set of L components. A pass scores that set and looks at others: a window of all components, which
moves on from pass to pass, and the components of the sets of rows alike, where rows come in the order of their best
components. The L best are kept: under the same parameters the row's sum over its set can only grow, and the
parameters' update raises it again (Luecke & Forster 2019). The search goes by scores in float precision, by dense
tiles; what looks better than the set is scored again in double. Chunks of rows are shared out and committed as in
`passes`, so that the sums have the same bits for any number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel
from libc.math cimport fabs, fmax
from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memset

from skem._kernels.layout import FEATURE_MAPS
from skem._kernels.parts import n_linear_features
from skem._kernels.passes import max_threads
from skem._kernels.scans import pack_tiles, pad_columns, scan_numbers, triangles_by_columns, window_components

cimport skem._kernels._rows as rw
cimport skem._kernels._tiles as tl
from skem._kernels._pairs cimport collect, list_pairs, row_at
from skem._kernels._search cimport call, load, search
from skem._kernels._sets cimport (
    DIAG, FULL, LINEAR, NONE, B, Buffers, Job, Part, Scan, aligned, allocate_buffers,
)
from skem._kernels.passes cimport tiles

cdef const rw.row_set *kernels = rw.select_rows()

# components that are scanned side by side
cdef int TILE = 4 * kernels.width
tile_components = TILE


cdef void _assign_hard(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    """Argmax over the set; a tie keeps the old label."""
    cdef int n, j, best, old
    cdef Py_ssize_t row
    cdef const int32_t *members
    for n in range(rows):
        row = row_at(job, first + n)
        members = job.sets + row * job.L
        best = <int> buf.index[n]
        old = job.labels_in[row] if job.labels_in != NULL else -1
        if old != members[best]:
            for j in range(job.L):
                if members[j] == old and buf.lse[n] - buf.s[j * B + n] <= 1e-12 * fmax(1.0, fabs(buf.lse[n])):
                    best = j
                    buf.lse[n] = buf.s[j * B + n]
                    break
            if old != members[best]:
                buf.sums[1] += 1.0
        buf.sums[0] += buf.w[n] * buf.lse[n]
        for j in range(job.L):
            buf.s[j * B + n] = 0.0
        buf.s[best * B + n] = buf.w[n]
        if job.labels != NULL:
            job.labels[row] = members[best]


cdef void _put_best_in_front(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    cdef int32_t *members
    cdef int n, best
    for n in range(rows):
        members = job.sets + row_at(job, first + n) * job.L
        best = <int> buf.index[n]
        members[0], members[best] = members[best], members[0]


cdef void _run_block(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    cdef int n
    if job.order != NULL:
        call(job, first + rows, <int> min(<Py_ssize_t> B, job.n - first - rows))
    load(job, buf, first, rows)
    if job.scorer.kind == NONE:
        for n in range(rows):
            buf.s[n] = buf.w[n]
        list_pairs(job, buf, first, rows)
    else:
        search(job, buf, first, rows)
        tiles.best_score(buf.s, job.L, B, buf.lse, buf.index)
        if job.hard:
            _assign_hard(job, buf, first, rows)
        else:
            buf.sums[0] += tiles.assign_soft(buf.s, job.L, buf.w, B, buf.lse, buf.spare)
    collect(job, buf)
    if job.scorer.kind != NONE:
        _put_best_in_front(job, buf, first, rows)


cdef void _worker(Job *job) noexcept nogil:
    cdef Buffers buf
    cdef Py_ssize_t chunk, row, last
    cdef size_t i
    if not allocate_buffers(job, &buf, tiles.width):
        job.failed = 1
        return
    while True:
        chunk = tl.take_ticket(&job.ticket)
        if chunk >= job.last_chunk:
            break
        memset(buf.sums, 0, job.sums_size * sizeof(double))
        row = chunk * job.chunk_rows
        last = min(row + job.chunk_rows, job.n)
        while row < last:
            _run_block(job, &buf, row, <int> min(<Py_ssize_t> B, last - row))
            row += B
        tl.wait_turn(&job.turn, chunk)
        for i in range(job.sums_size):
            job.total[i] += buf.sums[i]
        tl.pass_turn(&job.turn)
    free(buf.all)


cdef _run(Job *job, int n_threads, Py_ssize_t slice_chunks):
    """Walk the chunks in slices, answering signals between them."""
    cdef Py_ssize_t n_chunks = (job.n + job.chunk_rows - 1) // job.chunk_rows
    job.turn = 0
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


cdef double *_address(array, list keep) except NULL:
    cdef double[::1] flat = array.reshape(-1)
    keep.append(flat)
    return &flat[0]


cdef const float *_float_address(array, list keep) except NULL:
    cdef const float[::1] flat = array.reshape(-1)
    keep.append(flat)
    return &flat[0]


cdef int _read_map(Part *part, spec, int d) except -1:
    part.kind = LINEAR
    part.map = FEATURE_MAPS[spec.feature_map]
    part.m = n_linear_features(spec, d)
    part.M = (part.m + kernels.width - 1) // kernels.width * kernels.width
    return 0


cdef int _read_scorer(Job *job, spec, list keep) except -1:
    cdef Part *part = &job.scorer
    if spec is None:
        part.kind = NONE
        return 0
    if hasattr(spec, "feature_map"):
        _read_map(part, spec, job.d)
        if spec.weights.shape != (job.K, part.m):
            raise ValueError(f"natural parameters have shape {spec.weights.shape}, expected {(job.K, part.m)}")
        part.factor = _address(pad_columns(spec.weights, part.M), keep)
        return 0
    part.mean = _address(pad_columns(spec.mean, job.D), keep)
    factor = np.asarray(spec.factor, dtype=np.float64)
    if factor.ndim == 2:
        part.kind = DIAG
        part.factor = _address(pad_columns(factor, job.D), keep)
        return 0
    part.kind = FULL
    part.factor = _address(triangles_by_columns(factor, job.D), keep)
    part.step = <size_t> job.d * job.D if factor.shape[0] > 1 or job.K == 1 else 0
    return 0


cdef int _read_scan(Job *job, spec, offset, int first, int n_tiles, list keep) except -1:
    cdef Scan *scan = &job.scan
    cdef int32_t[::1] window
    if spec is None or not (n_tiles or scan.near):
        scan.near = 0
        return 0
    numbers = scan_numbers(spec)
    packed, packed_offset = pack_tiles(numbers, offset, TILE)
    scan.row = job.scorer.m if job.scorer.kind == LINEAR else job.d
    scan.size = numbers.shape[1]
    scan.numbers, scan.packed = _float_address(numbers, keep), _float_address(packed, keep)
    scan.offset = _float_address(packed_offset, keep)
    scan.first, scan.n_tiles, scan.n_window = first, n_tiles, n_tiles * TILE
    scan.stride = scan.n_window + scan.near + TILE
    if n_tiles:
        window = window_components(first, n_tiles, job.K, TILE)
        keep.append(window)
        scan.window = &window[0]
    return 0


cdef int _read_collector(Job *job, spec, list keep) except -1:
    cdef Part *part = &job.collector
    if hasattr(spec, "feature_map"):
        _read_map(part, spec, job.d)
        job.sums_k = part.M
        return 0
    part.kind = DIAG if spec.structure == "diag" else FULL
    part.mean = _address(pad_columns(spec.mean, job.D), keep)
    job.sums_k = 2 * job.D if part.kind == DIAG else <size_t> (job.d + 1) * job.D
    return 0


cdef _unpack(sums, const Job *job, spec):
    """Sums of the collector without their padding, as `run_pass` returns them."""
    cdef int d = job.d
    if job.collector.kind == LINEAR:
        return {"features": np.ascontiguousarray(sums[:, :job.collector.m])}
    sums = sums.reshape(job.K, -1, job.D)[:, :, :d]
    if job.collector.kind == DIAG:
        features = sums.reshape(job.K, -1)
    else:
        rows, columns = np.tril_indices(d)
        features = np.hstack([sums[:, 0], sums[:, 1:][:, rows, columns]])
    return {"features": np.ascontiguousarray(features), "mean": spec.mean}


def run_truncated(
    X, const double[::1] origin, const double[::1] scale, int n_components, const double[::1] log_weights,
    scorer, collector, int32_t[:, ::1] sets, *, bint fresh=False, int first_tile=0, int n_tiles=0, int near=0,
    int every=1, int due=0, bint hard=False, const int32_t[::1] order=None,
    const double[::1] sample_weight=None, const int32_t[::1] labels_in=None, int32_t[::1] labels=None,
    int n_threads=0,
):
    """Run one truncated pass over the rows of X.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64, any strides
        Rows in user's units; (x - origin) / scale is what the parts see.
    origin, scale : ndarray of shape (d,)
    n_components : int
    log_weights : ndarray of shape (n_components,)
        Every score starts here.
    scorer : Linear, Centred or None
        None scores no data: `sets` of shape (n, 1) hold the rows' own components.
    collector : Linear or Centred
    sets : int32 ndarray of shape (n, n_active), n_active <= n_components
        The rows' components, each once; read, and written with the best that the pass has found, the best first.
    fresh : bool, default=False
        Whether `sets` are not yet written; the window must hold all components then.
    first_tile, n_tiles : int, default=0
        The window: tiles of `tile_components` components, counted around the end.
    near : int, default=0
        Rows look at as many components of the sets of rows that come before and after them, too, about.
    every, due : int, default=1, 0
        Rows look at others whose best component, modulo `every`, is `due`; the rest score their sets alone.
    hard : bool, default=False
        Whether a row goes to its best component alone.
    order : int32 ndarray of shape (n,), default=None
        The rows in the order in which to take them; by their best components is best.
    sample_weight : ndarray of shape (n,), default=None
    labels_in, labels : int32 ndarray of shape (n,), default=None
        Of a hard pass: old labels, kept on ties, -1 where there is none; and the new ones.
    n_threads : int, default=0
        0 lets OpenMP decide.

    Returns
    -------
    score, moved, n_k, sums
        As `skem._kernels.passes.run_pass` returns them.
    """
    cdef Job job
    cdef list keep = []
    cdef int all_tiles = (n_components + tile_components - 1) // tile_components
    cdef double work, features
    cdef double[::1] total, inv_scale
    cdef const float[:, :] xf
    cdef const double[:, :] xd
    memset(&job, 0, sizeof(Job))
    job.n, job.d = X.shape
    job.D = (job.d + kernels.width - 1) // kernels.width * kernels.width
    job.K, job.L, job.fresh, job.hard = n_components, sets.shape[1], fresh, hard
    job.scan.near = 0 if fresh else (near + TILE - 1) // TILE * TILE
    job.tile, job.every, job.due, job.kernels = TILE, every, due, kernels
    n_tiles = min(n_tiles, all_tiles)
    if sets.shape[0] != job.n or not 1 <= job.L <= job.K:
        raise ValueError("sets must have the shape (n, n_active), with 1 <= n_active <= n_components")
    if fresh and n_tiles < all_tiles:
        raise ValueError("a fresh pass must see all components")
    if not 0 <= due < (1 if fresh else every):
        raise ValueError("due must be a remainder modulo every, and all rows of a fresh pass must look")
    if scorer is None and job.L != 1:
        raise ValueError("given components are one a row")
    if order is not None and order.shape[0] != job.n:
        raise ValueError("order needs every row once")
    _read_scorer(&job, scorer, keep)
    _read_scan(&job, scorer, np.asarray(log_weights), first_tile, n_tiles, keep)
    _read_collector(&job, collector, keep)
    at = aligned(2 + job.K)
    job.sums_size = at + job.K * job.sums_k
    sums = np.zeros(job.sums_size)
    total = sums
    job.total = &total[0]
    if X.dtype == np.float32:
        job.is_float = 1
        xf = X
        job.x = <const char *> &xf[0, 0]
        job.row_stride, job.column_stride = xf.strides[0] // 4, xf.strides[1] // 4
    else:
        xd = X
        job.x = <const char *> &xd[0, 0]
        job.row_stride, job.column_stride = xd.strides[0] // 8, xd.strides[1] // 8
    inv_scale = 1.0 / np.asarray(scale)
    job.origin, job.inv_scale, job.offset = &origin[0], &inv_scale[0], &log_weights[0]
    job.sets = &sets[0, 0]
    if order is not None:
        job.order = &order[0]
    if sample_weight is not None:
        job.weight = &sample_weight[0]
    if labels_in is not None:
        job.labels_in = &labels_in[0]
    if labels is not None:
        job.labels = &labels[0]

    # The sums of a chunk fill K sums_k numbers: it has rows enough for that to be little beside their own work. Its
    # size depends on the work alone, never on the threads, for the sums to have the same bits.
    features = job.scorer.m if job.scorer.kind == LINEAR else job.d * (job.d if job.scorer.kind == FULL else 3)
    work = job.L * (20.0 + 4.0 * features + 4.0 * (1 if hard else job.sums_k)) \
        + (job.scan.n_window + job.scan.near) * job.scan.size * 0.2 / every
    job.chunk_rows = <Py_ssize_t> min(65536.0, max(512.0, 256.0 * job.K * job.sums_k / work))
    job.chunk_rows = job.chunk_rows // B * B
    n_threads = min(n_threads or max_threads(), (job.n + job.chunk_rows - 1) // job.chunk_rows)
    if job.n * work < 2e6:
        n_threads = 1
    _run(&job, n_threads, max(n_threads, <Py_ssize_t> (n_threads * 2e8 / (work * job.chunk_rows))))
    return sums[0], int(sums[1]), sums[2:2 + job.K], [_unpack(sums[at:].reshape(job.K, -1), &job, collector)]
