"""Local response norm of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function

from . import _calls
from .formulas import response_gradient
from .tensors import dense, ordered


def forward(x, options):
    x = dense(x)
    y = torch.empty_like(x)
    _calls.response_forward(y, x, *options)
    return y


def backward(dy, x, options):
    x = dense(x)
    dx = torch.empty_like(x)
    _calls.response_backward(dx, ordered(dy, x), x, *options)
    return dx


class LocalResponseNorm(Function):
    @staticmethod
    def forward(ctx, x, options):
        ctx.options = options
        ctx.save_for_backward(x)
        return forward(x, options)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        of = response_gradient if torch.is_grad_enabled() else backward
        return (of(dy, x, *ctx.options) if of is response_gradient else of(dy, x, ctx.options)), None


def local_response_norm(x: Tensor, options: tuple[int, float, float, float]) -> Tensor:
    """The norm of x; options are size, alpha, beta and k."""
    if x.requires_grad and torch.is_grad_enabled():
        return LocalResponseNorm.apply(x, options)
    return forward(x, options)
