"""The call that stands in a fused forward for a batch norm and what follows it.

The modules are looked at in each call, so that a hook, another module or another mode that came
after the conversion is heeded: what is not as plain as it was is called as it stands in the model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..formulas import ACTIVATIONS
from ..modules import BatchNorm1d, BatchNorm2d, BatchNorm3d
from . import ops
from .acts import activation_of, gate_for, goes_along
from .ops import unhooked
from .own import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from .swapped import recipe_of

__all__ = ["gated", "makes_new", "takes_gate"]

_BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)
_FROZEN = (FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d)
# What makes a new tensor in each call and keeps none of it, while its forward is PyTorch's
_MAKERS = {
    cls: cls.forward
    for cls in (
        nn.Conv1d, nn.Conv2d, nn.Conv3d,
        nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
    )
}  # fmt: skip


def takes_gate(norm: nn.Module) -> bool:
    """Is it a batch norm here, that nothing of its own follows?"""
    return _eps(norm) is not None


def _eps(norm: nn.Module) -> float | None:
    # Of a norm that takes a gate, else None; in one look, since its class may change meanwhile
    cls = type(norm)
    if cls in _BATCH_NORMS:
        return norm.eps if getattr(norm, "activation", None) is None else None
    if cls in _FROZEN:
        return norm.eps
    recipe = recipe_of(norm)
    if recipe is None or not str(getattr(recipe.plan, "norm", "")).endswith("batch_norm"):
        return None
    plain = all(type(norm._modules[name]) is nn.Identity for name in recipe.plan.followed)
    return recipe.plan.value(norm, "eps") if plain else None


def makes_new(module: nn.Module) -> bool:
    """Is what comes of a call of it known to the caller alone?"""
    theirs = _MAKERS.get(type(module))
    return theirs is not None and type(module).forward is theirs and unhooked(module)


def gated(
    norm: nn.Module,
    x: Any,
    between: tuple[nn.Module, ...],
    residual: Any,
    after: tuple[nn.Module, ...],
    activation: Any,
    maker: nn.Module | None = None,
) -> Any:
    """activation(norm(x) + residual), in one pass over memory where nobody would notice.

    `between` and `after` are modules that do nothing, before and behind the sum. The activation is
    a module, None, or what a function of PyTorch's is in kernels' words. The maker is the module
    that x has just come from, where nothing else is done with x.
    """
    act = activation
    named = act is None or isinstance(act, tuple)
    if (
        isinstance(x, Tensor)
        and not torch.compiler.is_compiling()
        and (eps := _eps(norm)) is not None
        and unhooked(norm)
        and (named or unhooked(act))
        and all(type(m) is nn.Identity and unhooked(m) for m in (*between, *after))
    ):
        how = act if named else activation_of(act)
        if how is not None and not goes_along(how, x, residual):
            how = None
        spare = maker is not None and makes_new(maker)
        y = ops.batch_norm(norm, x, eps, residual, gate_for(how), spare)
        if y is not None:
            return y if how is not None else _activated(act, y)
    y = norm(x)
    for module in between:
        y = module(y)
    if residual is not None:
        y = y + residual
    for module in after:
        y = module(y)
    return _activated(act, y)


def _activated(act: Any, y: Any) -> Any:
    if act is None:
        return y
    return ACTIVATIONS[act[0]](y, act[1]) if isinstance(act, tuple) else act(y)
