"""Scores of a block to labels or responsibilities, and what is written of them by row."""

from libc.math cimport fabs, fmax
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from skem._kernels._job cimport DRAW, HARD, SOFT, Buffers, Job


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
    elif not buf.decided:
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
