"""What a truncated pass works on: the parts, the rows' sets of components, and the buffers of a thread."""

from libc.stdint cimport int32_t
from libc.stdlib cimport calloc

cimport skem._kernels._rows as rw

cdef enum:
    # Rows of a block, a multiple of what the tiles take at once. The first-level cache holds their scores, and a
    # column of them does not return to the same few places of it, as powers of two would.
    B = 96
    LINEAR = 0
    DIAG = 1
    FULL = 2
    NONE = 3

cdef struct Part:
    int kind, map, m, M            # m features, M padded; unused where the kind is not LINEAR
    const double *mean             # (K, D)
    const double *factor           # (K, M) weights, (K, D) diagonals, or (K, d, D) columns of triangles
    size_t step                    # length of a triangle, 0 where all share one

cdef struct Scan:
    int row, size                  # float numbers of a row and of a component
    const float *numbers           # (K, size)
    const float *packed            # (tiles, size, tile)
    const float *offset            # (tiles, tile)
    const int32_t *window          # (n_window): components, -1 for none
    int first, n_tiles, n_window   # tiles of the window: from `first` on and around the end
    int near                       # components of their block's sets that rows look at, too, at most: whole tiles
    int stride                     # scores of a row at most, and a place that nobody reads

cdef struct Job:
    Py_ssize_t n, chunk_rows, last_chunk
    int d, D, K, L, is_float, fresh, hard
    int tile                       # components that are scanned side by side
    int every, due                 # rows look at others whose best component leaves the remainder `due`
    const rw.row_set *kernels
    const char *x
    Py_ssize_t row_stride, column_stride
    const double *origin
    const double *inv_scale
    const double *weight
    const double *offset           # (K)
    const int32_t *order           # (n) the rows one after the other, or NULL
    const int32_t *labels_in
    int32_t *labels
    int32_t *sets                  # (n, L)
    Part scorer, collector
    Scan scan
    size_t sums_k, sums_size
    double *total                  # score, moved, n_k (K), sums (K, sums_k)
    long ticket, turn
    int failed

cdef struct Buffers:
    double *all
    double *x                      # (B, D)
    double *t                      # (B, M) of the scorer
    double *u                      # (B, M) of the collector
    double *s                      # (max(L, 4), B)
    double *kept                   # (L): scores of a row's set
    double *exact                  # (K): scores of the candidates
    double *pair_s                 # (B L): scores of the listed pairs
    double *share                  # (B): of the rows that have one in a component, which `sharer` names
    double *w
    double *lse
    double *index
    double *spare                  # (L, W)
    double *z
    double *sums
    float *t32                     # (4, scan.row)
    float *out                     # (4, scan.stride)
    float *best                    # (4 L + tile)
    float *near_packed             # (near / tile, size, tile)
    float *near_offset             # (near)
    int32_t *near                  # (near)
    int32_t *candidates            # (max(K, scan.stride))
    int32_t *same                  # (K): one row
    int32_t *mark                  # (K): stamp of the last block whose sets have a component
    int32_t *local                 # (K): where such a component is listed
    int32_t *place                 # (K): where its score stands in `out`
    int32_t *listed                # (min(B L, K)) components of the block's sets
    int32_t *start                 # (min(B L, K) + 1) where their pairs start
    int32_t *pair_row              # (B L): row, component and place in `s` of each pair
    int32_t *pair_set
    int32_t *pair_slot
    int32_t *sharer                # (B)
    int32_t stamp
    int n_listed


cdef inline size_t aligned(size_t n) noexcept nogil:
    return (n + 7) & ~<size_t>7


cdef inline int allocate_buffers(const Job *job, Buffers *buf, int width) noexcept nogil:
    """Buffers of one thread in one allocation, floats and integers counted as doubles."""
    cdef size_t sizes[22]
    cdef size_t total = 8
    cdef double *places[23]
    cdef int i
    sizes[0] = <size_t> B * job.D
    sizes[1] = <size_t> B * job.scorer.M
    sizes[2] = <size_t> B * job.collector.M
    sizes[3] = <size_t> B * max(job.L, 4)
    sizes[4] = job.L
    sizes[5] = job.K
    sizes[6] = sizes[7] = sizes[8] = B
    sizes[9] = <size_t> job.L * width
    sizes[10] = job.D
    sizes[11] = 4 * <size_t> job.scan.row
    sizes[12] = <size_t> 4 * job.scan.stride
    sizes[13] = <size_t> 4 * job.L + job.tile
    sizes[14] = <size_t> job.scan.near * job.scan.size
    sizes[15] = sizes[16] = job.scan.near
    sizes[17] = max(job.K, job.scan.stride) + 4 * <size_t> job.K
    sizes[18] = sizes[19] = <size_t> B * job.L
    sizes[20] = 2 * <size_t> min(B * job.L, job.K) + 1
    sizes[21] = 2 * B + <size_t> B * job.L
    for i in range(22):
        total += aligned(sizes[i])
    buf.all = <double *> calloc(total + aligned(job.sums_size), sizeof(double))
    if buf.all == NULL:
        return 0
    places[0] = <double *> ((<size_t> buf.all + 63) & ~<size_t>63)
    for i in range(22):
        places[i + 1] = places[i] + aligned(sizes[i])
    buf.x, buf.t, buf.u, buf.s = places[0], places[1], places[2], places[3]
    buf.kept, buf.exact, buf.w, buf.lse, buf.index = places[4], places[5], places[6], places[7], places[8]
    buf.spare, buf.z = places[9], places[10]
    buf.t32, buf.out, buf.best = <float *> places[11], <float *> places[12], <float *> places[13]
    buf.near_packed, buf.near_offset = <float *> places[14], <float *> places[15]
    buf.near, buf.candidates = <int32_t *> places[16], <int32_t *> places[17]
    buf.same = buf.candidates + max(job.K, job.scan.stride)
    buf.mark, buf.local, buf.place = buf.same + job.K, buf.same + 2 * job.K, buf.same + 3 * job.K
    buf.pair_s, buf.pair_row = places[18], <int32_t *> places[19]
    buf.pair_set = buf.pair_row + B * job.L
    buf.listed = <int32_t *> places[20]
    buf.start = buf.listed + min(B * job.L, job.K)
    buf.share, buf.sharer = places[21], <int32_t *> (places[21] + B)
    buf.pair_slot = buf.sharer + B
    buf.sums = places[22]
    buf.stamp = 0
    return 1
