"""The norms from papers in PyTorch, composed of its operators as one writes them in a model.

Each takes x, channels on axis 1, the parameters and running statistics of a layer of cybn as
tensors by the same names, and the layer for its options. What PyTorch has an operator for, it is
asked for, and what can be computed once is: these are to be fast. Running statistics move in place.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional

import cybn

Tensor = torch.Tensor


def along(a: Tensor, x: Tensor) -> Tensor:
    """a, (C,), as it meets x, (N, C, ...)."""
    return a.reshape(-1, *[1] * (x.ndim - 2))


def affine(x: Tensor, p: Any) -> Tensor:
    return torch.addcmul(along(p.bias, x), x, along(p.weight, x))


def inner(x: Tensor) -> tuple[int, ...]:
    """The axes of the positions."""
    return tuple(range(2, x.ndim))


@torch.no_grad()
def follow(running: Tensor, new: Tensor, momentum: float) -> None:
    running.lerp_(new.reshape(running.shape), momentum)


def unbiased(var: Tensor, x: Tensor) -> Tensor:
    m = x.numel() // x.shape[1]
    return var * (m / (m - 1))


def dyt(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    return torch.tanh(p.alpha * x) * p.weight + p.bias


def scale_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    return x * (p.weight * (x.square().sum(1, keepdim=True) + layer.eps).rsqrt())


def partial_rms_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    first = x[:, : ceil(layer.p * x.shape[1])]
    return x * (first.square().mean(1, keepdim=True) + layer.eps).rsqrt() * p.weight


def filter_response_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    xhat = x * (x.square().mean(inner(x), keepdim=True) + layer.eps).rsqrt()
    return torch.maximum(affine(xhat, p), along(p.tau, x))


def global_response_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    energy = torch.linalg.vector_norm(x, dim=inner(x), keepdim=True)
    return affine(x * (energy / (energy.mean(1, keepdim=True) + layer.eps)), p) + x


def evo_norm_s0(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    groups = min(layer.groups, x.shape[1])
    var = x.reshape(len(x), groups, -1).var(2, correction=0)
    std = (var + layer.eps).sqrt().repeat_interleave(x.shape[1] // groups, 1)
    swish = x * torch.sigmoid(x * along(p.v1, x))
    return affine(swish / std.reshape(*std.shape, *[1] * (x.ndim - 2)), p)


def evo_norm_b0(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    var = p.running_var
    if layer.training:
        var = x.var((0, *inner(x)), correction=0)
        follow(p.running_var, unbiased(var.detach(), x), layer.momentum)
    own = (x.var(inner(x), correction=0, keepdim=True) + layer.eps).sqrt()
    of_batch = (along(var, x) + layer.eps).sqrt()
    return affine(x / torch.maximum(of_batch, x * along(p.v1, x) + own), p)


def root_mean_square(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    return (x.square().mean(axes, keepdim=True) + eps).sqrt()


def evo_norm_b(x: Tensor, p: Any, layer: cybn.Layer, line: Callable[[Tensor], Tensor]) -> Tensor:
    """B1 and B2: the larger of the batch's deviation and a line of x."""
    var = p.running_var
    if layer.training:
        var = x.var((0, *inner(x)), correction=0)
        follow(p.running_var, unbiased(var.detach(), x), layer.momentum)
    of_batch = (along(var, x) + layer.eps).sqrt()
    return affine(x / torch.maximum(of_batch, line(root_mean_square(x, inner(x), layer.eps))), p)


def evo_norm_b1(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    return evo_norm_b(x, p, layer, lambda size: (x + 1) * size)


def evo_norm_b2(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    return evo_norm_b(x, p, layer, lambda size: size - x)


def by_groups(x: Tensor, layer: cybn.Layer) -> Tensor:
    return x.reshape(len(x), min(layer.groups, x.shape[1]), -1)


def evo_norm_s1(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    values = by_groups(x, layer)
    std = (values.var(2, correction=0, keepdim=True) + layer.eps).sqrt()
    return affine((by_groups(functional.silu(x), layer) / std).reshape(x.shape), p)


def evo_norm_s2(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    size = root_mean_square(by_groups(x, layer), (2,), layer.eps)
    return affine((by_groups(functional.silu(x), layer) / size).reshape(x.shape), p)


def gated_rms_norm(x: Tensor, p: Any, layer: cybn.Layer, gate: Tensor) -> Tensor:
    normed = functional.rms_norm(x, x.shape[1:], p.weight, layer.eps)
    return normed * functional.silu(gate)


def switchable_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    """As the authors' code has it: all moments from those of the planes."""
    var, mean = torch.var_mean(x, inner(x), correction=0, keepdim=True)
    square = var + mean.square()
    means, variances = [mean], [var]
    for axis in (1, 0):
        means.append(mean.mean(axis, keepdim=True))
        variances.append(square.mean(axis, keepdim=True) - means[-1].square())
    if layer.training:
        follow(p.running_mean, means[2], layer.momentum)
        follow(p.running_var, unbiased(variances[2].detach(), x), layer.momentum)
    else:
        means[2], variances[2] = along(p.running_mean, x), along(p.running_var, x)
    by_mean, by_var = p.mean_weight.softmax(0), p.var_weight.softmax(0)
    centre = sum(share * each for share, each in zip(by_mean, means, strict=True))
    spread = sum(share * each for share, each in zip(by_var, variances, strict=True))
    return affine((x - centre) * (spread + layer.eps).rsqrt(), p)


def ibn(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    half, eps = layer.half, layer.eps
    first = functional.instance_norm(x[:, :half], None, None, p.weight[:half], p.bias[:half],
                                     eps=eps)  # fmt: skip
    rest = functional.batch_norm(x[:, half:], p.running_mean, p.running_var, p.weight[half:],
                                 p.bias[half:], layer.training, layer.momentum, eps)  # fmt: skip
    return torch.cat([first, rest], 1)


def iter_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    groups, channels = layer.num_groups, x.shape[1]
    values = x.transpose(0, 1).reshape(groups, channels // groups, -1)
    if layer.training:
        mean, eye = values.mean(2, keepdim=True), torch.eye(values.shape[1], dtype=x.dtype)
        centred = values - mean
        sigma = torch.baddbmm(layer.eps * eye, centred, centred.mT, alpha=1 / values.shape[2])
        trace = sigma.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        root, scaled = eye.expand_as(sigma), sigma / trace
        for _ in range(layer.iterations):
            root = torch.baddbmm(root, root @ root @ root, scaled, beta=1.5, alpha=-0.5)
        wm = root * trace.rsqrt()
        follow(p.running_mean, mean.detach(), layer.momentum)
        follow(p.running_wm, wm.detach(), layer.momentum)
    else:
        centred, wm = values - p.running_mean.reshape(groups, -1, 1), p.running_wm
    white = (wm @ centred).reshape(channels, len(x), *x.shape[2:]).transpose(0, 1)
    return affine(white, p)


def power_norm(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    weight = p.weight * (p.running_phi + layer.eps).rsqrt()
    y = torch.addcmul(along(p.bias, x), x, along(weight, x))
    if layer.training:
        square = x.detach().square().mean((0, *inner(x)))
        follow(p.running_phi, square, layer.momentum)
    return y


def weight_standardization(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    rows = x.reshape(1, len(x), -1)
    y = functional.batch_norm(rows, None, None, training=True, eps=layer.eps)
    return y.reshape(x.shape)


def adain(x: Tensor, p: Any, layer: cybn.Layer, style: Tensor) -> Tensor:
    var, mean = torch.var_mean(style, inner(style), correction=0, keepdim=True)
    return functional.instance_norm(x, eps=layer.eps) * (var + layer.eps).sqrt() + mean


def rev_in(x: Tensor, p: Any, layer: cybn.Layer) -> Tensor:
    var, mean = torch.var_mean(x, inner(x), correction=0, keepdim=True)
    return affine((x - mean) * (var + layer.eps).rsqrt(), p)


COMPOSED: dict[str, Callable[..., Tensor]] = {
    "DyT": dyt,
    "ScaleNorm": scale_norm,
    "PartialRMSNorm": partial_rms_norm,
    "FilterResponseNorm": filter_response_norm,
    "GlobalResponseNorm": global_response_norm,
    "EvoNormS0": evo_norm_s0,
    "EvoNormB0": evo_norm_b0,
    "EvoNormB1": evo_norm_b1,
    "EvoNormB2": evo_norm_b2,
    "EvoNormS1": evo_norm_s1,
    "EvoNormS2": evo_norm_s2,
    "GatedRMSNorm": gated_rms_norm,
    "SwitchableNorm2d": switchable_norm,
    "IBN": ibn,
    "IterNorm": iter_norm,
    "PowerNorm": power_norm,
    "WeightStandardization": weight_standardization,
    "AdaIN": adain,
    "RevIN": rev_in,
}


def compose(layer: cybn.Layer, name: str) -> tuple[Callable[..., Tensor], dict[str, Tensor]]:
    """The forward of a norm, and copies of the layer's arrays by name, on which it works."""
    given = {key: torch.tensor(a) for key, a in layer.state_dict().items()}
    for key, _ in layer.named_parameters():
        given[key].requires_grad_(layer.training)
    p, formula = SimpleNamespace(**given), COMPOSED[name]
    return (lambda x, *extra: formula(x, p, layer, *extra)), given
