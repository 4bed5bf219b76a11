"""What a truncated pass reads of a block's rows, and the search for the best sets of their components."""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t

cimport skem._kernels._rows as rw
from skem._kernels._pairs cimport list_pairs, row_at, score, score_sets
from skem._kernels._sets cimport LINEAR, B, Buffers, Job, Part, Scan


cdef inline void call(const Job *job, Py_ssize_t first, int rows) noexcept nogil:
    """Have rows and their sets brought near that lie about in memory, while others are worked on."""
    cdef Py_ssize_t n, row
    cdef int bytes = 4 if job.is_float else 8
    for n in range(first, first + rows):
        row = job.order[n]
        rw.prefetch(job.sets + row * job.L, job.L * 4)
        if job.column_stride == 1:
            rw.prefetch(job.x + row * job.row_stride * bytes, job.d * bytes)


cdef inline void load(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    """Rows and their features, in internal coordinates and side by side."""
    cdef const Part *scorer = &job.scorer
    cdef int n, j
    cdef Py_ssize_t row, at
    cdef double value
    cdef double *x
    for n in range(rows):
        x = buf.x + n * job.D
        row = row_at(job, first + n)
        for j in range(job.d):
            at = row * job.row_stride + j * job.column_stride
            value = (<const float *> job.x)[at] if job.is_float else (<const double *> job.x)[at]
            x[j] = (value - job.origin[j]) * job.inv_scale[j]
        if scorer.kind == LINEAR:
            job.kernels.row_features(scorer.map, x, job.d, scorer.m, buf.t + n * scorer.M)
        if job.collector.kind == LINEAR:
            job.kernels.row_features(job.collector.map, x, job.d, job.collector.m, buf.u + n * job.collector.M)
        buf.w[n] = 1.0 if job.weight == NULL else job.weight[row]
    for n in range(rows, B):
        buf.w[n] = 0.0


cdef inline int pack_near(const Job *job, Buffers *buf) noexcept nogil:
    """Lay out for the scan the listed components that are not in the window; tiles of them."""
    cdef const Scan *scan = &job.scan
    cdef int count = 0, tiles_of_all = (job.K + job.tile - 1) // job.tile, n, j, k, tile
    for j in range(buf.n_listed):
        k = buf.listed[j]
        tile = k // job.tile - scan.first
        tile += tiles_of_all if tile < 0 else 0
        if tile < scan.n_tiles:
            buf.place[k] = tile * job.tile + k % job.tile
        elif count < scan.near:
            buf.place[k] = scan.n_window + count
            buf.near[count] = k
            count += 1
        else:
            buf.place[k] = scan.stride - 1
    n = 0
    while n < count:
        for j in range(n, n + job.tile):
            buf.near[j] = buf.near[j] if j < count else buf.near[0]
            buf.near_offset[j] = scan.offset[buf.near[j]] if j < count else <float> -1e37
        job.kernels.gather(scan.numbers, scan.size, buf.near + n, buf.near_packed + <size_t> n * scan.size)
        n += job.tile
    for j in range(count, n):
        buf.near[j] = -1
    return (count + job.tile - 1) // job.tile


cdef inline void scan(const Job *job, Buffers *buf, int n, int near_tiles) noexcept nogil:
    """Float scores of the window and of `near_tiles` more, for rows n ... n + 3."""
    cdef const Scan *scan = &job.scan
    cdef bint linear = job.scorer.kind == LINEAR
    cdef const double *seen = buf.t + n * job.scorer.M if linear else buf.x + n * job.D
    cdef int step = job.scorer.M if linear else job.D, i, j
    cdef float *t = buf.t32
    cdef int before = min(scan.n_tiles, (job.K + job.tile - 1) // job.tile - scan.first), kind = job.scorer.kind
    for i in range(4):
        for j in range(scan.row):
            t[i * scan.row + j] = <float> seen[i * step + j]
    job.kernels.scans[kind](t, scan.row, scan.size, scan.packed + <size_t> scan.first * scan.size * job.tile,
                            scan.offset + scan.first * job.tile, before, buf.out, scan.stride)
    job.kernels.scans[kind](t, scan.row, scan.size, scan.packed, scan.offset, scan.n_tiles - before,
                            buf.out + before * job.tile, scan.stride)
    job.kernels.scans[kind](t, scan.row, scan.size, buf.near_packed, buf.near_offset, near_tiles,
                            buf.out + scan.n_window, scan.stride)


cdef inline int candidates(
    const Job *job, Buffers *buf, const int32_t *members,
    float *scores, int count,      # IN  of the scan
) noexcept nogil:
    """List components worth an exact score for one row, none of its set; their number."""
    cdef const Scan *scan = &job.scan
    cdef float bound = <float> -INFINITY
    cdef int found, kept = 0, j, k
    if job.fresh:
        bound = job.kernels.bound_of(scores, count, job.L, buf.best)
    else:
        bound = <float> buf.kept[0]
        for j in range(job.L):
            bound = min(bound, <float> buf.kept[j])
            scores[buf.place[members[j]]] = <float> -INFINITY
    found = job.kernels.above(scores, count, bound, buf.candidates)
    if not job.fresh and found > 4 * job.L:
        # more than could be kept: those that the best of them leave no room for
        bound = max(bound, job.kernels.bound_of(scores, count, job.L, buf.best))
        found = job.kernels.above(scores, count, bound, buf.candidates)
    for j in range(found):
        k = buf.candidates[j]
        k = scan.window[k] if k < scan.n_window else buf.near[k - scan.n_window]
        if k >= 0:
            buf.candidates[kept] = k
            kept += 1
    return kept


cdef inline bint looks(const Job *job, Py_ssize_t place) noexcept nogil:
    """Whether it is a row's turn to look at others: that of the rows with the same best component."""
    return job.scan.stride and (job.fresh or job.sets[row_at(job, place) * job.L] % job.every == job.due)


cdef inline void look(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    """Put components that beat those of the rows' sets, or of none yet in a fresh pass, in their place."""
    cdef int n, j, k, count, taken, near_tiles = -1, scores = 0, scanned = -1
    cdef int32_t *members
    for n in range(rows):
        if not looks(job, first + n):
            continue
        if near_tiles < 0:
            near_tiles = 0 if job.fresh else pack_near(job, buf)
            scores = job.scan.n_window + near_tiles * job.tile
        if n // 4 != scanned:
            scanned = n // 4
            scan(job, buf, 4 * scanned, near_tiles)
        members = job.sets + row_at(job, first + n) * job.L
        for j in range(0 if job.fresh else job.L):
            buf.kept[j] = buf.s[j * B + n]
        count = candidates(job, buf, members, buf.out + n % 4 * job.scan.stride, scores)
        taken = 0
        if job.fresh:
            if count < job.L:
                # an outlier whose features leave float's range: it must see every component in double
                count = job.K
                for k in range(job.K):
                    buf.candidates[k] = k
            taken = job.L
        for k in range(count):
            buf.same[k] = n
        score(job, buf, buf.same, buf.candidates, count, buf.exact)
        for j in range(taken):
            members[j] = buf.candidates[j]
            buf.kept[j] = buf.exact[j]
        job.kernels.keep_best(buf.kept, members, job.L, buf.exact + taken, buf.candidates + taken, count - taken)
        for j in range(job.L):
            buf.s[j * B + n] = buf.kept[j]
    if near_tiles >= 0:
        list_pairs(job, buf, first, rows)


cdef inline void search(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    """The best sets of the rows of a block, listed, and their scores."""
    buf.n_listed = 0
    if not job.fresh:
        list_pairs(job, buf, first, rows)
        score_sets(job, buf, rows)
    look(job, buf, first, rows)
