"""One pass over CSR rows: scores by gathering, the assignment of any pass, sums by scattering.

Rows are neither centred nor made dense: a pass costs as many multiply-adds as there are entries, times components,
twice. Blocks of rows are shared out to the threads for scores and assignment; for the sums each thread then has a
range of columns to itself, so that every number is summed in the order of the rows, with the same bits for any number
of threads and one table for all of them.
"""

import numpy as np

from skem._kernels.passes import ASSIGNMENTS, max_threads

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cimport skem._kernels._tiles as tl
from skem._kernels._assign cimport assign_block, start_scores
from skem._kernels._csr cimport Csr, Entries, csr_set, entries, first_from, select_csr
from skem._kernels._job cimport (
    DRAW, HARD, LINEAR, Buffers, Job, allocate_buffers, free_buffers, lanes_of, pad_components,
)
from skem._kernels.passes cimport Prepared, tiles

cdef const csr_set *rows_set = select_csr()

# Multiply-adds of a thread between two looks at the signals.
cdef double SLICE_WORK = 5e7
# Below this many multiply-adds, waking other threads takes longer than the work.
cdef double LEAST_WORK = 2e6
# Multiply-adds of a block: rows of many entries come in smaller ones.
cdef double BLOCK_WORK = 4e6
cdef enum:
    MOST_BLOCKS = 64      # of a thread's slice, whose responsibilities wait for their sums


cdef struct Scratch:
    double *values                 # (longest)
    int32_t *columns               # (longest)
    double *z                      # (4, KW)


cdef bint _allocate_scratch(Scratch *scratch, Py_ssize_t longest, int KW) noexcept nogil:
    scratch.values = <double *> malloc((longest + 4 * KW + 8) * sizeof(double))
    scratch.columns = <int32_t *> malloc((longest + 1) * sizeof(int32_t))
    scratch.z = scratch.values + longest
    return scratch.values != NULL and scratch.columns != NULL


cdef void _free_scratch(Scratch *scratch) noexcept nogil:
    free(scratch.values)
    free(scratch.columns)


cdef class PreparedCSR(Prepared):
    """A pass over CSR rows set up, with the one scorer and the one collector of linear features "x".

    Parameters
    ----------
    X : CSR matrix or array of shape (n, d), float32 or float64
        In canonical format: the columns of a row in ascending order, none twice.
    n_components : int
    log_weights : ndarray of shape (n_components,)
    weights : ndarray of shape (n_components, d) or None
        None scores nothing.
    collect : bool
    **rows
        As for `skem._kernels.passes.run_pass`.
    """

    cdef Csr m
    cdef int d, KW
    cdef double[:, ::1] packed     # (d, KW) weights, an entry's side by side
    cdef double[:, ::1] table      # (d, KW) sums of soft assignments
    cdef double[::1] of_block      # (slice_blocks, 2 + K) score, moves and masses of each block
    cdef double[::1] kept          # (slice rows, width) of each row its responsibilities, or its label and weight
    cdef int width
    cdef Py_ssize_t[::1] border    # (n_threads + 1) columns that each thread sums

    def __init__(
        self, X, int n_components, const double[::1] log_weights, weights, bint collect, *, assign="soft",
        const Py_ssize_t[::1] index=None, const double[::1] sample_weight=None,
        const double[:, ::1] log_prior=None, const int32_t[::1] codes=None, const int32_t[::1] labels_in=None,
        const double[::1] uniforms=None, const Py_ssize_t[::1] uniform_start=None, int32_t[::1] labels=None,
        double[::1] lse=None, double[:, ::1] resp=None, double[:, ::1] scores=None, int n_threads=0,
    ):
        cdef Job *job = &self.job
        cdef double work
        cdef double[::1] total
        cdef const double[:, ::1] own
        self.keep, self.means, self.dofs = [], [], []
        self._read(X)
        job.tiles = tiles
        job.n, self.d = X.shape
        if index is not None:
            job.n = index.shape[0]
            job.index = &index[0]
        self.keep += [X, index]
        # the columns of a CSR block take no room
        job.d, job.K, job.KP = 0, n_components, pad_components(n_components)
        self.KW = lanes_of(job.K, rows_set.width)
        job.assign, job.given = ASSIGNMENTS[assign], assign == "given"
        work = 2.0 * self.KW * (10.0 + X.nnz / max(X.shape[0], 1))
        job.B = 128
        while job.B > 4 * tiles.width and job.B > 32 and (
            job.B * <double> job.K > 65536 or job.B * work > BLOCK_WORK
        ):
            job.B //= 2
        job.table_size = job.KP * tiles.width
        job.z_size = max(<size_t> 4 * tiles.width, <size_t> job.KP * job.B if job.assign == DRAW else 0)
        job.scorers[0].kind, job.scorers[0].d = LINEAR, self.d
        if weights is not None:
            if weights.shape != (job.K, self.d):
                raise ValueError(f"natural parameters have shape {weights.shape}, expected {(job.K, self.d)}")
            job.n_scorers = 1
            self.packed = np.zeros((self.d, self.KW))
            own = np.ascontiguousarray(weights, dtype=np.float64)
            self._pack(&own[0, 0])
        job.sums_size = 2 + job.K
        if collect:
            job.n_collectors = 1
            job.collectors[0].kind, job.collectors[0].sums, job.collectors[0].sums_k = LINEAR, job.sums_size, self.d
            job.collectors[0].scorer = -1              # of no scorer with degrees of freedom
            job.sums_size += job.K * <size_t> self.d
            self.means.append(None)
            self.dofs.append(None)
        self.sums = total = np.empty(job.sums_size)
        job.total = &total[0]
        self.set_rows(log_weights, sample_weight, log_prior, codes, labels_in, uniforms, uniform_start, labels, lse,
                      resp, scores)
        n_blocks = (job.n + job.B - 1) // job.B
        self.n_threads = max(1, min(n_threads or max_threads(), n_blocks))
        if not n_threads and job.n * work < LEAST_WORK:
            self.n_threads = 1
        self.slice_chunks = <Py_ssize_t> min(<double> MOST_BLOCKS, max(4.0, SLICE_WORK / (work * job.B)))
        self.slice_chunks *= self.n_threads
        self.kept, self.table = np.empty(0), np.empty((0, self.KW))
        self.of_block = np.empty(self.slice_chunks * (2 + job.K))
        self.border = np.array([0, self.d], dtype=np.intp)
        if self.n_threads > 1:
            self.border = self._borders()

    def _read(self, X):
        """Point to the entries, whatever their types are."""
        cdef const double[::1] doubles
        cdef const float[::1] floats
        cdef const int32_t[::1] narrow
        cdef const int64_t[::1] wide
        cdef const Py_ssize_t[::1] start = X.indptr.astype(np.intp, copy=False)
        self.m.start = &start[0]
        self.m.longest = np.diff(X.indptr).max(initial=0)
        self.keep.append(start)
        if X.data.dtype == np.float32:
            floats = X.data
            self.m.floats = &floats[0] if X.nnz else NULL
        else:
            doubles = X.data
            self.m.doubles = &doubles[0] if X.nnz else NULL
        if X.indices.dtype == np.int32:
            narrow = X.indices
            self.m.narrow = &narrow[0] if X.nnz else NULL
        else:
            wide = X.indices.astype(np.int64, copy=False)
            self.m.wide = &wide[0] if X.nnz else NULL
            self.keep.append(wide)

    def _borders(self):
        """Columns at which the entries of all rows divide evenly among the threads."""
        cdef Py_ssize_t[::1] count = np.zeros(self.d, dtype=np.intp)
        cdef Py_ssize_t i, row, p
        cdef Job *job = &self.job
        cdef const Csr *m = &self.m
        with nogil:
            for i in range(job.n):
                row = job.index[i] if job.index != NULL else i
                for p in range(m.start[row], m.start[row + 1]):
                    count[m.narrow[p] if m.narrow != NULL else m.wide[p]] += 1
        before = np.cumsum(count)
        inner = np.searchsorted(before, before[self.d - 1] * np.arange(1, self.n_threads) / self.n_threads)
        return np.concatenate([[0], inner, [self.d]]).astype(np.intp)

    cdef void _pack(self, const double *weights) noexcept nogil:
        cdef Py_ssize_t j, k
        for j in range(self.d):
            for k in range(self.job.K):
                self.packed[j, k] = weights[k * <Py_ssize_t> self.d + j]

    cdef void load_linear(self, const double *weights, const double *log_weights) noexcept nogil:
        self._pack(weights)
        memcpy(self.log_weights, log_weights, self.job.K * sizeof(double))

    cdef void _score(self, Buffers *buf, Scratch *scratch, Py_ssize_t row, int rows) noexcept nogil:
        """Add the scores of a block's rows, four at a time."""
        cdef Job *job = &self.job
        cdef int n, k, c, count, B = job.B, K = job.K, KW = self.KW
        cdef Py_ssize_t at
        cdef Entries e
        cdef double *s
        for n in range(0, rows, 4):
            count = min(4, rows - n)
            for c in range(count):
                at = row + n + c
                if job.index != NULL:
                    at = job.index[at]
                e = entries(&self.m, self.m.start[at], self.m.start[at + 1], scratch.values, scratch.columns)
                rows_set.scores(e.x, e.columns, e.length, &self.packed[0, 0], KW, scratch.z + c * KW)
            for k in range(K):
                s = buf.s + <size_t> k * B + n
                for c in range(count):
                    s[c] += scratch.z[c * KW + k]

    cdef void _block(self, Buffers *buf, Scratch *scratch, Py_ssize_t block, Py_ssize_t slot) noexcept nogil:
        """Score and assign the rows of a block; what its sums need goes to its slot of the slice."""
        cdef Job *job = &self.job
        cdef int n, k, B = job.B, K = job.K
        cdef Py_ssize_t row = block * B
        cdef int rows = <int> min(<Py_ssize_t> B, job.n - row)
        cdef double *out = &self.of_block[slot * (2 + K)]
        cdef double *keep = NULL
        memset(buf.table, 0, job.table_size * sizeof(double))
        buf.sums[0] = buf.sums[1] = 0.0
        for n in range(B):
            buf.w[n] = 0.0 if n >= rows else (1.0 if job.weight == NULL else job.weight[row + n])
        if not job.given:
            start_scores(job, buf, row, rows)
            if job.n_scorers:
                self._score(buf, scratch, row, rows)
        assign_block(job, buf, row, rows)
        out[0], out[1] = buf.sums[0], buf.sums[1]
        for k in range(K):
            out[2 + k] = tiles.lane_sum(buf.table + k * tiles.width)
        if job.n_collectors == 0:
            return
        for n in range(rows):
            keep = &self.kept[(slot * B + n) * self.width]
            if job.assign == HARD:
                keep[0], keep[1] = buf.index[n], buf.w[n]
                continue
            for k in range(K):
                keep[k] = buf.s[<size_t> k * B + n]
            for k in range(K, self.width):
                keep[k] = 0.0

    cdef void _collect(
        self, Scratch *scratch, Py_ssize_t first, Py_ssize_t rows, const double *kept, Py_ssize_t low, Py_ssize_t high,
    ) noexcept nogil:
        """Sum the entries within columns `low` and `high` of some rows from `first` on."""
        cdef Job *job = &self.job
        cdef Py_ssize_t i, at, p, end, t
        cdef double *sums
        cdef Entries e
        for i in range(rows):
            at = job.index[first + i] if job.index != NULL else first + i
            p, end = self.m.start[at], self.m.start[at + 1]
            if low > 0:
                p = first_from(&self.m, p, end, low)
            if high < self.d:
                end = first_from(&self.m, p, end, high)
            e = entries(&self.m, p, end, scratch.values, scratch.columns)
            if job.assign == HARD:
                sums = job.total + job.collectors[0].sums + <Py_ssize_t> kept[0] * self.d
                for t in range(e.length):
                    sums[e.columns[t]] += kept[1] * e.x[t]
            else:
                rows_set.sums(e.x, e.columns, e.length, kept, self.KW, &self.table[0, 0])
            kept += self.width

    cdef void _serve(self, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
        """Score and assign the blocks from `first` to `stop` while there are any; one thread sums at once."""
        cdef Job *job = &self.job
        cdef Job own = job[0]
        cdef Buffers buf
        cdef Scratch scratch
        cdef Py_ssize_t slot, row
        # the sums of all columns are nobody's own
        own.sums_size = 2
        if not allocate_buffers(&own, &buf):
            job.failed = 1
            return
        if not _allocate_scratch(&scratch, self.m.longest, self.KW):
            job.failed = 1
        while not job.failed:
            slot = tl.take_ticket(&job.ticket)
            if first + slot >= stop:
                break
            self._block(&buf, &scratch, first + slot, slot)
            if self.n_threads == 1 and job.n_collectors:
                row = (first + slot) * job.B
                self._collect(&scratch, row, min(<Py_ssize_t> job.B, job.n - row),
                              &self.kept[slot * job.B * self.width], 0, self.d)
        _free_scratch(&scratch)
        free_buffers(&buf)

    cdef void _sum(self, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
        """Sum ranges of columns over the blocks of a slice while there are any."""
        cdef Job *job = &self.job
        cdef Scratch scratch
        cdef Py_ssize_t part, row = first * job.B
        if not _allocate_scratch(&scratch, self.m.longest, self.KW):
            job.failed = 1
        while not job.failed:
            part = tl.take_ticket(&job.ticket)
            if part >= self.n_threads:
                break
            self._collect(&scratch, row, min(stop * job.B, job.n) - row, &self.kept[0],
                          self.border[part], self.border[part + 1])
        _free_scratch(&scratch)

    cdef int run(self) except -1:
        """Walk the blocks in slices, answering signals between them."""
        cdef Job *job = &self.job
        cdef Py_ssize_t n_blocks = (job.n + job.B - 1) // job.B, first = 0, stop, slot
        cdef int i
        self._begin()
        while first < n_blocks:
            stop = min(first + self.slice_chunks, n_blocks)
            job.ticket = 0
            if self.n_threads == 1:
                with nogil:
                    self._serve(first, stop)
            else:
                with nogil, parallel(num_threads=self.n_threads):
                    self._serve(first, stop)
                job.ticket = 0
                if job.n_collectors and not job.failed:
                    with nogil, parallel(num_threads=self.n_threads):
                        self._sum(first, stop)
            if job.failed:
                raise MemoryError("no memory for the buffers of a pass")
            for slot in range(stop - first):
                for i in range(2 + job.K):
                    job.total[i] += self.of_block[slot * (2 + job.K) + i]
            PyErr_CheckSignals()
            first = stop
        if job.n_collectors and job.assign != HARD:
            with nogil:
                self._unpack()
        return 0

    cdef int _begin(self) except -1:
        """Empty sums, and room for what waits to be summed: `assign` may have changed since the pass was set up."""
        cdef Job *job = &self.job
        memset(job.total, 0, job.sums_size * sizeof(double))
        if job.n_collectors == 0:
            return 0
        self.width = 2 if job.assign == HARD else self.KW
        if self.kept.shape[0] < self.slice_chunks * job.B * self.width:
            self.kept = np.empty(self.slice_chunks * job.B * self.width)
        if job.assign != HARD:
            if self.table.shape[0] < self.d:
                self.table = np.empty((self.d, self.KW))
            memset(&self.table[0, 0], 0, self.d * <size_t> self.KW * sizeof(double))
        return 0

    cdef void _unpack(self) noexcept nogil:
        cdef Py_ssize_t j, k
        cdef double *out = self.job.total + self.job.collectors[0].sums
        for k in range(self.job.K):
            for j in range(self.d):
                out[k * self.d + j] = self.table[j, k]
