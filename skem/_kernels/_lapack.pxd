"""The one door to LAPACK: scipy's Cython interface, in row-major terms and plain ints.

LAPACK is column-major, so it sees the transpose of what is stored here: a lower triangle by rows is
its upper triangle by columns, and the routines below keep to that triangle. The other half is left
as it is. A scipy whose LAPACK counts in 64 bits needs a conversion in this file and nowhere else.
"""

from scipy.linalg.cython_lapack cimport dlauum, dpotrf, dsyev, dtrtri


cdef inline int cholesky_lower(int d, double *a) noexcept nogil:
    """Overwrite the lower triangle of `a` (d, d) by its Cholesky factor; 0 if it exists."""
    cdef int info = 0
    cdef char uplo = b"U"
    dpotrf(&uplo, &d, a, &d, &info)
    return info


cdef inline int invert_lower(int d, double *a) noexcept nogil:
    """Overwrite the lower triangle of `a` (d, d) by its inverse; 0 if it exists."""
    cdef int info = 0
    cdef char uplo = b"U"
    cdef char diag = b"N"
    dtrtri(&uplo, &diag, &d, a, &d, &info)
    return info


cdef inline int gram_lower(int d, double *a) noexcept nogil:
    """Overwrite the lower triangle of `a` (d, d), L, by that of L^T L."""
    cdef int info = 0
    cdef char uplo = b"U"
    dlauum(&uplo, &d, a, &d, &info)
    return info


cdef inline int eigen_lower(int d, double *a, double *values, double *work, int size) noexcept nogil:
    """Overwrite `a` (d, d), whose lower triangle is read, by its eigenvectors, one a row; eigenvalues ascend."""
    cdef int info = 0
    cdef char jobz = b"V"
    cdef char uplo = b"U"
    dsyev(&jobz, &uplo, &d, a, &d, values, work, &size, &info)
    return info
