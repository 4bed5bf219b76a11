"""A hard pass down a kd-tree, which gives whole nodes away.

A pass goes down from the root with the components
that may be the best somewhere in the box: at the centre c of a box with half widths h the best is b, and component k
is out if its loss exceeds that of b by more than the difference of the two quadratics can fall within the box,

    loss_k(c) - loss_b(c) > |g_k - g_b|'h + h'[off-diagonal |A_k - A_b| + diagonal (A_b - A_k)_+]h / 2,

g being gradients and A precisions. Where one component is left it receives the node's statistics whole (Pelleg & Moore
1999; Kurihara & Welling 2009). So labels are those of comparing all components for all rows. Subtrees are shared out
to the threads and summed in their order, so that the sums have the same bits for any number of threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, fabs
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc

from skem._kernels.passes import max_threads

from skem._kernels.tree cimport LEAF, MAX_D, Tree, start_of

cdef enum:
    TASK_LEVEL = 6                 # subtrees from this level down are work of their own

# A component is out by this much at least, relative to all that rounding may blur.
cdef double ROUNDING = 1e-13


cdef struct Walk:
    int d, K, n_levels
    Py_ssize_t n
    const double *rows             # leaf by leaf (d, m)
    const int32_t *order
    const double *weight
    const double *center
    const double *half
    const double *mass
    const double *mean
    const double *scatter
    const double *peak             # (K, d)
    const double *factor           # (K, d, d), lower triangles
    const double *precision        # (K, d, d)
    const double *offset           # (K)
    const uint8_t *thin            # (K): whether sums of a node would cost its score digits
    int32_t *own                   # labels in tree order
    int32_t *labels                # and in the user's


cdef struct Hand:
    double *sums                   # (K, 1 + d + pairs): mass, first and second moments about the peaks
    double *loss                   # (K)
    double *slope                  # (K, d)
    double score
    Py_ssize_t moved


cdef void _give(
    const Walk *walk, Hand *hand,
    int k,                         # IN  receiver
    double mass,                   # IN  > 0
    const double *mean,            # IN  (d)
    const double *scatter,         # IN  (d (d + 1) / 2), or NULL: none
) noexcept nogil:
    cdef int d = walk.d, i, j, at = 0
    cdef double *sums = hand.sums + <size_t> k * (1 + d + d * (d + 1) // 2)
    cdef double step[MAX_D]
    sums[0] += mass
    for i in range(d):
        step[i] = mean[i] - walk.peak[k * d + i]
        sums[1 + i] += mass * step[i]
        for j in range(i + 1):
            sums[1 + d + at] += mass * step[i] * step[j]
            if scatter != NULL:
                sums[1 + d + at] += scatter[at]
            at += 1


cdef void _label(const Walk *walk, Hand *hand, Py_ssize_t row, int k) noexcept nogil:
    if walk.own[row] != k:
        walk.own[row] = k
        walk.labels[walk.order[row]] = k
        hand.moved += 1


cdef int _losses(
    const Walk *walk, Hand *hand,
    const double *x,               # IN  (d)
    const int32_t *candidates,     # IN  (n)
    int n,                         # IN
) noexcept nogil:
    """Loss and gradient of candidates at a point; which is the best."""
    cdef int d = walk.d, c, i, j, best = 0
    cdef const double *factor
    cdef const double *peak
    cdef double *slope
    cdef double white, squared
    for c in range(n):
        factor = walk.factor + <size_t> candidates[c] * d * d
        peak = walk.peak + <size_t> candidates[c] * d
        slope = hand.slope + <size_t> c * d
        squared = 0
        for i in range(d):
            slope[i] = 0
        for i in range(d):
            white = 0
            for j in range(i + 1):
                white += factor[i * d + j] * (x[j] - peak[j])
            squared += white * white
            for j in range(i + 1):
                slope[j] += factor[i * d + j] * white
        hand.loss[c] = 0.5 * squared - walk.offset[candidates[c]]
        if hand.loss[c] < hand.loss[best]:
            best = c
    return best


cdef int _prune(
    const Walk *walk, Hand *hand,
    Py_ssize_t node,               # IN
    const int32_t *candidates,     # IN  (n)
    int n,                         # IN
    int32_t *left,                 # OUT those that may be best somewhere in the box
) noexcept nogil:
    cdef int d = walk.d, best = _losses(walk, hand, walk.center + node * d, candidates, n), kept = 0, c, i, j
    cdef const double *half = walk.half + node * d
    cdef const double *first = walk.precision + <size_t> candidates[best] * d * d
    cdef const double *other
    cdef const double *slope = hand.slope + <size_t> best * d
    cdef double lead, fall, bend, size
    for c in range(n):
        if c != best:
            lead = hand.loss[c] - hand.loss[best]
            fall = 0
            size = fabs(hand.loss[c]) + fabs(hand.loss[best]) + 1.0
            for i in range(d):
                fall += fabs(hand.slope[c * d + i] - slope[i]) * half[i]
                size += (fabs(hand.slope[c * d + i]) + fabs(slope[i])) * half[i]
            if lead > fall:
                other = walk.precision + <size_t> candidates[c] * d * d
                for i in range(d):
                    bend = other[i * d + i] - first[i * d + i]
                    if bend < 0:
                        fall -= 0.5 * bend * half[i] * half[i]
                    size += (other[i * d + i] + first[i * d + i]) * half[i] * half[i]
                    for j in range(i):
                        fall += fabs(other[i * d + j] - first[i * d + j]) * half[i] * half[j]
            if lead > fall + ROUNDING * size:
                continue
        left[kept] = candidates[c]
        kept += 1
    return kept


cdef void _own(const Walk *walk, Hand *hand, Py_ssize_t node, Py_ssize_t start, Py_ssize_t stop, int k) noexcept nogil:
    """Give a node away."""
    cdef int d = walk.d, i, j, at
    cdef const double *factor = walk.factor + <size_t> k * d * d
    cdef const double *precision = walk.precision + <size_t> k * d * d
    cdef const double *mean = walk.mean + node * d
    cdef const double *scatter = walk.scatter + node * (d * (d + 1) // 2)
    cdef double white, squared = 0, spread = 0, mass = walk.mass[node]
    cdef Py_ssize_t row, n_strange = 0
    # most nodes stay with their owner: a loop that only counts is the fast way to know
    for row in range(start, stop):
        n_strange += walk.own[row] != k
    if n_strange:
        for row in range(start, stop):
            _label(walk, hand, row, k)
    if not mass > 0:
        return
    _give(walk, hand, k, mass, mean, scatter)
    at = 0
    for i in range(d):
        white = 0
        for j in range(i + 1):
            white += factor[i * d + j] * (mean[j] - walk.peak[k * d + j])
            spread += (1.0 if i == j else 2.0) * precision[i * d + j] * scatter[at]
            at += 1
        squared += white * white
    hand.score += mass * (walk.offset[k] - 0.5 * squared) - 0.5 * spread


cdef void _scan(
    const Walk *walk, Hand *hand,
    Py_ssize_t start,              # IN  of a leaf
    Py_ssize_t stop,               # IN
    const int32_t *candidates,     # IN  (n)
    int n,                         # IN
) noexcept nogil:
    """Compare the rows of a leaf with the components left."""
    cdef double loss[LEAF]
    cdef double best[LEAF]
    cdef double kept[LEAF]
    cdef double white[LEAF]
    cdef double winner[LEAF]
    cdef double row[MAX_D]
    cdef int d = walk.d, c, i, j, k
    cdef Py_ssize_t m = stop - start, r
    cdef const double *x = walk.rows + start * d
    cdef const double *factor
    cdef const double *peak
    cdef double f, p, w
    for r in range(m):
        # of a row so far out that every loss overflows, the first is as good as any
        best[r] = INFINITY
        kept[r] = NAN
        winner[r] = candidates[0]
    for c in range(n):
        k = candidates[c]
        factor = walk.factor + <size_t> k * d * d
        peak = walk.peak + <size_t> k * d
        for r in range(m):
            loss[r] = -walk.offset[k]
        for i in range(d):
            for r in range(m):
                white[r] = 0
            for j in range(i + 1):
                f = factor[i * d + j]
                p = peak[j]
                for r in range(m):
                    white[r] += f * (x[j * m + r] - p)
            for r in range(m):
                loss[r] += 0.5 * white[r] * white[r]
        for r in range(m):
            winner[r] = k if loss[r] < best[r] else winner[r]
            best[r] = loss[r] if loss[r] < best[r] else best[r]
        for r in range(m):
            kept[r] = loss[r] if walk.own[start + r] == k else kept[r]
    for r in range(m):
        # a tie keeps the old label
        k = walk.own[start + r] if kept[r] == best[r] else <int> winner[r]
        _label(walk, hand, start + r, k)
        w = 1.0 if walk.weight == NULL else walk.weight[walk.order[start + r]]
        if w > 0:
            for j in range(d):
                row[j] = x[j * m + r]
            _give(walk, hand, k, w, row, NULL)
            hand.score -= w * best[r]


cdef void _visit(
    const Walk *walk, Hand *hand,
    int level, Py_ssize_t place,   # IN  of the node
    int32_t *candidates,           # IN  (n), room for a level's behind them
    int n,                         # IN
) noexcept nogil:
    cdef Py_ssize_t node = ((<Py_ssize_t> 1) << level) - 1 + place
    cdef Py_ssize_t start = start_of(walk.n, level, place), stop = start_of(walk.n, level, place + 1)
    cdef int32_t *left = candidates + walk.K
    n = _prune(walk, hand, node, candidates, n, left)
    if n == 1 and not walk.thin[left[0]]:
        _own(walk, hand, node, start, stop, left[0])
    elif level == walk.n_levels:
        _scan(walk, hand, start, stop, left, n)
    else:
        _visit(walk, hand, level + 1, 2 * place, left, n)
        _visit(walk, hand, level + 1, 2 * place + 1, left, n)


cdef bint _task(const Walk *walk, int level, Py_ssize_t place, double *sums, double *score,
                Py_ssize_t *moved) noexcept nogil:
    """Walk one subtree; false where there is no memory."""
    cdef Hand hand
    cdef size_t K = walk.K
    cdef int k
    cdef double *room = <double *> malloc(K * (1 + walk.d) * sizeof(double))
    cdef int32_t *lists = <int32_t *> malloc((walk.n_levels + 2 - level) * K * sizeof(int32_t))
    if room != NULL and lists != NULL:
        hand.sums = sums
        hand.loss = room
        hand.slope = room + K
        hand.score = 0
        hand.moved = 0
        for k in range(walk.K):
            lists[k] = k
        _visit(walk, &hand, level, place, lists, walk.K)
        score[0] = hand.score
        moved[0] = hand.moved
    free(room)
    free(lists)
    return room != NULL and lists != NULL


def assign_by_tree(
    Tree tree, const double[:, ::1] mean, const double[:, :, ::1] factor, const double[::1] offset,
    const uint8_t[::1] thin, int32_t[::1] own, int32_t[::1] labels, int n_threads=0,
):  # fmt: skip
    """Give every row to the component of the largest offset_k - |F_k (x - mean_k)|^2 / 2.

    Parameters
    ----------
    tree : skem._kernels.tree.Tree
    mean : ndarray of shape (K, d)
    factor : ndarray of shape (K, d, d)
        Lower triangular.
    offset : ndarray of shape (K,)
    thin : uint8 ndarray of shape (K,)
        1 for components that receive their rows one by one: of very thin ones the score of a node, from its
        statistics, would have lost digits.
    own : int32 ndarray of shape (n,)
        Old labels in the tree's order, kept on ties, and new ones.
    labels : int32 ndarray of shape (n,)
        The same in the order of X; only rows that move are written.
    n_threads : int, default=0

    Returns
    -------
    score : float
        Weighted sum of the rows' largest scores.
    moved : int
    sums : ndarray of shape (K, 1 + d + d (d + 1) / 2)
        Mass, sums of z = x - mean_k and of z_i z_j for j <= i.
    """
    cdef Walk walk
    cdef int d = tree.n_features, K = <int> mean.shape[0], level
    cdef Py_ssize_t task, n_tasks, first, last, step
    cdef int width = 1 + d + d * (d + 1) // 2
    # fewer subtrees for very many components, whose sums each of them has for itself
    level = min(tree.n_levels, TASK_LEVEL)
    while level > 0 and ((<size_t> K * width) << level) > 1 << 21:
        level -= 1
    n_tasks = (<Py_ssize_t> 1) << level
    precision = np.ascontiguousarray(np.swapaxes(factor, 1, 2) @ np.asarray(factor))
    cdef const double[:, :, ::1] matrices = precision
    sums, scores, moves = np.zeros((n_tasks, K, width)), np.zeros(n_tasks), np.zeros(n_tasks, dtype=np.intp)
    failed = np.zeros(n_tasks, dtype=np.int32)
    cdef double[:, :, ::1] all_sums = sums
    cdef double[::1] all_scores = scores
    cdef Py_ssize_t[::1] all_moves = moves
    cdef int32_t[::1] all_failed = failed
    if own.shape[0] != tree.n_samples or labels.shape[0] != tree.n_samples or mean.shape[1] != d:
        raise ValueError("labels and parameters do not fit the tree")
    walk.d, walk.K, walk.n_levels, walk.n = d, K, tree.n_levels, tree.n_samples
    walk.rows, walk.order = &tree.rows[0], &tree.places[0]
    walk.weight = NULL
    if tree.weight is not None:
        walk.weight = &tree.weight[0]
    walk.center, walk.half = &tree.center[0, 0], &tree.half[0, 0]
    walk.mass, walk.mean, walk.scatter = &tree.mass[0], &tree.mean[0, 0], &tree.scatter[0, 0]
    walk.peak, walk.factor, walk.precision = &mean[0, 0], &factor[0, 0, 0], &matrices[0, 0, 0]
    walk.offset, walk.thin, walk.own, walk.labels = &offset[0], &thin[0], &own[0], &labels[0]
    n_threads = min(n_threads or max_threads(), n_tasks)
    step = max(n_threads, n_tasks // 8)
    for first in range(0, n_tasks, step):
        last = min(first + step, n_tasks)
        for task in prange(first, last, nogil=True, num_threads=n_threads, schedule="dynamic"):
            all_failed[task] = not _task(&walk, level, task, &all_sums[task, 0, 0], &all_scores[task],
                                         &all_moves[task])
        PyErr_CheckSignals()
    if failed.any():
        raise MemoryError("no memory for the lists of a pass")
    return float(scores.sum()), int(moves.sum()), sums.sum(axis=0)
