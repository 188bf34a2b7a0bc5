"""Batch norm of tensors: forward and backward over the kernels, and both as autograd has them.

What is kept for backward is x, weight and, past an activation, y, as PyTorch keeps them, and the
statistics, float64. Tensors are as in functional/batch.py: x (N, C, ...), what lies on channels
(C,).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.graph import increment_version

from ..functional.gates import OPEN, Gate
from . import _calls
from .formulas import batch_gradient, opened
from .tensors import SIXTEEN, dense, ordered, rounded, wide, wide_like


class How(NamedTuple):
    """The options of a call."""

    training: bool
    momentum: float  # of the running statistics; negative: 1/num_batches_tracked
    eps: float
    gate: Gate


def forward(x, weight, bias, residual, running_mean, running_var, num_batches_tracked, how):
    """y, and the statistics it was made with, an ndarray (3, C)."""
    training, momentum, eps, gate = how
    x = dense(x)
    y = torch.empty_like(x)
    if residual is not None:
        residual = ordered(residual, x)
    running = running_mean, running_var
    if x.dtype in SIXTEEN:
        weight, bias = wide(weight), wide(bias)
        running_mean, running_var = wide(running_mean), wide(running_var)
    stats = _calls.batch_forward(
        y, x, residual, weight, bias, running_mean, running_var, num_batches_tracked, training,
        momentum, eps, gate,
    )  # fmt: skip
    if training:
        for kept, moved in zip(running, (running_mean, running_var), strict=True):
            if kept is not moved:
                kept.copy_(moved)
        moved = [a for a in (*running, num_batches_tracked) if a is not None]
        if moved:
            increment_version(moved)
    return y, stats


def backward(dy, x, y, stats, weight, training, gate, wanted):
    """The gradients of x, weight, bias and the residual; None for what is not wanted."""
    of_x, of_weight, of_bias, of_residual = wanted
    x = dense(x)
    dy = ordered(dy, x)
    dresidual = None
    if gate is not OPEN and not training:
        dy = dresidual = opened(dy, ordered(y, x), gate)
        y = None
    elif of_residual:
        dresidual = dy if gate is OPEN else torch.empty_like(x)
    dx = torch.empty_like(x)
    channels = x.new_empty(x.shape[1:2]) if weight is None else weight
    dweight = wide_like(channels) if of_weight else None
    dbias = wide_like(channels) if of_bias else None
    _calls.batch_backward(
        dx, None if y is None else dresidual, dweight, dbias, dy, x, y, stats, wide(weight),
        training, gate,
    )  # fmt: skip
    if channels.dtype in SIXTEEN:
        dweight, dbias = rounded(dweight, channels), rounded(dbias, channels)
    return dx if of_x else None, dweight, dbias, dresidual if of_residual else None


class BatchNorm(Function):
    @staticmethod
    def forward(
        ctx, x, weight, bias, residual, running_mean, running_var, num_batches_tracked, how
    ):
        y, ctx.stats = forward(
            x, weight, bias, residual, running_mean, running_var, num_batches_tracked, how
        )
        ctx.how = how
        ctx.save_for_backward(x, weight, None if how.gate is OPEN else y)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, y = ctx.saved_tensors
        training, _, eps, gate = ctx.how
        wanted = ctx.needs_input_grad[:4]
        if torch.is_grad_enabled():
            grads = again(dy, x, y, ctx.stats, weight, training, eps, gate, wanted)
        else:
            grads = backward(dy, x, y, ctx.stats, weight, training, gate, wanted)
        return *grads, None, None, None, None


def again(dy, x, y, stats, weight, training, eps, gate, wanted):
    """`backward` that can be differentiated."""
    dv = dy if gate is OPEN else opened(dy, y, gate)
    dtype = x.dtype if weight is None else weight.dtype
    mean, var, _ = torch.from_numpy(stats).to(dtype)
    grads = batch_gradient(dv, x, mean, var, weight, training, eps, wanted[:3])
    return *grads, dv if wanted[3] else None


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    num_batches_tracked: Tensor | None,
    how: How,
) -> Tensor:
    """The norm of x, with a gradient where one can be asked for."""
    arguments = (
        x, weight, bias, residual, running_mean, running_var, num_batches_tracked, how
    )  # fmt: skip
    if torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in arguments[:4]):
        return BatchNorm.apply(*arguments)
    return forward(*arguments)[0]
