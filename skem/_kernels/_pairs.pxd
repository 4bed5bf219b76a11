"""The pairs of rows and components that a block's sets hold, one component after the other.

A component is in the sets of several rows of a block. Its parameters and sums are fetched once for all of them.
"""

from libc.stdint cimport int32_t

cimport skem._kernels._rows as rw
from skem._kernels._sets cimport DIAG, LINEAR, B, Buffers, Job, Part, aligned


cdef inline Py_ssize_t row_at(const Job *job, Py_ssize_t place) noexcept nogil:
    return place if job.order == NULL else job.order[place]


cdef inline void list_pairs(const Job *job, Buffers *buf, Py_ssize_t first, int rows) noexcept nogil:
    """List the pairs of the block's sets by component, in the order in which rows bring these."""
    cdef const int32_t *members
    cdef int32_t *start = buf.start + 1    # of each list while it is filled, of the next one after that
    cdef int n, j, k, i, found = 0
    buf.stamp += 1
    for n in range(rows):
        members = job.sets + row_at(job, first + n) * job.L
        for j in range(job.L):
            k = members[j]
            if buf.mark[k] != buf.stamp:
                buf.mark[k] = buf.stamp
                buf.listed[found] = k
                buf.local[k] = found
                start[found] = 0
                found += 1
            start[buf.local[k]] += 1
    buf.n_listed = found
    i = 0
    for j in range(found):
        n = start[j]
        start[j] = i
        i += n
    buf.start[0] = 0
    for n in range(rows):
        members = job.sets + row_at(job, first + n) * job.L
        for j in range(job.L):
            k = members[j]
            i = start[buf.local[k]]
            start[buf.local[k]] += 1
            buf.pair_row[i] = n
            buf.pair_set[i] = k
            buf.pair_slot[i] = j * B + n


cdef inline void score(
    const Job *job, Buffers *buf,
    const int32_t *rows, const int32_t *set, int count,  # IN  (count) pairs
    double *s,                                           # OUT (count)
) noexcept nogil:
    cdef const Part *part = &job.scorer
    if part.kind == LINEAR:
        job.kernels.score_linear(buf.t, part.M, part.factor, job.offset, rows, set, count, s)
    elif part.kind == DIAG:
        job.kernels.score_diag(buf.x, job.D, part.mean, part.factor, job.offset, rows, set, count, s)
    else:
        job.kernels.score_full(buf.x, job.d, job.D, part.mean, part.factor, part.step, job.offset, rows, set, count,
                               s, buf.z)


cdef inline void score_sets(const Job *job, Buffers *buf, int rows) noexcept nogil:
    """Scores of the listed pairs, in the rows' columns of `buf.s`."""
    cdef int i, count = rows * job.L
    score(job, buf, buf.pair_row, buf.pair_set, count, buf.pair_s)
    for i in range(count):
        buf.s[buf.pair_slot[i]] = buf.pair_s[i]


cdef inline void collect(const Job *job, Buffers *buf) noexcept nogil:
    """Add the rows to the sums of the components that they have a share in, which `buf.s` holds."""
    cdef const Part *part = &job.collector
    cdef double *sums = buf.sums + aligned(2 + job.K)
    cdef double *to
    cdef double share, total
    cdef int i, j, k, count
    for j in range(buf.n_listed):
        k = buf.listed[j]
        if j + 4 < buf.n_listed:
            rw.prefetch(sums + buf.listed[j + 4] * job.sums_k, job.sums_k * sizeof(double))
        count = 0
        total = 0.0
        for i in range(buf.start[j], buf.start[j + 1]):
            share = buf.s[buf.pair_slot[i]]
            buf.share[count] = share
            buf.sharer[count] = buf.pair_row[i]
            total += share
            count += share != 0.0
        buf.sums[2 + k] += total
        to = sums + k * job.sums_k
        if part.kind == LINEAR:
            job.kernels.add_linear(buf.u, part.M, buf.share, buf.sharer, count, to)
        elif part.kind == DIAG:
            job.kernels.add_diag(buf.x, job.D, part.mean + <size_t> k * job.D, buf.share, buf.sharer, count, to)
        else:
            job.kernels.add_full(buf.x, job.d, job.D, part.mean + <size_t> k * job.D, buf.share, buf.sharer, count,
                                 to, buf.z)
