"""Chunks of rows next to centres: what a thread works on, and what it does with a chunk, piece by piece."""

from cython cimport floating
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport fmin, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc

cdef extern from "nearest_dispatch.h" nogil:
    const int TILE
    const float BELOW
    ctypedef struct nearest_set:
        int rows, itemsize
        void (*load)(const void *data, Py_ssize_t row_stride, const void *origin, const void *inv_scale,
                     const int32_t *index, int rows, int d, void *panel) noexcept nogil
        void (*load_doubles)(const void *data, Py_ssize_t row_stride, const void *origin, const void *inv_scale,
                             const int32_t *index, int rows, int d, void *panel) noexcept nogil
        uint64_t (*nearest)(const void *panel, int d, const void *packed, int K, int64_t keep, double reach,
                            double norm, int rows, int32_t *labels, float *lower, const void *ahead,
                            size_t n_ahead) noexcept nogil
        void (*own)(const void *data, Py_ssize_t row_stride, const double *origin, const double *inv_scale, int rows,
                    int d, const double *centers, const int32_t *labels, double *out) noexcept nogil
        void (*sums)(const void *data, Py_ssize_t row_stride, const double *origin, int rows, int d, int K,
                     const double *weight, const int32_t *labels, int32_t *order, double *sums,
                     double *mass) noexcept nogil
        void (*squares)(const double *panel, int d, const double *centers, int K, double *out) noexcept nogil
    const nearest_set *select_nearest(int is_float)

cdef extern from "tickets.h" nogil:
    long take_ticket(volatile long *counter)
    void wait_turn(volatile long *turn, long mine)
    void pass_turn(volatile long *turn)

cdef extern from *:
    """
    #define SKEM_ROUNDED (1.0 - 1.0 / (1 << 22))
    """
    # A lower bound in float, after subtracting a movement, is at most this much too high.
    const double ROUNDED "SKEM_ROUNDED"

cdef enum:
    ASSIGN = 0                     # label rows and sum them
    OWN = 1                        # squared distance of each row to the centre of its label
    ALL = 2                        # squared distance of each row to each centre
    LARGEST_PANEL = 64             # rows: a bit of a word each
    TRIED = 192                    # rows of a piece after which its scores may be given up ...
    HOPELESS = 3                   # ... where more than one row in so many is left to be settled
    PIECE_BYTES = 1 << 18          # of a chunk's piece, which is read twice: half of a second-level cache
    PIECE_ROWS = 4096
    CHUNK_ROWS = 1024              # or more: adding a chunk's sums up is nothing beside forming them

cdef struct Job:
    const nearest_set *tiles       # of the numbers that scores are formed in
    const nearest_set *rows        # of the numbers that a chunk's rows are given in
    const nearest_set *doubles
    int mode, d, K, is_float, is_staged, collects
    Py_ssize_t n, piece_rows, chunk_rows, last_chunk
    const char *x
    Py_ssize_t row_stride, column_stride
    const double *origin
    const double *inv_scale
    const double *centers          # (K, d)
    const void *tile_origin        # the same in the rows' numbers
    const void *tile_scale
    const void *packed
    void (*load)(const void *data, Py_ssize_t row_stride, const void *origin, const void *inv_scale,
                 const int32_t *index, int rows, int d, void *panel) noexcept nogil
    int64_t keep
    double reach, norm
    const double *weight
    const double *drift            # (K), or NULL: compare all centres
    const double *discount         # (K) off the squared distances to each centre, or NULL
    double slack                   # by how much the nearest must beat the old label, where there are discounts
    int32_t identity[LARGEST_PANEL]
    int32_t *labels
    const int32_t *given           # labels that are only read
    float *lower                   # or NULL
    double *out
    double *total                  # sums (K, d) not scaled, mass (K), rows moved, compared, settled in double
    size_t n_sums
    long ticket, turn
    int failed

cdef struct Buffers:
    double *all                    # the one allocation behind the rest
    char *stage                    # the piece, row-major, where the data are not or are to be widened
    double *panel
    double *gathered               # a few rows in double
    double *squares                # (K, rows of a panel)
    double *own
    double *sums
    int32_t *index                 # rows of the piece to compare with all centres
    int32_t *close                 # rows of the piece to decide in double
    int32_t *old                   # labels that the rows to compare had
    int32_t *order                 # rows of the piece by label, and K numbers


cdef inline int allocate_buffers(Job *job, Buffers *buf) noexcept nogil:
    cdef size_t sizes[10]
    cdef size_t total = 8
    cdef int i
    cdef double *p
    sizes[0] = <size_t> job.piece_rows * job.d if job.is_staged else 0
    sizes[1] = <size_t> LARGEST_PANEL * job.d
    sizes[2] = sizes[1]
    sizes[3] = <size_t> LARGEST_PANEL * job.K
    sizes[4] = job.piece_rows
    sizes[5] = job.n_sums
    sizes[6] = job.piece_rows // 2 + 1
    sizes[7] = job.piece_rows // 2 + 1
    sizes[8] = job.piece_rows // 2 + 1
    sizes[9] = (job.piece_rows + job.K) // 2 + 1
    for i in range(10):
        sizes[i] = (sizes[i] + 7) & ~<size_t>7
        total += sizes[i]
    buf.all = <double *> calloc(total, sizeof(double))
    if buf.all == NULL:
        return 0
    p = <double *> ((<size_t> buf.all + 63) & ~<size_t>63)
    buf.stage = <char *> p
    buf.panel = p + sizes[0]
    buf.gathered = buf.panel + sizes[1]
    buf.squares = buf.gathered + sizes[2]
    buf.own = buf.squares + sizes[3]
    buf.sums = buf.own + sizes[4]
    buf.index = <int32_t *> (buf.sums + sizes[5])
    buf.close = <int32_t *> (buf.sums + sizes[5] + sizes[6])
    buf.old = <int32_t *> (buf.sums + sizes[5] + sizes[6] + sizes[7])
    buf.order = <int32_t *> (buf.sums + sizes[5] + sizes[6] + sizes[7] + sizes[8])
    return 1


cdef inline void copy_rows(
    const char *data,              # IN  doubles, or floats
    bint is_float,                 # IN
    Py_ssize_t row_stride,         # IN  in numbers
    Py_ssize_t column_stride,      # IN
    const int32_t *index,          # IN  rows to take, or NULL for the first `rows`
    int rows,                      # IN
    int d,                         # IN
    floating *out,                 # OUT (rows, d)
) noexcept nogil:
    cdef const float *f = <const float *> data
    cdef const double *x = <const double *> data
    cdef Py_ssize_t at
    cdef int n, j
    for n in range(rows):
        at = (n if index == NULL else index[n]) * row_stride
        for j in range(d):
            out[n * <Py_ssize_t> d + j] = <floating> (
                f[at + j * column_stride] if is_float else x[at + j * column_stride]
            )


cdef inline void all_squares(
    Job *job, Buffers *buf,
    const char *x,                 # IN  the piece, as copy_rows reads it
    bint is_float,                 # IN
    Py_ssize_t row_stride,         # IN
    Py_ssize_t column_stride,      # IN
    const int32_t *index,          # IN  at most a panel of its rows, or NULL for the first
    int rows,                      # IN
) noexcept nogil:
    """Squared distances of rows to all centres, as (K, rows of a panel)."""
    copy_rows[double](x, is_float, row_stride, column_stride, index, rows, job.d, buf.gathered)
    job.doubles.load(buf.gathered, job.d, job.origin, job.inv_scale, job.identity, rows, job.d, buf.panel)
    job.doubles.squares(buf.panel, job.d, job.centers, job.K, buf.squares)


cdef inline int fail_bounds(
    Job *job, Buffers *buf,
    const char *x, Py_ssize_t row_stride,   # IN  the piece
    Py_ssize_t row,                # IN  its first row
    int rows,                      # IN
) noexcept nogil:
    """List the rows that another centre may have come nearer to (Hamerly 2010); their number."""
    cdef int n, count = 0
    cdef double low
    job.rows.own(x, row_stride, job.origin, job.inv_scale, rows, job.d, job.centers, job.labels + row, buf.own)
    for n in range(rows):
        low = job.lower[row + n] * ROUNDED - job.drift[job.labels[row + n]]
        job.lower[row + n] = <float> low
        # no branch: whether a row fails is anybody's guess
        buf.index[count] = n
        count += 1 - ((low > 0.0) & (buf.own[n] < low * low))
    return count


cdef inline void settle(
    Job *job, Buffers *buf,
    const char *x, Py_ssize_t row_stride,   # IN  the piece, in the rows' numbers
    Py_ssize_t row,                # IN  its first row
    int count,                     # IN  rows of the piece in buf.close
) noexcept nogil:
    """Label rows by distances from differences, the first of equal ones."""
    cdef int panel = job.doubles.rows, at = 0, m, n, r, k, label, old
    cdef double best, second, square
    while at < count:
        m = min(panel, count - at)
        all_squares(job, buf, x, job.rows != job.doubles, row_stride, 1, buf.close + at, m)
        if job.discount != NULL:
            for k in range(job.K):
                for n in range(m):
                    buf.squares[k * <Py_ssize_t> panel + n] -= job.discount[k]
        for n in range(m):
            best, second, label = buf.squares[n], DBL_MAX, 0
            for k in range(1, job.K):
                square = buf.squares[k * <Py_ssize_t> panel + n]
                if square < best:
                    second = best
                    best = square
                    label = k
                elif square < second:
                    second = square
            r = buf.close[at + n]
            if job.discount != NULL:
                # without bounds all rows of the piece are compared, in their order
                old = buf.old[r]
                if old >= 0 and buf.squares[old * <Py_ssize_t> panel + n] - best <= job.slack:
                    label = old
            job.labels[row + r] = label
            if job.lower != NULL:
                job.lower[row + r] = <float> fmin(sqrt(second), FLT_MAX) * BELOW
        at += m


cdef inline void assign(
    Job *job, Buffers *buf,
    const char *x, Py_ssize_t row_stride,   # IN  the piece, in the rows' numbers
    Py_ssize_t row,                # IN  its first row
    int rows,                      # IN
    Py_ssize_t n_left,             # IN  at least as many, that lie there
) noexcept nogil:
    cdef int panel = job.tiles.rows, count = rows, n_close = 0, at = 0, moved = 0, m, n, r
    cdef uint64_t close
    cdef size_t n_ahead
    cdef int32_t labels[LARGEST_PANEL]
    cdef float bounds[LARGEST_PANEL]
    cdef int32_t *new = job.labels + row
    cdef float *lower = NULL if job.lower == NULL else job.lower + row
    cdef const double *weight = NULL
    if job.drift != NULL:
        count = fail_bounds(job, buf, x, row_stride, row, rows)
    else:
        for n in range(rows):
            buf.index[n] = n
    for n in range(count):
        buf.old[n] = new[buf.index[n]]
    while at < count and not (at >= TRIED and n_close * HOPELESS > at):
        m = min(panel, count - at)
        job.load(x, row_stride, job.tile_origin, job.tile_scale, buf.index + at, m, job.d, buf.panel)
        # the next panel's rows, where they lie one after the other
        n_ahead = 0
        if job.drift == NULL and row_stride == job.d:
            n_ahead = <size_t> min(panel, n_left - at - m) * job.d * job.rows.itemsize
        close = job.tiles.nearest(buf.panel, job.d, job.packed, job.K, job.keep, job.reach, job.norm, m, labels,
                                  NULL if lower == NULL else bounds,
                                  x + <size_t> (at + m) * job.d * job.rows.itemsize, n_ahead)
        for n in range(m):
            r = buf.index[at + n]
            new[r] = labels[n]
            buf.close[n_close] = r
            n_close += (close >> n) & 1
        if lower != NULL:
            for n in range(m):
                lower[buf.index[at + n]] = bounds[n]
        at += m
    for n in range(at, count):
        buf.close[n_close] = buf.index[n]
        n_close += 1
    settle(job, buf, x, row_stride, row, n_close)
    for n in range(count):
        moved += buf.old[n] != new[buf.index[n]]
    if job.collects:
        if job.weight != NULL:
            weight = job.weight + row
        job.rows.sums(x, row_stride, job.origin, rows, job.d, job.K, weight, new, buf.order, buf.sums,
                      buf.sums + <Py_ssize_t> job.K * job.d)
    buf.sums[job.n_sums - 3] += moved
    buf.sums[job.n_sums - 2] += count
    buf.sums[job.n_sums - 1] += n_close


cdef inline void write_all(
    Job *job, Buffers *buf,
    const char *x,                 # IN  the piece as the user's array holds it
    Py_ssize_t row,                # IN  its first row
    int rows,                      # IN
) noexcept nogil:
    cdef int panel = job.doubles.rows, at = 0, m, n, k
    cdef Py_ssize_t step = job.row_stride * (4 if job.is_float else 8)
    cdef double *to
    while at < rows:
        m = min(panel, rows - at)
        all_squares(job, buf, x + at * step, job.is_float, job.row_stride, job.column_stride, NULL, m)
        for n in range(m):
            to = job.out + (row + at + n) * job.K
            for k in range(job.K):
                to[k] = buf.squares[k * <Py_ssize_t> panel + n]
        at += m


cdef inline void _run_piece(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    cdef const char *x = job.x + row * job.row_stride * (4 if job.is_float else 8)
    cdef Py_ssize_t row_stride = job.row_stride
    if job.mode == ALL:
        write_all(job, buf, x, row, rows)
        return
    if job.is_staged:
        if job.rows == job.doubles:
            copy_rows[double](x, job.is_float, row_stride, job.column_stride, NULL, rows, job.d, <double *> buf.stage)
        else:
            copy_rows[float](x, job.is_float, row_stride, job.column_stride, NULL, rows, job.d, <float *> buf.stage)
        x = buf.stage
        row_stride = job.d
    if job.mode == OWN:
        job.rows.own(x, row_stride, job.origin, job.inv_scale, rows, job.d, job.centers, job.given + row,
                     job.out + row)
    else:
        assign(job, buf, x, row_stride, row, rows, rows if job.is_staged else job.n - row)


cdef inline void run_chunk(Job *job, Buffers *buf, Py_ssize_t row, Py_ssize_t end) noexcept nogil:
    while row < end:
        _run_piece(job, buf, row, <int> min(job.piece_rows, end - row))
        row += job.piece_rows
