"""How the parts of a pass are laid out in its job: packed weights, places in the tables and in the sums."""

import numpy as np

from skem._kernels.parts import n_linear_features

from libc.stdint cimport int32_t, uint8_t

cimport skem._kernels._tiles as tl
from skem._kernels._job cimport (
    CODED, DIAG, FLOATS, FULL, GATHER, LINEAR, ROWS, WIDE, WIDE_FROM, Collector, Features, Job, Scorer, lanes_of,
    pack_weights,
)

# Numbers that may wait to be summed in a hard pass, where few rows of every component do.
cdef enum:
    QUEUED = 1 << 13

FEATURE_MAPS = {
    "x": tl.MAP_IDENTITY, "x_squares": tl.MAP_SQUARES, "x_norm": tl.MAP_NORM, "x_pairs": tl.MAP_PAIRS,
    "one_hot": tl.MAP_ONE_HOT, "x_log": tl.MAP_LOG, "log_both": tl.MAP_LOG_BOTH,
}


cdef int _feature_index(Job *job, spec, int column, int d) except -1:
    """The block of features (map, columns), shared by the parts that want the same."""
    cdef int i, map = FEATURE_MAPS[spec.feature_map]
    cdef Features *f
    for i in range(job.n_features):
        f = &job.features[i]
        if f.map == map and f.column == column and f.d == d:
            return i
    f = &job.features[job.n_features]
    f.map, f.column, f.d = map, column, d
    f.m = n_linear_features(spec, d)
    f.at = job.feature_rows
    if map != tl.MAP_IDENTITY:
        # of a one-hot map, only the codes are written
        job.feature_rows += ((d if map == tl.MAP_ONE_HOT else f.m) + 3) // 4 * 4
    job.n_features += 1
    return job.n_features - 1


cdef void pack_triangles(
    const double *factor,          # IN  (count, d, d) lower triangles
    int count, int d,
    double *out,                   # OUT (count, length) in groups of four rows, as the full tile reads them
) noexcept nogil:
    cdef int k, i, j, r
    cdef size_t at = 0
    cdef const double *f
    for k in range(count):
        f = factor + <size_t> k * d * d
        for i in range(0, d, 4):
            for j in range(min(i + 4, d)):
                for r in range(4):
                    out[at] = f[(i + r) * <size_t> d + j] if i + r < d and j <= i + r else 0.0
                    at += 1


cdef double *own_array(value, list keep, length=None) except NULL:
    """A private array with the values of another, or an empty one: passes are loaded anew, theirs may be read-only."""
    cdef double[::1] flat = np.array(value, dtype=np.float64).reshape(-1) if length is None else np.empty(length)
    keep.append(flat)
    return &flat[0]


cdef float *_floats(value, list keep) except NULL:
    """A private array of floats."""
    cdef float[::1] flat = np.array(value, dtype=np.float32).reshape(-1)
    keep.append(flat)
    return &flat[0]


cdef float *_pack_floats(const double[:, ::1] weights, int KP, list keep) except NULL:
    """As pack_weights, in float."""
    cdef Py_ssize_t k, i, m = weights.shape[1]
    cdef float[::1] out = np.zeros(KP * m, dtype=np.float32)
    for k in range(weights.shape[0]):
        for i in range(m):
            out[(k // 4 * m + i) * 4 + k % 4] = <float> weights[k, i]
    keep.append(out)
    return &out[0]


cdef int set_coding(Job *job, coding, parts, list keep) except -1:
    """Read rows from their bytes."""
    cdef const uint8_t[:, ::1] codes = coding.codes
    cdef const int32_t[::1] first = coding.first, column = coding.column, level = coding.level
    cdef const int32_t[::1] feature = coding.feature
    cdef const double[::1] value = coding.value
    keep.append(coding)
    job.bytes = &codes[0, 0]
    job.coding.n_bytes, job.coding.n_entries = <int> codes.shape[1], first[first.shape[0] - 1]
    job.coding.first, job.coding.column, job.coding.level = &first[0], &column[0], &level[0]
    job.coding.feature, job.coding.value = &feature[0], &value[0]
    job.m = n_linear_features(parts[0][0], parts[0][2])
    return 0


cdef int add_scorer(Job *job, spec, int column, int d, list keep) except -1:
    cdef Scorer *sc = &job.scorers[job.n_scorers]
    cdef const double[:, ::1] weights
    cdef const double[:, :, ::1] factor
    cdef double *packed
    sc.column, sc.d = column, d
    if job.bytes != NULL:
        sc.kind = CODED
        if spec.weights.shape != (job.K, job.m):
            raise ValueError(f"natural parameters have shape {spec.weights.shape}, expected {(job.K, job.m)}")
        weights = np.ascontiguousarray(spec.weights, dtype=np.float64)
        packed = own_array(None, keep, lanes_of(job.K, job.tiles.width) * job.coding.n_entries)
        job.tiles.unfold(&job.coding, &weights[0, 0], job.K, job.m, packed)
        sc.factor = packed
        job.n_scorers += 1
        return 0
    if hasattr(spec, "feature_map"):
        sc.kind = GATHER if spec.feature_map == "one_hot" else LINEAR
        sc.features = _feature_index(job, spec, column, d)
        if spec.weights.shape != (job.K, job.features[sc.features].m):
            raise ValueError(f"natural parameters have shape {spec.weights.shape}, expected "
                             f"{(job.K, job.features[sc.features].m)}")
        weights = np.ascontiguousarray(spec.weights, dtype=np.float64)
        if sc.kind == GATHER:
            job.z_size = max(job.z_size, <size_t> (4 * lanes_of(job.KP, job.tiles.width)))
            by_code = np.zeros((weights.shape[1], lanes_of(job.KP, job.tiles.width)))
            by_code[:, :job.K] = np.transpose(weights)
            sc.factor = own_array(by_code, keep)
            job.n_scorers += 1
            return 0
        if job.in_float:
            sc.floats = _pack_floats(weights, job.KP, keep)
            job.n_scorers += 1
            return 0
        if job.slope > 0:
            sc.floats = _pack_floats(weights, job.KP, keep)
        packed = own_array(None, keep, job.KP * weights.shape[1])
        pack_weights(&weights[0, 0], job.K, weights.shape[1], packed)
        sc.factor = packed
    else:
        if spec.factor.ndim == 3:
            sc.kind = FULL
            job.z_size = max(job.z_size, <size_t> (4 * job.tiles.width * d))
            factor = np.ascontiguousarray(spec.factor, dtype=np.float64)
            length = sum(4 * min(i + 4, d) for i in range(0, d, 4))
            packed = own_array(None, keep, factor.shape[0] * length)
            pack_triangles(&factor[0, 0, 0], factor.shape[0], d, packed)
            sc.factor = packed
            sc.stride = length if factor.shape[0] > 1 or job.K == 1 else 0
            if job.in_float:
                sc.floats, sc.float_mean = _floats(keep.pop(), keep), _floats(spec.mean, keep)
                job.n_scorers += 1
                return 0
            if job.slope > 0:
                sc.floats, sc.float_mean = _floats(keep[len(keep) - 1], keep), _floats(spec.mean, keep)
        else:
            sc.kind = DIAG
            sc.factor = own_array(spec.factor, keep)
        sc.mean = own_array(spec.mean, keep)
        if spec.dof is not None:
            sc.dof = own_array(spec.dof, keep)
            sc.latent = job.latent_rows
            job.latent_rows += 2 * job.K
    job.n_scorers += 1
    return 0


cdef int add_collector(Job *job, spec, int column, int d, list keep, list means) except -1:
    cdef Collector *c = &job.collectors[job.n_collectors]
    cdef int W = job.tiles.width, D, i
    cdef double[:, ::1] mean
    c.column, c.table, c.sums, c.scorer = column, job.table_size, job.sums_size, -1
    if job.bytes != NULL:
        c.kind = CODED
        c.sums_k = job.m
        job.table_size += lanes_of(job.K, job.tiles.width) * job.coding.n_entries
        job.sums_size += job.m * <size_t> job.K
        job.n_collectors += 1
        means.append(None)
        return 0
    if hasattr(spec, "feature_map"):
        c.features = _feature_index(job, spec, column, d)
        if spec.feature_map == "one_hot":
            c.kind = GATHER
            c.d = d
            c.sums_k = job.features[c.features].m
            job.z_size = max(job.z_size, <size_t> (4 * lanes_of(job.KP, job.tiles.width)))
            job.table_size += c.sums_k * lanes_of(job.KP, job.tiles.width)
            job.sums_size += c.sums_k * job.K
            job.n_collectors += 1
            means.append(None)
            return 0
        if job.in_float and spec.feature_map == "x":
            c.kind = FLOATS
        elif job.plain and d >= WIDE_FROM and spec.feature_map == "x":
            c.kind = ROWS
        else:
            c.kind = LINEAR
        job.hard_resp = 1
        c.d = job.features[c.features].m
        c.width = lanes_of(c.d, 4 if c.kind == LINEAR else W)
        c.table_k = c.width * (W if c.kind == LINEAR else 1)
        c.sums_k = c.d
        means.append(None)
    else:
        c.d = d
        c.kind = DIAG if spec.structure == "diag" else FULL if d < WIDE_FROM and not job.in_float else WIDE
        c.panel = job.tiles.panel_columns if job.in_float else 8
        D = lanes_of(d, c.panel if c.kind == WIDE else 4)
        c.width = D
        c.table_k = D + D * (D + c.panel) // 2 if c.kind == WIDE else D * 2 * W if c.kind == DIAG \
            else (D + (D // 4) * (D // 4 + 1) // 2 * 16) * W
        c.sums_k = 2 * d if c.kind == DIAG else d + d * (d + 1) // 2
        padded = np.zeros((job.K, D))
        padded[:, :d] = spec.mean
        mean = padded
        means.append(padded[:, :d])
        c.mean = &mean[0, 0]
        if job.in_float:
            c.float_mean = _floats(padded, keep)
        if c.kind == WIDE:
            job.z_size = max(job.z_size, <size_t> D * job.B)
            job.wide = max(job.wide, D)
        else:
            # few components fill long queues within a chunk; many would leave the second-level cache with them.
            # An odd number of cache lines: columns a power of two apart would push one another out.
            c.room = min(56, max(24, QUEUED // (job.K * D) // 16 * 16 + 8))
            c.queue = job.queue_size
            job.queue_size += (D + 1) * <size_t> c.room * job.K
        if spec.dof is not None:
            for i in range(job.n_scorers):
                if job.scorers[i].dof != NULL and job.scorers[i].column == column:
                    c.scorer = i
            if c.scorer < 0:
                raise ValueError("a collector with degrees of freedom needs a scorer of the same columns that has them")
            c.table_k += 2 * W
            c.sums_k += 2
    job.table_size += c.table_k * (job.KP if c.kind in (FLOATS, LINEAR, ROWS) else job.K)
    job.sums_size += c.sums_k * job.K
    job.n_collectors += 1
    return 0
