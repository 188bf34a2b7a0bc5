"""The norms of a sample as operators: those of rows, and local response norm (operators.py)."""

from __future__ import annotations

from math import prod

import torch
from torch.library import register_autograd

from . import _calls, formulas
from .operators import LIBRARY, OPS, chosen, define, or_empty
from .tensors import dense


def _trailing(x, sizes):
    """How many values weight has, how many rows there are, and how many items share a value."""
    n = prod(sizes)
    return n, x.numel() // n if n else 0, 1


def _grouped(x, groups):
    samples, channels = x.shape[:2]
    run = x.numel() // (samples * channels) if samples * channels else 0
    return channels, samples * groups, run


def define_rows(name: str, axes_type: str, centred: bool, geometry) -> None:
    """A norm of rows and its gradient."""

    def forward(x, axes, weight, bias, eps):
        values, count, run = geometry(x, axes)
        made = _calls.rows_forward(x, weight, bias, values, count, run, eps, centred)
        return NotImplemented if made is None else (made[0], torch.from_numpy(made[1]))

    def other(x, axes, weight, bias, eps):
        _, count, _ = geometry(x, axes)
        return formulas.rows(x, weight, bias, eps, centred, _plain(axes), count)

    def fake(x, axes, weight, bias, eps):
        _, count, _ = geometry(x, axes)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        return y, x.new_empty((3, count), dtype=torch.float64)

    def backward(dy, x, stats, axes, weight, eps, wanted):
        if not _calls.can_take(x) or not _calls.can_take(dy):
            return NotImplemented
        _, _, run = geometry(x, axes)
        return or_empty(_calls.rows_gradient(dy, x, stats.numpy(), weight, run, centred, wanted), x)

    def backward_other(dy, x, stats, axes, weight, eps, wanted):
        grads = formulas.rows_again(dy, x, weight, eps, centred, _plain(axes), wanted)
        return or_empty([None if a is None else a.detach().clone() for a in grads], x)

    def backward_fake(dy, x, stats, axes, weight, eps, wanted):
        values = x.new_empty(0) if weight is None else torch.empty_like(weight)
        dx = torch.empty_like(x, memory_format=torch.contiguous_format)
        return or_empty(chosen((dx, values, torch.empty_like(values)), wanted), x)

    def keep(ctx, inputs, output):
        x, axes, weight, _, eps = inputs
        ctx.axes, ctx.eps = axes, eps
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, output[1], weight)

    def differentiate(ctx, dy, _):
        x, stats, weight = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[i] for i in (0, 2, 3)]
        if torch.is_grad_enabled():
            axes = _plain(ctx.axes)
            grads = formulas.rows_again(dy, x, weight, ctx.eps, centred, axes, wanted)
        else:
            back = getattr(OPS, f"{name}_backward")
            grads = chosen(back(dy, x, stats, ctx.axes, weight, ctx.eps, wanted), wanted)
        dx, dweight, dbias = grads
        return dx, None, dweight, dbias, None

    operator = define(
        f"{name}(Tensor x, {axes_type}, Tensor? weight, Tensor? bias, float eps) -> "
        "(Tensor, Tensor)",
        forward,
        other,
        fake,
    )
    define(
        f"{name}_backward(Tensor dy, Tensor x, Tensor stats, {axes_type}, Tensor? weight, "
        "float eps, bool[] wanted) -> (Tensor, Tensor, Tensor)",
        backward,
        backward_other,
        backward_fake,
    )
    register_autograd(operator, differentiate, setup_context=keep, lib=LIBRARY)


def _plain(axes):
    return axes if isinstance(axes, int | torch.SymInt) else tuple(axes)


define_rows("layer_norm", "SymInt[] normalized_shape", True, _trailing)
define_rows("rms_norm", "SymInt[] normalized_shape", False, _trailing)
define_rows("group_norm", "SymInt num_groups", True, _grouped)


def _respond(x, *options):
    return _calls.respond(x, options) if _calls.can_take(x) and x.dim() >= 3 else NotImplemented


def _respond_back(dy, x, *options):
    taken = _calls.can_take(x) and _calls.can_take(dy)
    return _calls.response_gradient(dy, x, options) if taken else NotImplemented


def _keep(ctx, inputs, output):
    x, *ctx.options = inputs
    ctx.save_for_backward(x)


def _differentiate(ctx, dy):
    (x,) = ctx.saved_tensors
    if torch.is_grad_enabled():
        dx = formulas.response_again(dy, x, *ctx.options)
    else:
        dx = OPS.local_response_norm_backward(dy, x, *ctx.options)
    return dx, None, None, None, None


_response = define(
    "local_response_norm(Tensor x, SymInt size, float alpha, float beta, float k) -> Tensor",
    _respond,
    formulas.response,
    lambda x, *options: torch.empty_like(x),
)
define(
    "local_response_norm_backward(Tensor dy, Tensor x, SymInt size, float alpha, float beta, "
    "float k) -> Tensor",
    _respond_back,
    lambda dy, x, *options: formulas.response_again(dy, x, *options).detach(),
    lambda dy, x, *options: torch.empty_like(dense(x)),
)
register_autograd(_response, _differentiate, setup_context=_keep, lib=LIBRARY)
