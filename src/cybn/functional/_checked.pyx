"""From arrays that were checked to a kernel: the way of every call, compiled for small ones.

The functions check what they are given and come here. So do the layers, which check their own
arrays once and not in every call. What differs from one call
to the next is an array: its views, a new output, and how many threads the kernel gets. All of it is
found here, once, and handed to one call of a kernel.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_IsContiguous
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.math cimport INFINITY, sqrt
from libc.string cimport memcmp, memcpy

from cybn.arrays._looks cimport affine_grads, alike, learned_of, values_per_channel
from cybn.arrays._made cimport Make, made, maker
from cybn.arrays._seen cimport dtype_of, plain_type, seen

from numpy import add, ascontiguousarray, empty, empty_like, may_share_memory, ndarray, zeros

from ..arrays.dtypes import FLOAT32, FLOAT64, round_to, widened
from ..arrays.layout import Arrangement, arrange, as_words
from ..arrays.outputs import LARGE
from ..arrays.outputs import empty as empty_large
from ..kernels import of
from ..kernels.policy import ALONE, ALONE_BELOW, plan
from .channels_last import gradient_channels_last, normalize_channels_last
from .gates import OPEN, gated
from .running import Step, follow

cdef object new = tuple.__new__     # of a NamedTuple, without a look at every field
cdef type plain = plain_type(ndarray((2, 3), "f4")[:, 1:])      # whose memory is seen at once
cdef Make make = maker()
cdef Py_ssize_t SMALL = LARGE, BELOW = ALONE_BELOW

include "lent.pxi"
include "batch_checked.pxi"
include "rows_checked.pxi"
include "response_checked.pxi"
