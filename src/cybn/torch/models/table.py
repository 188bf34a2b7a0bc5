"""Which plan computes a module of another library.

None of those libraries is imported: a class is known by its module and name. Two tables: names that
users or this file say a plan for, and families, which are told by what a module has (parameters,
children, the attribute of eps) and by whether a plan then agrees with it. A family serves the 200
classes that are copies of one, and those of models that do not exist yet. A name alone proves
nothing, and neither does agreement on one input for code that may do otherwise on the next; so code
that asks for the mode or for random numbers, or that keeps something of a call, is left alone.
"""

from __future__ import annotations

import dis
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from .plans import Plan

__all__ = ["NORMS", "candidates", "known_name", "register"]

NORMS = ("rms_norm", "layer_norm", "group_norm", "batch_norm", "frozen_batch_norm")
_EPS = ("variance_epsilon", "eps", "epsilon", "norm_eps", "layer_norm_eps", "rms_norm_eps",
        "layer_norm_epsilon")  # fmt: skip
_EPS_WRITTEN = (1e-5, 1e-6, 1e-8)
_NAMED = re.compile(r"norm|(^|_)ln|rms", re.IGNORECASE)
# What code says that does not give the same for the same x
_FICKLE = re.compile(r"^(training|.*drop.*|rand.*|bernoulli|.*distributed.*|all_reduce|print)$")
_APART = ("__init__", "extra_repr", "__repr__", "reset_parameters", "_load_from_state_dict",
          "_save_to_state_dict", "__setstate__", "__getstate__", "from_pretrained")  # fmt: skip

_registered: dict[str, Plan] = {}
_NAMED_PLANS = {
    "timm.layers.norm_act.BatchNormAct2d": Plan(
        "batch_norm", bias="bias", followed=("drop", "act")
    ),
    "timm.layers.norm_act.FrozenBatchNormAct2d": Plan(
        "frozen_batch_norm", bias="bias", followed=("drop", "act")
    ),
    "transformers.models.videoprism.modeling_videoprism.VideoPrismLayerNorm": Plan(
        "layer_norm", bias="bias", offset=1.0
    ),
}


def register(
    cls: str | type[nn.Module],
    norm: str,
    *,
    weight: str | None = "weight",
    bias: str | None = None,
    eps: str | float = "eps",
    unit_offset: bool = False,
    channels_first: int | bool = False,
) -> None:
    """Tell `convert` how a class of modules is computed.

    The class is found by its name, so its library need not be imported. A registered class is
    swapped when it agrees with the kernels on a small random input; one that does not is left alone
    with a warning. Subclasses are not meant: each is registered for itself.

    Parameters
    ----------
    cls
        The class, or its full name, as ``"mylib.layers.ScaledNorm"``.
    norm
        What it computes: "rms_norm", "layer_norm" or "group_norm", which reads `num_groups`;
        "batch_norm" and "frozen_batch_norm" read PyTorch's `running_mean` and `running_var`.
    weight, bias
        The attributes of the scale and shift; None for a norm without.
    eps
        The attribute of eps, or its value.
    unit_offset
        The scale is 1 + weight.
    channels_first
        An RMS or layer norm over axis 1 of (N, C, H, W); 3 for (N, C, L).

    Raises
    ------
    TypeError
        For a cls that is neither a class nor a name.
    ValueError
        For a norm of another name, and a name without the module that the class is in.

    Examples
    --------
    >>> import torch
    >>> import cybn.torch
    >>> class ScaledNorm(torch.nn.Module):
    ...     def __init__(self, width):
    ...         super().__init__()
    ...         self.scale = torch.nn.Parameter(torch.ones(width))
    ...
    ...     def forward(self, x):
    ...         return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.scale
    >>> cybn.torch.register(ScaledNorm, "rms_norm", weight="scale", eps=1e-6)
    >>> norm = cybn.torch.convert(ScaledNorm(8))
    >>> print(cybn.torch.report(norm))
    1 norm: 1 swapped
      swapped     the model: ScaledNorm: as rms_norm
    """
    if isinstance(cls, type) and issubclass(cls, nn.Module):
        name = full_name(cls)
    elif isinstance(cls, str):
        name = cls
        if "." not in name:
            raise ValueError(
                f"register needs the full name of a class, with its module, got {cls!r}; give "
                f"'module.{cls}' or the class"
            )
    else:
        raise TypeError(f"register needs a class of modules or its full name, got {cls!r}")
    if norm not in NORMS:
        raise ValueError(f"register knows {', '.join(map(repr, NORMS))}, got {norm!r}")
    rank = 4 if channels_first is True else int(channels_first)
    if rank not in (0, 3, 4, 5):
        raise ValueError(
            f"register needs channels_first=True, 3, 4 or 5, the rank of x, got {channels_first!r}"
        )
    _registered[name] = Plan(
        norm, weight, bias, eps, offset=float(unit_offset), channels_first=rank
    )


def full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def known_name(module: nn.Module) -> bool:
    """Is the class in a table?"""
    name = full_name(type(module))
    return name in _registered or name in _NAMED_PLANS


def norm_like(module: nn.Module) -> bool:
    """Has the module the looks of a norm: a name or class, and at most arrays on channels?"""
    if known_name(module) or isinstance(module, (_NormBase, nn.LayerNorm, nn.GroupNorm)):
        return True
    if not any(_NAMED.search(c.__name__) for c in type(module).__mro__[:-2]):
        return False
    if type(module).__module__.startswith("torch.nn.utils."):  # weight norm, of a parametrization
        return False
    arrays = [*module._parameters.values(), *module._buffers.values()]
    small = all(a is None or a.numel() <= 1 or a.ndim <= 2 for a in arrays)
    return small and all(_mere(child) for child in module._modules.values())


def _mere(child: nn.Module | None) -> bool:
    # Has it nothing of its own, as an activation?
    return child is not None and not (child._parameters or child._buffers or child._modules)


def candidates(module: nn.Module) -> Iterator[Plan]:
    """Plans that may compute the module, the likeliest first."""
    name = full_name(type(module))
    if name in _registered:
        yield _registered[name]
        return
    if name in _NAMED_PLANS:
        yield _NAMED_PLANS[name]
        return
    has = {n for n, a in (*module._parameters.items(), *module._buffers.items()) if a is not None}
    own = vars(module)
    eps = [n for n in _EPS if isinstance(own.get(n), float)] or list(_EPS_WRITTEN)
    followed = tuple(module._modules)
    if {"running_mean", "running_var", "weight", "bias"} <= has:
        if "num_batches_tracked" not in has and not isinstance(module, _NormBase):
            for each in eps:
                yield Plan("frozen_batch_norm", bias="bias", eps=each, followed=followed)
        return
    if not has <= {"weight", "bias"}:
        return
    weight, bias = (n if n in has else None for n in ("weight", "bias"))
    common = {"weight": weight, "bias": bias, "followed": followed}
    if isinstance(module, nn.GroupNorm):
        yield Plan("group_norm", eps="eps", **common)
        return
    for each in eps:
        yield from _row_plans(module, each, common)


def _row_plans(module: nn.Module, eps: str | float, common: dict[str, Any]) -> Iterator[Plan]:
    layer = isinstance(module, nn.LayerNorm)
    groups = "group_size" if isinstance(vars(module).get("group_size"), int) else None
    if len(arguments_of(type(module))) == 2 and not layer:
        yield Plan("rms_norm", eps=eps, gate="before", group_size=groups, **common)
        acts = ("activation",) if isinstance(getattr(module, "activation", None), str) else ()
        for act in (*acts, "silu", "sigmoid"):
            yield Plan("rms_norm", eps=eps, gate="after", gate_activation=act, **common)
        return
    if groups and not layer:
        yield Plan("rms_norm", eps=eps, group_size=groups, **common)
        yield Plan("rms_norm", eps=eps, group_size=groups, offset=1.0, **common)
    for rank in (0, 4, 3):
        if not layer and common["bias"] is None:
            yield Plan("rms_norm", eps=eps, channels_first=rank, **common)
            if common["weight"] is not None:
                yield Plan("rms_norm", eps=eps, channels_first=rank, offset=1.0, **common)
                yield Plan("rms_norm", eps=eps, channels_first=rank, **{**common, "weight": None})
        yield Plan("layer_norm", eps=eps, channels_first=rank, **common)


def arguments_of(cls: type[nn.Module]) -> list[str]:
    """The names of what forward takes beside self; empty where that is open."""
    try:
        parameters = list(inspect.signature(cls.forward).parameters.values())[1:]
    except (TypeError, ValueError):
        return []
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return []
    return [p.name for p in parameters]


def fickle(cls: type[nn.Module]) -> str | None:
    """What in the code of a class may give another output for the same x, or None."""
    if cls.__call__ is not nn.Module.__call__:
        return "its own __call__"
    for parent in cls.__mro__:
        if parent.__module__.startswith("torch."):
            break
        for name, value in vars(parent).items():
            if name in _APART or not isinstance(value, types.FunctionType):
                continue
            for code in codes_of(inspect.unwrap(value).__code__):
                word = next((n for n in code.co_names if _FICKLE.match(n)), None)
                if word is not None and word != "drop":
                    return f"{word} in its {name}"
                if writes(code):
                    return f"{name}, which keeps something of a call"
    return None


def codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_of(constant)


def writes(code: types.CodeType) -> bool:
    """Does the code assign an attribute?"""
    kept = ("STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL")
    return any(i.opname in kept for i in dis.get_instructions(code))
