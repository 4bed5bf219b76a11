"""Groups of rows merged two by two where that costs the least: Ward's criterion, and the classification likelihood.

The cost of a merge is what the largest of sum_k log p(rows of k | theta_k) loses by it (Banfield & Raftery 1993;
Fraley 1998), theta_k under the constraint of a covariance structure. Ward's is the case of one sphere for all.
"""

import numpy as np

from skem._kernels.linalg cimport factorize

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, log
from libc.stdint cimport int32_t
from libc.string cimport memcpy

cdef enum:
    SLICE_FLOPS = 20_000_000   # work between two looks for Ctrl-C, some 10 ms

cdef enum Criterion:
    FULL
    TIED
    DIAG
    SPHERICAL
    WARD

CRITERIA = {"full": FULL, "tied": TIED, "diag": DIAG, "spherical": SPHERICAL, "ward": WARD}


# --------------------------------------------------------------------------------------------------
# Ward's tree


cdef Py_ssize_t _nearest(
    const double *x,               # IN  (d, n) means of the active groups, column by column
    const double *mass,            # IN  (n)
    Py_ssize_t d, Py_ssize_t n, Py_ssize_t n_active,
    Py_ssize_t a,                  # IN  whose neighbour is looked for
    Py_ssize_t before,             # IN  the group that wins ties, -1 for none
    double *distance,              # OUT (n)
    double *least,                 # OUT its distance
) noexcept nogil:
    # infinite distances are all the same: any other group will do
    cdef Py_ssize_t i, j, best = before if before >= 0 else 1 if a == 0 else 0
    cdef double at, own = mass[a]
    cdef const double *column
    for i in range(n_active):
        distance[i] = 0.0
    for j in range(d):
        column = x + j * n
        at = column[a]
        for i in range(n_active):
            distance[i] += (column[i] - at) * (column[i] - at)
    for i in range(n_active):
        distance[i] *= own / (own + mass[i]) * mass[i]  # masses may be too large for their product
    distance[a] = INFINITY
    least[0] = distance[before] if before >= 0 else INFINITY
    for i in range(n_active):
        if distance[i] < least[0]:
            least[0], best = distance[i], i
    return best


cdef Py_ssize_t _root(Py_ssize_t[::1] parent, Py_ssize_t i) noexcept nogil:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def ward(const double[:, ::1] X, const double[::1] weight, Py_ssize_t n_groups):
    """Groups of Ward's tree, found by chains of nearest neighbours (Murtagh 1983) without a matrix of distances.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    weight : ndarray of shape (n,)
        Above 0.
    n_groups : int
        At most n.

    Returns
    -------
    labels : int32 ndarray of shape (n,)
        From 0 to n_groups - 1, numbered by their first rows.
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], n_active = n, length = 0, a, b, last, i, j, at, work = 0
    cdef double[:, ::1] x = np.array(np.transpose(X), order="C")
    cdef double[::1] mass = np.array(weight), distance = np.empty(n), height = np.empty(max(n - 1, 0))
    cdef Py_ssize_t[::1] row = np.arange(n), chain = np.empty(n + 1, np.intp), parent = np.arange(n)
    cdef Py_ssize_t[:, ::1] merged = np.empty((max(n - 1, 0), 2), np.intp)
    cdef double least = 0.0, total
    cdef int32_t[::1] label
    while n_active > 1:
        if length == 0:
            chain[0], length = 0, 1
        while True:
            a = chain[length - 1]
            b = _nearest(&x[0, 0], &mass[0], d, n, n_active, a, chain[length - 2] if length > 1 else -1, &distance[0],
                         &least)
            work += 3 * d * n_active
            if length > 1 and b == chain[length - 2]:
                break
            chain[length] = b
            length += 1
        length -= 2
        if work > SLICE_FLOPS:
            PyErr_CheckSignals()
            work = 0
        at = n - n_active
        merged[at, 0], merged[at, 1], height[at] = row[a], row[b], least
        total = mass[a] + mass[b]
        for j in range(d):
            x[j, a] += mass[b] / total * (x[j, b] - x[j, a])
        mass[a] = total
        # active groups stay side by side: the last one moves into the gap
        last = n_active - 1
        for j in range(d):
            x[j, b] = x[j, last]
        mass[b], row[b] = mass[last], row[last]
        for i in range(length):
            if chain[i] == last:
                chain[i] = b
        n_active = last
    # merges come out of order, and Ward's heights never fall towards the root
    for i in np.argsort(height, kind="stable")[: n - n_groups]:
        a, b = _root(parent, merged[i, 0]), _root(parent, merged[i, 1])
        parent[max(a, b)] = min(a, b)
    labels = np.empty(n, np.int32)
    label = labels
    at = 0
    for i in range(n):
        a = _root(parent, i)
        if a == i:
            label[i] = <int32_t> at
            at += 1
        else:
            label[i] = label[a]
    return labels


# --------------------------------------------------------------------------------------------------
# Merges by likelihood


cdef double _loss(
    int criterion, Py_ssize_t d,
    double mass,                   # IN
    const double *scatter,         # IN  of one group, in the criterion's shape
    const double *ridge,           # IN  scatter that a pseudo-row brings, in the same shape
    double *scratch,               # (2, d, d)
) noexcept nogil:
    """What is left of -2 log-likelihood at the best covariance of one group, a pseudo-row keeping it proper."""
    cdef Py_ssize_t i
    cdef double log_det = 0.0, nu = mass + 1.0
    if criterion == FULL:
        for i in range(d * d):
            scratch[i] = (scatter[i] + ridge[i]) / nu
        if not factorize(d, scratch, True, False, scratch + d * d, &log_det):
            # a row very far out has drowned the rest: Hadamard's bound
            log_det = 0.0
            for i in range(d):
                log_det += log(scratch[i * d + i])
    elif criterion == DIAG:
        for i in range(d):
            log_det += log((scatter[i] + ridge[i]) / nu)
    else:
        log_det = d * log((scatter[0] + ridge[0]) / (d * nu))
    return mass * log_det


cdef void _join(
    int criterion, Py_ssize_t d,
    double n_a, double n_b,
    const double *mean_a, const double *mean_b, const double *scatter_a, const double *scatter_b,
    double *scatter,               # OUT of the union; may be scatter_a
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double share = n_a / (n_a + n_b) * n_b, total = 0.0, gap
    if criterion == FULL:
        for i in range(d):
            gap = share * (mean_b[i] - mean_a[i])
            for j in range(i + 1):
                scatter[i * d + j] = scatter_a[i * d + j] + scatter_b[i * d + j] + gap * (mean_b[j] - mean_a[j])
                scatter[j * d + i] = scatter[i * d + j]
    elif criterion == DIAG:
        for i in range(d):
            gap = mean_b[i] - mean_a[i]
            scatter[i] = scatter_a[i] + scatter_b[i] + share * gap * gap
    else:
        for i in range(d):
            gap = mean_b[i] - mean_a[i]
            total += gap * gap
        scatter[0] = scatter_a[0] + scatter_b[0] + share * total


cdef double _mahalanobis(
    Py_ssize_t d, const double *mean_a, const double *mean_b,
    const double *precision,       # IN  (d, d), or NULL for the unit matrix
    double *image,                 # OUT (d) precision times the gap
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double total = 0.0, gap
    for i in range(d):
        if precision == NULL:
            image[i] = mean_a[i] - mean_b[i]
        else:
            image[i] = 0.0
            for j in range(d):
                image[i] += precision[i * d + j] * (mean_a[j] - mean_b[j])
    for i in range(d):
        gap = mean_a[i] - mean_b[i]
        total += gap * image[i]
    return total


cdef class Groups:
    """Mass, mean and scatter of groups, which are merged until so many are left.

    Parameters
    ----------
    criterion : {"full", "tied", "diag", "spherical", "ward"}
        Whose likelihood counts: a covariance matrix a group, one for all, variances a group, a variance a group, or
        one variance for all.
    n_k : ndarray of shape (n_groups,)
        Above 0.
    mean : ndarray of shape (n_groups, d)
    scatter : ndarray of shape (n_groups, d, d), (d, d), (n_groups, d), (n_groups,) or None
        In the criterion's shape; None for "ward".
    ridge : ndarray of shape (d, d), (d, d), (d,), () or None
        Scatter of a pseudo-row that each group has besides its own, all of them together for "tied", so that the
        cost of a group of one row is finite.
    """

    cdef readonly Py_ssize_t n_groups, d
    cdef int criterion
    cdef size_t size               # of a group's scatter
    cdef double[::1] n_k, mean, scatter, ridge, loss, scratch, cost
    cdef Py_ssize_t[::1] parent

    def __init__(self, criterion, n_k, mean, scatter, ridge):
        self.criterion = CRITERIA[criterion]
        self.n_groups, self.d = mean.shape
        G, d = self.n_groups, self.d
        self.n_k, self.mean = np.array(n_k, dtype=np.float64), np.array(mean, dtype=np.float64).reshape(-1)
        self.size = 0 if self.criterion == WARD else np.size(ridge)
        shape = () if self.criterion == WARD else (d, d) if self.criterion == TIED else (G, *np.shape(ridge))
        if self.criterion != WARD and np.shape(scatter) != shape:
            raise ValueError(f"a scatter of shape {np.shape(scatter)} does not suit {criterion!r}, which needs {shape}")
        self.scatter = np.array(0.0 if scatter is None else scatter, dtype=np.float64).reshape(-1)
        self.ridge = np.array(0.0 if ridge is None else ridge, dtype=np.float64).reshape(-1)
        self.loss, self.scratch, self.cost = np.empty(G), np.empty(3 * d * d + d), np.full(G * G, INFINITY)
        self.parent = np.arange(G)

    cdef void _price(self, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
        """Work out the cost of merging b into a, for a < b."""
        cdef Py_ssize_t d = self.d
        cdef double n_a = self.n_k[a], n_b = self.n_k[b], cost
        cdef double *scratch = &self.scratch[0]
        if self.criterion == TIED or self.criterion == WARD:
            cost = n_a / (n_a + n_b) * n_b * _mahalanobis(
                d, &self.mean[a * d], &self.mean[b * d], scratch if self.criterion == TIED else NULL, scratch + d * d)
        else:
            _join(self.criterion, d, n_a, n_b, &self.mean[a * d], &self.mean[b * d], &self.scatter[a * self.size],
                  &self.scatter[b * self.size], scratch)
            cost = _loss(self.criterion, d, n_a + n_b, scratch, &self.ridge[0], scratch + d * d)
            cost -= self.loss[a] + self.loss[b]
        self.cost[a * self.n_groups + b] = cost

    cdef void _price_all(self) noexcept nogil:
        cdef Py_ssize_t a, b
        for a in range(self.n_groups):
            if self.parent[a] == a:
                for b in range(a + 1, self.n_groups):
                    if self.parent[b] == b:
                        self._price(a, b)

    cdef void _merge(self, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
        """Merge b into a, a < b, and keep the cost of all other pairs right."""
        cdef Py_ssize_t d = self.d, i, j, G = self.n_groups
        cdef double n_a = self.n_k[a], n_b = self.n_k[b], share = n_a / (n_a + n_b) * n_b, growth
        cdef double *precision = &self.scratch[0]
        cdef double *image = precision + d * d
        if self.criterion == TIED:
            # Sherman & Morrison: the one scatter grows by share gap gap'
            growth = share * _mahalanobis(d, &self.mean[a * d], &self.mean[b * d], precision, image)
            for i in range(d):
                for j in range(d):
                    precision[i * d + j] -= share / (1.0 + growth) * image[i] * image[j]
        elif self.criterion != WARD:
            _join(self.criterion, d, n_a, n_b, &self.mean[a * d], &self.mean[b * d], &self.scatter[a * self.size],
                  &self.scatter[b * self.size], &self.scatter[a * self.size])
        for i in range(d):
            self.mean[a * d + i] += n_b / (n_a + n_b) * (self.mean[b * d + i] - self.mean[a * d + i])
        self.n_k[a] = n_a + n_b
        self.parent[b] = a
        for i in range(G):
            self.cost[b * G + i] = self.cost[i * G + b] = INFINITY
        if self.criterion == TIED:
            self._price_all()
            return
        if self.criterion != WARD:
            self.loss[a] = _loss(self.criterion, d, self.n_k[a], &self.scatter[a * self.size], &self.ridge[0],
                                 precision)
        for i in range(G):
            if self.parent[i] == i and i != a:
                self._price(min(i, a), max(i, a))

    def merge(self, Py_ssize_t n_left):
        """Merge pairs, the cheapest first.

        Parameters
        ----------
        n_left : int
            How many groups to leave.

        Returns
        -------
        labels : int32 ndarray of shape (n_groups,)
            From 0 to n_left - 1, numbered by their first groups.
        """
        cdef Py_ssize_t G = self.n_groups, d = self.d, n = G, i, best
        cdef double[::1] inverse
        cdef double least
        if self.criterion == TIED:
            matrix = np.reshape(self.scatter, (d, d)) + np.reshape(self.ridge, (d, d))
            inverse = np.linalg.inv(matrix).reshape(-1)
            memcpy(&self.scratch[0], &inverse[0], d * d * sizeof(double))
        elif self.criterion != WARD:
            for i in range(G):
                self.loss[i] = _loss(self.criterion, d, self.n_k[i], &self.scatter[i * self.size], &self.ridge[0],
                                     &self.scratch[0])
        self._price_all()
        while n > n_left:
            PyErr_CheckSignals()
            best, least = 0, INFINITY
            for i in range(G * G):
                # a cost that is not a number is as good as any
                if not self.cost[i] > least and i // G < i % G and self.parent[i // G] == i // G \
                        and self.parent[i % G] == i % G:
                    best, least = i, self.cost[i]
            self._merge(best // G, best % G)
            n -= 1
        labels = np.empty(G, np.int32)
        n = 0
        for i in range(G):
            if self.parent[i] == i:
                labels[i] = n
                n += 1
            else:
                labels[i] = labels[_root(self.parent, i)]
        return labels
