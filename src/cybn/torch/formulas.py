"""The norms by PyTorch's own functions: what is fallen back to, and what is differentiated twice.

The gradient of a gradient is asked for rarely, and PyTorch has formulas of its own for it; so where
one may be asked for (`create_graph=True`) the gradient is PyTorch's, too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ..functional.gates import CURVES

# slope: of "leaky_relu" below 0, and alpha of "elu"
ACTIVATIONS = {
    None: lambda x, slope: x,
    "relu": lambda x, slope: F.relu(x),
    "relu6": lambda x, slope: F.relu6(x),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "silu": lambda x, slope: F.silu(x),
    "gelu": lambda x, slope: F.gelu(x),
    "gelu_tanh": lambda x, slope: F.gelu(x, approximate="tanh"),
    "hardswish": lambda x, slope: F.hardswish(x),
    "elu": lambda x, slope: F.elu(x, slope),
    "mish": lambda x, slope: F.mish(x),
}

# What follows where a module says nothing of it
NOTHING = {"activation": None, "negative_slope": 0.01, "alpha": 1.0}


def followed(module: Any) -> tuple[Any, ...]:
    """What follows a module's norm: activation, negative_slope and alpha."""
    return tuple([getattr(module, name, value) for name, value in NOTHING.items()])


def after(
    y: Tensor,
    residual: Tensor | None,
    activation: str | None,
    negative_slope: float,
    alpha: float,
) -> Tensor:
    """What follows a norm in the same pass: a residual is added, then comes the activation."""
    slope = alpha if activation == "elu" else negative_slope
    return ACTIVATIONS[activation](y if residual is None else y + residual, slope)


def opened(dy: Tensor, y: Tensor, gate: tuple[float, float, int]) -> Tensor:
    """The gradient of what went into the gate, from dy and its output y."""
    slope, most, _ = gate
    closed = y <= 0 if most == float("inf") else (y <= 0) | (y >= most)
    return torch.where(closed, dy * slope if slope else 0.0, dy)


def batch(
    x, weight, bias, mean, var, residual, training, eps, activation=None, negative_slope=0.01,
    alpha=1.0,
):  # fmt: skip
    """y and statistics, (3, C)."""
    if training:
        mean = var = None
    y = F.batch_norm(x, mean, var, weight, bias, training, 0.0, eps)
    if training:
        mean, var = _moments(x, [i for i in range(x.dim()) if i != 1], x.shape[1])
    return after(y, residual, activation, negative_slope, alpha), _statistics(mean, var, eps)


def move_running(mean, var, count, stats, m, momentum):
    """As BatchNorm moves them; momentum None: 1/count. Or by the means of samples, (3, N*C)."""
    if count is not None:
        count.add_(1)
    weight = 1.0 / count if momentum is None else momentum
    stats = stats.reshape(3, -1, mean.numel()).mean(1)
    for running, by in ((mean, stats[0]), (var, stats[1] * (m / (m - 1)))):
        running.copy_(running + weight * (by - running))


def rows(x, weight, bias, eps, centred, axes, count):
    """y and statistics, (3, count)."""
    norm, _ = _norm_of_rows(x, eps, centred, axes)
    flat = x.reshape(count, -1)
    mean, var = _moments(flat, 1, count)
    if not centred:
        mean, var = torch.zeros_like(mean), mean**2 + var
    return norm(x, weight, bias), _statistics(mean, var, eps)


def response(x, size, alpha, beta, k):
    y = F.local_response_norm(x, size, alpha, beta, k)
    return y.clone() if y is x else y


def _moments(x, axes, count):
    if x.numel() == 0:
        return x.new_zeros((2, count), dtype=torch.float64)
    wide = x.double()
    return wide.mean(axes), wide.var(axes, correction=0)


def _statistics(mean, var, eps):
    mean, var = mean.double(), var.double()
    return torch.stack((mean, var, (var + eps).rsqrt()))


def batch_again(dy, x, y, stats, weight, training, eps, gate, wanted, bias=None, residual=None):
    """The gradients of x, weight, bias and residual, each where it is wanted.

    y: past a gate; bias and residual: past a curve.
    """
    mean = var = None
    if not training:
        mean, var, _ = stats.to(x.dtype if weight is None else weight.dtype)

    def norm(x, weight, bias):
        return F.batch_norm(x, mean, var, weight, bias, training, 0.0, eps)

    if gate[2]:
        return _past_curve(norm, dy, (x, weight, bias, residual), gate, wanted)
    dv = dy if y is None else opened(dy, y, gate)
    grads = _gradient(norm, dv, x, weight, x.shape[1:2], wanted[:3])
    return *grads, dv if wanted[3] else None


def _past_curve(norm, dy, given, gate, wanted):
    slope, _, curve = gate
    activate = ACTIVATIONS[CURVES[curve - 1]]
    with torch.enable_grad():
        # A view of each, so that one that is given twice has two gradients.
        x, weight, bias, residual = given = [
            a if a is None or (not a.requires_grad and not is_wanted)
            else a.view_as(a) if a.requires_grad else a.detach().requires_grad_()
            for a, is_wanted in zip(given, wanted, strict=True)
        ]  # fmt: skip
        h = norm(x, weight, bias)
        y = activate(h if residual is None else h + residual, slope)
    inputs = [a for a, is_wanted in zip(given, wanted, strict=True) if is_wanted]
    return _placed(torch.autograd.grad(y, inputs, dy, create_graph=True), wanted)


def _placed(found, wanted):
    """What was found, in order, each in its place."""
    found = iter(found)
    return [next(found) if is_wanted else None for is_wanted in wanted]


def rows_again(dy, x, weight, eps, centred, axes, wanted):
    """The gradients of x, weight and bias; axes: the last sizes, or how many groups."""
    norm, shape = _norm_of_rows(x, eps, centred, axes)
    return _gradient(norm, dy, x, weight, shape, wanted)


def positions_again(dy, x, weight, eps, centred, wanted):
    """The gradients of x, weight and bias of a norm over axis 1."""
    width = x.shape[1:2]
    norm, _ = _norm_of_rows(x, eps, centred, tuple(width))
    return _gradient(
        lambda x, weight, bias: norm(x.movedim(1, -1), weight, bias).movedim(-1, 1),
        dy, x, weight, width, wanted,
    )  # fmt: skip


def _norm_of_rows(x, eps, centred, axes):
    """PyTorch's function of x, weight and bias, and the shape of these."""
    if not centred:
        return lambda x, weight, bias: F.rms_norm(x, axes, weight, eps), axes
    if isinstance(axes, tuple):
        return lambda x, weight, bias: F.layer_norm(x, axes, weight, bias, eps), axes
    return lambda x, weight, bias: F.group_norm(x, axes, weight, bias, eps), x.shape[1:2]


def response_again(dy, x, size, alpha, beta, k):
    """The gradient of x."""
    return _gradient(
        lambda x, weight, bias: F.local_response_norm(x, size, alpha, beta, k),
        dy, x, None, (), (True, False, False),
    )[0]  # fmt: skip


def _gradient(norm, dy, x, weight, shape, wanted):
    of_x, _, of_bias = wanted
    bias = None
    with torch.enable_grad():
        if of_bias:
            bias = torch.zeros(
                shape, dtype=x.dtype if weight is None else weight.dtype, requires_grad=True
            )
        # A view of each, so that one that is given twice has two gradients.
        x = x.view_as(x) if x.requires_grad else x.detach().requires_grad_(of_x)
        if weight is not None:
            weight = weight.view_as(weight)
        y = norm(x, weight, bias)
    inputs = [a for a, is_wanted in zip((x, weight, bias), wanted, strict=True) if is_wanted]
    return _placed(torch.autograd.grad(y, inputs, dy, create_graph=True), wanted)
