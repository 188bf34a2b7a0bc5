"""What the functions of batch normalization check of what they are given, whole or half."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
from .gates import OPEN, Gate, check_residual, gate_of

new = tuple.__new__  # of a NamedTuple in half the time, for small calls


def check_output(who, x, out, residual, activation, negative_slope, weight, bias, others):
    """The residual as an array, and the gate, of which all that is written to `out` depends."""
    gate = gate_of(who, activation, negative_slope)
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


def check_backward(
    who, dy, x, stats, channel_axis, y, activation, negative_slope, out=None, dresidual=None,
    weight=None,
):  # fmt: skip
    """All that a backward, or a half of one, is given: TypeError, ValueError."""
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_axis(who, x, channel_axis)
    check_per_channel(who, {"weight": weight}, channels)
    stats = check_stats(who, stats, channels)
    dy = check_upstream(who, dy, x, out, stats=stats, weight=weight)
    gate = gate_of(who, activation, negative_slope)
    if gate is not OPEN:
        if y is None:
            raise ValueError(f"{who} with activation={activation!r} needs y, what forward returned")
        y = as_float_array(who, "y", y)
        check_like(who, "y", y, x)
    if dresidual is not None:
        check_out(who, dresidual, x)
        check_separate(
            who, "dresidual", dresidual, x=x, dy=dy, out=out, y=y, stats=stats, weight=weight
        )
    if out is not None and y is not None:
        check_separate(who, "out", out, y=y)
    return new(Back, (dy, x, stats, channel_axis, y, gate))
