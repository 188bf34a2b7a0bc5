"""How the norm of another library is computed with the kernels here: a plan for each class.

Libraries write a norm in a few ways: an RMS norm by way of float32 that is scaled before or after
it is cast back, a layer norm over the channels of (N, C, ...), a batch norm that an activation
follows. A plan names which way it is and where the module keeps what is needed, so that eps and
parameters are read at each call, as theirs are. What a plan does not cover (another dtype, rank or
further input) is left to the module's own forward by returning None. So is float64 of a norm that
goes by way of float32: its numbers are those of its own arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...functional.gates import OPEN
from . import ops
from .acts import activation_of, gate_for, goes_along

__all__ = ["Plan"]

_HALF = (torch.float16, torch.bfloat16)
GATES = {"silu": functional.silu, "swish": functional.silu, "sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class Plan:
    """A norm and where a module keeps its arrays, each by the name of an attribute or None."""

    norm: str  # rms_norm, layer_norm, group_norm, batch_norm, frozen_batch_norm
    weight: str | None = "weight"
    bias: str | None = None
    eps: str | float = "eps"
    offset: float = 0.0  # added to weight
    channels_first: int = 0  # the rank of x whose axis 1 is normalized; 0 for the last axis
    rank: int = 0  # the only one of x that the module takes; 0 for any
    turns: bool = False  # its output has channels last in memory, whatever x has
    promotes: bool = False  # x and weight of two dtypes give that of both, not that of x
    upcast: bool = False  # float32 arithmetic, of float64 too
    halves: bool = True  # sixteen bits by way of float32
    gate: str | None = None  # "before" or "after": a further input, by an activation
    gate_activation: str = "silu"  # or the attribute that names it
    group_size: str | None = None  # of an RMS norm in groups
    followed: tuple[str, ...] = ()  # the children that are called after it
    plain_autocast: bool = True  # autocast is of no account

    def __call__(self, module: nn.Module, x: Any, *gates: Any, **options: Any) -> Any:
        """The output, or None where the module's own forward is to do it.

        spare=True tells a batch norm that nobody looks at x any more.
        """
        if not isinstance(x, Tensor) or len(gates) != (self.gate is not None):
            return None
        if torch.compiler.is_compiling():
            return None
        if x.dtype in _HALF and not self.halves:
            return None
        if not self.plain_autocast and torch.is_autocast_enabled("cpu"):
            return None
        return _WAYS[self.norm](self, module, x, *gates, **options)

    def value(self, module: nn.Module, name: str) -> Any:
        """What the module has under one of the plan's names."""
        place = getattr(self, name)
        return getattr(module, place) if isinstance(place, str) else place

    def follows(self, module: nn.Module, x: Tensor | None) -> Tensor | None:
        """The children after the norm, as the module calls them."""
        if x is not None:
            for name in self.followed:
                x = module._modules[name](x)
        return x


def _rows(plan: Plan, module: nn.Module, x: Tensor, *gates: Any) -> Tensor | None:
    rank = plan.channels_first or plan.rank
    if (rank and x.ndim != rank) or not x.ndim or (plan.upcast and x.dtype is torch.float64):
        return None
    weight = plan.value(module, "weight")
    if weight is not None:
        if plan.promotes and weight.dtype is not x.dtype:
            return None
        if plan.offset:
            weight = (weight.float() if weight.dtype in _HALF else weight) + plan.offset
    if not gates:
        return plan.follows(module, _normalized(plan, module, x, weight))
    (gate,) = gates
    if not isinstance(gate, Tensor) or gate.shape != x.shape or gate.dtype is not x.dtype:
        return None
    if plan.gate == "before":
        y = _normalized(plan, module, x.float() * functional.silu(gate.float()), weight)
        return None if y is None else y.to(x.dtype)
    name = plan.gate_activation
    act = GATES.get(name if name in GATES else getattr(module, name))
    y = None if act is None else _normalized(plan, module, x, weight)
    return None if y is None else (y * act(gate.float())).to(y.dtype)


def _normalized(plan: Plan, module: nn.Module, x: Tensor, weight: Any) -> Tensor | None:
    eps = plan.value(module, "eps")
    if plan.channels_first:
        return ops.over_channels(
            x, weight, plan.value(module, "bias"), eps, plan.norm == "layer_norm", plan.turns
        )
    if plan.norm == "layer_norm":
        shape = x.shape[-1:] if weight is None else weight.shape
        return ops.layer_norm(x, shape, weight, plan.value(module, "bias"), eps)
    return _in_groups(plan, module, x, weight, eps)


def _in_groups(plan: Plan, module: nn.Module, x: Tensor, weight: Any, eps: float) -> Tensor | None:
    width = x.shape[-1] if plan.group_size is None else getattr(module, plan.group_size)
    if width == x.shape[-1]:
        return ops.rms_norm(x, weight, eps)
    y = ops.rms_norm(x.unflatten(-1, (-1, width)), None, eps)
    return y if y is None or weight is None else weight * y.flatten(-2)


def _groups(plan: Plan, module: nn.Module, x: Tensor) -> Tensor | None:
    return plan.follows(module, ops.group_norm(module, x))


def _batch(plan: Plan, module: nn.Module, x: Tensor, spare: bool = False) -> Tensor | None:
    eps = plan.value(module, "eps")
    if plan.followed:
        *between, act = (module._modules[name] for name in plan.followed)
        how = activation_of(act) if ops.unhooked(act) else None
        alone = all(type(m) is nn.Identity and ops.unhooked(m) for m in between)
        if how is not None and alone and goes_along(how, x):
            return ops.batch_norm(module, x, eps, None, gate_for(how), spare)
    return plan.follows(module, ops.batch_norm(module, x, eps, None, OPEN, spare))


_WAYS = {
    "rms_norm": _rows,
    "layer_norm": _rows,
    "group_norm": _groups,
    "batch_norm": _batch,
    "frozen_batch_norm": _batch,
}
