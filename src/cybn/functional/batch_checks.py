"""What the functions of batch normalization check of what they are given, whole or half."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays.dtypes import rounded
from ..arrays.validation import (
    as_float_array,
    check_axis,
    check_count,
    check_like,
    check_momentum,
    check_more_than_one,
    check_out,
    check_per_channel,
    check_separate,
    check_stats,
    check_updatable,
    check_upstream,
)
from ._checked import let_through
from .gates import OPEN, Gate, check_residual, gate_of
from .masks import check_mask, pick

new = tuple.__new__  # of a NamedTuple in half the time, for small calls


def check_output(who, x, out, residual, activation, weight, bias, others):
    """The residual as an array, and the gate, of which all that is written to `out` depends.

    activation: its name, negative_slope and alpha.
    """
    gate = gate_of(who, *activation)
    if residual is not None:
        residual = check_residual(who, residual, x)
    if out is not None:
        check_out(who, out, x, weight=weight, bias=bias, **others)
        if residual is not None:
            check_out(who, out, residual)
    return residual, gate


def check_step(who, x, channels, buffers, num_batches_tracked, momentum, fix):
    """What a step of training needs besides, before it moves the running statistics.

    fix: what to do about one value per channel.
    """
    check_momentum(who, momentum)
    check_more_than_one(x, x.size // channels if channels else 0, fix=fix)
    check_count(who, num_batches_tracked)
    check_updatable(who, {**buffers, "num_batches_tracked": num_batches_tracked})
    if momentum is None and num_batches_tracked is None:
        raise ValueError(
            f"{who} with momentum=None needs num_batches_tracked to count the batches; "
            f"np.array(0) is a new one"
        )


class Back(NamedTuple):
    """What a backward computes from, checked."""

    dy: np.ndarray
    x: np.ndarray
    stats: np.ndarray
    channel_axis: int
    y: np.ndarray | None
    gate: Gate
    residual: np.ndarray | None  # past a curve


def check_backward(
    who, dy, x, stats, channel_axis, y, activation, out=None, dresidual=None, weight=None,
    bias=None, residual=None,
):  # fmt: skip
    """All that a backward, or a half of one, is given: TypeError, ValueError."""
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_axis(who, x, channel_axis)
    check_per_channel(who, {"weight": weight, "bias": bias}, channels)
    stats = check_stats(who, stats, channels)
    dy = check_upstream(who, dy, x, out, stats=stats, weight=weight)
    gate = gate_of(who, *activation)
    if gate.curve:
        y, residual = None, None if residual is None else check_residual(who, residual, x)
        if out is not None and residual is not None:
            check_separate(who, "out", out, residual=residual)
    elif gate is not OPEN:
        residual = None
        if y is None:
            raise ValueError(
                f"{who} with activation={activation[0]!r} needs y, what forward returned"
            )
        y = as_float_array(who, "y", y)
        check_like(who, "y", y, x)
    if dresidual is not None:
        check_out(who, dresidual, x)
        check_separate(
            who, "dresidual", dresidual, x=x, dy=dy, out=out, y=y, stats=stats, weight=weight,
            residual=residual,
        )  # fmt: skip
    if out is not None and y is not None:
        check_separate(who, "out", out, y=y)
    return new(Back, (dy, x, stats, channel_axis, y, gate, residual))


def past_curve(back: Back, weight: np.ndarray | None, bias: np.ndarray | None) -> Back:
    """What a half of a backward computes from, with dy before the curve that followed, if any."""
    dy, x, stats, axis, _, gate, residual = back
    if not gate.curve:
        return back
    g = rounded(let_through(dy, x, stats, weight, bias, residual, axis, gate), x.dtype)
    return back._replace(dy=g, gate=OPEN)


def check_again(who, x, dy, out, stats, weight, bias, residual, activation, dresidual):
    """What the backward of a norm of a sample is to compute again: bias, residual, gate, dresidual.

    activation: its name, negative_slope and alpha.
    """
    gate = gate_of(who, *activation)
    others = {"x": x, "dy": dy, "out": out, "stats": stats, "weight": weight}
    residual = None if residual is None else check_residual(who, residual, x)
    if dresidual is not None:
        check_out(who, dresidual, x)
        check_separate(who, "dresidual", dresidual, **others, residual=residual)
    if out is not None and residual is not None:
        check_separate(who, "out", out, residual=residual)
    return bias, residual, gate, dresidual


def valid_parts(who, back, mask):
    """dy, x and y at the valid positions, the axis of their channels, and the mask."""
    dy, x, _, axis, y, *_ = back
    if mask is None:
        return dy, x, y, axis, None
    mask = check_mask(who, mask, x, axis)
    dy, x, y = (None if a is None else pick(a, mask, axis) for a in (dy, x, y))
    return dy, x, y, 1, mask


def check_sums(who: str, sums: Any, channels: int) -> np.ndarray:
    if getattr(sums, "shape", None) != (2, channels) or sums.dtype != np.float64:
        raise ValueError(
            f"{who} needs the sums of all parts, (2, {channels}) float64 as "
            f"batch_norm_backward_reduce returns them, got {getattr(sums, 'shape', sums)}"
        )
    return np.ascontiguousarray(sums)
