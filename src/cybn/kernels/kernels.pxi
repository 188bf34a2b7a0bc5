# The one source of the compiled kernels. Each CPU level is a two-line module that includes this
# file and is compiled with flags of its own; see setup.py.

cimport cython
from cython.parallel cimport prange
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals, PyErr_Clear
from libc.float cimport DBL_MAX, FLT_MAX, FLT_MIN
from libc.limits cimport LLONG_MAX
from libc.math cimport fabs, isfinite, pow, sqrt, sqrtf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from cybn.primitives cimport (
    LANES, STRIP, A, T, add_products, add_products_gated, add_shifted, add_weighted, clear_lanes,
    fetch, fold_lanes, gate, gated, gradient as slope_rows, gradient_each, gradient_each_gated,
    gradient_gated, gradient_weighted, normalize, normalize_each, normalize_each_gated,
    normalize_gated, normalize_weighted, stream_fence, xhat,
)

cdef extern from *:
    bint unlikely(bint) noexcept nogil      # of Cython's own: keeps what is rare out of the way

include "job.pxi"
include "settle.pxi"
include "rows.pxi"
include "columns.pxi"
include "doubt.pxi"
include "wide.pxi"
include "steps.pxi"
include "schedule.pxi"
include "checks.pxi"
include "running.pxi"
include "batch_norm.pxi"
include "small.pxi"
include "samples.pxi"
include "sample_wide.pxi"
include "sample_norm.pxi"
include "response.pxi"
