"""Which calls go to the kernels, and which to PyTorch's own implementation.

What the kernels do not compute goes to PyTorch, as if the module were PyTorch's: another device, a
meta, sparse, quantized or complex tensor, a subclass of Tensor, an input without items, dtypes that
PyTorch refuses to mix; and whatever is under a transform, a mode or a tracer that wants to see
PyTorch's operators: vmap and the other transforms of `torch.func`, forward-mode derivatives,
`torch.jit.trace`, TorchDispatchMode and TorchFunctionMode. So numbers and errors are PyTorch's
there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.utils._device import DeviceContext

from .tensors import DATA, SIXTEEN

_PLAIN = (Tensor, Parameter)


def is_watched() -> bool:
    """Is there a transform, a mode or a tracer?"""
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
        or (torch._C._len_torch_function_stack() > 0 and _functions_are_watched())
    )


def _functions_are_watched() -> bool:
    """A default device (`torch.set_default_device`) is a mode, too, but changes no norm."""
    modes = (
        torch._C._get_function_stack_at(i) for i in range(torch._C._len_torch_function_stack())
    )
    return not all(isinstance(mode, DeviceContext) for mode in modes)


def is_data(x: Tensor) -> bool:
    """Is it a tensor whose memory a kernel can take, or PyTorch copy into some that it can?"""
    return (
        type(x) in _PLAIN
        and x.is_cpu
        and x.dtype in DATA
        and x.layout is torch.strided
        and x.numel() > 0
        and not x.is_neg()
        and not x._is_zerotensor()
    )


def fit(x: Tensor, *arrays: Tensor | None, values: int) -> bool:
    """Are the arrays, of so many values each or None, of one dtype that goes with x?"""
    dtype = None
    for a in arrays:
        if a is None:
            continue
        if dtype is None:
            dtype = a.dtype
            if dtype is not x.dtype and (dtype is not torch.float32 or x.dtype not in SIXTEEN):
                return False
        if not (
            type(a) in _PLAIN
            and a.is_cpu
            and a.dtype is dtype
            and a.numel() == values
            and a.is_contiguous()
        ):
            return False
    return True
