"""What the rows of a block add to the statistics, and those of a chunk to plain sums."""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy, memset

cimport skem._kernels._tiles as tl
from skem._kernels._job cimport (
    CODED, DIAG, FLOATS, FULL, GATHER, HARD, LINEAR, ROWS, WIDE, Buffers, Collector, Job, lanes_of,
)

cdef extern from *:
    """
    #define SKEM_FAINT 5e-18
    #define SKEM_FAINT_FLOAT 3e-11
    """
    # Part of a component's mass in a chunk that a row must weigh to be summed: a chunk has 2048 rows at most.
    const double FAINT "SKEM_FAINT"
    # ... where sums are formed in float.
    const double FAINT_FLOAT "SKEM_FAINT_FLOAT"


cdef inline void to_panels(
    const double *x,           # IN  (d, B)
    int d, int width, int rows, int B,
    double *panels,            # OUT (width / 8, rows, 8); columns that fill the last panel are zero
) noexcept nogil:
    cdef int j, c, t
    for j in range(0, width, 8):
        for t in range(rows):
            for c in range(8):
                panels[8 * t + c] = x[<size_t> (j + c) * B + t] if j + c < d else 0.0
        panels += 8 * rows


cdef inline int gather_members(
    const double *r,           # IN  (rows)
    int rows,
    double least,              # IN  what weighs less is left out
    int *members,              # OUT rows that count
    double *weights,           # OUT their r
) noexcept nogil:
    cdef int n, count = 0
    for n in range(rows):
        members[count] = n
        weights[count] = r[n]
        count += r[n] > least
    return count


cdef inline void collect_codes(
    Job *job, Buffers *buf,
    const int32_t *codes,      # IN  (B, d)
    int d, int rows,
    double *table,             # IN OUT (m, KW)
) noexcept nogil:
    cdef int n, j, k, KW = lanes_of(job.KP, job.tiles.width)
    if job.assign != HARD:
        job.tiles.gather_sums(codes, d, buf.s, job.KP, table, job.B, buf.z)
        return
    for n in range(rows):
        k = <int> buf.index[n]
        for j in range(d):
            table[<size_t> codes[n * d + j] * KW + k] += buf.w[n]


cdef inline void collect_entries(
    Job *job, Buffers *buf,
    const uint8_t *bytes,      # IN  (B, n_bytes)
    int rows,
    double *tables,            # IN OUT
) noexcept nogil:
    cdef int n, g, k, W = job.tiles.width, size = job.coding.n_bytes
    cdef double *own
    if job.assign != HARD:
        job.tiles.coded_sums(&job.coding, bytes, buf.s, job.K, tables, job.B)
        return
    for n in range(rows):
        k = <int> buf.index[n]
        own = tables + (<size_t> (k // W) * job.coding.n_entries * W + k % W)
        for g in range(size):
            own[(job.coding.first[g] + bytes[n * size + g]) * <size_t> W] += buf.w[n]


cdef inline void collect_rows(Job *job, Buffers *buf, Collector *c, Py_ssize_t row, int rows) noexcept nogil:
    """Sum rows of x, four components at a time, without the rows that all but belong to others.

    What is left out is less than about 1e-14 of a component's mass.
    """
    cdef int members[128]          # no block is larger
    cdef int B = job.B, W = job.tiles.width, k, n, i, count
    cdef double least[4]
    cdef const double *r
    cdef Py_ssize_t stride = job.row_stride, size = 4 if job.is_float else 8
    cdef const char *x = job.x + row * stride * size
    if job.index != NULL:
        x = <const char *> buf.rows
        stride = job.d
    for k in range(0, job.KP, 4):
        r = buf.s + <size_t> k * B
        for i in range(4):
            # of the component's mass in this chunk so far, this block's included; a chunk has 2048 rows at most
            least[i] = FAINT * job.tiles.lane_sum(buf.table + (k + i) * W)
        count = 0
        for n in range(rows):
            members[count] = n
            count += (r[n] > least[0]) | (r[B + n] > least[1]) | (r[2 * B + n] > least[2]) | (r[3 * B + n] > least[3])
        job.tiles.member_sums(x + c.column * size, job.is_float, stride, c.d, members, count, r, B,
                              buf.table + c.table + k * c.table_k, c.width)


cdef inline void collect_floats(Job *job, Buffers *buf, Collector *c, Py_ssize_t row, int rows, int B) noexcept nogil:
    """As collect_rows, in float."""
    cdef int room = job.B, k, i
    cdef int *members = buf.order
    cdef int *count = buf.order + job.KP // 4 * <size_t> room
    cdef float *weights = <float *> buf.gathered
    cdef double least[4]
    for k in range(0, job.KP, 4):
        for i in range(4):
            least[i] = FAINT_FLOAT * job.tiles.lane_sum(buf.table + (k + i) * job.tiles.width)
        count[k // 4] = job.tiles.heavy_rows(buf.s + <size_t> k * B, B, rows, least, members + k // 4 * <size_t> room,
                                             weights + k * <size_t> room)
    job.tiles.heavy_sums(
        <const float *> job.x + row * job.row_stride, job.row_stride, job.float_origin if job.shifted else NULL, c.d,
        rows, job.KP, members, count, weights, room, buf.table + c.table, c.width, <float *> buf.x,
    )


cdef inline void collect_wide_floats(
    Job *job, Buffers *buf, Collector *c, Py_ssize_t row, int rows, int B
) noexcept nogil:
    """Second moments of wide rows in float, without the rows that all but belong to others."""
    cdef int k, t, count
    cdef float *root = <float *> buf.scaled
    cdef double *at
    job.tiles.load_wide(<const float *> job.x + row * job.row_stride, job.row_stride, job.float_origin,
                        job.float_scale, rows, c.d, <float *> buf.panels)
    for k in range(job.K):
        at = buf.table + c.table + k * c.table_k
        count = gather_members(buf.s + <size_t> k * B, rows, FAINT_FLOAT * job.tiles.lane_sum(
            buf.table + k * job.tiles.width), buf.order, buf.gathered)
        for t in range(count):
            root[t] = <float> sqrt(buf.gathered[t])
        job.tiles.float_wide_sums(<float *> buf.panels, rows, buf.order, count, c.width,
                                  c.float_mean + k * <size_t> c.width, root, <float *> buf.z, at, at + c.width)


cdef inline void sum_queue(Job *job, const double *queue, Collector *c, int k, double *table) noexcept nogil:
    """Sum the rows that wait for a component; those that weigh nothing fill the queue up."""
    cdef double *at = table + k * c.table_k
    cdef const double *mean = c.mean + k * c.width
    cdef const double *r = queue + <size_t> c.width * c.room
    if c.kind == FULL:
        job.tiles.full_sums(queue, c.d, mean, r, at, at + c.width * job.tiles.width, c.room)
    else:
        job.tiles.diag_sums(queue, c.width, mean, r, at, at + c.width * job.tiles.width, c.room)


cdef inline void collect_own(Job *job, Buffers *buf, Collector *c, int rows) noexcept nogil:
    """Queue each row for its component, which sums many at a time: a hard pass costs 1 / K of a soft one."""
    cdef Py_ssize_t B = job.B, room = c.room, each = (c.width + 1) * room, last = c.width * room, k, W = job.tiles.width
    cdef int n, _j, d = c.d, latent = c.scorer >= 0
    cdef const double *x = buf.x + c.column * B
    cdef const double *value
    cdef const double *u
    cdef double *queues = buf.queues + c.queue
    cdef double *table = buf.table + c.table
    cdef double *own
    cdef double *sums
    cdef double w
    cdef int *waiting = buf.waiting + (c - &job.collectors[0]) * job.KP
    for n in range(rows):
        k = <int> buf.index[n]
        w = buf.w[n]
        if latent:
            u = buf.latent + (job.scorers[c.scorer].latent + k) * B + n
            sums = table + (k + 1) * c.table_k - 2 * W
            sums[W] += w * u[job.K * B]
            w *= u[0]
            sums[0] += w
        own = queues + k * each + waiting[k]
        own[last] = w
        value = x + n
        for _j in range(d):
            own[0] = value[0]
            own += room
            value += B
        waiting[k] += 1
        if waiting[k] == room:
            sum_queue(job, queues + k * each, c, k, table)
            waiting[k] = 0


cdef inline void empty_queues(Job *job, Buffers *buf, Collector *c) noexcept nogil:
    """Sum what still waits at the end of a chunk."""
    cdef int k
    cdef size_t each = (c.width + 1) * <size_t> c.room
    cdef double *queue = buf.queues + c.queue
    cdef int *waiting = buf.waiting + (c - &job.collectors[0]) * job.KP
    for k in range(job.K):
        if waiting[k]:
            memset(queue + c.width * c.room + waiting[k], 0, (c.room - waiting[k]) * sizeof(double))
            sum_queue(job, queue, c, k, buf.table + c.table)
            waiting[k] = 0
        queue += each


cdef inline void collect(Job *job, Buffers *buf, Collector *c, Py_ssize_t row, int rows) noexcept nogil:
    cdef int B = job.B, W = job.tiles.width, K = job.K, k, t, count = 0
    cdef const double *x
    cdef const double *f
    cdef const double *r
    cdef const double *mean
    cdef const double *u = NULL
    cdef double *table = buf.table + c.table
    cdef double *at
    cdef double *latent
    cdef double least
    cdef int *members = NULL
    if c.kind == GATHER:
        collect_codes(job, buf, <const int32_t *> (buf.features + job.features[c.features].at * B), c.d, rows, table)
        return
    if c.kind == ROWS:
        collect_rows(job, buf, c, row, rows)
        return
    if c.kind == LINEAR:
        f = buf.x + <size_t> c.column * B
        if job.features[c.features].map != tl.MAP_IDENTITY:
            f = buf.features + job.features[c.features].at * B
        job.tiles.linear_sums(f, c.width, buf.s, job.KP, table, B)
        return
    if job.assign == HARD and c.kind != WIDE:
        collect_own(job, buf, c, rows)
        return
    x = buf.x + <size_t> c.column * B
    if c.kind == WIDE:
        to_panels(x, c.d, c.width, rows, B, buf.panels)
    for k in range(K):
        at = table + k * c.table_k
        mean = c.mean + k * c.width
        r = buf.s + <size_t> k * B
        if job.assign == HARD:
            members = buf.order + buf.start[k]
            count = buf.start[k + 1] - buf.start[k]
            if count == 0:
                continue
            for t in range(count):
                buf.gathered[t] = buf.w[members[t]]
        if c.scorer >= 0:
            u = buf.latent + (job.scorers[c.scorer].latent + k) * B
            latent = at + c.table_k - 2 * W
            if job.assign == HARD:
                for t in range(count):
                    latent[W] += buf.gathered[t] * u[<size_t> K * B + members[t]]
                    buf.gathered[t] *= u[members[t]]
                    latent[0] += buf.gathered[t]
            else:
                job.tiles.latent_sums(r, u, u + <size_t> K * B, buf.scaled, latent, B)
                r = buf.scaled
        if c.kind == WIDE:
            if job.assign != HARD:
                members = buf.order
                # the mass in this chunk so far, this block's included: next to it the rows left out add no digit
                least = FAINT * job.tiles.lane_sum(buf.table + k * W if c.scorer < 0 else at + c.table_k - 2 * W)
                count = gather_members(r, rows, least, members, buf.gathered)
            for t in range(count):
                buf.gathered[t] = sqrt(buf.gathered[t])
            job.tiles.wide_sums(buf.panels, rows, members, count, c.width, mean, buf.gathered, buf.z, at, at + c.width)
        elif c.kind == FULL:
            job.tiles.full_sums(x, c.d, mean, r, at, at + c.width * W, B)
        else:
            job.tiles.diag_sums(x, c.width, mean, r, at, at + c.width * W, B)


cdef inline void flush(Job *job, Buffers *buf) noexcept nogil:
    """Turn the chunk's table of vectors into plain sums."""
    cdef int W = job.tiles.width, i, j, k, a, b
    cdef Collector *c
    cdef double *t
    cdef double *out
    for k in range(job.K):
        buf.sums[2 + k] = job.tiles.lane_sum(buf.table + k * W)
    for i in range(job.n_collectors):
        c = &job.collectors[i]
        if job.assign == HARD and (c.kind == FULL or c.kind == DIAG):
            empty_queues(job, buf, c)
        if c.kind == CODED:
            if job.every:
                buf.sums[0] += job.tiles.top_scores(&job.coding, buf.table + c.table, job.K, job.top)
            job.tiles.fold(&job.coding, buf.table + c.table, job.K, job.m, buf.sums + c.sums)
            continue
        for k in range(job.K):
            out = buf.sums + c.sums + k * c.sums_k
            t = buf.table + c.table + k * c.table_k
            if c.scorer >= 0:
                for j in range(2):
                    out[c.sums_k - 2 + j] = job.tiles.lane_sum(t + c.table_k - (2 - j) * W)
            if c.kind == GATHER:
                t = buf.table + c.table + k
                for j in range(job.features[c.features].m):
                    out[j] = t[<size_t> j * lanes_of(job.KP, W)]
                continue
            if c.kind == LINEAR:
                t = buf.table + c.table + (<size_t> (k // 4 * 4) * c.width + k % 4) * W
                for j in range(c.d):
                    out[j] = job.tiles.lane_sum(t + 4 * j * W)
                continue
            if c.kind == FLOATS:
                for j in range(c.d):
                    out[j] = t[j] * job.inv_scale[j]
                continue
            if c.kind == ROWS:
                memcpy(out, t, c.d * sizeof(double))
                continue
            if c.kind == WIDE:
                memcpy(out, t, c.d * sizeof(double))
                out += c.d
                t += c.width
                for a in range(c.d):
                    memcpy(out, t, (a + 1) * sizeof(double))
                    out += a + 1
                    t += (a + c.panel) // c.panel * c.panel
                continue
            for j in range(c.d):
                out[j] = job.tiles.lane_sum(t + j * W)
            out += c.d
            t += c.width * W
            if c.kind == DIAG:
                for j in range(c.d):
                    out[j] = job.tiles.lane_sum(t + j * W)
                continue
            for a in range(c.d):
                for b in range(a + 1):
                    j = (a // 4) * (a // 4 + 1) // 2 + b // 4
                    out[b] = job.tiles.lane_sum(t + (16 * j + 4 * (a % 4) + b % 4) * W)
                out += a + 1
