"""From a module's call to a kernel, and from a gradient: compiled, since calls may be small.

A call whose tensors a kernel can take is computed here; of any other it is said that it is
PyTorch's (None), which then computes it, or raises, as if the module were its own: another device,
a meta, sparse, quantized or complex tensor, a subclass of Tensor, an input without items, dtypes
that PyTorch does not mix; and whatever is under a transform, a mode or a tracer that wants to see
PyTorch's operators.

What PyTorch's own modules keep for the gradient is kept, with the statistics, float64. The
gradients are those of `torch.autograd.Function`s (gradients.py), whose methods these are. Rejected:
the operators of operators.py, whose way through the dispatcher costs a small call more than all
else; PyTorch's C++ interface, which a build would need PyTorch for, and a wheel for each of its
versions.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t

import torch
from numpy import add, empty
from torch import (
    Tensor, contiguous_format, empty_like, get_num_threads, is_grad_enabled,
    is_inference_mode_enabled,
)
from torch.autograd import forward_ad
from torch.autograd.graph import increment_version
from torch.nn import Parameter
from torch.utils._device import DeviceContext

from ..functional.gates import OPEN, gate_of
from ..functional.running import Step, follow
from ..kernels import LEVEL, kernels_in, levels
from ..kernels.policy import ALONE, ALONE_BELOW, plan
from ..terms.environment import number_from
from . import formulas
from .tensors import dense, ordered, stays_last

cdef object transforms = torch._C._are_functorch_transforms_active
cdef object dispatch_modes = torch._C._len_torch_dispatch_stack
cdef object function_modes = torch._C._len_torch_function_stack
cdef object tracing = torch._C._get_tracing_state
cdef object apply_batch = None, apply_rows = None, apply_positions = None, apply_response = None
cdef object missing = object()
cdef list loaded = [None] * 4       # the kernels, by dtype of data
cdef Py_ssize_t BELOW = ALONE_BELOW

include "look.pxi"
include "loans.pxi"
include "ready.pxi"
include "batch.pxi"
include "bent.pxi"
include "instances.pxi"
include "rows.pxi"
include "positions.pxi"
include "response.pxi"


def differentiate_by(batch, rows, positions, response):
    """What autograd calls of a batch norm, of rows, of positions and of local response."""
    global apply_batch, apply_rows, apply_positions, apply_response
    apply_batch, apply_rows, apply_positions, apply_response = batch, rows, positions, response
