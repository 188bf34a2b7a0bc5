"""What is in an ndarray, read where NumPy keeps it: the buffer protocol asks thirty times as long.

NumPy's binary interface promises where these fields are, in NumPy 1 and 2 alike: compiled inline
access of its headers and of Cython's `cimport numpy` reads them there. They are written down here,
since a build would need NumPy's headers for nothing else. Each module looks on import whether they
are where they are said to be (`plain_type`); if they are not, it asks the buffer protocol.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport strcmp

cdef extern from *:
    """
    typedef struct {
        PyObject_HEAD
        PyTypeObject *type_of_items;
        char kind, letter, order;
    } cybn_dtype;
    typedef struct {
        PyObject_HEAD
        char *data;
        int ndim;
        Py_ssize_t *shape, *strides;
        PyObject *base;
        cybn_dtype *dtype;
        int flags;
    } cybn_ndarray;
    """
    ctypedef struct Dtype "cybn_dtype":
        char letter, order
    ctypedef struct Array "cybn_ndarray":
        char *data
        int ndim
        Py_ssize_t *shape
        Py_ssize_t *strides
        Dtype *dtype
        int flags
    ctypedef struct Owner "Py_buffer":  # which Cython would count the references of
        void *obj

cdef enum:
    ALIGNED = 0x100             # flags of NumPy
    WRITEABLE = 0x400

cdef inline Array *struct_of(object a) noexcept:
    return <Array *><void *>a


cdef inline object dtype_of(object a):
    """That of an array which was seen."""
    return <object><void *>struct_of(a).dtype


cdef inline bint writeable(const Array *a) noexcept nogil:
    """Without a warning, too, which the highest flag asks for."""
    return a.flags & WRITEABLE and a.flags > 0


cdef inline bint alike_in(const Array *a, const Array *x) noexcept nogil:
    """Are they of one dtype and shape?"""
    return a.dtype == x.dtype and shaped_alike(a, x)


cdef inline bint shaped_alike(const Array *a, const Array *x) noexcept nogil:
    cdef int i
    if a.ndim != x.ndim:
        return False
    for i in range(a.ndim):
        if a.shape[i] != x.shape[i]:
            return False
    return True


cdef inline bint seen(Py_buffer *to, object a, type plain, bint writable) noexcept:
    """OUT to: what the buffer protocol would tell of `a`, that is, if `a` is of the type `plain`.

    False where it has to be asked: for another type, for items of a dtype that kernels do not take,
    and where there is something to complain of. `to` holds no reference.
    """
    cdef Array *array
    cdef int i
    if type(a) is not plain:
        return False
    array = struct_of(a)
    if array.dtype.order != b"=" or not array.flags & ALIGNED:
        return False
    if writable and not writeable(array):
        return False
    if array.dtype.letter == b"f":
        to.format, to.itemsize = b"f", 4
    elif array.dtype.letter == b"d":
        to.format, to.itemsize = b"d", 8
    elif array.dtype.letter == b"l":
        to.format, to.itemsize = b"l", sizeof(long)
    elif array.dtype.letter == b"H":
        to.format, to.itemsize = b"H", 2
    else:
        return False
    to.buf, to.readonly = array.data, not writeable(array)
    (<Owner *>to).obj = NULL
    to.ndim, to.shape, to.strides = array.ndim, array.shape, array.strides
    to.suboffsets, to.internal, to.len = NULL, NULL, to.itemsize
    for i in range(array.ndim):
        to.len *= array.shape[i]
    return True


cdef inline bint as_lent(object a, const Py_buffer *own):
    """Is that what the buffer protocol tells of `a`, but for steps that nobody takes?"""
    cdef Py_buffer lent
    cdef bint same
    cdef int i
    PyObject_GetBuffer(a, &lent, PyBUF_STRIDES | PyBUF_FORMAT)
    same = (
        own.buf == lent.buf and own.len == lent.len and own.itemsize == lent.itemsize
        and own.ndim == lent.ndim and own.readonly == lent.readonly
        and not strcmp(own.format, lent.format)
    )
    if same:
        for i in range(own.ndim):
            same = same and own.shape[i] == lent.shape[i] and (
                own.shape[i] == 1 or own.len == 0 or own.strides[i] == lent.strides[i]
            )
    PyBuffer_Release(&lent)
    return same


cdef inline type plain_type(object a):
    """The type of `a`, an array, if that can be read here; else a type that no array is of."""
    cdef Py_buffer own
    return type(a) if seen(&own, a, type(a), False) and as_lent(a, &own) else type(None)
