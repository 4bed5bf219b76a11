"""One block of rows: load, score, assign, collect."""

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

cimport skem._kernels._tiles as tl
from skem._kernels._assign cimport assign_block, start_scores
from skem._kernels._collect cimport collect, collect_entries, collect_floats, collect_wide_floats
from skem._kernels._job cimport (
    CODED, FLOAT_STEP, FULL, GATHER, LINEAR, Buffers, Features, Job, Scorer, few_rows, lanes_of,
)
from skem._kernels._load cimport coded_rows, load_block


cdef inline void run_float_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """A soft block of one scorer and one collector, in float but for what adds up panels and blocks."""
    cdef int panel = job.tiles.panel_rows, B = (rows + FLOAT_STEP - 1) // FLOAT_STEP * FLOAT_STEP, at = 0, n
    cdef const float *from_row = <const float *> job.x + row * job.row_stride
    cdef Scorer *sc = &job.scorers[0]
    cdef float *x = <float *> buf.x
    cdef float *pairs = NULL
    cdef int m = job.features[0].m
    if sc.kind == LINEAR and job.features[0].map != tl.MAP_IDENTITY:
        pairs = <float *> buf.features
    while at < B:
        job.tiles.load_panel(from_row + min(at, rows) * job.row_stride, job.row_stride, job.float_origin,
                             job.float_scale, max(0, min(panel, rows - at)), job.d, x)
        if sc.kind == FULL:
            x += job.d * <size_t> panel
        elif pairs != NULL:
            job.tiles.panel_pairs(x, job.d, pairs)
            job.tiles.panel_scores(pairs, m, sc.floats, job.KP, job.log_weights, buf.s + at, B)
            pairs += m * <size_t> panel
        else:
            job.tiles.panel_scores(x, job.d, sc.floats, job.KP, job.log_weights, buf.s + at, B)
        at += panel
    if sc.kind == FULL:
        job.tiles.centred_scores(<float *> buf.x, job.d, sc.float_mean, sc.floats, sc.stride, job.K, job.log_weights,
                                 buf.s, B, <float *> buf.z)
    for n in range(B):
        buf.w[n] = 0.0 if n >= rows else (1.0 if job.weight == NULL else job.weight[row + n])
    buf.sums[0] += job.tiles.assign_soft(buf.s, job.K, NULL if job.weight == NULL and rows == B else buf.w, B, NULL,
                                         buf.table)
    if sc.kind == FULL:
        collect_wide_floats(job, buf, &job.collectors[0], row, rows, B)
    elif pairs != NULL:
        job.tiles.panel_sums(<float *> buf.features, m, job.collectors[0].width, buf.s, job.KP,
                             buf.table + job.collectors[0].table, B, <float *> buf.gathered)
    else:
        collect_floats(job, buf, &job.collectors[0], row, rows, B)


cdef inline void score_block(Job *job, Buffers *buf, Py_ssize_t row, int rows, const uint8_t *bytes) noexcept nogil:
    """Scores of a block that is loaded."""
    cdef int B = job.B, i, k
    cdef const double *f
    cdef const double *start
    cdef double *s
    cdef Scorer *sc
    cdef Features *fm
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


cdef inline void ask_float(Job *job, Buffers *buf, int rows) noexcept nogil:
    """Label a block by scores in float, and in double the rows in which rounding may decide, while these are few."""
    cdef int B = job.B, d, few, count, i, j, k, n
    cdef Scorer *sc = &job.scorers[0]
    cdef const double *x = buf.x + <size_t> sc.column * B
    cdef int *doubtful = buf.order
    cdef double *s
    cdef double *best
    d = sc.d
    if sc.kind == FULL:
        job.tiles.centred_in_float(x, d, sc.float_mean, sc.floats, sc.stride, job.K, job.log_weights, buf.s, B,
                                   <float *> buf.few)
    else:
        job.tiles.pairs_in_float(x, d, sc.floats, job.KP, job.log_weights, buf.s, B, <float *> buf.features)
    count = job.tiles.doubtful_rows(x, d, buf.s, job.K, job.slope, job.base, job.most, B, rows, buf.lse, buf.index,
                                    doubtful)
    few = lanes_of(count, 2 * job.tiles.width)
    buf.decided = few <= few_rows(job)
    buf.sums[job.undecided] += count if buf.decided else rows
    if count == 0 or not buf.decided:
        return
    s = buf.few + <size_t> d * few
    best = s + <size_t> job.KP * few
    for j in range(d):
        for i in range(few):
            buf.few[<size_t> j * few + i] = x[<size_t> j * B + doubtful[i]] if i < count else 0.0
    if sc.kind == FULL:
        for k in range(job.K):
            for i in range(few):
                s[<size_t> k * few + i] = job.log_weights[k]
        job.tiles.full_scores(buf.few, d, sc.mean, sc.factor, sc.stride, job.K, s, few, buf.z)
    else:
        job.tiles.features(job.features[0].map, buf.few, d, best + 2 * few, few)
        job.tiles.linear_scores(best + 2 * few, job.features[0].m, sc.factor, job.KP, job.log_weights, s, few)
    job.tiles.best_score(s, job.K, few, best, best + few)
    for i in range(count):
        n = doubtful[i]
        buf.lse[n], buf.index[n] = best[i], best[few + i]
        for k in range(job.K):
            buf.s[<size_t> k * B + n] = s[<size_t> k * few + i]


cdef inline void run_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef int B = job.B, i, n
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
    if job.slope > 0:
        ask_float(job, buf, rows)
    if not buf.decided:
        score_block(job, buf, row, rows, bytes)
    assign_block(job, buf, row, rows)
    for i in range(job.n_collectors):
        if job.collectors[i].kind == CODED:
            collect_entries(job, buf, bytes, rows, buf.table + job.collectors[i].table)
        else:
            collect(job, buf, &job.collectors[i], row, rows)
