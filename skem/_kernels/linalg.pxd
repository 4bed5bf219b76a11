"""One small matrix at a time, for compiled callers."""


cdef bint factorize(
    Py_ssize_t d,              # IN
    const double *matrix,      # IN  (d, d), the lower triangle is read
    bint decompose,            # IN  replace the matrix by its Cholesky factor
    bint invert,               # IN  then the factor by its inverse
    double *factor,            # OUT (d, d), lower triangular; nan where there is none
    double *log_det,           # OUT log determinant of factor @ factor.T before inversion, or NULL
) noexcept nogil

cdef void gram(
    Py_ssize_t d,              # IN
    const double *factor,      # IN  (d, d), lower triangular
    double *product,           # OUT (d, d), the lower triangle of factor.T @ factor
) noexcept nogil

cdef enum:
    EIGEN_WORK = 34            # numbers of scratch a column for `eigen`

cdef bint eigen(
    Py_ssize_t d,              # IN
    const double *matrix,      # IN  (d, d), symmetric
    double *values,            # OUT (d), ascending
    double *vectors,           # OUT (d, d), one a row
    double *work,              # (EIGEN_WORK d)
) noexcept nogil
