"""The norms of a model as cybn's layers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from ...config.build import create
from ...layers.base.layer import Layer
from ...terms.messages import listed
from ...terms.registry import registry
from ...terms.signature import options_of
from .. import sync  # noqa: F401  which adds to OURS
from ..modules import OURS
from .acts import activation_of
from .decide import verdict
from .own import OWN
from .swap import check_module
from .swapped import recipe_of
from .table import norm_like

__all__ = ["from_module", "layer_of"]

THEIRS = {mine: theirs for theirs, mine in OURS.items()}
_BATCH = ("num_features", "eps", "momentum", "affine", "track_running_stats")
OPTIONS = {
    "BatchNorm": _BATCH,
    "SyncBatchNorm": _BATCH,
    "InstanceNorm": _BATCH,
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "RMSNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "GroupNorm": ("num_groups", "num_channels", "eps", "affine"),
    "LocalResponseNorm": ("size", "alpha", "beta", "k"),
}
NUMBERS = ("negative_slope", "alpha")  # of an activation


def from_module(model: nn.Module) -> dict[str, Layer]:
    """Make cybn's layers of the norms of a PyTorch model, with their options, state and mode.

    Parameters
    ----------
    model
        A model or a norm, converted or not. It is not changed, and the layers share no memory with
        it. A parameter of sixteen bits becomes float32.

    Returns
    -------
    dict
        The layers by the names of the modules, as in ``model.named_modules()``; that of the model
        itself is "".

    Raises
    ------
    TypeError
        For what is no module.
    ValueError
        For a norm on the meta device, which has no values.

    Warns
    -----
    UserWarning
        For norms that are left out, since cybn has no layer for them.

    Examples
    --------
    >>> import torch
    >>> import cybn.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.BatchNorm2d(8))
    >>> cybn.torch.from_module(model)
    {'1': BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)}
    """
    check_module("from_module", model)
    found: dict[str, Layer] = {}
    lacking = []
    for name, module in model.named_modules():
        layer = layer_of(module, name or "the model")
        if layer is not None:
            found[name] = layer
        elif isinstance(module, LazyModuleMixin) and norm_like(module):
            lacking.append(f"{name or 'the model'} ({type(module).__name__}: it has no width yet)")
        elif (said := verdict(module)) is not None:
            why = said.why if said.cls is None else "it has no width, or PyTorch alone has it"
            lacking.append(f"{name or 'the model'} ({type(module).__name__}: {why})")
    if lacking:
        warnings.warn(f"from_module leaves out {listed(lacking, 'and')}", stacklevel=2)
    return found


def layer_of(module: nn.Module, name: str) -> Layer | None:
    """The layer of one norm; None where there is none."""
    if type(module) in OWN.values():
        spec = module.spec()
        return _built(spec.pop("type"), spec, _state(module, name), module)
    recipe = recipe_of(module)
    if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
        return None
    if recipe is None:
        cls = type(module)
        if cls in OURS or cls in THEIRS:
            return _of_pytorch(module, OURS.get(cls, cls).__name__, name)
        said = verdict(module)
        recipe = None if said is None or said.cls is None else said.cls._cybn_recipe
    if recipe is None or isinstance(recipe.plan, tuple):
        return None
    return _of_plan(module, recipe.plan, name)


def _of_pytorch(module: nn.Module, kind: str, name: str) -> Layer:
    options = {each: getattr(module, each) for each in OPTIONS[kind.rstrip("123d")]}
    state = _state(module, name)
    if "weight" in state and "bias" not in state and kind != "RMSNorm":
        options["bias"] = False
    if kind.endswith(("BatchNorm", "1d", "2d", "3d")):
        activation = getattr(module, "activation", None)
        if activation is not None:
            options |= {"activation": activation} | {
                each: getattr(module, each) for each in NUMBERS
            }
    return _built(kind, options, state, module)


def _of_plan(module: nn.Module, plan: Any, name: str) -> Layer | None:
    eps = plan.value(module, "eps")
    names = {"weight": plan.weight, "bias": plan.bias}
    state = _state(module, name)
    arrays = {here: state[there] for here, there in names.items() if there in state}
    if plan.offset:
        arrays["weight"] = arrays["weight"] + arrays["weight"].dtype.type(plan.offset)
    if plan.gate is not None or plan.group_size is not None:
        return _gated(module, plan, arrays, eps)
    followed: dict[str, Any] = {}
    after = [m for m in map(module.get_submodule, plan.followed) if type(m) is not nn.Identity]
    if after:
        activation = activation_of(after[0]) if len(after) == 1 else None
        if activation is None or plan.norm == "frozen_batch_norm":
            return None
        name, number = activation
        followed = {"activation": name} | dict.fromkeys(NUMBERS, number)
    if plan.norm.endswith("batch_norm"):
        arrays |= {each: a for each, a in state.items() if "running" in each or "num_" in each}
        if plan.norm == "frozen_batch_norm":
            width = module.running_mean.numel()
            return _built("FrozenBatchNorm2d", {"num_features": width, "eps": eps}, arrays, module)
        options = {each: getattr(module, each) for each in _BATCH} | followed
        return _built("BatchNorm2d", options, arrays, module)
    if plan.norm == "group_norm":
        options = {each: getattr(module, each) for each in OPTIONS["GroupNorm"]} | followed
        return _built("GroupNorm", options, arrays, module)
    kind = "RMSNorm" if plan.norm == "rms_norm" else "LayerNorm"
    shape = next((a.shape for a in (*arrays.values(), *state.values())), None)
    if shape is None:
        return None  # of any width
    options = {"normalized_shape": shape, "eps": eps, "elementwise_affine": bool(arrays)}
    if arrays:
        options |= {"weight": "weight" in arrays, "bias": "bias" in arrays}
    if plan.channels_first:
        if "channel_axis" not in options_of(registry.find(kind)):
            return None
        options["channel_axis"] = 1
    return _built(kind, options | followed, arrays, module)


def _gated(module: nn.Module, plan: Any, arrays: dict[str, Any], eps: float) -> Layer | None:
    if "weight" not in arrays or arrays["weight"].ndim != 1:
        return None
    activation = "silu"  # of what is gated before the norm
    if plan.gate == "after":
        name = plan.gate_activation
        activation = {"swish": "silu"}.get(named := getattr(module, name, name), named)
    options = {
        "num_features": arrays["weight"].size,
        "eps": eps,
        "norm_before_gate": plan.gate != "before",
        "activation": activation,
    }
    if plan.group_size is not None:
        options["group_size"] = getattr(module, plan.group_size)
    return _built("GatedRMSNorm", options, arrays, module)


def _state(module: nn.Module, name: str) -> dict[str, np.ndarray]:
    tensors = {**module._parameters, **module._buffers}
    for each in tensors:
        tensors[each] = getattr(module, each)
    found = {}
    for each, a in tensors.items():
        if a is None:
            continue
        if a.is_meta:
            raise ValueError(
                f"from_module needs values, and {each} of {name} is on the meta device; load the "
                f"weights first, or call model.to_empty(device='cpu') and initialize it"
            )
        found[each] = _array(a)
    return found


def _array(a: Tensor) -> np.ndarray:
    a = a.detach().cpu()
    if a.dtype in (torch.float16, torch.bfloat16):
        a = a.float()
    return np.array(a.numpy())


def _built(
    kind: str, options: dict[str, Any], state: dict[str, np.ndarray], module: nn.Module
) -> Layer:
    floats = [a.dtype for a in state.values() if a.dtype.kind == "f"]
    if floats:
        options["dtype"] = str(floats[0])
    for each in ("normalized_shape",):
        if each in options:
            options[each] = tuple(options[each])
    layer = create({"type": kind, **options})
    layer.load_state_dict(state)
    return layer.train(module.training)
