"""A kd-tree and its nodes, for passes."""

from libc.stdint cimport int32_t


cdef enum:
    LEAF = 64                      # most rows of a leaf
    MAX_D = 4


cdef struct Selection:
    Py_ssize_t low, high, wanted
    int column


cdef inline Py_ssize_t start_of(Py_ssize_t n, int level, Py_ssize_t place) noexcept nogil:
    """First row of a node; halves differ by a row at most."""
    return (n * place) >> level


cdef class Tree:
    cdef readonly Py_ssize_t n_samples
    cdef readonly int n_features, n_levels
    cdef double[::1] rows                  # in tree order, each leaf (d, m)
    cdef int32_t[::1] places               # the row at each place in the tree
    cdef const double[::1] weight          # or None
    cdef double[:, ::1] center, half, mean, scatter
    cdef double[::1] mass                  # of each node, as all of the line above

    cdef Selection _begin(self, int level, Py_ssize_t place) noexcept nogil
    cdef void _part(self, int level, Py_ssize_t place) noexcept nogil
    cdef _part_with_signals(self, int level, Py_ssize_t place)
    cdef void _close(self, int level, Py_ssize_t place, const double *weight) noexcept nogil
