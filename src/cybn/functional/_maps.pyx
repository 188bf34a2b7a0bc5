"""A walk over an array as maps: from what was checked to the kernel, compiled for small calls.

Data in C order of float32 or float64 goes straight to the kernel. Any other array is arranged
first, by `Maps.arranged` (maps.py).
"""

from cpython.buffer cimport PyBUF_CONTIG, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport sqrt

from cybn.arrays._made cimport Make, made, maker
from cybn.arrays._seen cimport alike_in, dtype_of, plain_type, seen, struct_of

from numpy import ndarray, zeros

from ..arrays.dtypes import FLOAT64
from ..arrays.outputs import LARGE
from ..arrays.outputs import empty as empty_large
from ..kernels import of
from ..kernels.policy import ALONE_BELOW, plan

cdef type plain = plain_type(ndarray((2, 3), "f4")[:, 1:])      # whose memory is seen at once
cdef Make make = maker()
cdef Py_ssize_t SMALL = LARGE, BELOW = ALONE_BELOW
PIECE = 65536       # items of a piece where channels lie side by side; as in kernels/maps.pxi
cdef Py_ssize_t PIECE_ITEMS = PIECE

cdef enum:
    C_ORDER = 1         # a flag of NumPy


def walk(maps, dy, x, out, tuple coefs, int point, bint writing, Py_ssize_t terms):
    """y, which is `out` unless that is None, or so many sums, (terms, N, C), or both.

    maps: what `maps_of` gives. dy may be None. coefs: as of `map_points`, each a number or an
    array that meets (N, C).
    """
    arrangement, last, samples, channels, positions, _ = <tuple>maps
    order, shape = <tuple>arrangement
    cdef Py_buffer own
    cdef Py_ssize_t[3] axes
    cdef Py_ssize_t N = samples, C = channels, P = positions
    given, upstream, into = x, dy, out
    if order is not None:       # which costs nothing where the memory is in that order
        given, upstream, into = x.transpose(order), turned(dy, order), turned(out, order)
    if (
        not N * C * P or not like(given, given, False) or not seen(&own, given, plain, False)
        or own.format[0] != b"f" and own.format[0] != b"d"
        or dy is not None and not like(upstream, given, False)
        or out is not None and not like(into, given, True)
    ):
        return maps.arranged(dy, x, out, coefs, point, writing, terms)
    dtype, y, sums = dtype_of(given), out, None
    if not writing:
        into = None
    elif out is not None:
        into = into.reshape(shape)
    else:
        if own.len < SMALL:     # first the view, which costs less
            axes[0], axes[1], axes[2] = N, P if last else C, C if last else P
            into = made(make, ndarray, dtype, 3, axes)
            y = into.reshape(given.shape)
        else:
            y = empty_large(given.shape, dtype)
            into = y.reshape(shape)
        if order is not None:
            y = y.transpose(inverse(order))
    if terms:
        sums = room(maps, terms)
    threads = 1 if N * C * P < BELOW else plan(N * C * P, own.itemsize).threads
    of[dtype].map_points(
        into, given.reshape(shape), None if dy is None else upstream.reshape(shape),
        pack(coefs, N, C), sums, last, point, 0, threads,
    )
    if not terms:
        return y
    sums = joined(sums, maps, terms)
    return (y, sums) if writing else sums


cdef object turned(a, order):
    return None if a is None else a.transpose(order)


cdef tuple inverse(order):
    """The order that turns axes back."""
    cdef list back = [0] * len(order)
    cdef Py_ssize_t i
    for i in range(len(order)):
        back[order[i]] = i
    return tuple(back)


cdef bint like(a, x, bint writable):
    """Does `a` lie in C order, and is it of the shape and dtype of x, which was seen?"""
    cdef Py_buffer own
    return (
        seen(&own, a, plain, writable) and struct_of(a).flags & C_ORDER
        and alike_in(struct_of(a), struct_of(x))
    )


cdef Py_ssize_t pieces_of(maps):
    """Into how many pieces the kernel cuts a sample, each with sums of its own."""
    _, last, _, channels, positions, _ = <tuple>maps
    cdef Py_ssize_t C = channels, P = positions, piece
    if not last or not C or not P:
        return 1
    piece = max(<Py_ssize_t>1, PIECE_ITEMS // C)
    return (P + piece - 1) // piece


def room(maps, Py_ssize_t terms):
    """Room for sums of an array that is not empty, as the kernel has it."""
    cdef Py_ssize_t[2] shape
    shape[0], shape[1] = terms * <Py_ssize_t>maps[2] * pieces_of(maps), maps[3]
    return made(make, ndarray, FLOAT64, 2, shape)


def joined(sums, maps, Py_ssize_t terms):
    """The same as (terms, N, C): pieces are added up in their order."""
    cdef Py_ssize_t pieces = pieces_of(maps)
    if pieces == 1:
        return sums.reshape((terms, maps[2], maps[3]))
    return sums.reshape((terms, maps[2], pieces, maps[3])).sum(2)


cpdef object pack(tuple coefs, Py_ssize_t samples, Py_ssize_t channels):
    """(count*N, C) if one of them has a number for each sample, else (count, C)."""
    cdef Py_ssize_t N = 1, i
    cdef Py_ssize_t[2] shape
    cdef Py_buffer own
    cdef double *to = NULL
    for a in coefs:
        if isinstance(a, ndarray) and a.ndim == 2:
            N = samples
    shape[0], shape[1] = len(coefs) * N, channels
    packed = made(make, ndarray, FLOAT64, 2, shape)
    if seen(&own, packed, plain, True):
        to = <double *>own.buf
    for i in range(len(coefs)):
        if to == NULL or not spread(to + i * N * channels, coefs[i], N, channels):
            packed.reshape((-1, N, channels))[i] = coefs[i]
    return packed


cdef bint spread(double *to, a, Py_ssize_t N, Py_ssize_t C):
    """OUT to: (N, C) of a number or an array that meets that. False: NumPy can tell more."""
    cdef Py_buffer own
    cdef Py_ssize_t i, j, axis, down = 0, along = 0
    cdef char *row
    cdef double value
    if isinstance(a, float):
        value = a
        for i in range(N * C):
            to[i] = value
        return True
    if not seen(&own, a, plain, False) or own.ndim > 2:
        return False
    if own.format[0] != b"f" and own.format[0] != b"d":
        return False
    if own.ndim:
        axis = own.ndim - 1
        if own.shape[axis] != C and own.shape[axis] != 1:
            return False
        along = own.strides[axis] if own.shape[axis] > 1 else 0
    if own.ndim == 2:
        if own.shape[0] != N and own.shape[0] != 1:
            return False
        down = own.strides[0] if own.shape[0] > 1 else 0
    for i in range(N):
        row = <char *>own.buf + i * down
        if own.format[0] == b"d":
            for j in range(C):
                to[i * C + j] = (<double *>(row + j * along))[0]
        else:
            for j in range(C):
                to[i * C + j] = (<float *>(row + j * along))[0]
    return True


include "group_sums.pxi"
