"""Which activations the kernels have: modules and functions of PyTorch's, as kernels call them.

Of these `FUSED` are computed with a batch norm that they follow. The others, silu and gelu, the
kernels have to a few roundings over the whole range, and PyTorch's own take half the time where it
has AVX-512: the norm and then PyTorch's function was measured ahead of both in one pass, above all
without a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...functional.gates import CURVES, GATES, OPEN, Gate, gate_of
from ..tensors import SIXTEEN

__all__ = ["FUSED", "Activation", "activation_of", "function_of", "gate_for", "goes_along"]

FUSED = (*GATES, "hardswish", "elu", "mish")

Activation = tuple[str, float]  # the name, and the slope of "leaky_relu" or alpha of "elu"


def activation_of(act: Any) -> Activation | None:
    """What kernels call an activation, a module of PyTorch's; None for any other."""
    kind = _MODULES.get(type(act))
    if kind is None or isinstance(kind, tuple):
        return kind
    return kind(act)


def function_of(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Activation | None:
    """The same of a function of PyTorch's, with what follows its first argument."""
    name = _FUNCTIONS.get(target) if isinstance(target, (str, Callable)) else None
    if name in ("leaky_relu", "elu"):
        number, usual = ("negative_slope", 0.01) if name == "leaky_relu" else ("alpha", 1.0)
        return _possible(name, args[0] if args else kwargs.get(number, usual))
    if name == "gelu":
        return _gelu(kwargs.get("approximate", "none"))
    return None if name is None else (name, 0.01)


def _possible(name: str, number: Any) -> Activation | None:
    # As kernels take it: leaky_relu with 0 < slope < 1, elu with 0 < alpha
    if not isinstance(number, (int, float)):
        return None
    usable = 0 < number < (1 if name == "leaky_relu" else float("inf"))
    return (name, float(number)) if usable else None


def _gelu(approximate: Any) -> Activation | None:
    name = {"none": "gelu", "tanh": "gelu_tanh"}.get(approximate)
    return None if name is None else (name, 0.01)


def goes_along(activation: Activation, x: Tensor, residual: Any = None) -> bool:
    """Is it computed in the pass of a norm of x, to which a residual is added?

    Backward past a curve computes again what went into it: from the residual, which others may
    change till then, and with sixteen bits from copies of all.
    """
    name, _ = activation
    if name in CURVES and torch.is_grad_enabled():
        return name in FUSED and residual is None and x.dtype not in SIXTEEN
    return name in FUSED


@lru_cache(64)
def gate_for(activation: Activation | None) -> Gate:
    """What kernels take for it."""
    if activation is None:
        return OPEN
    name, number = activation
    return gate_of("convert", name, number, number)


_MODULES: dict[type, Any] = {
    nn.ReLU: ("relu", 0.01),
    nn.ReLU6: ("relu6", 0.01),
    nn.LeakyReLU: lambda act: _possible("leaky_relu", act.negative_slope),
    nn.SiLU: ("silu", 0.01),
    nn.GELU: lambda act: _gelu(act.approximate),
    nn.Hardswish: ("hardswish", 0.01),
    nn.ELU: lambda act: _possible("elu", act.alpha),
    nn.Mish: ("mish", 0.01),
}
_FUNCTIONS: dict[Any, str] = {
    "relu": "relu",
    "relu_": "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    functional.relu: "relu",
    functional.relu_: "relu",
    functional.relu6: "relu6",
    functional.leaky_relu: "leaky_relu",
    functional.leaky_relu_: "leaky_relu",
    functional.silu: "silu",
    functional.gelu: "gelu",
    functional.hardswish: "hardswish",
    functional.elu: "elu",
    functional.elu_: "elu",
    functional.mish: "mish",
}
