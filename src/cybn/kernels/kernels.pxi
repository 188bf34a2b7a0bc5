# The source of the compiled kernels. Each data dtype is a module of a few lines: it says what S,
# the type of the data, and T, that of arithmetic, are and includes this file. It is translated once
# and compiled with the flags of each CPU level; see setup.py. Those of float and double add
# positions.pxi and maps.pxi, that of float matrices.pxi, which takes double as well.
#
# At a level that is compiled for size, a `leaf` and a `loop` are quick all the same.

cimport cython
from cython.parallel cimport prange
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from libc.float cimport DBL_MAX, FLT_MAX, FLT_MIN
from libc.limits cimport LLONG_MAX
from libc.math cimport INFINITY, fabs, isfinite, pow, sqrt, sqrtf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from cybn.primitives cimport (
    FAR, FEW, LANES, LINE, STRIP, A, S as D, bfloat16, float16, _always as always, _loop as loop,
    _fold_eight as fold_eight, _gradient as gradient_run, _halve_lanes as halve_lanes,
    _load_few as load_few, _normalize as normalize_run, _products as products_run,
    _products_in_eight as products_in_eight, _read as read, _weighted as weighted_run, add_shifted,
    before_line, clear_lanes, fetch, fetch_far, fold_lanes, gate, gated, gradient, gradient_each,
    gradient_each_gated, item as item_as, load, loaded, normalize, normalize_each,
    normalize_each_gated, put, store, store_strip, stream_fence, strip_of, sum_shifted, trusted,
    xhat,
)

from cybn.kernels import _machine

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
      #define cybn_leaf CYBN_QUICK __attribute__((noinline)) void
    #else
      #define cybn_leaf void
    #endif
    """
    ctypedef void leaf "cybn_leaf"          # the loops of a step: once, whoever calls it
    bint unlikely(bint) noexcept nogil      # of Cython's own: keeps what is rare out of the way


cdef inline T item(const S *x) noexcept nogil:
    return item_as(x, <T>0)


include "values.pxi"
include "call.pxi"
include "team.pxi"
include "running.pxi"
include "exponential.pxi"
include "curves.pxi"
include "bending.pxi"
include "job.pxi"
include "settle.pxi"
include "rows.pxi"
include "columns.pxi"
include "column_products.pxi"
include "doubt.pxi"
include "wide.pxi"
include "steps.pxi"
include "schedule.pxi"
include "checks.pxi"
include "batch_norm.pxi"
include "bent.pxi"
include "samples.pxi"
include "sample_forward.pxi"
include "sample_back.pxi"
include "sample_runs.pxi"
include "sample_wide.pxi"
include "sample_norm.pxi"
include "sample_entries.pxi"
include "response.pxi"
