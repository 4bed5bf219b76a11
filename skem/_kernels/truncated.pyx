"""A pass whose rows spread over a few components each: the truncated E-step and its statistics.

Every row keeps a set of L components. A pass scores that set and a window of all components, which moves on from
pass to pass, and keeps the L best: under the same parameters the row's sum over its set can only grow, and the
parameters' update raises it again (Luecke & Forster 2019). The window is scanned in float precision, by dense tiles;
what looks better than the set is scored again in double. So a pass costs n (L + window), whatever the number of
components. Chunks of rows are shared out and committed as in `passes`, so that the sums have the same bits for any
number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel
from libc.math cimport INFINITY, fabs, fmax
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from skem._kernels.parts import n_linear_features
from skem._kernels.passes import FEATURE_MAPS, max_threads

cimport skem._kernels._rows as rw
cimport skem._kernels._tiles as tl

cdef const tl.tile_set *tiles = tl.select_tiles()
cdef const rw.row_set *kernels = rw.select_rows()

cdef enum:
    # rows of a block, a multiple of what the tiles take at once; many, since scoring and summing each walk through an
    # array that fills a good part of the second-level cache
    B = 256
    LINEAR = 0
    FULL = 1
    DIAG = 2
    NONE = 3


# components that are scanned side by side
tile_components = 4 * kernels.width


cdef struct Part:
    int kind, map, m, M            # m features, M padded; unused where the kind is not LINEAR
    const double *mean             # (K, D)
    const double *factor           # (K, M) weights, (K, D) diagonals, or (K, d, D) columns of triangles
    size_t step                    # length of a triangle, 0 where all share one
    const float *packed            # (tiles, m, tile_components)
    const float *offset            # (tiles, tile_components)

cdef struct Job:
    Py_ssize_t n, chunk_rows, last_chunk
    int d, D, K, L, is_float, fresh, hard
    int first, window              # tiles of components to scan, from `first` on and around the end
    const char *x
    Py_ssize_t row_stride, column_stride
    const double *origin
    const double *inv_scale
    const double *weight
    const double *offset           # (K)
    const int32_t *labels_in
    int32_t *labels
    int32_t *sets                  # (n, L)
    Part scorer, collector
    size_t sums_k, sums_size
    double *total                  # score, moved, n_k (K), sums (K, sums_k)
    long ticket, turn
    int failed

cdef struct Buffers:
    double *all
    double *x                      # (B, D)
    double *t                      # (B, M) of the scorer
    double *u                      # (B, M) of the collector
    double *s                      # (max(L, 4), B)
    double *exact                  # (K): scores of the candidates
    double *w
    double *lse
    double *index
    double *spare                  # (L, W)
    double *z
    double *sums
    float *t32                     # (B, m)
    float *kept                    # (B, L)
    float *bound                   # (B): least of those kept
    int32_t *found                 # (B, L)
    int32_t *slot                  # (B): its place
    int32_t *candidates            # (K)


cdef inline size_t _aligned(size_t n) noexcept nogil:
    return (n + 7) & ~<size_t>7


cdef int _allocate(const Job *job, Buffers *buf) noexcept nogil:
    """Buffers of one thread in one allocation, floats and integers counted as doubles."""
    cdef size_t sizes[16]
    cdef size_t total = 8
    cdef double *places[16]
    cdef int i
    sizes[0] = <size_t> B * job.D
    sizes[1] = <size_t> B * job.scorer.M
    sizes[2] = <size_t> B * job.collector.M
    sizes[3] = <size_t> B * max(job.L, 4)
    sizes[4] = sizes[15] = job.K
    sizes[5] = sizes[6] = sizes[7] = sizes[12] = sizes[14] = B
    sizes[8] = <size_t> job.L * tiles.width
    sizes[9] = job.D
    sizes[10] = <size_t> B * job.scorer.m
    sizes[11] = sizes[13] = <size_t> B * job.L
    for i in range(16):
        total += _aligned(sizes[i])
    buf.all = <double *> calloc(total + _aligned(job.sums_size), sizeof(double))
    if buf.all == NULL:
        return 0
    places[0] = <double *> ((<size_t> buf.all + 63) & ~<size_t>63)
    for i in range(15):
        places[i + 1] = places[i] + _aligned(sizes[i])
    buf.x, buf.t, buf.u, buf.s, buf.exact = places[0], places[1], places[2], places[3], places[4]
    buf.w, buf.lse, buf.index, buf.spare, buf.z = places[5], places[6], places[7], places[8], places[9]
    buf.t32, buf.kept, buf.bound = <float *> places[10], <float *> places[11], <float *> places[12]
    buf.found, buf.slot, buf.candidates = <int32_t *> places[13], <int32_t *> places[14], <int32_t *> places[15]
    buf.sums = places[15] + _aligned(sizes[15])
    return 1


cdef void _load(const Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Rows and their features, in internal coordinates and side by side."""
    cdef int n, j, i
    cdef Py_ssize_t at
    cdef double value
    cdef double *x
    for n in range(rows):
        x = buf.x + n * job.D
        for j in range(job.d):
            at = (row + n) * job.row_stride + j * job.column_stride
            value = (<const float *> job.x)[at] if job.is_float else (<const double *> job.x)[at]
            x[j] = (value - job.origin[j]) * job.inv_scale[j]
        if job.scorer.kind == LINEAR:
            kernels.row_features(job.scorer.map, x, job.d, job.scorer.m, buf.t + n * job.scorer.M)
            if job.window:
                for i in range(job.scorer.m):
                    buf.t32[n * job.scorer.m + i] = <float> buf.t[n * job.scorer.M + i]
        if job.collector.kind == LINEAR:
            kernels.row_features(job.collector.map, x, job.d, job.collector.m, buf.u + n * job.collector.M)
    for n in range(B):
        buf.w[n] = 0.0 if n >= rows else (1.0 if job.weight == NULL else job.weight[row + n])


cdef inline void _score(
    const Job *job, Buffers *buf, int n,
    const int32_t *candidates,     # IN  (count)
    int count,
    double *s, int stride,         # OUT
) noexcept nogil:
    cdef const Part *part = &job.scorer
    if part.kind == LINEAR:
        kernels.set_linear(buf.t + n * part.M, part.M, part.factor, job.offset, candidates, count, s, stride)
    elif part.kind == DIAG:
        kernels.set_diag(buf.x + n * job.D, job.D, part.mean, part.factor, job.offset, candidates, count, s, stride)
    else:
        kernels.set_full(buf.x + n * job.D, job.d, job.D, part.mean, part.factor, part.step, job.offset, candidates,
                         count, s, stride, buf.z)


cdef inline int _has(const int32_t *members, int count, int k) noexcept nogil:
    cdef int j, found = 0
    for j in range(count):
        found |= members[j] == k
    return found


cdef void _scan(const Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Which components of the window look better than the rows' sets: in `found`, -1 where there is none."""
    cdef int tile = 4 * kernels.width, n_tiles = (job.K + tile - 1) // tile, L = job.L, m = job.scorer.m
    cdef int i, g, n, j
    cdef float *kept
    for n in range(rows):
        kept = buf.kept + n * L
        buf.slot[n] = 0
        for j in range(L):
            buf.found[n * L + j] = -1
            kept[j] = -INFINITY if job.fresh else <float> buf.s[j * B + n]
            if kept[j] < kept[buf.slot[n]]:
                buf.slot[n] = j
        buf.bound[n] = kept[buf.slot[n]]
    for i in range(job.window):
        g = (job.first + i) % n_tiles
        for n in range(0, rows, 4):
            kernels.scan(buf.t32 + n * m, m, job.scorer.packed + <size_t> g * m * tile, job.scorer.offset + g * tile,
                         g * tile, job.K, min(4, rows - n), NULL if job.fresh else job.sets + (row + n) * L, L,
                         buf.kept + n * L, buf.found + n * L, buf.slot + n, buf.bound + n)


cdef int _candidates(const Job *job, Buffers *buf, Py_ssize_t row, int n) noexcept nogil:
    """Components worth an exact score for one row: what the scan found, or without one the window itself."""
    cdef int count = 0, j, k, tile = 4 * kernels.width, n_tiles = (job.K + tile - 1) // tile, L = job.L
    if job.scorer.kind == LINEAR:
        for j in range(L):
            if buf.found[n * L + j] >= 0:
                buf.candidates[count] = buf.found[n * L + j]
                count += 1
        if not job.fresh or count == L:
            return count
        # an outlier whose features leave float's range: it must see every component in double
        count = 0
        for k in range(job.K):
            buf.candidates[k] = k
        return job.K
    for j in range(job.window):
        for k in range((job.first + j) % n_tiles * tile, min((job.first + j) % n_tiles * tile + tile, job.K)):
            if job.fresh or not _has(job.sets + (row + n) * L, L, k):
                buf.candidates[count] = k
                count += 1
    return count


cdef void _merge(const Job *job, Buffers *buf, Py_ssize_t row, int n, int count) noexcept nogil:
    """Keep the L best of a row's set and its candidates."""
    cdef int32_t *members = job.sets + (row + n) * job.L
    cdef int c = 0, j, slot
    _score(job, buf, n, buf.candidates, count, buf.exact, 1)
    if job.fresh:
        for j in range(job.L):
            members[j] = buf.candidates[j]
            buf.s[j * B + n] = buf.exact[j]
        c = job.L
    if c == count:
        return
    slot = 0
    for j in range(1, job.L):
        if buf.s[j * B + n] < buf.s[slot * B + n]:
            slot = j
    while c < count:
        if buf.exact[c] > buf.s[slot * B + n]:
            members[slot] = buf.candidates[c]
            buf.s[slot * B + n] = buf.exact[c]
            slot = 0
            for j in range(1, job.L):
                if buf.s[j * B + n] < buf.s[slot * B + n]:
                    slot = j
        c += 1


cdef void _assign_hard(const Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Argmax over the set; a tie keeps the old label."""
    cdef int n, j, best, old
    cdef const int32_t *members
    tiles.best_score(buf.s, job.L, B, buf.lse, buf.index)
    for n in range(rows):
        members = job.sets + (row + n) * job.L
        best = <int> buf.index[n]
        old = job.labels_in[row + n] if job.labels_in != NULL else -1
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
            job.labels[row + n] = members[best]


cdef void _collect(const Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef const Part *part = &job.collector
    cdef double *sums = buf.sums + _aligned(2 + job.K)
    cdef const int32_t *members
    cdef const double *r
    cdef int n, j
    for n in range(rows):
        members = job.sets + (row + n) * job.L
        r = buf.s + n
        for j in range(job.L):
            buf.sums[2 + members[j]] += r[j * B]
        if part.kind == LINEAR:
            kernels.add_linear(buf.u + n * part.M, part.M, r, B, members, job.L, sums)
        elif part.kind == DIAG:
            kernels.add_diag(buf.x + n * job.D, job.D, part.mean, r, B, members, job.L, sums)
        else:
            kernels.add_full(buf.x + n * job.D, job.d, job.D, part.mean, r, B, members, job.L, sums, buf.z)


cdef void _run_block(const Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef int n, count
    _load(job, buf, row, rows)
    if job.scorer.kind == NONE:
        for n in range(rows):
            buf.s[n] = buf.w[n]
    else:
        if not job.fresh:
            for n in range(rows):
                _score(job, buf, n, job.sets + (row + n) * job.L, job.L, buf.s + n, B)
        if job.window:
            if job.scorer.kind == LINEAR:
                _scan(job, buf, row, rows)
            for n in range(rows):
                count = _candidates(job, buf, row, n)
                if count:
                    _merge(job, buf, row, n, count)
        if job.hard:
            _assign_hard(job, buf, row, rows)
        else:
            buf.sums[0] += tiles.assign_soft(buf.s, job.L, buf.w, B, buf.lse, buf.spare)
    _collect(job, buf, row, rows)


cdef void _worker(Job *job) noexcept nogil:
    cdef Buffers buf
    cdef Py_ssize_t chunk, row, last
    cdef size_t i
    if not _allocate(job, &buf):
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


def _pad(values, int length):
    """Values (K, width) with zeros up to `length` columns."""
    values = np.asarray(values, dtype=np.float64)
    padded = np.zeros((values.shape[0], length))
    padded[:, :values.shape[1]] = values
    return padded


def _pack(weights, offset):
    """Weights (K, m) and offsets (K,) in float, by tiles of components; those that pad the last are out of reach."""
    K, m = weights.shape
    n_tiles = (K + tile_components - 1) // tile_components
    packed = np.zeros((n_tiles * tile_components, m), dtype=np.float32)
    out_of_reach = np.full(n_tiles * tile_components, -1e37, dtype=np.float32)
    with np.errstate(over="ignore"):
        packed[:K] = weights
        out_of_reach[:K] = np.maximum(offset, -1e37)
    packed = np.ascontiguousarray(packed.reshape(n_tiles, tile_components, m).transpose(0, 2, 1))
    return packed, out_of_reach


cdef double *_address(array, list keep) except NULL:
    cdef double[::1] flat = array.reshape(-1)
    keep.append(flat)
    return &flat[0]


cdef float *_float_address(array, list keep) except NULL:
    cdef float[::1] flat = array.reshape(-1)
    keep.append(flat)
    return &flat[0]


cdef int _read_map(Part *part, spec, int d) except -1:
    part.kind = LINEAR
    part.map = FEATURE_MAPS[spec.feature_map]
    part.m = n_linear_features(spec, d)
    part.M = (part.m + kernels.width - 1) // kernels.width * kernels.width
    return 0


cdef int _read_scorer(Job *job, spec, offset, list keep) except -1:
    cdef Part *part = &job.scorer
    if spec is None:
        part.kind = NONE
        return 0
    if hasattr(spec, "feature_map"):
        _read_map(part, spec, job.d)
        if spec.weights.shape != (job.K, part.m):
            raise ValueError(f"natural parameters have shape {spec.weights.shape}, expected {(job.K, part.m)}")
        part.factor = _address(_pad(spec.weights, part.M), keep)
        if job.window:
            packed, packed_offset = _pack(spec.weights, offset)
            part.packed, part.offset = _float_address(packed, keep), _float_address(packed_offset, keep)
        return 0
    part.mean = _address(_pad(spec.mean, job.D), keep)
    factor = np.asarray(spec.factor, dtype=np.float64)
    if factor.ndim == 2:
        part.kind = DIAG
        part.factor = _address(_pad(factor, job.D), keep)
        return 0
    part.kind = FULL
    columns = np.zeros((factor.shape[0], job.d, job.D))
    columns[:, :, :job.d] = factor.transpose(0, 2, 1)
    part.factor = _address(columns, keep)
    part.step = <size_t> job.d * job.D if factor.shape[0] > 1 or job.K == 1 else 0
    return 0


cdef int _read_collector(Job *job, spec, list keep) except -1:
    cdef Part *part = &job.collector
    if hasattr(spec, "feature_map"):
        _read_map(part, spec, job.d)
        job.sums_k = part.M
        return 0
    part.kind = DIAG if spec.structure == "diag" else FULL
    part.mean = _address(_pad(spec.mean, job.D), keep)
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
    scorer, collector, int32_t[:, ::1] sets, *, bint fresh=False, int first_tile=0, int n_tiles=0, bint hard=False,
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
        The rows' components, each once; read, and written with the best that the pass has found.
    fresh : bool, default=False
        Whether `sets` are not yet written; the window must hold all components then.
    first_tile, n_tiles : int, default=0
        The window: tiles of `tile_components` components, counted around the end.
    hard : bool, default=False
        Whether a row goes to its best component alone.
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
    job.first, job.window = first_tile, min(n_tiles, all_tiles)
    if sets.shape[0] != job.n or not 1 <= job.L <= job.K:
        raise ValueError("sets must have the shape (n, n_active), with 1 <= n_active <= n_components")
    if fresh and job.window < all_tiles:
        raise ValueError("a fresh pass must see all components")
    if scorer is None and job.L != 1:
        raise ValueError("given components are one a row")
    _read_scorer(&job, scorer, np.asarray(log_weights), keep)
    _read_collector(&job, collector, keep)
    at = _aligned(2 + job.K)
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
        + job.window * tile_components * features * (0.5 if job.scorer.kind == LINEAR else 2.0)
    job.chunk_rows = <Py_ssize_t> min(65536.0, max(512.0, 16.0 * job.K * job.sums_k / work))
    job.chunk_rows = job.chunk_rows // B * B
    n_threads = min(n_threads or max_threads(), (job.n + job.chunk_rows - 1) // job.chunk_rows)
    if job.n * work < 2e6:
        n_threads = 1
    _run(&job, n_threads, max(n_threads, <Py_ssize_t> (n_threads * 2e8 / (work * job.chunk_rows))))
    return sums[0], int(sums[1]), sums[2:2 + job.K], [_unpack(sums[at:].reshape(job.K, -1), &job, collector)]
