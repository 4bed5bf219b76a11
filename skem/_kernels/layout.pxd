"""How the parts of a pass are laid out in its job."""

from skem._kernels._job cimport Job

cdef double *own_array(value, list keep, length=*) except NULL
cdef int set_coding(Job *job, coding, parts, list keep) except -1
cdef int add_scorer(Job *job, spec, int column, int d, list keep) except -1
cdef int add_collector(Job *job, spec, int column, int d, list keep, list means) except -1
cdef void pack_triangles(
    const double *factor,          # IN  (count, d, d) lower triangles
    int count, int d,
    double *out,                   # OUT (count, length) in groups of four rows, as the full tile reads them
) noexcept nogil
