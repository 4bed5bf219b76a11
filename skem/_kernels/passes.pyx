"""One pass over the rows: scores, assignment and statistics, block by block.

A pass is a list of scorers that add into one (components x rows) block, one assignment, and a list of
collectors that sum the statistics. Responsibilities live for one block. Chunks of rows are shared out to the
threads by a ticket and committed in their order, so that the sums have the same bits for any number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

cimport skem._kernels._tiles as tl
from skem._kernels._block cimport run_block, run_float_block
from skem._kernels._collect cimport flush
from skem._kernels._job cimport (
    CHUNK_ROWS, CODED, CODED_ROWS, DRAW, FLOAT_ROWS, FLOAT_STEP, FULL, GATHER, HARD, MAX_PARTS, SOFT, WIDE_FROM,
    Buffers, Collector, Job, Scorer, allocate_buffers, few_rows, free_buffers, lanes_of, pack_weights,
    pad_components,
)
from skem._kernels._openmp cimport SKEM_OPENMP, omp_get_max_threads, omp_get_num_procs
from skem._kernels.layout cimport add_collector, add_scorer, own_array, pack_triangles, set_coding

cdef extern from "dispatch.h" nogil:
    const tl.tile_set *select_tiles()

tiles = select_tiles()

cdef enum:
    FLOAT_NUMBERS = 1 << 15        # scores of a block in float, at most

simd_width = tiles.width
has_openmp = bool(SKEM_OPENMP)

ASSIGNMENTS = {"soft": SOFT, "hard": HARD, "draw": DRAW, "given": HARD}

_thread_cap = 0


def set_thread_cap(int cap):
    """Hold every later pass at `cap` threads; 0 lifts it (a forked child must stay at one)."""
    global _thread_cap
    _thread_cap = cap


def max_threads():
    """Number of threads a pass may use: OMP_NUM_THREADS and threadpoolctl decide."""
    cdef int n = min(omp_get_max_threads(), 4 * omp_get_num_procs())
    return max(1, min(n, _thread_cap) if _thread_cap else n)


cdef void _work(Job *job, Buffers *buf) noexcept nogil:
    """Take chunks while there are any."""
    cdef Py_ssize_t chunk, row, last
    cdef size_t i
    while not job.failed:
        chunk = tl.take_ticket(&job.ticket)
        if chunk >= job.last_chunk:
            break
        memset(buf.table, 0, job.table_size * sizeof(double))
        memset(buf.sums, 0, job.sums_size * sizeof(double))
        row = chunk * job.chunk_rows
        last = min(row + job.chunk_rows, job.n)
        while row < last:
            if job.in_float:
                run_float_block(job, buf, row, <int> min(<Py_ssize_t> job.B, last - row))
            else:
                run_block(job, buf, row, <int> min(<Py_ssize_t> job.B, last - row))
            row += job.B
        flush(job, buf)
        tl.wait_turn(&job.turn, chunk)
        for i in range(job.sums_size):
            job.total[i] += buf.sums[i]
        tl.pass_turn(&job.turn)


cdef void _worker(Job *job) noexcept nogil:
    cdef Buffers buf
    if not allocate_buffers(job, &buf):
        job.failed = 1
        return
    _work(job, &buf)
    free_buffers(&buf)


cdef class Prepared:
    """A pass set up: the arguments of `run_pass`, which may hold each one once."""

    def __cinit__(self):
        memset(&self.job, 0, sizeof(Job))
        self.has_buffers = False

    def __dealloc__(self):
        if self.has_buffers:
            free_buffers(&self.buf)

    def __init__(
        self, X, const double[::1] origin, const double[::1] scale, int n_components, const double[::1] log_weights,
        scorers, collectors, *, assign="soft", const Py_ssize_t[::1] index=None, const double[::1] sample_weight=None,
        const double[:, ::1] log_prior=None, const int32_t[::1] codes=None, const int32_t[::1] labels_in=None,
        const double[::1] uniforms=None, const Py_ssize_t[::1] uniform_start=None, int32_t[::1] labels=None,
        double[::1] lse=None, double[:, ::1] resp=None, double[:, ::1] scores=None, coding=None, bint blind=False,
        bint in_float=False, float_errors=None, int n_threads=0,
    ):
        cdef Job *job = &self.job
        cdef int K = n_components, d, column, width
        cdef size_t few
        cdef double work
        cdef double[::1] total, inv_scale
        cdef float[::1] float_origin, float_scale
        cdef const float[:, :] xf
        cdef const double[:, :] xd
        self.keep, self.means, self.dofs = [], [], []
        job.tiles = tiles
        if len(scorers) > MAX_PARTS or len(collectors) > MAX_PARTS // 2:
            raise ValueError(f"a pass takes at most {MAX_PARTS // 2} parts")
        job.n, d = X.shape
        if index is not None:
            job.n = index.shape[0]
            job.index = &index[0]
        job.d, job.K, job.KP = d, K, pad_components(K)
        job.plain = index is not None or X.strides[1] == X.itemsize
        for column in range(d):
            job.plain = job.plain and origin[column] == 0.0 and scale[column] == 1.0
        if coding is not None:
            set_coding(job, coding, [*scorers, *collectors], self.keep)
        job.assign = ASSIGNMENTS[assign]
        job.given = assign == "given"
        job.blind = blind
        job.in_float = in_float
        if float_errors is not None:
            job.slope, job.base, job.most = float_errors
        # The block shrinks with the number of scores and columns so that it stays in the second-level cache, half as
        # large where vectors are short. There it is no power of two: columns would share their places in the first.
        # Tables of wide rows leave that cache in any case, the less often the more rows a block has.
        large = tiles.width == 8
        job.B = 128 if large else 96
        room = 65536 if large or d >= WIDE_FROM else 32768
        while job.B % (8 * tiles.width) == 0 and job.B > 32 and job.B * (K + 2 * d) > room:
            job.B //= 2
        if float_errors is not None:
            job.B = (job.B + tiles.panel_rows - 1) // tiles.panel_rows * tiles.panel_rows
        elif in_float:
            # scores and weights of all components stay in the second-level cache, if rows need not be fewer
            job.B = FLOAT_ROWS if FLOAT_ROWS * job.KP <= FLOAT_NUMBERS else FLOAT_STEP
        elif job.n < 4 * job.B:
            # few rows: no block is left half empty
            blocks = (job.n + job.B - 1) // job.B
            job.B = <int> ((job.n + blocks - 1) // blocks + 4 * tiles.width - 1) // (4 * tiles.width) * 4 * tiles.width
        job.table_size = job.KP * tiles.width
        job.sums_size = 2 + K
        job.z_size = max(<size_t> 4 * tiles.width * d, <size_t> job.KP * job.B if job.assign == DRAW else 0)
        work = 20.0 * K
        for spec, column, width in scorers:
            add_scorer(job, spec, column, width, self.keep)
            if getattr(spec, "dof", None) is not None:
                work += 40.0 * K
            # of one-hot features, as many count as there are columns
            work += 2.0 * K * (width if getattr(spec, "feature_map", None) == "one_hot"
                               else spec.weights.shape[1] if hasattr(spec, "feature_map")
                               else width * (width + 1) / 2 if spec.factor.ndim == 3 else 2 * width)
        for spec, column, width in collectors:
            add_collector(job, spec, column, width, self.keep, self.means)
            self.dofs.append(self._dof_of(job.n_collectors - 1))
            work += 2.0 * (
                width if job.collectors[job.n_collectors - 1].kind == GATHER
                else job.collectors[job.n_collectors - 1].sums_k
            ) * (K if job.assign != HARD else 1)
        if float_errors is not None:
            job.undecided = job.sums_size
            job.sums_size += 1
            few = few_rows(job)
            job.few_size = max(few * (d + job.KP + 2 + job.feature_rows), <size_t> d * (job.B + tiles.panel_rows) // 2 + 1)
        self.sums = total = np.empty(job.sums_size)
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
        inv_scale = np.empty(d)
        for column in range(d):
            inv_scale[column] = 1.0 / scale[column]
        job.origin, job.inv_scale = &origin[0], &inv_scale[0]
        if in_float:
            float_origin, float_scale = np.array(origin, dtype=np.float32), np.array(inv_scale, dtype=np.float32)
            job.float_origin, job.float_scale = &float_origin[0], &float_scale[0]
            job.shifted = bool(np.any(origin))
            self.keep += [float_origin, float_scale]
        self.set_rows(log_weights, sample_weight, log_prior, codes, labels_in, uniforms, uniform_start, labels, lse,
                      resp, scores)
        if job.bytes != NULL and job.n_scorers == 1 and K <= 2 * tiles.width and (
            log_prior is None and codes is None and lse is None and resp is None and scores is None
        ):
            job.products = own_array(None, self.keep, (lanes_of(K, tiles.width) + 1) * job.coding.n_entries + 64)
            job.top = job.products + lanes_of(K, tiles.width) * job.coding.n_entries + 64
        # A chunk holds at most some tens of milliseconds' work, so that no slice keeps a signal waiting, and wide
        # ones not much less, since their sums are long; its size depends on the work alone, never on the threads,
        # for the sums to have the same bits.
        job.chunk_rows = <Py_ssize_t> min(<double> (CODED_ROWS if job.bytes != NULL else CHUNK_ROWS),
                                          max(1.0, 1.5e9 / work))
        job.chunk_rows = max(<Py_ssize_t> job.B, job.chunk_rows // job.B * job.B)
        self.n_threads = min(n_threads or max_threads(), (job.n + job.chunk_rows - 1) // job.chunk_rows)
        if job.n * work < 2e6:
            self.n_threads = 1
        self.slice_chunks = max(self.n_threads, <Py_ssize_t> (self.n_threads * 2e8 / (work * job.chunk_rows)))
        # every array that the job points into lives as long as this object
        self.keep += [X, origin, inv_scale, index]

    def _dof_of(self, int i):
        """Degrees of freedom by whose scales a collector weighs the rows, as they stand, or None."""
        cdef int scorer = self.job.collectors[i].scorer
        return None if scorer < 0 else np.asarray(<double[:self.job.K]> <double *> self.job.scorers[scorer].dof)

    cdef int set_rows(
        self, const double[::1] log_weights, const double[::1] sample_weight, const double[:, ::1] log_prior,
        const int32_t[::1] codes, const int32_t[::1] labels_in, const double[::1] uniforms,
        const Py_ssize_t[::1] uniform_start, int32_t[::1] labels, double[::1] lse, double[:, ::1] resp,
        double[:, ::1] scores,
    ) except -1:
        """Point the job to what comes by row or by component; see `run_pass`."""
        cdef Job *job = &self.job
        cdef int K = job.K, width
        if resp is not None and job.assign == HARD:
            raise ValueError("a hard pass has no responsibilities to write")
        # tiles read padded components
        width = lanes_of(job.KP, tiles.width)
        self.log_weights = own_array(None, self.keep, width)
        memcpy(self.log_weights, &log_weights[0], K * sizeof(double))
        memset(self.log_weights + K, 0, (width - K) * sizeof(double))
        job.log_weights = self.log_weights
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
        self.keep += [sample_weight, log_prior, codes, labels_in, uniforms, uniform_start, labels, lse, resp, scores]
        return 0

    cdef int run(self) except -1:
        """Walk the chunks in slices, answering signals between them."""
        cdef Job *job = &self.job
        cdef Py_ssize_t n_chunks = (job.n + job.chunk_rows - 1) // job.chunk_rows
        if self.n_threads == 1 and not self.has_buffers:
            job.failed = not allocate_buffers(job, &self.buf)
            self.has_buffers = not job.failed
        memset(job.total, 0, job.sums_size * sizeof(double))
        job.every = 0
        if job.products != NULL and job.assign == SOFT and job.n_collectors == 1 and job.labels == NULL:
            job.every = tiles.unlog(&job.coding, job.scorers[0].factor, job.log_weights, job.K, job.products, job.top)
        job.turn = 0
        while job.turn < n_chunks:
            job.ticket = job.turn
            job.last_chunk = min(job.turn + self.slice_chunks, n_chunks)
            if self.n_threads == 1:
                with nogil:
                    _work(job, &self.buf)
            else:
                with nogil, parallel(num_threads=self.n_threads):
                    _worker(job)
            if job.failed:
                raise MemoryError("no memory for the buffers of a pass")
            PyErr_CheckSignals()
        return 0

    cdef void load_linear(self, const double *weights, const double *log_weights) noexcept nogil:
        cdef Job *job = &self.job
        cdef int m = job.features[job.scorers[0].features].m, KW = lanes_of(job.KP, tiles.width), k, i
        if job.scorers[0].kind == CODED:
            tiles.unfold(&job.coding, weights, job.K, job.m, <double *> job.scorers[0].factor)
        elif job.scorers[0].kind == GATHER:
            for i in range(m):
                for k in range(job.K):
                    (<double *> job.scorers[0].factor)[<size_t> i * KW + k] = weights[k * <size_t> m + i]
        else:
            pack_weights(weights, job.K, m, <double *> job.scorers[0].factor)
        memcpy(self.log_weights, log_weights, job.K * sizeof(double))

    cdef void load_centred(self, const double *mean, const double *factor, const double *log_weights) noexcept nogil:
        cdef Job *job = &self.job
        cdef Scorer *sc = &job.scorers[0]
        cdef Collector *c = &job.collectors[0]
        cdef int k
        memcpy(<double *> sc.mean, mean, job.K * <size_t> sc.d * sizeof(double))
        for k in range(job.K):
            memcpy(<double *> c.mean + k * <size_t> c.width, mean + k * <size_t> sc.d, sc.d * sizeof(double))
        if sc.kind == FULL:
            pack_triangles(factor, job.K if sc.stride else 1, sc.d, <double *> sc.factor)
        else:
            memcpy(<double *> sc.factor, factor, job.K * <size_t> sc.d * sizeof(double))
        memcpy(self.log_weights, log_weights, job.K * sizeof(double))

    @property
    def n_undecided(self):
        """Rows of blocks whose labels float has not found, of a pass that has asked it first."""
        return int(self.job.total[self.job.undecided])

    def once(self):
        """Run, and return what `run_pass` returns."""
        self.run()
        return self.results()

    def results(self, sums=None, means=None, dofs=None):
        """What `run_pass` returns, of this pass or of copies of its sums, means and degrees of freedom."""
        cdef int K = self.job.K
        cdef Py_ssize_t length, at = 2 + K
        sums = self.sums if sums is None else sums
        results = []
        for i, mean in enumerate(self.means if means is None else means):
            length = self.job.collectors[i].sums_k * K
            features = sums[at:at + length].reshape(K, -1)
            found = {"features": features} if mean is None else {"features": features, "mean": mean}
            if self.job.collectors[i].scorer >= 0:
                found["features"], found["latent"] = np.ascontiguousarray(features[:, :-2]), features[:, -2:]
                found["dof"] = np.array((self.dofs if dofs is None else dofs)[i])
            results.append(found)
            at += length
        return sums[0], int(sums[1]), sums[2:2 + K], results


def run_pass(*args, **named):
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
    assign : {"soft", "hard", "draw", "given"}
        "given" takes `codes`, none of them negative, for the labels and scores nothing.
    index : intp ndarray of shape (m,), default=None
        The rows of X that the pass works on, in this order; what comes by row below is then (m, ...).
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
        Written where given: label (of a draw the last one, -1 where there was none), log sum exp of
        the scores, responsibilities times weights (of a draw before it; a hard pass has none), scores.
    coding : skem.coding.Coding, default=None
        The rows of X as bytes, for parts that are all `Linear` in its feature map: X itself is not read.
    blind : bool, default=False
        Whether scorers with degrees of freedom only find what weighs the rows, and the scores stay as given.
    in_float : bool, default=False
        Whether scores and sums are formed in float; a score adds up to n_features roundings of its terms then. For soft
        passes over float32 rows side by side in memory (float32 holds the origin, too) of 16 columns or more, with one
        scorer and one collector that are linear in them, and without `index`, row state and outputs but weights.
    float_errors : tuple of float, default=None
        Slope, base and most: by slope times the squared length of a row and base float may err in the difference of two
        scores, where that length is below `most`. A hard pass with one scorer, linear in "x_pairs" or with full
        factors, and one centred collector labels then by float what that decides; its score is not exact.
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
        For each collector {"features"}: sums of r T(x) of shape (n_components, m). A `Centred` one has T(z) of
        z = x - mean and adds {"mean"}: [z, z_i z_j for j <= i], or [z, z^2] for "diag". With degrees of freedom it
        adds {"latent"} of shape (n_components, 2), sums of r u and of r log(1 + q / nu), and {"dof"}.
    """
    return Prepared(*args, **named).once()
