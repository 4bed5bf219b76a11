"""Triangular factors of the K small matrices of a mixture, all in one call.

Small fits are dominated by the parameter update, so the price that counts is that of a call. Small
matrices are worked on by plain loops, since a call of LAPACK costs more than their arithmetic;
larger ones go to LAPACK.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, NAN, fabs, log, sqrt
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

cimport skem._kernels._lapack as lapack

cdef enum:
    # Up to here the plain loops beat LAPACK; its triangular inverse is slow on small matrices.
    FEW_TO_FACTOR = 6
    FEW_TO_INVERT = 32
    FEW_TO_ROTATE = 4
    MOST_ROTATIONS = 40        # sweeps, of which a handful are needed
    SLICE_FLOPS = 100_000_000  # work between two looks for Ctrl-C, some tens of milliseconds


cdef bint _cholesky_loop(
    Py_ssize_t d,              # IN
    double *a,                 # IN OUT (d, d), the lower triangle
) noexcept nogil:
    cdef Py_ssize_t i, j, m
    cdef double rest
    for i in range(d):
        for j in range(i + 1):
            rest = a[i * d + j]
            for m in range(j):
                rest -= a[i * d + m] * a[j * d + m]
            if j < i:
                a[i * d + j] = rest / a[j * d + j]
            elif rest > 0:
                a[i * d + i] = sqrt(rest)
            else:
                return False   # not positive, or not a number
    return True


cdef void _invert_loop(
    Py_ssize_t d,              # IN
    double *a,                 # IN OUT (d, d), the lower triangle
) noexcept nogil:
    # Row i of the inverse needs the rows above it, inverted already, and row i as it was: of this
    # the entries from j on are still in place when column j is written.
    cdef Py_ssize_t i, j, m
    cdef double pivot, total
    for i in range(d):
        pivot = 1 / a[i * d + i]
        for j in range(i):
            total = 0
            for m in range(j, i):
                total += a[i * d + m] * a[m * d + j]
            a[i * d + j] = -total * pivot
        a[i * d + i] = pivot


cdef bint factorize(
    Py_ssize_t d,              # IN
    const double *matrix,      # IN (d, d), the lower triangle is read
    bint decompose,            # IN replace the matrix by its Cholesky factor
    bint invert,               # IN then the factor by its inverse
    double *factor,            # OUT (d, d), lower triangular; nan where there is none
    double *log_det,           # OUT log determinant of factor @ factor.T before inversion, or NULL
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double total = 0
    cdef bint ok = True
    memcpy(factor, matrix, d * d * sizeof(double))
    if decompose:
        if d <= FEW_TO_FACTOR:
            ok = _cholesky_loop(d, factor)
        else:
            ok = lapack.cholesky_lower(d, factor) == 0
    for i in range(d):
        # LAPACK's own answer is not enough: an optimised one lets nan pass.
        ok = ok and 0 < fabs(factor[i * d + i]) < INFINITY
    if ok and log_det != NULL:
        for i in range(d):
            total += log(factor[i * d + i])
        log_det[0] = 2 * total
    elif log_det != NULL:
        log_det[0] = NAN
    if ok and invert:
        if d <= FEW_TO_INVERT:
            _invert_loop(d, factor)
        else:
            lapack.invert_lower(d, factor)
    for i in range(d):
        for j in range(d):
            if not ok:
                factor[i * d + j] = NAN
            elif j > i:
                factor[i * d + j] = 0
    return ok


cdef void gram(Py_ssize_t d, const double *factor, double *product) noexcept nogil:
    cdef Py_ssize_t i, j, m
    if d > FEW_TO_INVERT:
        memcpy(product, factor, d * d * sizeof(double))
        lapack.gram_lower(<int> d, product)
        return
    for i in range(d):
        for j in range(i + 1):
            product[i * d + j] = 0
    for m in range(d):
        for i in range(m + 1):
            for j in range(i + 1):
                product[i * d + j] += factor[m * d + i] * factor[m * d + j]


cdef void _eigen_loop(
    Py_ssize_t d,              # IN
    double *a,                 # IN OUT (d, d), destroyed
    double *values,            # OUT (d), ascending
    double *vectors,           # OUT (d, d), one a row
) noexcept nogil:
    """Jacobi's rotations."""
    cdef Py_ssize_t i, j, m, _sweep, least
    cdef double off, t, c, s, x, y
    for i in range(d * d):
        vectors[i] = 0
    for i in range(d):
        vectors[i * d + i] = 1
    for _sweep in range(MOST_ROTATIONS):
        off = 0
        for i in range(d):
            for j in range(i):
                if a[i * d + j] * a[i * d + j] <= 1e-34 * fabs(a[i * d + i] * a[j * d + j]):
                    continue
                off = 1
                x = (a[j * d + j] - a[i * d + i]) / (2 * a[i * d + j])
                t = (1 if x >= 0 else -1) / (fabs(x) + sqrt(x * x + 1))
                c = 1 / sqrt(t * t + 1)
                s = t * c
                for m in range(d):
                    x, y = a[m * d + i], a[m * d + j]
                    a[m * d + i], a[m * d + j] = c * x - s * y, s * x + c * y
                for m in range(d):
                    x, y = a[i * d + m], a[j * d + m]
                    a[i * d + m], a[j * d + m] = c * x - s * y, s * x + c * y
                    x, y = vectors[i * d + m], vectors[j * d + m]
                    vectors[i * d + m], vectors[j * d + m] = c * x - s * y, s * x + c * y
        if off == 0:
            break
    for i in range(d):
        values[i] = a[i * d + i]
    for i in range(d):
        least = i
        for j in range(i + 1, d):
            if values[j] < values[least]:
                least = j
        if least != i:
            values[i], values[least] = values[least], values[i]
            for m in range(d):
                x = vectors[i * d + m]
                vectors[i * d + m], vectors[least * d + m] = vectors[least * d + m], x


cdef bint eigen(
    Py_ssize_t d,              # IN
    const double *matrix,      # IN  (d, d), symmetric
    double *values,            # OUT (d), ascending
    double *vectors,           # OUT (d, d), one a row
    double *work,              # (EIGEN_WORK d)
) noexcept nogil:
    """Eigenvalues and eigenvectors; false where there are none."""
    cdef Py_ssize_t i
    for i in range(d * d):
        if not fabs(matrix[i]) < INFINITY:
            return False
    if d <= FEW_TO_ROTATE:
        memcpy(work, matrix, d * d * sizeof(double))
        _eigen_loop(d, work, values, vectors)
        return True
    memcpy(vectors, matrix, d * d * sizeof(double))
    return lapack.eigen_lower(<int> d, vectors, values, work, <int> (EIGEN_WORK * d)) == 0


cdef _work_all(
    const double[:, :, ::1] matrices,  # IN (n, d, d)
    bint decompose,                    # IN
    bint invert,                       # IN
    double[:, :, ::1] factors,         # OUT (n, d, d)
    double[::1] log_det,               # OUT (n,), or None
    uint8_t[::1] ok,                   # OUT (n,)
):
    cdef Py_ssize_t n = matrices.shape[0], d = matrices.shape[1]
    cdef Py_ssize_t slice_size = max(1, SLICE_FLOPS // (d * d * d))
    cdef Py_ssize_t start = 0, stop, k
    cdef bint wants_log_det = log_det is not None
    while start < n:
        stop = min(start + slice_size, n)
        with nogil:
            for k in range(start, stop):
                ok[k] = factorize(
                    d, &matrices[k, 0, 0], decompose, invert, &factors[k, 0, 0],
                    &log_det[k] if wants_log_det else NULL,
                )
        PyErr_CheckSignals()
        start = stop


cdef _like(const double[:, :, ::1] matrices):
    if matrices.shape[1] != matrices.shape[2] or matrices.shape[1] == 0:
        raise ValueError(
            f"square matrices are needed, got {matrices.shape[1]} x {matrices.shape[2]}"
        )
    return np.empty((matrices.shape[0], matrices.shape[1], matrices.shape[1]))


def cholesky(const double[:, :, ::1] A):
    """Lower Cholesky factors L, with A = L L^T.

    Parameters
    ----------
    A : ndarray of shape (n_matrices, d, d)
        Symmetric; only the lower triangles are read.

    Returns
    -------
    L : ndarray of shape (n_matrices, d, d)
        Lower triangular with zeros above; nan where A is not positive definite.
    ok : ndarray of shape (n_matrices,), bool
        False where A is not positive definite.
    """
    L = _like(A)
    ok = np.empty(A.shape[0], np.uint8)
    _work_all(A, True, False, L, None, ok)
    return L, ok.view(np.bool_)


def precision_factor(const double[:, :, ::1] S):
    """Inverses F of the lower Cholesky factors of S: F S F^T = I, and F^T F is the inverse of S.

    Parameters
    ----------
    S : ndarray of shape (n_matrices, d, d)
        Symmetric; only the lower triangles are read.

    Returns
    -------
    F : ndarray of shape (n_matrices, d, d)
        Lower triangular with zeros above; nan where S is not positive definite.
    log_det_S : ndarray of shape (n_matrices,)
        log |S|; nan where S is not positive definite.
    ok : ndarray of shape (n_matrices,), bool
        False where S is not positive definite.
    """
    F = _like(S)
    log_det = np.empty(S.shape[0])
    ok = np.empty(S.shape[0], np.uint8)
    _work_all(S, True, True, F, log_det, ok)
    return F, log_det, ok.view(np.bool_)


def triangular_inverse(const double[:, :, ::1] L):
    """Inverses of lower triangular matrices.

    Parameters
    ----------
    L : ndarray of shape (n_matrices, d, d)
        Only the lower triangles are read.

    Returns
    -------
    inverse : ndarray of shape (n_matrices, d, d)
        Lower triangular with zeros above; nan where the diagonal of L holds a zero.
    """
    inverse = _like(L)
    ok = np.empty(L.shape[0], np.uint8)
    _work_all(L, False, True, inverse, None, ok)
    return inverse
