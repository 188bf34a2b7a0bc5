"""Statistics by themselves: running ones moved, those of parts merged. No kernel is called."""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from libc.float cimport DBL_MAX, FLT_MAX
from libc.limits cimport LLONG_MAX
from libc.math cimport fabs, isfinite
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from cybn.primitives cimport _loop as loop

include "values.pxi"
include "call.pxi"
include "running.pxi"
include "merging.pxi"


def move_running(list steps):
    """Move running statistics by what each step holds (functional/running.py), all or nothing."""
    cdef Running running
    cdef Channels rows
    cdef const double *mean
    cdef Py_ssize_t m, C
    cdef double momentum
    cdef bint moving
    cdef Call call
    for moving in range(2):
        if moving:
            settled()
        for running_mean, running_var, num_batches_tracked, stats, m, momentum in steps:
            call = Call.__new__(Call)
            if stats is None or stats.ndim != 2 or len(stats) < (1 if running_var is None else 2):
                refuse("stats", "the rows mean and var", getattr(stats, "shape", None))
            call.borrow(&rows, stats, -1, False, "stats")
            if rows.single:
                refuse("stats", "float64", "float32")
            C = stats.shape[1]
            call.borrow(&running.mean, running_mean, C, True, "running_mean")
            call.borrow(&running.var, running_var, C, True, "running_var")
            call.borrow_count(&running.count, num_batches_tracked, True)
            if moving and C:
                mean = <const double *>rows.at
                follow(&running, mean, mean + C if running_var is not None else mean, m, momentum)


def move_anew(running, before, by):
    """running += by - before, and before = by: a move that replaces the one made before it."""
    cdef Call call = Call.__new__(Call)
    cdef Channels to, was, now
    cdef Py_ssize_t c
    cdef double value
    call.borrow(&now, by, -1, False, "by")
    call.borrow(&to, running, now.n, True, "running")
    call.borrow(&was, before, now.n, True, "before")
    settled()
    for c in range(now.n):
        value = value_at(&now, c)
        set_value(&to, c, value_at(&to, c) + (value - value_at(&was, c)))
        set_value(&was, c, value)
