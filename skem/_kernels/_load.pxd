"""Rows of a block, brought to internal coordinates or to their bytes."""

from cython cimport floating
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from skem._kernels._job cimport Buffers, Job


cdef inline void load(
    const floating *x,         # IN  first row of the block
    Py_ssize_t row_stride,     # IN  in elements
    Py_ssize_t column_stride,  # IN
    const double *origin,      # IN  (d)
    const double *inv_scale,   # IN  (d)
    int rows, int d, int B,
    double *out,               # OUT (d, B); rows beyond `rows` become the origin
) noexcept nogil:
    cdef int n, j
    cdef double o, s
    cdef double *to
    cdef const floating *p
    for j in range(d):
        o = origin[j]
        s = inv_scale[j]
        to = out + <size_t> j * B
        p = x + j * column_stride
        for n in range(rows):
            to[n] = (<double> p[n * row_stride] - o) * s
        for n in range(rows, B):
            to[n] = 0.0


cdef inline void gather(
    const floating *x,         # IN
    Py_ssize_t row_stride,     # IN  in elements
    Py_ssize_t column_stride,  # IN
    const Py_ssize_t *index,   # IN  (rows)
    int rows, int d,
    floating *out,             # OUT (rows, d)
) noexcept nogil:
    cdef int n, j
    cdef const floating *p
    for n in range(rows):
        p = x + index[n] * row_stride
        for j in range(d):
            out[n * d + j] = p[j * column_stride]


cdef inline void load_block(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """Bring rows to internal coordinates, columns side by side."""
    cdef Py_ssize_t row_stride = job.row_stride, column_stride = job.column_stride
    cdef const float *xf = <const float *> job.x + row * row_stride
    cdef const double *xd = <const double *> job.x + row * row_stride
    if job.index != NULL:
        if job.is_float:
            gather(<const float *> job.x, row_stride, column_stride, job.index + row, rows, job.d, <float *> buf.rows)
            xf = <const float *> buf.rows
        else:
            gather(<const double *> job.x, row_stride, column_stride, job.index + row, rows, job.d, buf.rows)
            xd = buf.rows
        row_stride, column_stride = job.d, 1
    if job.is_float and column_stride == 1:
        job.tiles.load_floats(xf, row_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)
    elif job.is_float:
        load(xf, row_stride, column_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)
    elif column_stride == 1:
        job.tiles.load(xd, row_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)
    else:
        load(xd, row_stride, column_stride, job.origin, job.inv_scale, rows, job.d, job.B, buf.x)


cdef inline const uint8_t *coded_rows(Job *job, Buffers *buf, Py_ssize_t row, int rows) noexcept nogil:
    """The bytes of a block, side by side; rows beyond `rows` are all zeros."""
    cdef int n, size = job.coding.n_bytes
    if rows == job.B and job.index == NULL:
        return job.bytes + row * size
    memset(buf.bytes, 0, job.B * <size_t> size)
    for n in range(rows):
        memcpy(buf.bytes + n * size, job.bytes + (row + n if job.index == NULL else job.index[row + n]) * size, size)
    return buf.bytes
