"""A layer of cybn as a module of PyTorch's."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import nn

from ...layers.base.layer import Layer
from ...terms.messages import listed
from ...terms.registry import registry
from ...terms.signature import options_of
from .layers import NUMBERS, OPTIONS, THEIRS
from .own import OWN, ChannelNorm

__all__ = ["to_module"]

_ROWS = ("LayerNorm", "RMSNorm")
_ACTIVATION = ("activation", *NUMBERS)
_NO_MATTER = ("weight_init", "dtype", "type")
_PYTORCHS = {cls.__name__: cls for cls in THEIRS if "Lazy" not in cls.__name__}


def to_module(layer: Layer) -> nn.Module:
    """Make a PyTorch module of a layer, with its options, state and mode.

    The module is of the class of the same name in `cybn.torch`, which is a subclass of PyTorch's;
    `activation` of a batch norm goes with it. For gated, adaptive and frozen norms, which PyTorch
    has not, it is a module with the layer's options, inputs and state dict; layer and RMS norms
    with `channel_axis=1` are a `cybn.torch.ChannelNorm`.

    Parameters
    ----------
    layer
        A batch, instance, layer, group, RMS or local response norm; a GatedRMSNorm,
        AdaptiveLayerNorm, AdaIN or FrozenBatchNorm. It is not changed, and shares no memory with
        the module.

    Returns
    -------
    Module
        The module, on CPU.

    Raises
    ------
    TypeError
        For what is no layer, and a layer of another kind.
    ValueError
        For an option that the module has not.

    Examples
    --------
    >>> import torch
    >>> import cybn
    >>> import cybn.torch
    >>> module = cybn.torch.to_module(cybn.BatchNorm2d(8, eps=1e-3))
    >>> isinstance(module, torch.nn.BatchNorm2d), module.eps
    (True, 0.001)
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"to_module takes a layer of cybn, got {type(layer).__name__}")
    kind = type(layer).__name__
    config = dict(layer.get_config())
    if kind.startswith("Lazy") and getattr(layer, "num_features", None) is None:
        raise ValueError(f"to_module got {layer!r}, which has no width yet; call it with x first")
    kind = kind.removeprefix("Lazy")
    if type(layer) is not registry.builtins().get(type(layer).__name__):
        kind = ""
    if kind in OWN or (kind in _ROWS and getattr(layer, "channel_axis", -1) == 1):
        module = _own(kind, layer, config)
    elif kind in _PYTORCHS:
        module = _pytorchs(kind, layer, config)
    else:
        names = listed(sorted({*_PYTORCHS, *OWN} - {"ChannelNorm"}), "and")
        raise TypeError(f"to_module takes {names}, got {layer!r}")
    state = {name: torch.from_numpy(np.array(a)) for name, a in layer.state_dict().items()}
    module.load_state_dict(state)
    return module.train(layer.training)


def _pytorchs(kind: str, layer: Layer, config: dict[str, Any]) -> nn.Module:
    names = OPTIONS[kind.rstrip("123d")]
    _check_options(layer, config, {*names, "bias"})
    wanted = {each: getattr(layer, each) for each in names}
    state = layer.state_dict()
    if kind != "LocalResponseNorm":
        wanted["dtype"] = _dtype(config)
    if "weight" in state and "bias" not in state and kind != "RMSNorm":
        wanted["bias"] = False
    module = _PYTORCHS[kind](**wanted)
    if config.get("activation") is not None:
        for each in ("activation", *NUMBERS):
            setattr(module, each, getattr(layer, each))
    return module


def _own(kind: str, layer: Layer, config: dict[str, Any]) -> nn.Module:
    if kind in _ROWS:
        # Their options are said by what the layer has
        _check_options(layer, config, {*OPTIONS[kind], "weight", "bias", "channel_axis"}, ())
        (width,) = layer.normalized_shape
        there = {name: name in layer.state_dict() for name in ("weight", "bias")}
        return ChannelNorm(width, layer.eps, kind == "LayerNorm", **there, dtype=_dtype(config))
    cls = OWN[kind]
    names = [n for n in inspect.signature(cls.__init__).parameters if n not in ("self", "dtype")]
    _check_options(layer, config, {*names}, ())
    known = options_of(type(layer))
    wanted = {name: config.get(name, known[name].default) for name in names}
    if "dtype" in known:
        wanted["dtype"] = _dtype(config)
    return cls(**wanted)


def _dtype(config: dict[str, Any]) -> torch.dtype:
    return getattr(torch, str(np.dtype(config.get("dtype", "float32"))))


def _check_options(
    layer: Layer, config: dict[str, Any], taken: set[str], also: tuple[str, ...] = _ACTIVATION
) -> None:
    known = options_of(type(layer))
    others = {
        name: value for name, value in config.items()
        if name not in taken and name not in (*also, *_NO_MATTER) and value != known[name].default
    }  # fmt: skip
    if others:
        said = listed((f"{name}={value!r}" for name, value in others.items()), "and")
        names = tuple(others)
        raise ValueError(
            f"to_module cannot keep {said} of {layer!r}, which the module has not; "
            f"cybn.convert(layer, {type(layer).__name__!r}, "
            f"{', '.join(f'{name}={known[name].default!r}' for name in names)}) makes one without"
        )
