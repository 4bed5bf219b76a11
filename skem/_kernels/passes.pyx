"""One pass over the rows: scores, assignment and statistics, block by block.

A pass is a list of scorers that add into one (components x rows) block, one assignment, and a list of
collectors that sum the statistics. Responsibilities live for one block. Chunks of rows are shared out to the
threads by a ticket and committed in their order, so that the sums have the same bits for any number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from cython.parallel cimport parallel
from libc.stdlib cimport calloc, free, malloc
from libc.math cimport fabs, fmax
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from skem._kernels cimport _tiles as tl
from skem._kernels._openmp cimport SKEM_OPENMP, omp_get_max_threads, omp_get_num_procs

cdef enum:
    MAX_PARTS = 64
    CHUNK_ROWS = 2048     # rows between two commits, where the work per row is light
    SOFT = 0
    HARD = 1
    DRAW = 2
    LINEAR = 0
    FULL = 1
    DIAG = 2
    WIDE = 3              # full scatter with the columns in vector lanes
    WIDE_FROM = 32        # ... from this many columns

cdef const tl.tile_set *tiles = tl.select_tiles()

simd_width = tiles.width
has_openmp = bool(SKEM_OPENMP)

ASSIGNMENTS = {"soft": SOFT, "hard": HARD, "draw": DRAW}
FEATURE_MAPS = {"x": tl.MAP_IDENTITY, "x_squares": tl.MAP_SQUARES, "x_norm": tl.MAP_NORM, "x_pairs": tl.MAP_PAIRS}

_thread_cap = 0


def set_thread_cap(int cap):
    """Hold every later pass at `cap` threads; 0 lifts it (a forked child must stay at one)."""
    global _thread_cap
    _thread_cap = cap


def max_threads():
    """Number of threads a pass may use: OMP_NUM_THREADS and threadpoolctl decide."""
    cdef int n = min(omp_get_max_threads(), 4 * omp_get_num_procs())
    return max(1, min(n, _thread_cap) if _thread_cap else n)


cdef struct Features:
    int map, column, d, m          # m features of the d columns from `column`
    size_t at                      # place in the feature buffer; unused for the identity

cdef struct Scorer:
    int kind, features, column, d
    const double *mean
    const double *factor           # packed weights, packed triangles or (K, d)
    size_t stride

cdef struct Collector:
    int kind, features, column, d, width   # width: columns or features padded for the tiles
    const double *mean
    size_t table, table_k          # place in the table of vectors, and length a component
    size_t sums, sums_k            # place in the flat sums, and length a component

cdef struct Job:
    Py_ssize_t n, chunk_rows, last_chunk
    int d, K, KP, B, assign, is_float, n_features, n_scorers, n_collectors, wide
    const char *x
    Py_ssize_t row_stride, column_stride
    const double *origin
    const double *inv_scale
    const double *weight
    const double *log_weights
    const double *log_prior        # (n, K) or NULL
    const int32_t *codes           # the only component allowed to a row, -1 for any; or NULL
    const int32_t *labels_in
    const double *uniforms
    const Py_ssize_t *uniform_start
    int32_t *labels
    double *lse
    double *resp
    double *scores
    Features features[MAX_PARTS]
    Scorer scorers[MAX_PARTS]
    Collector collectors[MAX_PARTS]
    size_t feature_rows, table_size, sums_size, z_size
    double *total
    long ticket, turn
    int failed

cdef struct Buffers:
    double *all                    # the one allocation behind the rest
    double *x                      # (d + 4, B)
    double *features
    double *s                      # (KP, B): scores, then weighted responsibilities
    double *w
    double *lse
    double *index
    double *z
    double *rz
    double *xr                     # (B, width) row-major for wide collectors, twice: all rows, one component's
    double *table
    double *sums
    int *order                     # rows of the block sorted by label
    int *start


cdef size_t _align(size_t n) noexcept nogil:
    return (n + 7) & ~<size_t>7


cdef int _allocate(Job *job, Buffers *buf) noexcept nogil:
    cdef size_t B = job.B
    cdef size_t sizes[11]
    cdef size_t total = 8, i
    cdef double *p
    sizes[0] = _align((job.d + 4) * B)
    sizes[1] = _align(job.feature_rows * B)
    sizes[2] = _align(job.KP * B)
    sizes[3] = B
    sizes[4] = B
    sizes[5] = B
    sizes[6] = _align(job.z_size)
    sizes[7] = _align(job.z_size)
    sizes[8] = _align(2 * job.wide * B)
    sizes[9] = _align(job.table_size)
    sizes[10] = _align(job.sums_size)
    for i in range(11):
        total += sizes[i]
    buf.all = <double *> calloc(total, sizeof(double))
    buf.order = <int *> malloc((B + job.KP + 1) * sizeof(int))
    if buf.all == NULL or buf.order == NULL:
        free(buf.all)
        free(buf.order)
        return 0
    buf.start = buf.order + B
    p = <double *> ((<size_t> buf.all + 63) & ~<size_t>63)
    buf.x = p
    buf.features = buf.x + sizes[0]
    buf.s = buf.features + sizes[1]
    buf.w = buf.s + sizes[2]
    buf.lse = buf.w + sizes[3]
    buf.index = buf.lse + sizes[4]
    buf.z = buf.index + sizes[5]
    buf.rz = buf.z + sizes[6]
    buf.xr = buf.rz + sizes[7]
    buf.table = buf.xr + sizes[8]
    buf.sums = buf.table + sizes[9]
    return 1


cdef void _load(
    const floating *x,         # IN  first row of the block
    Py_ssize_t row_stride,     # IN  in elements
    Py_ssize_t column_stride,  # IN
    const double *origin,      # IN  (d)
    const double *inv_scale,   # IN  (d)
    int rows, int d, int B,
    double *out,               # OUT (d, B); rows beyond `rows` become the origin
) noexcept nogil:
    cdef int n, j
    cdef double o, s
    cdef double *to
    cdef const floating *p
    for j in range(d):
        o = origin[j]
        s = inv_scale[j]
        to = out + <size_t> j * B
        p = x + j * column_stride
        for n in range(rows):
            to[n] = (<double> p[n * row_stride] - o) * s
        for n in range(rows, B):
            to[n] = 0.0


cdef void _start_scores(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Log weights and whatever each row is known to prefer."""
    cdef int k, n, B = job.B
    cdef double *s
    for k in range(job.K):
        s = buf.s + <size_t> k * B
        for n in range(B):
            s[n] = job.log_weights[k]
        if job.log_prior != NULL:
            for n in range(rows):
                s[n] += job.log_prior[(row + n) * job.K + k]
        if job.codes != NULL:
            for n in range(rows):
                if job.codes[row + n] >= 0 and job.codes[row + n] != k:
                    s[n] = -1e300
    memset(buf.s + <size_t> job.K * B, 0, <size_t> (job.KP - job.K) * B * sizeof(double))


cdef void _assign_hard(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Argmax; a tie keeps the old label, so that a finished fit stays put."""
    cdef int B = job.B, n, k, old, W = tiles.width
    cdef double best, kept
    cdef double *s = buf.s
    cdef double *n_k = buf.table
    tiles.best_score(s, job.K, B, buf.lse, buf.index)
    for k in range(job.KP + 1):
        buf.start[k] = 0
    for n in range(rows):
        k = <int> buf.index[n]
        if job.labels_in != NULL:
            old = job.labels_in[row + n]
            if old >= 0 and old != k:
                best = buf.lse[n]
                kept = s[<size_t> old * B + n]
                if best - kept <= 1e-12 * fmax(1.0, fabs(best)):
                    k = old
                    buf.lse[n] = kept
                    buf.index[n] = k
                else:
                    buf.sums[1] += 1.0
            elif old < 0:
                buf.sums[1] += 1.0
        buf.start[k + 1] += 1
        buf.sums[0] += buf.w[n] * buf.lse[n]
        n_k[k * W] += buf.w[n]
    for k in range(job.KP):
        buf.start[k + 1] += buf.start[k]
    memset(s, 0, <size_t> job.KP * B * sizeof(double))
    for n in range(rows):
        k = <int> buf.index[n]
        s[<size_t> k * B + n] = buf.w[n]
        buf.order[buf.start[k]] = n
        buf.start[k] += 1
    for k in range(job.KP, 0, -1):      # filling moved each start to its end
        buf.start[k] = buf.start[k - 1]
    buf.start[0] = 0


cdef void _assign_draw(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """A component by inverse CDF for every unit of weight, with the caller's uniforms."""
    cdef int B = job.B, n, k, W = tiles.width
    cdef double u, total
    cdef double *s = buf.s
    cdef double *n_k = buf.table
    cdef Py_ssize_t t
    for n in range(rows):
        total = 0.0
        for k in range(job.K):           # cumulative responsibilities, scaled to end at one
            total += s[<size_t> k * B + n]
            s[<size_t> k * B + n] = total
        for t in range(job.uniform_start[row + n], job.uniform_start[row + n + 1]):
            u = job.uniforms[t] * total
            k = 0
            while k < job.K - 1 and s[<size_t> k * B + n] <= u:
                k += 1
            buf.index[n] = k
            n_k[k * W] += 1.0
            buf.z[<size_t> k * B + n] += 1.0
    memcpy(s, buf.z, <size_t> job.KP * B * sizeof(double))


cdef void _collect(Job *job, Buffers *buf, Collector *c, int rows) noexcept nogil:
    cdef int B = job.B, W = tiles.width, K = job.K, k, j, t, count, padded
    cdef const double *x
    cdef const double *f
    cdef const double *r
    cdef double *table = buf.table + c.table
    cdef double *at
    cdef double *gathered = buf.xr + <size_t> job.wide * B
    cdef int *members
    if c.kind == LINEAR:
        f = buf.x + <size_t> c.column * B
        if job.features[c.features].map != tl.MAP_IDENTITY:
            f = buf.features + job.features[c.features].at * B
        tiles.linear_sums(f, c.width, buf.s, job.KP, table, B)
        return
    x = buf.x + <size_t> c.column * B
    if c.kind == WIDE:
        for j in range(c.d):
            for t in range(rows):
                buf.xr[<size_t> t * c.width + j] = x[<size_t> j * B + t]
    for k in range(K):
        at = table + k * c.table_k
        r = buf.s + <size_t> k * B
        count = rows
        if job.assign == HARD:
            # one component a row: gather its members, so that a hard pass costs 1 / K of a soft one
            members = buf.order + buf.start[k]
            count = buf.start[k + 1] - buf.start[k]
            if count == 0:
                continue
        if c.kind == WIDE:
            if job.assign == HARD:
                for t in range(count):
                    buf.lse[t] = r[members[t]]
                    memcpy(gathered + <size_t> t * c.width, buf.xr + <size_t> members[t] * c.width,
                           c.width * sizeof(double))
                tiles.wide_sums(gathered, count, c.width, c.mean + k * c.width, buf.lse,
                                buf.z, buf.rz, at, at + c.width)
            else:
                tiles.wide_sums(buf.xr, count, c.width, c.mean + k * c.width, r, buf.z, buf.rz, at, at + c.width)
            continue
        padded = B
        if job.assign == HARD:
            padded = (count + W - 1) // W * W
            for j in range(c.width):
                for t in range(padded):
                    if j < c.d and t < count:
                        buf.z[j * padded + t] = x[<size_t> j * B + members[t]] - c.mean[k * c.d + j]
                        buf.rz[j * padded + t] = buf.z[j * padded + t] * r[members[t]]
                    else:
                        buf.z[j * padded + t] = 0.0
                        buf.rz[j * padded + t] = 0.0
        else:
            memset(buf.z + <size_t> c.d * B, 0, <size_t> (c.width - c.d) * B * sizeof(double))
            memset(buf.rz + <size_t> c.d * B, 0, <size_t> (c.width - c.d) * B * sizeof(double))
            tiles.centre(x, c.d, c.mean + k * c.d, r, B, buf.z, buf.rz)
        tiles.first_sums(buf.rz, c.width, at, padded)
        if c.kind == FULL:
            tiles.full_sums(buf.z, buf.rz, c.width, at + c.width * W, padded)
        else:
            tiles.diag_sums(buf.z, buf.rz, c.width, at + c.width * W, padded)


cdef void _run_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef int B = job.B, i, n, k
    cdef const double *f
    cdef Scorer *sc
    cdef Features *fm
    if job.is_float:
        _load(<const float *> job.x + row * job.row_stride, job.row_stride, job.column_stride,
              job.origin, job.inv_scale, rows, job.d, B, buf.x)
    else:
        _load(<const double *> job.x + row * job.row_stride, job.row_stride, job.column_stride,
              job.origin, job.inv_scale, rows, job.d, B, buf.x)
    for n in range(B):
        buf.w[n] = 0.0 if n >= rows else (1.0 if job.weight == NULL else job.weight[row + n])
    for i in range(job.n_features):
        fm = &job.features[i]
        if fm.map != tl.MAP_IDENTITY:
            tiles.features(fm.map, buf.x + <size_t> fm.column * B, fm.d, buf.features + fm.at * B, B)
    _start_scores(job, buf, row, rows)
    for i in range(job.n_scorers):
        sc = &job.scorers[i]
        if sc.kind == LINEAR:
            fm = &job.features[sc.features]
            f = buf.x + <size_t> sc.column * B
            if fm.map != tl.MAP_IDENTITY:
                f = buf.features + fm.at * B
            tiles.linear_scores(f, fm.m, sc.factor, job.KP, buf.s, B)
        elif sc.kind == FULL:
            tiles.full_scores(buf.x + <size_t> sc.column * B, sc.d, sc.mean, sc.factor, sc.stride, job.K,
                              buf.s, B, buf.z)
        else:
            tiles.diag_scores(buf.x + <size_t> sc.column * B, sc.d, sc.mean, sc.factor, job.K, buf.s, B)
    if job.scores != NULL:
        for n in range(rows):
            for k in range(job.K):
                job.scores[(row + n) * job.K + k] = buf.s[<size_t> k * B + n]
    if job.assign == HARD:
        _assign_hard(job, buf, row, rows)
    else:
        if job.assign == DRAW:
            memset(buf.z, 0, <size_t> job.KP * B * sizeof(double))
        elif job.labels != NULL:
            tiles.best_score(buf.s, job.K, B, buf.lse, buf.index)
        # a draw counts its own n_k: the soft ones go to a spare place
        buf.sums[0] += tiles.assign_soft(buf.s, job.K, buf.w, B, buf.lse,
                                         buf.table if job.assign == SOFT else buf.rz)
        if job.resp != NULL:
            for n in range(rows):
                for k in range(job.K):
                    job.resp[(row + n) * job.K + k] = buf.s[<size_t> k * B + n]
        if job.assign == DRAW:
            _assign_draw(job, buf, row, rows)
    if job.labels != NULL:
        for n in range(rows):
            job.labels[row + n] = <int32_t> buf.index[n]
    if job.lse != NULL:
        memcpy(job.lse + row, buf.lse, rows * sizeof(double))
    for i in range(job.n_collectors):
        _collect(job, buf, &job.collectors[i], rows)


cdef void _flush(Job *job, Buffers *buf) noexcept nogil:
    """Turn the chunk's table of vectors into plain sums."""
    cdef int W = tiles.width, i, j, k, a, b
    cdef Collector *c
    cdef double *t
    cdef double *out
    for k in range(job.K):
        buf.sums[2 + k] = tiles.lane_sum(buf.table + k * W)
    for i in range(job.n_collectors):
        c = &job.collectors[i]
        for k in range(job.K):
            out = buf.sums + c.sums + k * c.sums_k
            t = buf.table + c.table + k * c.table_k
            if c.kind == LINEAR:
                t = buf.table + c.table + (<size_t> (k // 4 * 4) * c.width + 4 * (k % 4)) * W
                for j in range(c.d):
                    out[j] = tiles.lane_sum(t + (j // 4 * 16 + j % 4) * W)
                continue
            if c.kind == WIDE:
                memcpy(out, t, c.d * sizeof(double))
                out += c.d
                t += c.width
                for a in range(c.d):
                    memcpy(out, t + <size_t> a * c.width, (a + 1) * sizeof(double))
                    out += a + 1
                continue
            for j in range(c.d):
                out[j] = tiles.lane_sum(t + j * W)
            out += c.d
            t += c.width * W
            if c.kind == DIAG:
                for j in range(c.d):
                    out[j] = tiles.lane_sum(t + j * W)
                continue
            for a in range(c.d):
                for b in range(a + 1):
                    j = (a // 4) * (a // 4 + 1) // 2 + b // 4
                    out[b] = tiles.lane_sum(t + (16 * j + 4 * (a % 4) + b % 4) * W)
                out += a + 1


cdef void _worker(Job *job) noexcept nogil:
    cdef Buffers buf
    cdef Py_ssize_t chunk, row, last
    cdef size_t i
    if not _allocate(job, &buf):
        job.failed = 1
        return
    while not job.failed:
        chunk = tl.take_ticket(&job.ticket)
        if chunk >= job.last_chunk:
            break
        memset(buf.table, 0, job.table_size * sizeof(double))
        memset(buf.sums, 0, job.sums_size * sizeof(double))
        row = chunk * job.chunk_rows
        last = min(row + job.chunk_rows, job.n)
        while row < last:
            _run_block(job, &buf, row, <int> min(<Py_ssize_t> job.B, last - row))
            row += job.B
        _flush(job, &buf)
        tl.wait_turn(&job.turn, chunk)
        for i in range(job.sums_size):
            job.total[i] += buf.sums[i]
        tl.pass_turn(&job.turn)
    free(buf.all)
    free(buf.order)


cdef int _feature_index(Job *job, int map, int column, int d) except -1:
    """The block of features (map, columns), shared by the parts that want the same."""
    cdef int i
    cdef Features *f
    for i in range(job.n_features):
        f = &job.features[i]
        if f.map == map and f.column == column and f.d == d:
            return i
    f = &job.features[job.n_features]
    f.map, f.column, f.d = map, column, d
    f.m = {tl.MAP_IDENTITY: d, tl.MAP_SQUARES: 2 * d, tl.MAP_NORM: d + 1, tl.MAP_PAIRS: d + d * (d + 1) // 2}[map]
    f.at = job.feature_rows
    if map != tl.MAP_IDENTITY:
        job.feature_rows += (f.m + 3) // 4 * 4
    job.n_features += 1
    return job.n_features - 1


def _pack_rows_of_four(weights):
    """(K, m) to the (ceil(K / 4), m, 4) that the linear tile reads."""
    K, m = weights.shape
    packed = np.zeros((-(-K // 4) * 4, m))
    packed[:K] = weights
    return np.ascontiguousarray(packed.reshape(-1, 4, m).transpose(0, 2, 1))


def _pack_triangles(const double[:, :, ::1] factor):
    """Lower triangles (K, d, d) to the groups of four rows that the full tile reads."""
    cdef Py_ssize_t K = factor.shape[0], d = factor.shape[1], k, i, j, r, at = 0
    cdef Py_ssize_t length = sum(4 * min(i + 4, d) for i in range(0, d, 4))
    packed = np.zeros((K, length))
    cdef double[:, ::1] out = packed
    for k in range(K):
        at = 0
        for i in range(0, d, 4):
            for j in range(min(i + 4, d)):
                for r in range(4):
                    if i + r < d and j <= i + r:
                        out[k, at] = factor[k, i + r, j]
                    at += 1
    return packed


cdef int _add_scorer(Job *job, spec, int column, int d, list keep) except -1:
    cdef Scorer *sc = &job.scorers[job.n_scorers]
    cdef double[::1] flat, mean
    sc.column, sc.d = column, d
    if hasattr(spec, "feature_map"):
        sc.kind = LINEAR
        sc.features = _feature_index(job, FEATURE_MAPS[spec.feature_map], column, d)
        if spec.weights.shape != (job.K, job.features[sc.features].m):
            raise ValueError(f"natural parameters have shape {spec.weights.shape}, expected "
                             f"{(job.K, job.features[sc.features].m)}")
        packed = _pack_rows_of_four(spec.weights)
    else:
        packed = np.asarray(spec.factor, dtype=np.float64)
        if packed.ndim == 3:
            sc.kind = FULL
            job.z_size = max(job.z_size, <size_t> (4 * tiles.width * d))
            packed = _pack_triangles(np.ascontiguousarray(packed))
            sc.stride = packed.shape[1] if packed.shape[0] > 1 or job.K == 1 else 0
        else:
            sc.kind = DIAG
            packed = np.ascontiguousarray(packed)
        mean = np.ascontiguousarray(spec.mean, dtype=np.float64).reshape(-1)
        keep.append(mean)
        sc.mean = &mean[0]
    flat = packed.reshape(-1)
    keep.append(flat)
    sc.factor = &flat[0]
    job.n_scorers += 1
    return 0


cdef int _add_collector(Job *job, spec, int column, int d, list keep) except -1:
    cdef Collector *c = &job.collectors[job.n_collectors]
    cdef int W = tiles.width, D
    cdef double[::1] mean
    c.column, c.table, c.sums = column, job.table_size, job.sums_size
    if hasattr(spec, "feature_map"):
        c.kind = LINEAR
        c.features = _feature_index(job, FEATURE_MAPS[spec.feature_map], column, d)
        c.d = job.features[c.features].m
        c.width = (c.d + 3) // 4 * 4
        c.table_k = c.width * W
        c.sums_k = c.d
    else:
        c.d = d
        c.kind = DIAG if spec.structure == "diag" else FULL if d < WIDE_FROM else WIDE
        D = (d + 15) // 16 * 16 if c.kind == WIDE else (d + 3) // 4 * 4
        c.width = D
        c.table_k = D + D * D if c.kind == WIDE else D * 2 * W if c.kind == DIAG \
            else (D + (D // 4) * (D // 4 + 1) // 2 * 16) * W
        c.sums_k = 2 * d if c.kind == DIAG else d + d * (d + 1) // 2
        padded = np.zeros((job.K, D if c.kind == WIDE else d))
        padded[:, :d] = spec.mean
        mean = padded.reshape(-1)
        keep.append(mean)
        c.mean = &mean[0]
        job.z_size = max(job.z_size, <size_t> D * job.B)
        if c.kind == WIDE:
            job.wide = max(job.wide, D)
    job.table_size += c.table_k * (job.KP if c.kind == LINEAR else job.K)
    job.sums_size += c.sums_k * job.K
    job.n_collectors += 1
    return 0


def _unpack(sums, spec, int K, int d):
    """Flat sums of one collector as named arrays."""
    if hasattr(spec, "feature_map"):
        return {"features": sums.reshape(K, -1)}
    flat = sums.reshape(K, -1)
    if spec.structure == "diag":
        return {"mean": spec.mean, "first": flat[:, :d], "second": flat[:, d:]}
    second = np.empty((K, d, d))
    rows, columns = np.tril_indices(d)
    second[:, rows, columns] = flat[:, d:]
    second[:, columns, rows] = flat[:, d:]
    return {"mean": spec.mean, "first": flat[:, :d], "second": second}


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


def run_pass(
    X, const double[::1] origin, const double[::1] scale, int n_components, const double[::1] log_weights,
    scorers, collectors, *, assign="soft", const double[::1] sample_weight=None,
    const double[:, ::1] log_prior=None, const int32_t[::1] codes=None, const int32_t[::1] labels_in=None,
    const double[::1] uniforms=None, const Py_ssize_t[::1] uniform_start=None, int32_t[::1] labels=None,
    double[::1] lse=None, double[:, ::1] resp=None, double[:, ::1] scores=None, int n_threads=0,
):
    """Run one pass over the rows of X.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64, any strides
        Rows in user's units; (x - origin) / scale is what the parts see.
    origin, scale : ndarray of shape (d,)
    n_components : int
    log_weights : ndarray of shape (n_components,)
        Every score starts here.
    scorers, collectors : list of (spec, column, n_columns)
        `parts.Linear` or `parts.Centred`, and the columns that it reads.
    assign : {"soft", "hard", "draw"}
    sample_weight : ndarray of shape (n,), default=None
    log_prior : ndarray of shape (n, n_components), default=None
        Added to the scores of each row.
    codes : int32 ndarray of shape (n,), default=None
        The one component that a row may have, -1 for any.
    labels_in : int32 ndarray of shape (n,), default=None
        Old labels, kept on ties; -1 where there is none. May be the same array as `labels`.
    uniforms, uniform_start : ndarrays, default=None
        For draws: row i uses uniforms[uniform_start[i]:uniform_start[i + 1]], one a unit of weight.
    labels, lse, resp, scores : ndarrays, default=None
        Written where given: label, log sum exp of the scores, responsibilities times weights, scores.
    n_threads : int, default=0
        0 lets OpenMP decide.

    Returns
    -------
    score : float
        Sum of weight x (log sum exp, or the best score for a hard pass).
    moved : int
        Rows of a hard pass whose label changed.
    n_k : ndarray of shape (n_components,)
    sums : list of dict
        For each collector {"features"}, or {"mean", "first", "second"}: sums of r (x - mean) and of its square.
    """
    cdef Job job
    cdef list keep = []
    cdef int K = n_components, d, column, width
    cdef double work
    cdef double[::1] total, inv_scale
    cdef const float[:, :] xf
    cdef const double[:, :] xd
    memset(&job, 0, sizeof(Job))
    if len(scorers) > MAX_PARTS or len(collectors) > MAX_PARTS // 2:
        raise ValueError(f"a pass takes at most {MAX_PARTS // 2} parts")
    job.n, d = X.shape
    job.d, job.K, job.KP = d, K, (K + 3) // 4 * 4
    job.assign = ASSIGNMENTS[assign]
    # the block shrinks with the number of scores and columns so that it stays in the second-level cache
    job.B = 128
    while job.B > 4 * tiles.width and job.B > 32 and job.B * (K + 2 * d) > 65536:
        job.B //= 2
    job.table_size = job.KP * tiles.width
    job.sums_size = 2 + K
    job.z_size = max(<size_t> 4 * tiles.width * d, <size_t> job.KP * job.B if job.assign == DRAW else 0)
    job.z_size = max(job.z_size, <size_t> job.KP * tiles.width)
    work = 20.0 * K
    for spec, column, width in scorers:
        _add_scorer(&job, spec, column, width, keep)
        work += 2.0 * K * (spec.weights.shape[1] if hasattr(spec, "feature_map")
                           else width * (width + 1) / 2 if spec.factor.ndim == 3 else 2 * width)
    for spec, column, width in collectors:
        _add_collector(&job, spec, column, width, keep)
        work += 2.0 * job.collectors[job.n_collectors - 1].sums_k * (K if job.assign != HARD else 1)
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
    job.origin, job.inv_scale, job.log_weights = &origin[0], &inv_scale[0], &log_weights[0]
    if sample_weight is not None:
        job.weight = &sample_weight[0]
    if log_prior is not None:
        job.log_prior = &log_prior[0, 0]
    if codes is not None:
        job.codes = &codes[0]
    if labels_in is not None:
        job.labels_in = &labels_in[0]
    if job.assign == DRAW:
        job.uniforms, job.uniform_start = &uniforms[0], &uniform_start[0]
    if labels is not None:
        job.labels = &labels[0]
    if lse is not None:
        job.lse = &lse[0]
    if resp is not None:
        job.resp = &resp[0, 0]
    if scores is not None:
        job.scores = &scores[0, 0]

    # A chunk holds at most about 5e7 operations, so that no slice keeps a signal waiting; its size depends on
    # the work alone, never on the threads, for the sums to have the same bits.
    job.chunk_rows = <Py_ssize_t> min(<double> CHUNK_ROWS, max(1.0, 1e8 / work))
    job.chunk_rows = max(<Py_ssize_t> job.B, job.chunk_rows // job.B * job.B)
    n_threads = min(n_threads or max_threads(), (job.n + job.chunk_rows - 1) // job.chunk_rows)
    if job.n * work < 2e6:
        n_threads = 1
    slice_chunks = max(n_threads, <Py_ssize_t> (n_threads * 2e8 / (work * job.chunk_rows)))
    _run(&job, n_threads, slice_chunks)

    results = []
    at = 2 + K
    for i, (spec, column, width) in enumerate(collectors):
        length = job.collectors[i].sums_k * K
        results.append(_unpack(sums[at:at + length], spec, K, width))
        at += length
    return sums[0], int(sums[1]), sums[2:2 + K], results
