"""A CSR matrix as the kernels read it, and the micro-kernels over its rows (csr_dispatch.h)."""

from libc.stdint cimport int32_t, int64_t

cdef extern from "csr_dispatch.h" nogil:
    ctypedef struct csr_set:
        int width
        void (*scores)(const double *x, const int32_t *columns, Py_ssize_t n, const double *packed, int KW,
                       double *z) noexcept nogil
        void (*sums)(const double *x, const int32_t *columns, Py_ssize_t n, const double *r, int KW,
                     double *table) noexcept nogil

    const csr_set *select_csr()

cdef struct Csr:
    const double *doubles          # values, if they are double
    const float *floats            # ... or float
    const int32_t *narrow          # columns, if they are 32 bits wide
    const int64_t *wide            # ... or 64
    const Py_ssize_t *start        # (n + 1) where each row begins
    Py_ssize_t longest             # entries of the longest row

cdef struct Entries:
    const double *x
    const int32_t *columns
    Py_ssize_t length


cdef inline Py_ssize_t first_from(const Csr *m, Py_ssize_t p, Py_ssize_t end, Py_ssize_t column) noexcept nogil:
    """Place of the first entry within p and end whose column is not below the one given."""
    cdef Py_ssize_t middle
    while p < end:
        middle = p + (end - p) // 2
        if (m.narrow[middle] if m.narrow != NULL else m.wide[middle]) < column:
            p = middle + 1
        else:
            end = middle
    return p


cdef inline Entries entries(
    const Csr *m,
    Py_ssize_t p, Py_ssize_t end,  # IN  places of the first entry and after the last
    double *values,                # OUT (longest) scratch for values that are not double
    int32_t *columns,              # OUT (longest) scratch for columns that are wider
) noexcept nogil:
    """Entries as the micro-kernels take them: where they lie already, or in scratch."""
    cdef Entries out
    cdef Py_ssize_t i
    out.length = end - p
    if m.doubles != NULL:
        out.x = m.doubles + p
    else:
        for i in range(out.length):
            values[i] = m.floats[p + i]
        out.x = values
    if m.narrow != NULL:
        out.columns = m.narrow + p
    else:
        for i in range(out.length):
            columns[i] = <int32_t> m.wide[p + i]
        out.columns = columns
    return out
