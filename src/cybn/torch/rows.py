"""Norms of a sample, of tensors: layer, RMS, group and instance norm are rows of x."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from . import _calls
from .formulas import group_gradient, layer_gradient, rms_gradient
from .tensors import SIXTEEN, ordered, rounded, wide, wide_like


class Rows(NamedTuple):
    """What the rows of an x in C order are."""

    rows: int
    run: int  # so many items side by side share a value of weight and bias
    centred: bool
    axes: tuple[int, ...] | int  # what PyTorch's function is told: the last sizes, or the groups


def trailing(x: Tensor, shape: tuple[int, ...], centred: bool) -> Rows:
    return Rows(x.numel() // prod(shape), 1, centred, shape)


def grouped(x: Tensor, groups: int) -> Rows:
    shape = x.shape
    return Rows(shape[0] * groups, prod(shape[2:]), True, groups)


def forward(x, weight, bias, eps, rows):
    """y, and the statistics it was made with, an ndarray (3, rows)."""
    of, run, centred, _ = rows
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.dtype in SIXTEEN:
        weight, bias = wide(weight), wide(bias)
    return y, _calls.rows_forward(y, x, weight, bias, of, run, eps, centred)


def backward(dy, x, stats, weight, rows, wanted):
    """The gradients of x, weight and bias; None for what is not wanted."""
    of_x, of_weight, of_bias = wanted
    x = x.contiguous()
    dy = ordered(dy, x)
    dx = torch.empty_like(x)
    dweight = wide_like(weight) if of_weight else None
    dbias = wide_like(weight) if of_bias else None
    _calls.rows_backward(dx, dweight, dbias, dy, x, stats, wide(weight), rows.run, rows.centred)
    if x.dtype in SIXTEEN and weight is not None:
        dweight, dbias = rounded(dweight, weight), rounded(dbias, weight)
    return dx if of_x else None, dweight, dbias


class RowNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps, rows):
        y, ctx.stats = forward(x, weight, bias, eps, rows)
        ctx.eps, ctx.rows = eps, rows
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            grads = again(dy, x, weight, ctx.eps, ctx.rows, wanted)
        else:
            grads = backward(dy, x, ctx.stats, weight, ctx.rows, wanted)
        return *grads, None, None


def again(dy, x, weight, eps, rows, wanted):
    """`backward` that can be differentiated."""
    if not rows.centred:
        return rms_gradient(dy, x, rows.axes, weight, eps, wanted)
    of = layer_gradient if isinstance(rows.axes, tuple) else group_gradient
    return of(dy, x, rows.axes, weight, eps, wanted)


def row_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, rows: Rows
) -> Tensor:
    """The norm of x, with a gradient where one can be asked for."""
    if torch.is_grad_enabled() and (
        x.requires_grad
        or (weight is not None and weight.requires_grad)
        or (bias is not None and bias.requires_grad)
    ):
        return RowNorm.apply(x, weight, bias, eps, rows)
    return forward(x, weight, bias, eps, rows)[0]
