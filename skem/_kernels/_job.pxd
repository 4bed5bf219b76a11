"""What a pass works on: the parts, the row state and the buffers of a thread."""

from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cimport skem._kernels._tiles as tl

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
    GATHER = 4            # linear in features that are one-hot
    WIDE_FROM = 32        # ... from this many columns
    ROWS = 6              # linear in wide rows, which are summed where they lie
    CODED = 5             # linear in features of rows that are coded as bytes
    FLOATS = 7            # linear in wide float rows, in float
    FLOAT_ROWS = 192      # ... whose blocks have at most so many rows,
    FLOAT_STEP = 96       # and always a multiple of these: of a panel's, and of the rows assigned in step
    CODED_ROWS = 8192     # as CHUNK_ROWS, but telling columns apart is worth more rows

cdef struct Features:
    int map, column, d, m          # m features of the d columns from `column`
    size_t at                      # place in the feature buffer; unused for the identity

cdef struct Scorer:
    int kind, features, column, d
    const double *mean
    const double *factor           # packed weights, (m, KW) for GATHER, tables for CODED, triangles or (K, d)
    const float *floats            # of a pass in float, or one that asks it first: packed weights, or triangles
    const float *float_mean        # and the means of these
    size_t stride
    const double *dof              # (K) of Student-t tails, or NULL
    size_t latent                  # place of their u and log(1 + q / nu), rows of B, in the latent buffer

cdef struct Collector:
    int kind, features, column, d, width   # width: columns or features padded for the tiles
    const double *mean
    const float *float_mean        # the same of WIDE in a pass in float
    int panel                      # columns side by side in WIDE
    size_t table, table_k          # place in the table of vectors, and length a component
    size_t sums, sums_k            # place in the flat sums, and length a component
    int scorer                     # whose latent weights multiply the rows', -1 for none
    size_t queue                   # place in the queues of a hard pass
    int room                       # rows that wait there for each component, at most

cdef struct Job:
    const tl.tile_set *tiles
    Py_ssize_t n, chunk_rows, last_chunk
    int d, K, KP, B, assign, is_float, n_features, n_scorers, n_collectors, wide
    int given                      # whether `codes` are the labels of a hard pass that scores nothing
    int blind                      # whether tails add nothing to the scores
    int in_float                   # whether scores and sums are formed in float
    double slope, base, most       # by how much float may err in a hard pass that asks it first, see T(doubtful_rows)
    int shifted                    # whether the origin is not zero
    int plain                      # whether internal coordinates are the user's, and columns lie side by side
    int hard_resp                  # whether a hard pass must write its responsibilities
    const char *x
    Py_ssize_t row_stride, column_stride
    const double *origin
    const double *inv_scale
    const float *float_origin      # the same for a pass in float
    const float *float_scale
    tl.coding coding
    const uint8_t *bytes           # (n, coding.n_bytes) rows of x, coded; or NULL
    int m                          # features that coded parts are linear in
    double *products               # exponentials of the tables of a coded scorer, see coded.h
    double *top                    # (n_entries) logarithms of what they were divided by
    int every                      # rows whose densities may be multiplied; 0 where the pass goes by logarithms
    const Py_ssize_t *index        # row of x that each row of the pass is, or NULL
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
    size_t feature_rows, latent_rows, table_size, sums_size, z_size, queue_size
    size_t undecided               # place in the flat sums: rows of a hard pass that float was asked for in vain
    size_t few_size                # numbers that asking it takes, and scoring up to a quarter of a block anew
    double *total
    long ticket, turn
    int failed

cdef struct Buffers:
    double *all                    # the one allocation behind the rest
    double *x                      # (d + 4, B); in float one or all panels, (d, rows of a panel)
    double *features
    double *s                      # (KP, B): scores, then weighted responsibilities
    double *w
    double *lse
    double *index
    double *z
    double *spare                  # (KP, W) sums of soft assignments that a draw does not keep
    double *panels                 # (width / 8, B, 8) for wide collectors
    double *gathered               # (B) weights of a component's own rows; in float (KP / 4, B, 4)
    double *rows                   # (B, d) rows of x side by side where an index names them
    uint8_t *bytes                 # (B, n_bytes) the same of coded rows, and where a block is not full
    double *latent                 # (2 K, B) for every scorer with tails: u, then log(1 + q / nu)
    int decided                    # whether labels of the block are found: by float, and in double where that cannot tell
    double *few                    # (few_size)
    double *scaled                 # (B) weights of rows multiplied by u
    double *table
    double *sums
    double *queues                 # for every collector (K, width + 1, room): a component's own rows and their weights
    int *waiting                   # (n_collectors, KP) rows in each queue
    # rows of the block sorted by label, for wide collectors; in float (KP / 4, B) rows that weigh anything, and their
    # numbers
    int *order
    int *start


cdef inline int pad_components(int n) noexcept nogil:
    """Components that a tile works on: `n` or a few more, whose scores nobody reads."""
    return (n + 3) // 4 * 4


cdef inline int lanes_of(int n, int width) noexcept nogil:
    """Components side by side in whole vectors."""
    return (n + width - 1) // width * width


cdef inline int few_rows(const Job *job) noexcept nogil:
    """Rows of a block, at most, that are scored by themselves."""
    return lanes_of(job.B // 4, 2 * job.tiles.width)


cdef inline void pack_weights(
    const double *weights,         # IN  (K, m)
    int K, int m,
    double *out,                   # OUT (pad_components(K) * m) in the order in which the linear tile reads
) noexcept nogil:
    cdef int k, i
    memset(out, 0, <size_t> pad_components(K) * m * sizeof(double))
    for k in range(K):
        for i in range(m):
            out[((k // 4) * <size_t> m + i) * 4 + k % 4] = weights[k * <size_t> m + i]


cdef inline size_t align_doubles(size_t n) noexcept nogil:
    return (n + 7) & ~<size_t>7


cdef inline int allocate_buffers(Job *job, Buffers *buf) noexcept nogil:
    cdef size_t B = job.B
    cdef size_t sizes[18]
    cdef size_t total = 8, n_order, i
    cdef double *p
    if job.in_float:
        # panels of scores (of all rows, where differences are formed), and strips of sums
        sizes[0] = align_doubles(max(<size_t> job.d, B) * (B if job.wide else job.tiles.panel_rows) // 2 + 1)
    else:
        sizes[0] = align_doubles((job.d + 4) * B)
    sizes[1] = align_doubles(job.feature_rows * B)
    sizes[2] = align_doubles(job.KP * B)
    sizes[3] = B
    sizes[4] = B
    sizes[5] = B
    sizes[6] = align_doubles(job.z_size)
    sizes[7] = align_doubles(job.KP * job.tiles.width)
    sizes[8] = align_doubles(job.wide * B)
    sizes[9] = align_doubles(job.table_size)
    sizes[10] = align_doubles(job.sums_size)
    sizes[11] = B * (job.KP // 2 if job.in_float else 1)
    sizes[12] = 0 if job.index == NULL else align_doubles(job.d * B)
    sizes[13] = 0 if job.bytes == NULL else align_doubles((B * job.coding.n_bytes + 7) // 8)
    sizes[14] = align_doubles(job.latent_rows * B)
    sizes[15] = B
    sizes[16] = align_doubles(job.queue_size)
    sizes[17] = align_doubles(job.few_size)
    for i in range(18):
        total += sizes[i]
    buf.all = <double *> calloc(total, sizeof(double))
    n_order = (B + 1) * (job.KP // 4) if job.in_float else B
    buf.order = <int *> calloc(n_order + job.KP + 1 + job.n_collectors * <size_t> job.KP, sizeof(int))
    if buf.all == NULL or buf.order == NULL:
        free(buf.all)
        free(buf.order)
        return 0
    buf.decided = 0
    buf.start = buf.order + n_order
    buf.waiting = buf.start + job.KP + 1
    p = <double *> ((<size_t> buf.all + 63) & ~<size_t>63)
    buf.x = p
    buf.features = buf.x + sizes[0]
    buf.s = buf.features + sizes[1]
    buf.w = buf.s + sizes[2]
    buf.lse = buf.w + sizes[3]
    buf.index = buf.lse + sizes[4]
    buf.z = buf.index + sizes[5]
    buf.spare = buf.z + sizes[6]
    buf.panels = buf.spare + sizes[7]
    buf.gathered = buf.panels + sizes[8]
    buf.rows = buf.gathered + sizes[11]
    buf.bytes = <uint8_t *> (buf.rows + sizes[12])
    buf.latent = buf.rows + sizes[12] + sizes[13]
    buf.scaled = buf.latent + sizes[14]
    buf.table = buf.scaled + sizes[15]
    buf.sums = buf.table + sizes[9]
    buf.queues = buf.sums + sizes[10]
    buf.few = buf.queues + sizes[16]
    return 1


cdef inline void free_buffers(Buffers *buf) noexcept nogil:
    free(buf.all)
    free(buf.order)
