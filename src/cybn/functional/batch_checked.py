"""Batch normalization of arguments that were checked: from arrays to views to a kernel.

`batch_norm_forward` and `batch_norm_backward` check what they are given and come here. So do the
layers, which check their own arrays once and not in every call.
"""

from __future__ import annotations

import numpy as np

from ..arrays.layout import arrange, in_order
from ..arrays.outputs import empty_like
from ..kernels import gradient, normalize_inference, normalize_small, normalize_training
from ..kernels.policy import plan
from .gates import OPEN, gated
from .running import Step, follow

SMALL_CALL = 16_384  # items: below, a call costs more than its work
CUMULATIVE = -1.0  # as a momentum, to the kernels: 1/num_batches_tracked


def forward_checked(
    x, weight, bias, running_mean, running_var, num_batches_tracked,
    training, momentum, eps, channel_axis, out, parameter_char, residual=None, gate=OPEN,
):  # fmt: skip
    """batch_norm_forward for arguments that were checked; None as momentum is CUMULATIVE.

    The running statistics move last: whatever is raised, they are as they were.
    """
    if 0 < x.size < SMALL_CALL and out is residual is None and x.flags.carray:
        shape = x.shape
        split = in_order(shape, channel_axis).shape
        y, stats = np.empty(shape, x.dtype), np.empty((3, split[1]))
        if normalize_small[x.dtype.char + parameter_char](
            y, stats, running_mean, running_var, num_batches_tracked, x, weight, bias,
            *split, eps, momentum, *gate, training, 0.0, 0.0,
        ):  # fmt: skip
            return y, stats  # else an array of the channels does not lie in one piece
    dense, x_ncl, arrangement = arrange(x, channel_axis)
    y = empty_like(dense) if out is None else out
    stats = np.empty((3, x_ncl.shape[1]))
    if x.size == 0:
        stats[:2] = 0
        stats[2] = 1 / np.sqrt(eps) if eps > 0 else np.inf
        return y, stats
    y_ncl = arrangement.view(y)
    target = np.empty(x_ncl.shape, x.dtype) if y_ncl is None else y_ncl
    threads, cache, stream = plan(x.size, x.itemsize)
    key = x.dtype.char + parameter_char
    if residual is not None:
        residual = arrangement.gather(residual)
    if training:
        count = None if num_batches_tracked is None else num_batches_tracked.reshape(1)
        moving = running_mean, running_var, count
        if y_ncl is None:  # the output is still to be copied, and statistics move last
            moving = None, None, None
        normalize_training[key](
            target, stats, *moving,
            x_ncl, residual, weight, bias, eps, momentum, *gate, threads, cache, stream,
        )  # fmt: skip
    else:
        normalize_inference[key](
            target, stats, x_ncl, residual, running_mean, running_var, weight, bias,
            eps, *gate, threads, cache, stream,
        )  # fmt: skip
    if y_ncl is None:
        arrangement.scatter(target, y)
        if training:
            m = x.size // stats.shape[1]
            moving = running_mean, running_var, num_batches_tracked
            follow([Step(*moving, stats, m, momentum)])
    return y, stats


def backward_checked(
    dy, x, stats, weight, training, channel_axis, out, dtype, y=None, gate=OPEN, dresidual=None
):
    """batch_norm_backward for arguments that were checked."""
    channels = stats.shape[1]
    dense, x_ncl, arrangement = arrange(x, channel_axis)
    dx = empty_like(dense) if out is None else out
    dweight, dbias = np.zeros(channels, dtype), np.zeros(channels, dtype)
    if x.size == 0:
        return dx, dweight, dbias
    if gate is OPEN or not training:
        # Past constant statistics nothing is summed that the gate's pass could be shared with.
        if gate is not OPEN:
            dy = gated(dy, y, gate)
        if dresidual is not None:
            dresidual[...] = dy
        y = dresidual = None
    dx_ncl = arrangement.view(dx)
    target = np.empty(x_ncl.shape, x.dtype) if dx_ncl is None else dx_ncl
    dz_ncl = None if dresidual is None else arrangement.view(dresidual)
    dz = np.empty(x_ncl.shape, x.dtype) if dresidual is not None and dz_ncl is None else dz_ncl
    threads, cache, stream = plan(x.size, x.itemsize)
    gradient[x.dtype.char + dtype.char](
        target, dz, dweight, dbias, arrangement.gather(dy), x_ncl,
        None if y is None else arrangement.gather(y), stats, weight,
        training, *gate, threads, cache, stream,
    )  # fmt: skip
    if dx_ncl is None:
        arrangement.scatter(target, dx)
    if dresidual is not None and dz_ncl is None:
        arrangement.scatter(dz, dresidual)
    return dx, dweight, dbias
