"""The Gaussian's algebra between two passes, for all components in one call.

Sums of a pass become moments, moments a covariance held above its floor, and that the scores of the next pass: the
verbs of the family call these functions, and the compiled step chains them without Python between.
"""

import numpy as np

from libc.math cimport fabs, log, sqrt
from libc.stdint cimport uint8_t

from skem._kernels._job cimport LINEAR
from skem._kernels.ascent cimport second_term
from skem._kernels.linalg cimport factorize, gram
from skem._kernels.passes cimport Prepared

CODES = {"full": FULL, "tied": TIED, "diag": DIAG, "EEI": EEI, "spherical": SPHERICAL, "EII": EII}


cdef inline int _n_own(int structure, int K) noexcept nogil:
    """Covariances: one where all components share it."""
    return 1 if structure == TIED or structure == EEI or structure == EII else K


cdef size_t each_covariance(int structure, int d) noexcept nogil:
    """Numbers in one covariance."""
    return 1 if structure >= SPHERICAL else d if structure >= DIAG else <size_t> d * d


cdef inline int _natural_width(int structure, int d) noexcept nogil:
    """Natural parameters of one component."""
    if structure == FULL:
        return d + d * (d + 1) // 2
    return d if structure == TIED else 2 * d if structure <= EEI else d + 1


cdef void moments_of(
    int structure, int K, int d,
    int m,                     # IN  sums a component
    const double *n_k,         # IN  (K)
    const double *features,    # IN  (K, m): [z, z_i z_j for j <= i], [z, z^2] or [z, |z|^2], z = x - about
    const double *about,       # IN  (K, d), or NULL for the origin
    const double *shared,      # IN  (d, d) second moments of all rows, of tied sums of x alone; or NULL
    double *mean,              # OUT (K, d)
    double *nu,                # OUT (K), or (1) where shared
    double *scatter,           # OUT in the structure's shape
) noexcept nogil:
    cdef int k, i, j, n_own = _n_own(structure, K)
    cdef size_t each = each_covariance(structure, d), entry
    cdef double safe, total
    cdef const double *first
    cdef const double *second
    cdef double *own_mean
    cdef double *own = scatter
    cdef double *own_nu = nu
    for k in range(n_own):
        nu[k] = 0.0
    for entry in range(n_own * each):
        scatter[entry] = shared[entry] if shared != NULL else 0.0
    for k in range(K):
        first = features + <size_t> k * m
        second = first + d
        own_mean = mean + <size_t> k * d
        if n_own > 1:
            own, own_nu = scatter + k * each, nu + k
        safe = n_k[k] if n_k[k] > 0 else 1.0
        own_nu[0] += n_k[k] * d if structure >= SPHERICAL else n_k[k]
        # for the time being the shift from `about`
        for i in range(d):
            own_mean[i] = first[i] / safe
        if shared != NULL:
            for i in range(d):
                for j in range(i + 1):
                    own[i * d + j] -= first[i] * own_mean[j]
        elif structure <= TIED:
            for i in range(d):
                for j in range(i + 1):
                    own[i * d + j] += second[j] - first[i] * own_mean[j]
                second += i + 1
        elif structure <= EEI:
            for i in range(d):
                total = second[i] - first[i] * own_mean[i]
                own[i] += 0.0 if total < 0.0 else total
        elif m == d + 1:
            total = second[0]
            for i in range(d):
                total -= first[i] * own_mean[i]
            own[0] += 0.0 if total < 0.0 else total
        else:
            for i in range(d):
                total = second[i] - first[i] * own_mean[i]
                own[0] += 0.0 if total < 0.0 else total
        if about != NULL:
            for i in range(d):
                own_mean[i] += about[<size_t> k * d + i]
    if structure <= TIED:
        for k in range(n_own):
            own = scatter + k * each
            for i in range(d):
                # what is left of rows that are all one is rounding
                if own[i * d + i] < 0.0:
                    own[i * d + i] = 0.0
                for j in range(i):
                    own[j * d + i] = own[i * d + j]


cdef int constrain_all(
    int structure, int K, int d,
    const double *covariance,  # IN  in the structure's shape
    const double *variance,    # IN  (d) of the data
    double floor,              # IN  where eigenvalues relative to the variance are held
    double *scratch,           # (d + d * d)
    double *factor,            # OUT precision factors; of a flagged matrix nothing of use
    double *log_det,           # OUT (K), or (1) where shared: log |F|
    uint8_t *flags,            # OUT (K), or (1): an eigenvalue below the floor, or too near to tell
) noexcept nogil:
    """Count the flags; diagonal structures are held at the floor, matrices are left to an eigendecomposition."""
    cdef int k, i, j, n_flags = 0, n_own = _n_own(structure, K)
    cdef double total, held, mean = 0.0, volume = 0.0
    cdef double *scale = scratch
    cdef double *relative = scratch + d
    cdef const double *c
    cdef double *f
    if structure >= SPHERICAL:
        for i in range(d):
            mean += variance[i]
        mean /= d
        for k in range(n_own):
            flags[k] = covariance[k] < floor * mean
            factor[k] = 1.0 / sqrt(floor * mean if flags[k] else covariance[k])
            log_det[k] = d * log(factor[k])
            n_flags += flags[k]
        return n_flags
    if structure >= DIAG:
        for k in range(n_own):
            flags[k] = 0
            log_det[k] = 0.0
            for i in range(d):
                held = covariance[<size_t> k * d + i]
                if held < floor * variance[i]:
                    held = floor * variance[i]
                    flags[k] = 1
                factor[<size_t> k * d + i] = 1.0 / sqrt(held)
                log_det[k] += log(factor[<size_t> k * d + i])
            n_flags += flags[k]
        return n_flags
    for i in range(d):
        scale[i] = sqrt(variance[i])
        volume += log(scale[i])
    for k in range(n_own):
        c = covariance + <size_t> k * d * d
        f = factor + <size_t> k * d * d
        for i in range(d):
            for j in range(i + 1):
                relative[i * d + j] = c[i * d + j] / (scale[i] * scale[j])
        flags[k] = not factorize(d, relative, True, True, f, &total)
        log_det[k] = -0.5 * total - volume
        # the trace of the inverse bounds its largest eigenvalue: an eigendecomposition is rarely needed
        total = 0.0
        for i in range(d):
            for j in range(i + 1):
                total += f[i * d + j] * f[i * d + j]
                f[i * d + j] /= scale[j]
        if not total <= 1.0 / floor:
            flags[k] = 1
        n_flags += flags[k]
    return n_flags


cdef bint _natural(
    int structure, int K, int d,
    const double *mean,        # IN  (K, d)
    const double *factor,      # IN  precision factors, one a component or a shared one
    const double *offset,      # IN  (K)
    const double *variance,    # IN  (d) of the data
    double reach,              # IN  the largest terms that may cancel in a squared distance
    double *scratch,           # (2 d + d * d)
    double *weights,           # OUT (K, m)
    double *constant,          # OUT (K)
) noexcept nogil:
    """Natural parameters; false where their products would cancel too many digits away."""
    cdef int k, i, j, l, m = _natural_width(structure, d), n_own = _n_own(structure, K)
    cdef double squared, total, p
    cdef const double *mu
    cdef const double *f
    cdef double *w
    cdef double *size = scratch
    cdef double *white = scratch + d
    cdef double *precision = scratch + 2 * d
    for k in range(K):
        mu = mean + <size_t> k * d
        w = weights + <size_t> k * m
        f = factor + (k * each_covariance(structure, d) if n_own > 1 else 0)
        squared = 0.0
        if structure >= DIAG:
            for i in range(d):
                p = f[0] if structure >= SPHERICAL else f[i]
                squared += (p * mu[i]) * (p * mu[i])
                w[i] = p * p * mu[i]
                w[d if structure >= SPHERICAL else d + i] = -0.5 * (p * p)
            if squared > reach:
                return False
            constant[k] = offset[k] - 0.5 * squared
            continue
        for i in range(d):
            total = 0.0
            for j in range(i + 1):
                total += f[i * d + j] * mu[j]
            white[i] = total
            squared += total * total
            size[i] = sqrt(mu[i] * mu[i] + variance[i])
        if squared > reach:
            return False
        for i in range(d):
            w[i] = 0.0
        for l in range(d):
            for i in range(l + 1):
                w[i] += f[l * d + i] * white[l]
        if structure == FULL or k == 0:
            gram(d, f, precision)
        # in a flat component entries of the precision are huge though the distance of its mean may be small
        total = 0.0
        for i in range(d):
            p = 0.0
            for j in range(i):
                p += fabs(precision[i * d + j]) * size[j]
            total += (2.0 * p + precision[i * d + i] * size[i]) * size[i]
        if total > reach:
            return False
        if structure == FULL:
            w += d
            for i in range(d):
                for j in range(i):
                    w[j] = -precision[i * d + j]
                w[i] = -0.5 * precision[i * d + i]
                w += i + 1
        constant[k] = offset[k] - 0.5 * squared
    return True


cdef _new(int structure, int K, int d):
    """An empty array in the structure's shape."""
    return np.empty([(K, d, d), (d, d), (K, d), (d,), (K,), ()][structure])


cdef const double *_first(array):
    """Where the numbers of a contiguous float64 array lie."""
    cdef const double[::1] flat = array.reshape(-1)
    return &flat[0]


def moments(structure, const double[::1] n_k, const double[:, ::1] features, about, shared, int d):
    """Moments from the sums of a pass.

    Parameters
    ----------
    structure : {"full", "tied", "diag", "EEI", "spherical", "EII"}
    n_k : ndarray of shape (n_components,)
    features : ndarray of shape (n_components, m)
        Sums of [z, z_i z_j for j <= i], [z, z^2] or, of one variance a component or for all, [z, |z|^2],
        where z = x - about.
    about : ndarray of shape (n_components, d) or None
        None means the origin.
    shared : ndarray of shape (d, d) or None
        Of "tied", where the features are x alone: second moments of all rows about the origin.
    d : int

    Returns
    -------
    mean : ndarray of shape (n_components, d)
    nu : ndarray of shape (n_components,) or ()
        Weight behind the scatter.
    scatter : ndarray in the structure's shape
    """
    cdef int K = <int> n_k.shape[0], code = CODES[structure], m = <int> features.shape[1]
    cdef const double[:, ::1] origin, whole
    cdef const double *at = NULL
    cdef const double *second = NULL
    mean, nu, scatter = np.empty((K, d)), np.empty(() if _n_own(code, 2) == 1 else K), _new(code, K, d)
    if about is not None:
        origin = np.ascontiguousarray(about)
        at = &origin[0, 0]
    if shared is not None:
        whole = shared
        second = &whole[0, 0]
    moments_of(code, K, d, m, &n_k[0], &features[0, 0], at, second, <double *> _first(mean), <double *> _first(nu),
               <double *> _first(scatter))
    return mean, nu, scatter


def constrain(structure, covariance, const double[::1] variance, double floor):
    """Precision factors of covariances whose relative eigenvalues are held above the floor.

    Parameters
    ----------
    structure : {"full", "tied", "diag", "EEI", "spherical", "EII"}
    covariance : ndarray in the structure's shape
    variance : ndarray of shape (d,)
        Of the data.
    floor : float
        Where eigenvalues of D^-1/2 covariance D^-1/2, D the diagonal of the variance, are held.

    Returns
    -------
    factor : ndarray in the structure's shape
        F with F'F the precision; of a flagged matrix nothing of use.
    log_det : ndarray of shape (n_components,) or ()
        log |F|.
    flags : bool ndarray of shape (n_components,) or ()
        Variances that were below the floor, and are held; matrices that may have an eigenvalue below it, and wait
        for an eigendecomposition.
    """
    cdef int code = CODES[structure], d = <int> variance.shape[0]
    cdef bint shared = _n_own(code, 2) == 1
    cdef int K = 1 if shared else <int> len(covariance)
    cdef double[::1] scratch = np.empty(d + d * d)
    shape = () if shared else K
    factor, log_det, flags = _new(code, K, d), np.empty(shape), np.empty(shape, dtype=np.uint8)
    cdef uint8_t[::1] flat = flags.reshape(-1)
    covariance = np.ascontiguousarray(covariance, dtype=np.float64)
    constrain_all(code, K, d, _first(covariance), &variance[0], floor, &scratch[0], <double *> _first(factor),
                  <double *> _first(log_det), &flat[0])
    return factor, log_det, flags.view(np.bool_)


def natural(structure, const double[:, ::1] mean, factor, const double[::1] offset, const double[::1] variance,
            double reach):
    """Natural parameters of precision factors, for the maps "x_pairs", "x" (of "tied"), "x_squares" and "x_norm".

    Parameters
    ----------
    structure : {"full", "tied", "diag", "EEI", "spherical", "EII"}
    mean : ndarray of shape (n_components, d)
    factor : ndarray in the structure's shape
    offset : ndarray of shape (n_components,)
    variance : ndarray of shape (d,)
        Of the data.
    reach : float
        Size of the terms of a squared distance beyond which too many digits would cancel.

    Returns
    -------
    weights : ndarray of shape (n_components, m), or None beyond `reach`
    constant : ndarray of shape (n_components,), or None
    """
    cdef int K = <int> mean.shape[0], d = <int> mean.shape[1], code = CODES[structure]
    cdef double[:, ::1] weights = np.empty((K, _natural_width(code, d)))
    cdef double[::1] constant = np.empty(K)
    cdef double[::1] scratch = np.empty(2 * d + d * d)
    factor = np.ascontiguousarray(factor)
    if not _natural(code, K, d, &mean[0, 0], _first(factor), &offset[0], &variance[0], reach, &scratch[0],
                    &weights[0, 0], &constant[0]):
        return None, None
    return np.asarray(weights), np.asarray(constant)


cdef class MaximumLikelihood(Step):
    """The verbs `statistics`, `mle` and `scorer` of one update, in one go.

    It declines where a component has no mass, where a matrix may need its eigenvalues held, and where the
    next pass is of another kind than the last.

    Parameters
    ----------
    structure : {"full", "tied", "diag", "EEI", "spherical", "EII"}
    n_components : int
    variance : ndarray of shape (d,)
        Of the data.
    floor : float
        As in `constrain`.
    reach : float
        As in `natural`; below 0 for passes about the means always.
    added : array-like in the shape of one covariance, default=None
        What a regulariser adds to the scatter of each row.
    """

    def __init__(self, structure, int n_components, variance, double floor, double reach, added=None):
        cdef int K = n_components, d = <int> len(variance)
        cdef Py_ssize_t size
        self.structure, self.K, self.d, self.floor, self.reach = CODES[structure], K, d, floor, reach
        size = _n_own(self.structure, K) * <Py_ssize_t> each_covariance(self.structure, d)
        self.variance = np.array(variance, dtype=np.float64)
        self.mean, self.nu, self.log_det, self.constant = np.empty(K * d), np.empty(K), np.empty(K), np.empty(K)
        self.scatter, self.covariance, self.factor = np.empty(size), np.empty(size), np.empty(size)
        self.weights = np.empty(K * max(_natural_width(self.structure, d) if reach >= 0 else 0, d))
        self.scratch = np.empty(2 * d + d * d)
        self.flags = np.empty(K, dtype=np.uint8)
        self.added = None if added is None else np.array(added, dtype=np.float64).reshape(-1)

    cdef bint estimate(self) noexcept nogil:
        """Precision factors and log |F| of the components; false where a matrix may need its eigenvalues held."""
        cdef int structure = self.structure, k, n_own = _n_own(structure, self.K), n_held
        cdef size_t i, each = each_covariance(structure, self.d)
        for k in range(n_own):
            for i in range(k * each, (k + 1) * each):
                self.covariance[i] = self.scatter[i] / self.nu[k]
        n_held = constrain_all(
            structure, self.K, self.d, &self.covariance[0], &self.variance[0], self.floor, &self.scratch[0],
            &self.factor[0], &self.log_det[0], &self.flags[0],
        )
        for k in range(n_own, self.K):
            self.log_det[k] = self.log_det[0]
        return n_held == 0 or structure > TIED

    cdef bint collect(self, Prepared done) noexcept nogil:
        """Take the moments from the sums of a pass; return whether it was linear."""
        cdef int structure = self.structure, K = self.K, d = self.d
        cdef const double *n_k = done.job.total + 2
        cdef const double *about = NULL
        cdef const double *second = NULL
        cdef bint was_linear = done.job.scorers[0].kind == LINEAR
        if not was_linear:
            about = done.job.scorers[0].mean
        elif structure == TIED:
            second = &self.second[0, 0]
        moments_of(structure, K, d, <int> done.job.collectors[0].sums_k, n_k, n_k + K, about, second,
                   &self.mean[0], &self.nu[0], &self.scatter[0])
        self.n_k = n_k
        return was_linear

    cdef bint update(self, Prepared done, const double *log_weights) noexcept nogil:
        cdef int structure = self.structure, K = self.K, d = self.d, k
        cdef size_t i, each = each_covariance(structure, d)
        cdef bint was_linear = self.collect(done)
        if self.added is not None:
            for k in range(_n_own(structure, K)):
                for i in range(each):
                    self.scatter[k * each + i] += self.nu[k] * self.added[i]
        if not self.estimate():
            return False
        self.linear = self.reach >= 0 and _natural(
            structure, K, d, &self.mean[0], &self.factor[0], &self.log_det[0], &self.variance[0], self.reach,
            &self.scratch[0], &self.weights[0], &self.constant[0],
        )
        if self.linear != was_linear:
            return False
        for k in range(K):
            self.constant[k] = log_weights[k] + (self.constant[k] if self.linear else self.log_det[k])
        return True

    cdef void load(self, Prepared next) noexcept nogil:
        cdef int k, i, d = self.d
        cdef size_t each = each_covariance(self.structure, d)
        cdef const double *f = &self.factor[0]
        if self.linear and self.structure == TIED:
            self.shared = -0.5 * second_term(d, f, &self.second[0, 0], &self.scratch[0])
        if self.linear:
            next.load_linear(&self.weights[0], &self.constant[0])
            return
        if self.structure <= DIAG:
            next.load_centred(&self.mean[0], f, &self.constant[0])
            return
        # a pass has a factor for every column of every component
        for k in range(self.K):
            for i in range(d):
                self.weights[k * d + i] = f[i if each > 1 else 0]
            if self.structure == SPHERICAL:
                f += 1
        next.load_centred(&self.mean[0], &self.weights[0], &self.constant[0])
