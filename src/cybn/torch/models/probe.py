"""Compare a module with what is to take its place, on a small random input.

Neither the module nor the random state of PyTorch is touched: a copy of its object is called, with
random arrays of the shapes of its own (which may be ones and zeros that hide a difference, or on a
device without data). Rows of x have several scales, one of them sqrt(eps), a mean that is not 0,
and one is constant, so that another eps, centring or variance is seen.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from .plans import Plan

__all__ = [
    "CLOSE", "EXACT", "difference", "outputs", "probed", "promotes", "rank_of", "takes", "turns",
]  # fmt: skip

_WIDTH = 8  # of x where no array of the module tells
# Of the output's scale; two ways to write a norm in float32 differ by less
CLOSE = {torch.float32: 2e-5, torch.float64: 2e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
EXACT = 1e-9  # float64 throughout


def probed(module: nn.Module, dtype: torch.dtype, training: bool, seed: int = 0) -> nn.Module:
    """A copy of the module with random arrays; children, which are called, are copies, too."""
    generator = torch.Generator().manual_seed(seed)
    new = copy.copy(module)
    own = new.__dict__
    for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
        own[hooks] = {}
    own["training"] = training
    own["_parameters"] = {
        name: None if a is None else nn.Parameter(_random(name, a, dtype, generator))
        for name, a in module._parameters.items()
    }
    own["_buffers"] = {
        name: None if a is None else _random(name, a, dtype, generator)
        for name, a in module._buffers.items()
    }
    own["_modules"] = {
        name: None if child is None else probed(child, dtype, training, seed + 1)
        for name, child in module._modules.items()
    }
    return new


def _random(name: str, a: Tensor, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    if not a.is_floating_point():
        return torch.zeros(a.shape, dtype=a.dtype)
    values = torch.randn(a.shape, generator=generator, dtype=torch.float64) / 2
    if "var" in name:
        values = values.abs() + 0.1
    return values.to(dtype)


def inputs(module: nn.Module, rank: int, axis: int, dtype: torch.dtype) -> Tensor:
    """An x of that rank for the width of the module's arrays on an axis."""
    arrays = [*module._parameters.values(), *module._buffers.values()]
    shape = getattr(module, "normalized_shape", None)
    width = math.prod(shape) if isinstance(shape, (tuple, list)) else shape or _WIDTH
    width = next((a.numel() for a in arrays if a is not None and a.ndim), width)
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn((4, 6, width), generator=generator, dtype=torch.float64)
    eps = [v for name, v in vars(module).items() if "eps" in name and isinstance(v, float)]
    small = math.sqrt(eps[0]) if eps and eps[0] > 0 else 1e-3
    scales = torch.tensor([1.0, 30.0, small, 1.0, 1.0, 0.1]).double()
    x = rows * scales[:, None] + torch.tensor([0.0, 0, 0, 3.0, 0, 0])[:, None]
    x[:, 4] = 0.5
    shape = {2: (-1, width), 3: (4, 6, width), 4: (4, 2, 3, width), 5: (4, 1, 2, 3, width)}[rank]
    return x.reshape(shape).movedim(-1, axis).to(dtype)


def outputs(module: nn.Module, *given: Tensor) -> list[Tensor] | None:
    """y and the gradients of what was given and of the parameters; None where the call fails."""
    given = tuple(x.clone().requires_grad_() for x in given)
    try:
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            y = type(module).forward(module, *given)
            if not isinstance(y, Tensor) or not y.requires_grad:
                return None
            generator = torch.Generator().manual_seed(3)
            dy = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype)
            wanted = [*given, *(p for p in module.parameters() if p.requires_grad)]
            grads = torch.autograd.grad(y, wanted, dy, allow_unused=True)
    except Exception:  # whatever another library raises
        return None
    buffers = [b for b in module.buffers() if b.is_floating_point()]
    return [y.detach(), *(torch.zeros(()) if g is None else g for g in grads), *buffers]


def _difference(theirs: list[Tensor] | None, ours: list[Tensor] | None) -> float:
    """The largest difference by the scale of each array; infinite for other shapes or dtypes."""
    if theirs is None or ours is None or len(theirs) != len(ours):
        return math.inf
    worst = 0.0
    for a, b in zip(theirs, ours, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return math.inf
        if a.numel():
            a, b = a.double(), b.double()
            apart = ((a - b).abs() / (1 + a.abs())).max() / (1 + a.abs().mean())
            worst = max(worst, float("inf") if apart.isnan() else float(apart))
    return worst


def difference(
    module: nn.Module, plan: Plan, make: Any, rank: int, training: bool, dtype: torch.dtype
) -> float:
    """How far the plan is from the module, on an x of that rank and dtype.

    Below 0 where the plan leaves it to the module.
    """
    theirs = probed(module, dtype, training)
    axis = 1 if plan.channels_first or plan.norm.endswith(("batch_norm", "group_norm")) else -1
    x = inputs(module, rank, axis, dtype)
    given = (x,) if plan.gate is None else (x, x.flip(0))
    before = outputs(theirs, *given)
    if before is None:
        return math.inf
    ours = probed(module, dtype, training)
    made_class = make(type(module), plan)
    object.__setattr__(ours, "__class__", made_class)
    try:
        with torch.enable_grad():
            if made_class._cybn_recipe.plan(ours, *(g.clone() for g in given)) is None:
                return -1.0  # the module's own forward does it
    except Exception:  # the module lacks what the plan reads
        return math.inf
    ours = probed(module, dtype, training)
    object.__setattr__(ours, "__class__", made_class)
    return _difference(before, outputs(ours, *given))


def takes(module: nn.Module, plan: Plan, rank: int) -> bool:
    """Does the module take an x of that rank?"""
    x = inputs(module, rank, -1, torch.float32)
    given = (x,) if plan.gate is None else (x, x.flip(0))
    return outputs(probed(module, torch.float32, False), *given) is not None


def rank_of(plan: Plan) -> int:
    """The rank of x that a plan is tried with."""
    return plan.channels_first or (4 if plan.norm.endswith("batch_norm") else 3)


def turns(module: nn.Module, plan: Plan) -> bool:
    """Has the output channels last in memory where x is in C order?"""
    if not plan.channels_first:
        return False
    x = inputs(module, plan.channels_first, 1, torch.float32).contiguous()
    found = outputs(probed(module, torch.float32, False), x)
    return found is not None and not found[0].is_contiguous()


def promotes(module: nn.Module, plan: Plan) -> bool:
    """Has the output of bfloat16 x and a float32 weight another dtype than x?"""
    theirs = probed(module, torch.float32, False)
    axis = 1 if plan.channels_first or plan.norm.endswith(("batch_norm", "group_norm")) else -1
    x = inputs(module, rank_of(plan), axis, torch.bfloat16)
    found = outputs(theirs, *((x,) if plan.gate is None else (x, x.flip(0))))
    return found is None or found[0].dtype is not torch.bfloat16
