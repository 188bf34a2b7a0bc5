"""What becomes of a module: its new class, or the reason why it is left alone."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import is_parametrized

from ..modules import OURS
from . import probe
from .own import OWN
from .plans import Plan
from .swapped import Recipe, made, origin
from .table import candidates, fickle, known_name, norm_like

__all__ = ["Verdict", "verdict"]

# Names that promise what they compute: a class that does otherwise is worth a warning
_PROMISING = re.compile(r"(RMSNorm|RmsNorm|T5LayerNorm|FrozenBatchNorm2d|BatchNormAct2d)$")
_CLOSE = probe.CLOSE
_OF_EVERY_MODULE = {"training", *nn.Module().__dict__}
_found: dict[Any, Plan | str] = {}


class Verdict(NamedTuple):
    """The class that a norm is to be of, or why it keeps its own."""

    cls: type[nn.Module] | None
    why: str
    warn: bool = False


def verdict(module: nn.Module) -> Verdict | None:
    """What to do with a module; None for one that is no norm, or was converted."""
    cls = type(module)
    if origin(module) is not None or cls in (*OURS.values(), *OWN.values()):
        return None
    pair = OURS.get(cls)
    if pair is None and not norm_like(module):
        return None
    why = _untouchable(module)
    if why is not None:
        return Verdict(None, why)
    if pair is not None:
        return Verdict(pair, f"as {pair.__name__}")
    return _by_plan(module)


def _untouchable(module: nn.Module) -> str | None:
    cls = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        return "it is scripted; convert before torch.jit.script"
    if is_parametrized(module):
        return "it is parametrized; convert first, then parametrize"
    if isinstance(module, LazyModuleMixin) and cls not in OURS:
        return "it is lazy; call the model with an input, then convert"
    if "forward" in module.__dict__:
        return "its forward was replaced on the object"
    if cls.__module__.startswith("torch.") and cls not in OURS:
        if "quantized" in cls.__module__:
            return "it is quantized"
        return f"there is no {cls.__name__} here"
    if cls.__reduce_ex__ is not object.__reduce_ex__ or cls.__reduce__ is not object.__reduce__:
        return "it is pickled in a way of its own"
    return None


def _by_plan(module: nn.Module) -> Verdict:
    known = known_name(module)
    if not known:
        code = fickle(type(module))
        if code is not None:
            return Verdict(None, f"its code has {code}")
    key = _key(module)
    found = _found.get(key)
    if found is None:
        found = _found[key] = _search(module)
    if isinstance(found, Plan):
        return Verdict(made(Recipe(type(module), forward_by, found)), f"as {found.norm}")
    return Verdict(None, found, known or bool(_PROMISING.search(type(module).__name__)))


def _key(module: nn.Module) -> Any:
    # All that the search depends on: modules that differ in their width alone are computed alike
    given = {**module._parameters, **module._buffers}
    arrays = ((name, None if a is None else a.ndim) for name, a in given.items())
    widths = {a.numel() for a in given.values() if a is not None and a.ndim}
    own = (
        (name, _as_key(value, widths))
        for name, value in sorted(module.__dict__.items())
        if name not in _OF_EVERY_MODULE
    )
    children = ((name, type(child), _shown(child)) for name, child in module._modules.items())
    cls = type(module)
    return cls, cls.forward, *arrays, *own, *children, *candidates(module)


def _as_key(value: Any, widths: set[int]) -> Any:
    # What a module keeps; a width is one whatever it is, but of 1, which groups can be of, too
    if isinstance(value, (tuple, list)):
        length = math.prod(value) if all(type(n) is int for n in value) else None
        return "width" if length in widths - {1} else (*(_as_key(v, widths) for v in value),)
    if type(value) is int:
        return "width" if value in widths - {1} else value
    return (type(value), value if isinstance(value, (bool, float, str)) else _shown(value))


def _shown(what: Any) -> str:
    try:
        return repr(what)
    except Exception:  # whatever another library's code does
        return ""


def _search(module: nn.Module) -> Plan | str:
    nearest = float("inf")
    tried = False
    for plan in candidates(module):
        if not tried:
            try:
                _class(type(module), plan)
            except Exception as error:  # whatever a class says to a subclass
                return f"no subclass of it can be made: {error}"
        tried = True
        plan = _with_autocast(module, plan)
        worst = _worst(module, plan, torch.float32)
        if worst == float("inf") and not plan.channels_first and not probe.takes(module, plan, 4):
            plan = dataclasses.replace(plan, rank=3)
            worst = _worst(module, plan, torch.float32)
        if 0 <= worst <= _CLOSE[torch.float32]:
            return _with_dtypes(module, plan)
        nearest = min(nearest, worst if worst >= 0 else float("inf"))
    if not tried:
        return "what it computes is not known here; cybn.torch.register tells"
    if nearest == float("inf"):
        return "no norm here takes and gives what it does"
    return f"it computes something else: {nearest:.1g} of its output from the nearest norm here"


def _worst(module: nn.Module, plan: Plan, dtype: torch.dtype) -> float:
    if plan.channels_first or plan.rank:
        ranks = (plan.channels_first or plan.rank,)
    elif plan.norm.endswith("batch_norm"):
        ranks = (4,)
    else:
        ranks = (3, 4)
    return max(
        probe.difference(module, plan, _class, rank, training, dtype)
        for rank in ranks
        for training in (False, True)
    )


def _class(cls: type[nn.Module], plan: Plan) -> type[nn.Module]:
    return made(Recipe(cls, forward_by, plan))


def _with_autocast(module: nn.Module, plan: Plan) -> Plan:
    # A layer norm of PyTorch's heeds autocast, and so does what has timm's _fast_norm
    heeds = isinstance(module, (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm))
    plain = not heeds and "_fast_norm" not in module.__dict__
    return dataclasses.replace(plan, plain_autocast=plain)


def _with_dtypes(module: nn.Module, plan: Plan) -> Plan:
    plan = dataclasses.replace(
        plan, promotes=probe.promotes(module, plan), turns=probe.turns(module, plan)
    )
    exact = 0 <= probe.difference(
        module, plan, _class, probe.rank_of(plan), False, torch.float64
    ) <= probe.EXACT  # fmt: skip
    # Sixteen bits that are not by way of float32 are rounded in between, or overflow
    halves = all(
        _worst(module, plan, dtype) <= _CLOSE[dtype] for dtype in (torch.bfloat16, torch.float16)
    )
    return dataclasses.replace(plan, upcast=not exact, halves=halves)


def forward_by(was: type[nn.Module], plan: Plan) -> Callable:
    """The forward of a class by a plan, and by itself where that does not reach."""
    theirs = was.forward
    if plan.gate is not None:

        @functools.wraps(theirs)
        def forward(self, *args, **kwargs):
            given = (*args, kwargs["gate"]) if [*kwargs] == ["gate"] else args
            y = plan(self, *given) if len(given) == 2 == len(args) + len(kwargs) else None
            return theirs(self, *args, **kwargs) if y is None else y

    else:

        @functools.wraps(theirs)
        def forward(self, *args, **kwargs):
            y = plan(self, args[0]) if len(args) == 1 and not kwargs else None
            return theirs(self, *args, **kwargs) if y is None else y

    return forward
