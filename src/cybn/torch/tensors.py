"""What kernels take of tensors: which ones, in which order of memory, and what is written to.

A kernel takes memory that is dense, in C order or channels last. PyTorch's own kernels take the
same two and give an output of the same, whatever the strides of x; so what comes after a norm finds
what it would find there. Anything else is copied by PyTorch, with all its threads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format

SIXTEEN = (torch.bfloat16, torch.float16)
DATA = (torch.float32, torch.float64, *SIXTEEN)
_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def dense(x: Tensor) -> Tensor:
    """x in C order or channels last, copied where it is neither."""
    if x.is_contiguous() or is_channels_last(x):
        return x
    return x.contiguous(memory_format=suggest_memory_format(x))


def is_channels_last(x: Tensor) -> bool:
    last = _LAST.get(x.dim())
    return last is not None and x.is_contiguous(memory_format=last)


def stays_last(x: Tensor) -> bool:
    """Is x, not in C order, channels last to PyTorch?

    Its group norm keeps that, and so it is left to it: groups of it are no rows, and there and back
    would be two copies.
    """
    return suggest_memory_format(x) in _LAST.values()


def ordered(a: Tensor, x: Tensor) -> Tensor:
    """`a` in the memory order of x, which is dense; copied where it lies in another."""
    if a.stride() == x.stride() and not a.is_neg():
        return a
    if x.is_contiguous():
        return a.contiguous().resolve_neg()
    return a.contiguous(memory_format=_LAST[x.dim()]).resolve_neg()
