"""One block of rows: load, score, assign, collect."""

from cython cimport floating
from libc.math cimport fabs, fmax, sqrt
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy, memset

cimport skem._kernels._tiles as tl
from skem._kernels._job cimport (
    CODED, DIAG, DRAW, FULL, GATHER, HARD, LINEAR, ROWS, SOFT, WIDE, Buffers, Collector, Features, Job, Scorer,
    lanes_of,
)

cdef extern from *:
    """
    #define SKEM_FAINT 5e-18
    """
    # Part of a component's mass in a chunk that a row must weigh to be summed: a chunk has 2048 rows at most.
    const double FAINT "SKEM_FAINT"


cdef inline void load(
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


cdef inline void gather(
    const floating *x,         # IN
    Py_ssize_t row_stride,     # IN  in elements
    Py_ssize_t column_stride,  # IN
    const Py_ssize_t *index,   # IN  (rows)
    int rows, int d,
    floating *out,             # OUT (rows, d)
) noexcept nogil:
    cdef int n, j
    cdef const floating *p
    for n in range(rows):
        p = x + index[n] * row_stride
        for j in range(d):
            out[n * d + j] = p[j * column_stride]


cdef inline void load_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Bring rows to internal coordinates, columns side by side."""
    cdef Py_ssize_t row_stride = job.row_stride, column_stride = job.column_stride
    cdef const float *xf = <const float *> job.x + row * row_stride
    cdef const double *xd = <const double *> job.x + row * row_stride
    if job.index != NULL:
        if job.is_float:
            gather(<const float *> job.x, row_stride, column_stride, job.index + row, rows, job.d, <float *> buf.rows)
            xf = <const float *> buf.rows
        else:
            gather(<const double *> job.x, row_stride, column_stride, job.index + row, rows, job.d, buf.rows)
            xd = buf.rows
        row_stride, column_stride = job.d, 1
    if job.is_float and column_stride == 1:
        job.tiles.load_floats(xf, row_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)
    elif job.is_float:
        load(xf, row_stride, column_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)
    elif column_stride == 1:
        job.tiles.load(xd, row_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)
    else:
        load(xd, row_stride, column_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)


cdef inline void start_scores(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
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


cdef inline void sort_by_label(Job *job, Buffers *buf, int rows) noexcept nogil:
    cdef int n, k
    memset(buf.start, 0, (job.KP + 1) * sizeof(int))
    for n in range(rows):
        buf.start[<int> buf.index[n] + 1] += 1
    for k in range(job.KP):
        buf.start[k + 1] += buf.start[k]
    for n in range(rows):
        k = <int> buf.index[n]
        buf.order[buf.start[k]] = n
        buf.start[k] += 1
    for k in range(job.KP, 0, -1):      # filling moved each start to its end
        buf.start[k] = buf.start[k - 1]
    buf.start[0] = 0


cdef inline void assign_hard(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Argmax; a tie keeps the old label, so that a finished fit stays put."""
    cdef int B = job.B, n, k, old, W = job.tiles.width
    cdef double best, kept, score = 0.0
    cdef Py_ssize_t moved = 0
    cdef double *s = buf.s
    cdef double *n_k = buf.table
    if job.given:
        for n in range(rows):
            buf.index[n] = job.codes[row + n]
            buf.lse[n] = job.log_weights[job.codes[row + n]]
    else:
        job.tiles.best_score(s, job.K, B, buf.lse, buf.index)
    for n in range(rows):
        k = <int> buf.index[n]
        if job.labels_in != NULL:
            old = job.labels_in[row + n]
            if old != k:
                moved += 1
                if old >= 0:
                    best = buf.lse[n]
                    kept = s[<size_t> old * B + n]
                    if best - kept <= 1e-12 * fmax(1.0, fabs(best)):
                        k = old
                        buf.lse[n] = kept
                        buf.index[n] = k
                        moved -= 1
        n_k[k * W] += buf.w[n]
        score += buf.w[n] * buf.lse[n]
    buf.sums[0] += score
    buf.sums[1] += moved
    if job.hard_resp:
        memset(s, 0, <size_t> job.KP * B * sizeof(double))
        for n in range(rows):
            s[<size_t> <int> buf.index[n] * B + n] = buf.w[n]
    if job.wide:
        sort_by_label(job, buf, rows)


cdef inline void assign_draw(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """A component by inverse CDF for every unit of weight, with the caller's uniforms."""
    cdef int B = job.B, n, k, W = job.tiles.width
    cdef double u, total
    cdef double *s = buf.s
    cdef double *n_k = buf.table
    cdef Py_ssize_t t
    for n in range(rows):
        total = 0.0
        for k in range(job.K):           # cumulative responsibilities, scaled to end at one
            total += s[<size_t> k * B + n]
            s[<size_t> k * B + n] = total
        buf.index[n] = -1.0              # a row of weight zero draws nothing
        for t in range(job.uniform_start[row + n], job.uniform_start[row + n + 1]):
            u = job.uniforms[t] * total
            k = 0
            while k < job.K - 1 and s[<size_t> k * B + n] <= u:
                k += 1
            buf.index[n] = k
            n_k[k * W] += 1.0
            buf.z[<size_t> k * B + n] += 1.0
    memcpy(s, buf.z, <size_t> job.KP * B * sizeof(double))


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


cdef inline const uint8_t *coded_rows(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """The bytes of a block, side by side; rows beyond `rows` are all zeros."""
    cdef int n, size = job.coding.n_bytes
    if rows == job.B and job.index == NULL:
        return job.bytes + row * size
    memset(buf.bytes, 0, job.B * <size_t> size)
    for n in range(rows):
        memcpy(buf.bytes + n * size, job.bytes + (row + n if job.index == NULL else job.index[row + n]) * size, size)
    return buf.bytes


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
    cdef int B = job.B, W = job.tiles.width, n, k, j, room = c.room
    cdef size_t each = (c.width + 1) * <size_t> room
    cdef const double *x = buf.x + <size_t> c.column * B
    cdef const double *u
    cdef double *table = buf.table + c.table
    cdef double *own
    cdef double *latent
    cdef double w
    cdef int *waiting = buf.waiting + (c - &job.collectors[0]) * job.KP
    for n in range(rows):
        k = <int> buf.index[n]
        w = buf.w[n]
        if c.scorer >= 0:
            u = buf.latent + (job.scorers[c.scorer].latent + k) * B + n
            latent = table + (k + 1) * c.table_k - 2 * W
            latent[W] += w * u[<size_t> job.K * B]
            w *= u[0]
            latent[0] += w
        own = buf.queues + c.queue + k * each + waiting[k]
        for j in range(c.d):
            own[j * room] = x[<size_t> j * B + n]
        own[c.width * room] = w
        waiting[k] += 1
        if waiting[k] == room:
            sum_queue(job, buf.queues + c.queue + k * each, c, k, table)
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
    cdef int B = job.B, W = job.tiles.width, K = job.K, k, t, count
    cdef const double *x
    cdef const double *f
    cdef const double *r
    cdef const double *mean
    cdef const double *u = NULL
    cdef double *table = buf.table + c.table
    cdef double *at
    cdef double *latent
    cdef double least
    cdef int *members
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


cdef inline void assign_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Make weighted responsibilities of the scores, and write what was asked for by row."""
    cdef int B = job.B, n, k
    if job.scores != NULL:
        for n in range(rows):
            for k in range(job.K):
                job.scores[(row + n) * job.K + k] = buf.s[<size_t> k * B + n]
    if job.assign == HARD:
        assign_hard(job, buf, row, rows)
    else:
        if job.assign == DRAW:
            memset(buf.z, 0, <size_t> job.KP * B * sizeof(double))
        elif job.labels != NULL:
            job.tiles.best_score(buf.s, job.K, B, buf.lse, buf.index)
        # a draw counts its own n_k: the soft ones go to a spare place
        buf.sums[0] += job.tiles.assign_soft(
            buf.s, job.K, NULL if job.weight == NULL and rows == B else buf.w, B,
            NULL if job.lse == NULL else buf.lse, buf.table if job.assign == SOFT else buf.spare,
        )
        if job.resp != NULL:
            for n in range(rows):
                for k in range(job.K):
                    job.resp[(row + n) * job.K + k] = buf.s[<size_t> k * B + n]
        if job.assign == DRAW:
            assign_draw(job, buf, row, rows)
    if job.labels != NULL:
        for n in range(rows):
            job.labels[row + n] = <int32_t> buf.index[n]
    if job.lse != NULL:
        memcpy(job.lse + row, buf.lse, rows * sizeof(double))


cdef inline void run_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef int B = job.B, i, n, k
    cdef const double *f
    cdef const double *start
    cdef double *s
    cdef Scorer *sc
    cdef Features *fm
    cdef const uint8_t *bytes = NULL
    if job.bytes != NULL:
        bytes = coded_rows(job, buf, row, rows)
    else:
        load_block(job, buf, row, rows)
    for n in range(B):
        buf.w[n] = 0.0 if n >= rows else (1.0 if job.weight == NULL else job.weight[row + n])
    if job.every:
        buf.sums[0] += job.tiles.coded_soft(
            &job.coding, bytes, job.products, job.K, NULL if job.weight == NULL and rows == B else buf.w, job.every,
            buf.table + job.collectors[0].table, buf.table, B,
        )
        return
    for i in range(job.n_features):
        fm = &job.features[i]
        if fm.map == tl.MAP_ONE_HOT:
            job.tiles.read_codes(buf.x + <size_t> fm.column * B, fm.d, fm.m, <int32_t *> (buf.features + fm.at * B), B)
        elif fm.map != tl.MAP_IDENTITY:
            job.tiles.features(fm.map, buf.x + <size_t> fm.column * B, fm.d, buf.features + fm.at * B, B)
    start = NULL
    if job.n_scorers > 0 and job.log_prior == NULL and job.codes == NULL and (
        job.scorers[0].kind in (LINEAR, GATHER, CODED)
    ):
        start = job.log_weights
    elif not job.given:
        start_scores(job, buf, row, rows)
    for i in range(job.n_scorers):
        sc = &job.scorers[i]
        if sc.kind == LINEAR:
            fm = &job.features[sc.features]
            f = buf.x + <size_t> sc.column * B
            if fm.map != tl.MAP_IDENTITY:
                f = buf.features + fm.at * B
            job.tiles.linear_scores(f, fm.m, sc.factor, job.KP, start if i == 0 else NULL, buf.s, B)
        elif sc.kind == CODED:
            job.tiles.coded_scores(&job.coding, bytes, sc.factor, job.K, start if i == 0 else NULL, buf.s, B)
        elif sc.kind == GATHER:
            fm = &job.features[sc.features]
            job.tiles.gather_scores(<const int32_t *> (buf.features + fm.at * B), fm.d, sc.factor, job.KP,
                                    start if i == 0 else NULL, buf.s, B, buf.z)
        else:
            s = buf.s
            if sc.dof != NULL:
                s = buf.latent + sc.latent * B
                memset(s, 0, <size_t> job.K * B * sizeof(double))
            if sc.kind == FULL:
                job.tiles.full_scores(buf.x + <size_t> sc.column * B, sc.d, sc.mean, sc.factor, sc.stride, job.K,
                                      s, B, buf.z)
            else:
                job.tiles.diag_scores(buf.x + <size_t> sc.column * B, sc.d, sc.mean, sc.factor, job.K, s, B)
            if sc.dof != NULL:
                for k in range(job.K):
                    job.tiles.tail_scores(sc.dof[k], sc.d, s + <size_t> k * B, s + <size_t> (job.K + k) * B,
                                          buf.scaled if job.blind else buf.s + <size_t> k * B, B)
    assign_block(job, buf, row, rows)
    for i in range(job.n_collectors):
        if job.collectors[i].kind == CODED:
            collect_entries(job, buf, bytes, rows, buf.table + job.collectors[i].table)
        else:
            collect(job, buf, &job.collectors[i], row, rows)


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
                    t += (a + 8) // 8 * 8
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
