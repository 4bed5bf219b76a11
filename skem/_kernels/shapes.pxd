"""Estimates of the models that share parts, for the compiled update."""


cdef size_t scratch_size(int K, int d) noexcept nogil

cdef bint estimate_all(
    int model, int K, int d,
    const double *n_k,         # IN  (K), positive
    const double *scatter,     # IN  (K, d, d), or (K, d) where columns are independent
    const double *factor,      # IN  like scatter: precision factors of the covariances before, or NULL
    const double *log_det,     # IN  (K) log |F|, where there are any
    double *scratch,           # of `scratch_size`
    double *covariance,        # OUT like scatter
) noexcept nogil
