"""Digamma(x), log x - digamma(x), and the inverse of that."""

cdef double digamma(
    double x,                # IN  positive
) noexcept nogil

cdef double _excess(
    double x,                # IN  positive
    double *slope,           # OUT derivative there
) noexcept nogil

cdef double _shape(double target, double largest) noexcept nogil
