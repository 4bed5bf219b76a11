"""Log x - digamma(x), and its inverse."""

cdef double _excess(
    double x,                # IN  positive
    double *slope,           # OUT derivative there
) noexcept nogil

cdef double _shape(double target, double largest) noexcept nogil
