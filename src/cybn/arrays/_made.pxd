"""New arrays without values, by NumPy's C function: `numpy.empty` asks thrice as much of a call.

NumPy's binary interface promises where its table has that function, in all versions of one number,
which the table begins with: what includes NumPy's headers finds it there. As in `_seen.pxd` a build
does without them. With another number `numpy.empty` makes the arrays.
"""

from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF

cdef extern from *:
    """
    typedef unsigned int (*cybn_number)(void);
    typedef PyObject *(*cybn_make)(PyTypeObject *type, PyObject *dtype, int ndim,
                                   const Py_ssize_t *shape, const Py_ssize_t *strides, void *data,
                                   int flags, PyObject *like);
    #define cybn_number_of(table) (((cybn_number *)(table))[0]())
    #define cybn_make_of(table) (((cybn_make *)(table))[94])
    #define cybn_made(make, type, dtype, ndim, shape) \
        make((PyTypeObject *)(type), dtype, ndim, shape, NULL, NULL, 0, NULL)
    """
    ctypedef void *Make "cybn_make"
    unsigned int number_of "cybn_number_of"(void *table)
    Make make_of "cybn_make_of"(void *table) noexcept
    object new_by "cybn_made"(Make make, type kind, object dtype, int ndim, const Py_ssize_t *shape)

cdef enum:
    KNOWN = 0x02000000      # the number of NumPy 2


cdef inline Make maker():
    """The function; NULL where it is not known to be there."""
    cdef void *table
    try:
        from numpy._core._multiarray_umath import _ARRAY_API
        table = PyCapsule_GetPointer(_ARRAY_API, NULL)
    except (ImportError, ValueError):
        return NULL
    return make_of(table) if number_of(table) == KNOWN else NULL


cdef inline object made(Make make, type kind, object dtype, int ndim, const Py_ssize_t *shape):
    """A new array in C order. kind: numpy.ndarray."""
    if make == NULL:
        from numpy import empty
        return empty([shape[i] for i in range(ndim)], dtype)
    Py_INCREF(dtype)        # which is taken away
    return new_by(make, kind, dtype, ndim, shape)
