"""Common axes, for the models of `skem._kernels.shapes`."""


cdef void compose(
    int d,
    const double *axes,        # IN  (d, d), one a row
    const double *variance,    # IN  (d)
    double *covariance,        # OUT (d, d)
) noexcept nogil

cdef bint common_axes(
    bint equal_volume,         # IN  EVE rather than VVE
    int K, int d,
    const double *n_k,         # IN  (K), positive
    const double *scatter,     # IN  (K, d, d)
    const double *factor,      # IN  (K, d, d) precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    int n_rounds,              # IN
    double *scratch,           # of `skem._kernels.shapes.scratch_size`
    double *covariance,        # OUT (K, d, d)
) noexcept nogil
