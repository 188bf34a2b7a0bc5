"""The norms as operators of PyTorch, `torch.ops.cybn`: what `torch.compile` sees of them.

A forward returns its output and the statistics it was made with, float64, which its backward takes:
pure functions of tensors. Running statistics are moved by an operator of their own. On the CPU they
are the kernels; what those do not take, and what lies on other devices, is computed by PyTorch's
own functions (formulas.py). In eager mode the modules do not come this way:
the way through the dispatcher costs more than all else of a small call.

| operator | returns |
|---|---|
| `batch_norm(x, weight, bias, mean, var, residual, training, eps, activation, negative_slope, alpha)` | y, stats |
| `layer_norm(x, normalized_shape, weight, bias, eps)` | y, stats |
| `rms_norm(x, normalized_shape, weight, bias, eps)` | y, stats |
| `group_norm(x, num_groups, weight, bias, eps)` | y, stats |
| `local_response_norm(x, size, alpha, beta, k)` | y |
| `move_running(mean, var, count, stats, m, momentum)` | nothing; it moves the first three |
"""  # noqa: E501  a row of a table

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.library import Library, register_autograd, register_fake, register_vmap

from ..functional.gates import CURVES, Gate, gate_of
from ..functional.running import CUMULATIVE
from . import _calls, formulas
from .tensors import dense

LIBRARY = Library("cybn", "DEF")
OPS = torch.ops.cybn


def define(schema: str, cpu: Callable, other: Callable, fake: Callable) -> str:
    """An operator by its schema: on the CPU, elsewhere and under vmap, and on tensors without data.

    `cpu` may return NotImplemented, which leaves the call to `other`.
    """
    name = schema.partition("(")[0]

    def on_cpu(*arguments, **options):
        made = cpu(*arguments, **options)
        return other(*arguments, **options) if made is NotImplemented else made

    def mapped(info, in_dims, *arguments):
        """Sample by sample, since PyTorch allows no vmap within a vmap rule."""
        made = [
            getattr(OPS, name)(
                *(
                    a.select(axis, i) if isinstance(axis, int) else a
                    for a, axis in zip(arguments, in_dims, strict=True)
                )
            )
            for i in range(info.batch_size)
        ]
        if isinstance(made[0], Tensor):
            return torch.stack(made), 0
        return tuple(map(torch.stack, zip(*made, strict=True))), (0,) * len(made[0])

    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, on_cpu, "CPU")
    LIBRARY.impl(name, other, "CompositeExplicitAutograd")
    register_fake(f"cybn::{name}", fake, lib=LIBRARY)
    if "!" not in schema:
        register_vmap(f"cybn::{name}", mapped, lib=LIBRARY)
    return f"cybn::{name}"


def or_empty(grads: Sequence[Tensor | None], x: Tensor) -> tuple[Tensor, ...]:
    """An operator returns tensors: an empty one stands for a gradient that is not wanted."""
    return tuple(x.new_empty(0) if a is None else a for a in grads)


def chosen(grads: Sequence[Tensor | None], wanted: Sequence[bool]) -> list[Tensor | None]:
    return [a if is_wanted else None for a, is_wanted in zip(grads, wanted, strict=True)]


def _gate(activation: str | None, negative_slope: float, alpha: float) -> Gate:
    return gate_of("cybn::batch_norm", activation, negative_slope, alpha)


def _forward(
    x, weight, bias, mean, var, residual, training, eps, activation=None, negative_slope=0.01,
    alpha=1.0,
):  # fmt: skip
    if training:
        mean = var = None
    gate = _gate(activation, negative_slope, alpha)
    made = _calls.batch_forward(
        x, residual, weight, bias, mean, var, None, training, 0.0, eps, gate
    )
    return NotImplemented if made is None else (made[0], torch.from_numpy(made[1]))


def _forward_fake(x, *arguments):
    return torch.empty_like(dense(x)), x.new_empty((3, x.shape[1]), dtype=torch.float64)


def _backward(dy, x, stats, weight, bias, residual, y, training, eps, *how):
    *gate, wanted = how
    if not _calls.can_take(x) or not _calls.can_take(dy):
        return NotImplemented
    grads = _calls.batch_gradient(
        dy, x, y, stats.numpy(), weight, training, _gate(*gate), wanted, bias, residual
    )
    return or_empty(grads, x)


def _backward_other(dy, x, stats, weight, bias, residual, y, training, eps, *how):
    *gate, wanted = how
    grads = formulas.batch_again(
        dy, x, y, stats, weight, training, eps, _gate(*gate), wanted, bias, residual
    )
    return or_empty([None if a is None else a.detach().clone() for a in grads], x)


def _backward_fake(dy, x, stats, weight, *others):
    wanted = others[-1]
    dx = torch.empty_like(dense(x))
    of_channels = x.new_empty(x.shape[1]) if weight is None else torch.empty_like(weight)
    grads = dx, of_channels, torch.empty_like(of_channels), torch.empty_like(dx)
    return or_empty(chosen(grads, wanted), x)


def _keep(ctx, inputs, output):
    x, weight, bias, _, _, residual, *ctx.options = inputs
    y, stats = output
    activation = ctx.options[2]
    if activation not in CURVES:
        bias = residual = None
    ctx.mark_non_differentiable(stats)
    ctx.save_for_backward(
        x, stats, weight, bias, residual, None if activation in (None, *CURVES) else y
    )


def _differentiate(ctx, dy, _):
    x, stats, weight, bias, residual, y = ctx.saved_tensors
    training, eps, *gate = ctx.options
    wanted = [ctx.needs_input_grad[i] for i in (0, 1, 2, 5)]
    if torch.is_grad_enabled():
        grads = formulas.batch_again(
            dy, x, y, stats, weight, training, eps, _gate(*gate), wanted, bias, residual
        )
    else:
        # Without an activation the residual's gradient is dy itself, which no operator returns.
        own = [*wanted[:3], wanted[3] and gate[0] is not None]
        grads = OPS.batch_norm_backward(dy, x, stats, weight, bias, residual, y, *ctx.options, own)
        grads = chosen(grads, own)
        if wanted[3] and gate[0] is None:
            grads[3] = dy
    dx, dweight, dbias, dresidual = grads
    return dx, dweight, dbias, None, None, dresidual, None, None, None, None, None


_batch_norm = define(
    "batch_norm(Tensor x, Tensor? weight, Tensor? bias, Tensor? mean, Tensor? var, "
    "Tensor? residual, bool training, float eps, str? activation=None, "
    "float negative_slope=0.01, float alpha=1.0) -> (Tensor, Tensor)",
    _forward,
    formulas.batch,
    _forward_fake,
)
define(
    "batch_norm_backward(Tensor dy, Tensor x, Tensor stats, Tensor? weight, Tensor? bias, "
    "Tensor? residual, Tensor? y, bool training, float eps, str? activation, "
    "float negative_slope, float alpha, bool[] wanted) -> "
    "(Tensor, Tensor, Tensor, Tensor)",
    _backward,
    _backward_other,
    _backward_fake,
)
register_autograd(_batch_norm, _differentiate, setup_context=_keep, lib=LIBRARY)


def _move(mean, var, count, stats, m, momentum):
    _calls.move(mean, var, count, stats.numpy(), m, CUMULATIVE if momentum is None else momentum)


define(
    "move_running(Tensor(a!) mean, Tensor(b!) var, Tensor(c!)? count, Tensor stats, SymInt m, "
    "float? momentum) -> ()",
    _move,
    formulas.move_running,
    lambda *arguments: None,
)
