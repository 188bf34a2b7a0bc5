"""Norms that PyTorch has not, as modules with the options and the state dict of cybn's layers.

What `to_module` makes of such a layer, and `from_module` takes. Their gradients are those of the
norms they are made of and of PyTorch's operators around these; under `torch.compile`, and where the
kernels do not take a tensor, the norm in the middle is PyTorch's function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...functional.gates import OPEN
from . import ops

__all__ = [
    "OWN",
    "AdaIN",
    "AdaptiveLayerNorm",
    "ChannelNorm",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GatedRMSNorm",
]

OWN: dict[str, type[_Own]] = {}  # by their names, which are those of layers but for ChannelNorm


class _Own(nn.Module):
    """`_options` of the layer are attributes, and arguments of the constructor."""

    _options: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            OWN[cls.__name__] = cls
            cls.__module__ = "cybn.torch"  # where it is found by pickle, and by people

    def spec(self) -> dict[str, Any]:
        """The config of the layer that it is."""
        options = {name: getattr(self, name) for name in self._options}
        return {"type": type(self).__name__, **options}

    def extra_repr(self) -> str:
        options = self.spec()
        del options["type"]
        return ", ".join(f"{name}={value!r}" for name, value in options.items())

    def _keep(self, options: dict[str, Any]) -> None:
        for name in self._options:
            setattr(self, name, options[name])

    def _learn(self, dtype: torch.dtype | None, **there: bool) -> None:
        for name, is_there in there.items():
            made = _filled(float(name == "weight"), self.num_features, dtype)
            self.register_parameter(name, nn.Parameter(made) if is_there else None)


def _filled(value: float, width: int, dtype: torch.dtype | None) -> Tensor:
    return torch.full((width,), value, dtype=dtype or torch.get_default_dtype())


def _plain(x: Tensor) -> bool:
    return not torch.compiler.is_compiling() and isinstance(x, Tensor)


def _rms(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    y = ops.rms_norm(x, weight, eps) if _plain(x) else None
    return functional.rms_norm(x, x.shape[-1:], weight, eps) if y is None else y


def _layer(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    y = ops.layer_norm(x, x.shape[-1:], weight, bias, eps) if _plain(x) else None
    return functional.layer_norm(x, x.shape[-1:], weight, bias, eps) if y is None else y


class GatedRMSNorm(_Own):
    """`cybn.GatedRMSNorm` of tensors: an RMS norm, in groups, and a gate before or after it."""

    _options = (
        "num_features", "eps", "group_size", "norm_before_gate", "activation", "affine",
        "channel_axis",
    )  # fmt: skip

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        group_size: int | None = None,
        norm_before_gate: bool = True,
        activation: str = "silu",
        affine: bool = True,
        channel_axis: int = -1,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._keep(locals())
        self._learn(dtype, weight=affine)

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """The norm of x, and of the gate, of x's shape."""
        dtype = x.dtype
        act = functional.silu if self.activation == "silu" else torch.sigmoid
        if gate is not None:
            wide = torch.promote_types(gate.dtype, torch.float32)
            gate = act(gate.to(wide))
            if not self.norm_before_gate:
                x = x * gate
        x = x.movedim(self.channel_axis, -1)
        groups = x.unflatten(-1, (-1, self.group_size or self.num_features))
        whole = groups.shape[-2] == 1
        y = _rms(x, self.weight, self.eps) if whole else _rms(groups, None, self.eps).flatten(-2)
        if not whole and self.weight is not None:
            y = y * self.weight
        y = y.movedim(-1, self.channel_axis)
        return (y if gate is None or not self.norm_before_gate else y * gate).to(dtype)


class AdaptiveLayerNorm(_Own):
    """`cybn.AdaptiveLayerNorm` of tensors: each sample brings its scale and shift, (N, C)."""

    _options = ("num_features", "eps", "affine", "unit_offset", "channel_axis")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-6,
        affine: bool = False,
        unit_offset: bool = True,
        bias: bool = True,
        channel_axis: int = -1,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._keep(locals())
        self._learn(dtype, weight=affine, bias=affine and bias)

    def spec(self) -> dict[str, Any]:
        """The config of the layer that it is."""
        return {**super().spec(), "bias": self.bias is not None or not self.affine}

    def forward(
        self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """The norm of each feature vector, modulated by what its sample brings."""
        rows = x.movedim(self.channel_axis, -1)
        y = _layer(rows, self.weight, self.bias, self.eps)
        shape = (len(x), *[1] * (x.dim() - 2), self.num_features)
        if scale is not None:
            y = y * (scale.reshape(shape) + float(self.unit_offset))
        if shift is not None:
            y = y + shift.reshape(shape)
        return y.movedim(-1, self.channel_axis).to(x.dtype)


class AdaIN(_Own):
    """`cybn.AdaIN` of tensors: each channel takes the mean and deviation that the style has."""

    _options = ("eps", "channel_axis")

    def __init__(self, eps: float = 1e-5, channel_axis: int = 1) -> None:
        super().__init__()
        self._keep(locals())

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """The instance norm of x; with the moments of the style, which may have another size."""
        axis = self.channel_axis
        y = _layer(x.movedim(axis, 1).flatten(2), None, None, self.eps)
        if style is not None:
            flat = style.movedim(axis, 1).flatten(2)
            flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
            var, mean = torch.var_mean(flat, 2, correction=0, keepdim=True)
            y = y * (var + self.eps).sqrt() + mean
        return y.unflatten(2, x.movedim(axis, 1).shape[2:]).movedim(1, axis).to(x.dtype)


class _FrozenBatchNorm(_Own):
    """All of it is buffers, as in torchvision."""

    _options = ("num_features", "eps")

    def __init__(
        self, num_features: int, eps: float = 1e-5, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self._keep(locals())
        for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            self.register_buffer(name, _filled(value, num_features, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The norm by the statistics as they are, of each channel."""
        y = ops.batch_norm(self, x, self.eps, None, OPEN) if _plain(x) else None
        if y is not None:
            return y
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


class FrozenBatchNorm1d(_FrozenBatchNorm):
    """`cybn.FrozenBatchNorm1d` of tensors."""


class FrozenBatchNorm2d(_FrozenBatchNorm):
    """`cybn.FrozenBatchNorm2d` of tensors."""


class FrozenBatchNorm3d(_FrozenBatchNorm):
    """`cybn.FrozenBatchNorm3d` of tensors."""


class ChannelNorm(_Own):
    """`cybn.LayerNorm` and `cybn.RMSNorm` with `channel_axis=1`: of the channels of (N, C, ...)."""

    _options = ("num_features", "eps", "centred")

    def __init__(
        self,
        num_features: int,
        eps: float | None = 1e-5,
        centred: bool = True,
        weight: bool = True,
        bias: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._keep(locals())
        self._learn(dtype, weight=weight, bias=bias)

    def spec(self) -> dict[str, Any]:
        """The config of the layer that it is."""
        there = {name: getattr(self, name) is not None for name in ("weight", "bias")}
        own = {"normalized_shape": (self.num_features,), "eps": self.eps, "channel_axis": 1}
        kind = "LayerNorm" if self.centred else "RMSNorm"
        return {"type": kind, **own, "elementwise_affine": any(there.values()), **there}

    def forward(self, x: Tensor) -> Tensor:
        """The norm of each position over its channels."""
        eps = self.eps
        if eps is None:  # as PyTorch's RMS norm has it
            eps = torch.finfo(torch.promote_types(x.dtype, torch.float32)).eps
        bias = self.bias if self.centred else None
        y = None
        if _plain(x):
            y = ops.over_channels(x, self.weight, bias, eps, self.centred, False)
        if y is None:
            rows = x.movedim(1, -1)
            if self.centred:
                y = functional.layer_norm(rows, rows.shape[-1:], self.weight, bias, eps)
            else:
                y = functional.rms_norm(rows, rows.shape[-1:], self.weight, eps)
            y = y.movedim(-1, 1)
        if self.centred or self.bias is None:
            return y
        return y + self.bias.to(y.dtype).reshape(-1, *[1] * (x.dim() - 2))
