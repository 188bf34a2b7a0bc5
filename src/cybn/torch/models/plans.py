"""How the norm of another library is computed with the kernels here: a plan for each class.

Libraries write a norm in a few ways: an RMS norm that goes by way of float32 and is scaled before or
after it is cast back, a layer norm over the channels of (N, C, ...), a batch norm that is followed
by an activation. A plan names which way it is and where the module keeps what is needed, so that
eps and parameters are read at each call, as theirs are. What a plan does not cover (another dtype,
rank or further input) is left to the module's own forward by returning NotImplemented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import ops

__all__ = ["Plan"]

_HALF = (torch.float16, torch.bfloat16)
GATES = {"silu": F.silu, "swish": F.silu, "sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class Plan:
    """A norm and where a module keeps its arrays, each by the name of an attribute or None."""

    norm: str  # rms_norm, layer_norm, group_norm, batch_norm, frozen_batch_norm
    weight: str | None = "weight"
    bias: str | None = None
    eps: str | float = "eps"
    offset: float = 0.0  # added to weight
    channels_first: int = 0  # the rank of x whose axis 1 is normalized; 0 for the last axis
    promotes: bool = False  # x and weight of two dtypes give that of both, not that of x
    upcast: bool = False  # float32 arithmetic, of float64 too
    gate: str | None = None  # "before" or "after": a further input, by an activation
    gate_activation: str = "silu"  # or the attribute that names it
    group_size: str | None = None  # of an RMS norm in groups
    followed: bool = False  # by the children drop and act
    plain_autocast: bool = True  # autocast is of no account

    def __call__(self, module: nn.Module, x: Any, *gates: Any) -> Any:
        """The output, or NotImplemented where the module's own forward is to do it."""
        if not ops.usable(x) or len(gates) != (self.gate is not None):
            return NotImplemented
        if not self.plain_autocast and torch.is_autocast_enabled("cpu"):
            return NotImplemented
        return _WAYS[self.norm](self, module, x, *gates)

    def value(self, module: nn.Module, name: str) -> Any:
        """What the module has under one of the plan's names."""
        place = getattr(self, name)
        return getattr(module, place) if isinstance(place, str) else place

    def follows(self, module: nn.Module, x: Tensor) -> Tensor:
        """The children after the norm, as the module calls them."""
        return module.act(module.drop(x)) if self.followed else x


def _rows(plan: Plan, module: nn.Module, x: Tensor, gate: Tensor | None = None) -> Any:
    weight, bias = plan.value(module, "weight"), plan.value(module, "bias")
    rank = plan.channels_first
    if rank and x.ndim != rank:
        return NotImplemented
    if weight is not None and weight.dtype != x.dtype and (plan.promotes or x.dtype not in _HALF):
        return NotImplemented
    if plan.upcast and x.dtype is torch.float64:
        return NotImplemented
    if gate is not None and (gate.shape != x.shape or gate.dtype != x.dtype):
        return NotImplemented
    if plan.offset:
        weight = weight.float() + plan.offset if weight.dtype in _HALF else weight + plan.offset
    if plan.gate == "before":
        x = x * F.silu(gate) if x.dtype not in _HALF else (x.float() * F.silu(gate.float()))
    size = x.shape[1] if rank else x.shape[-1]
    if weight is not None and weight.numel() != size:
        return NotImplemented
    y = _normalized(plan, module, x, weight, bias, size)
    if plan.gate == "before":
        y = y.to(gate.dtype)
    elif plan.gate == "after":
        name = plan.gate_activation
        act = GATES.get(getattr(module, name) if name not in GATES else name)
        if act is None:
            return NotImplemented
        y = y * act(gate) if y.dtype not in _HALF else (y * act(gate.float())).to(y.dtype)
    return plan.follows(module, y)


def _normalized(
    plan: Plan, module: nn.Module, x: Tensor, weight: Any, bias: Any, size: int
) -> Tensor:
    eps = plan.value(module, "eps")
    if plan.group_size is not None:
        width = getattr(module, plan.group_size)
        if width != size:
            groups = ops.rms_norm(x.unflatten(-1, (-1, width)), (width,), None, eps)
            y = groups.flatten(-2)
            return y if weight is None else weight * y
    if plan.norm == "rms_norm":
        if plan.channels_first:
            return ops.over_channels(ops.rms_norm, x, weight, eps)
        return ops.rms_norm(x, (size,), weight, eps)
    if plan.channels_first:
        return ops.over_channels(ops.layer_norm, x, weight, bias, eps)
    shape = getattr(module, "normalized_shape", None)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (size,)
    return ops.layer_norm(x, shape, weight, bias, eps)


def _groups(plan: Plan, module: nn.Module, x: Tensor) -> Any:
    weight, bias = plan.value(module, "weight"), plan.value(module, "bias")
    if weight is not None and weight.dtype != x.dtype and x.dtype not in _HALF:
        return NotImplemented
    y = ops.group_norm(x, module.num_groups, weight, bias, plan.value(module, "eps"))
    return plan.follows(module, y)


def _batch(plan: Plan, module: nn.Module, x: Tensor) -> Any:
    from .gated import activation_of

    if x.ndim != 4:
        return NotImplemented
    gate = None
    if plan.followed and type(module.drop) is nn.Identity and ops.unhooked(module.drop):
        gate = activation_of(module.act) if ops.unhooked(module.act) else None
    y = ops.gated_batch_norm(module, x, None, gate)
    return y if gate is not None or y is NotImplemented else plan.follows(module, y)


_WAYS = {
    "rms_norm": _rows,
    "layer_norm": _rows,
    "group_norm": _groups,
    "batch_norm": _batch,
    "frozen_batch_norm": _batch,
}
