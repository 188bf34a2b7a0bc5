"""Batch normalization of arguments that were checked: from arrays to views to a kernel.

`batch_norm_forward` and `batch_norm_backward` check what they are given and come here. So do the
layers, which check their own arrays once and not in every call.
"""

from __future__ import annotations

import numpy as np

from ..arrays.dtypes import round_to, widened
from ..arrays.layout import arrange
from ..arrays.outputs import LARGE, empty_like
from ..kernels import of
from ..kernels.policy import plan
from .gates import OPEN, gated
from .running import Step, follow

CUMULATIVE = -1.0  # as a momentum, to the kernels: 1/num_batches_tracked


def output(dense, x_ncl, arrangement, out):
    """A new output like dense, or `out`, and its (N, C, L) view, None where it has none."""
    plain = out is None and arrangement.order is None and dense.flags.c_contiguous
    if plain and dense.nbytes < LARGE:
        ncl = np.empty(x_ncl.shape, x_ncl.dtype)  # the view first, which costs less
        y = ncl.reshape(dense.shape)
        return (y if y.itemsize > 2 else y.view(dense.dtype)), ncl
    y = empty_like(dense) if out is None else out
    return y, arrangement.view(y)


def forward_checked(
    x, weight, bias, running_mean, running_var, num_batches_tracked,
    training, momentum, eps, channel_axis, out, residual=None, gate=OPEN,
):  # fmt: skip
    """batch_norm_forward for arguments that were checked; None as momentum is CUMULATIVE.

    The running statistics move last: whatever is raised, they are as they were.
    """
    dense, x_ncl, arrangement = arrange(x, channel_axis)
    y, y_ncl = output(dense, x_ncl, arrangement, out)
    stats = np.empty((3, x_ncl.shape[1]))
    if not x.size:
        stats[:2] = 0
        stats[2] = 1 / np.sqrt(eps) if eps > 0 else np.inf
        return y, stats
    target, moving = y_ncl, (running_mean, running_var, num_batches_tracked)
    if y_ncl is None:
        target = np.empty_like(x_ncl, subok=False, order="C")
        if training:  # the output is still to be copied, and statistics move last
            moving = None, None, None
    if residual is not None:
        residual = arrangement.gather(residual)
    mean, var, count = moving
    slope, most = gate
    threads, cache, stream = plan(x.size, x.itemsize)
    of[x.dtype].batch_forward(
        target, stats, mean, var, count, x_ncl, residual, weight, bias, eps, momentum, slope, most,
        training, threads, cache, stream,
    )  # fmt: skip
    if y_ncl is None:
        arrangement.scatter(target, y)
        if training:
            m = x.size // stats.shape[1]
            follow([Step(running_mean, running_var, num_batches_tracked, stats, m, momentum)])
    return y, stats


def backward_checked(
    dy, x, stats, weight, training, channel_axis, out, dtype, y=None, gate=OPEN, dresidual=None
):
    """batch_norm_backward for arguments that were checked."""
    channels = stats.shape[1]
    dense, x_ncl, arrangement = arrange(x, channel_axis)
    dx, dx_ncl = output(dense, x_ncl, arrangement, out)
    dweight, dbias = np.zeros(channels, dtype), np.zeros(channels, dtype)
    if not x.size:
        return dx, dweight, dbias
    if gate is OPEN or not training:
        # Past constant statistics nothing is summed that the gate's pass could be shared with.
        if gate is not OPEN:
            dy = gated(dy, y, gate)
        if dresidual is not None:
            dresidual[...] = dy
        y = dresidual = None
        if dy.itemsize > x.itemsize:  # sixteen bits, of which dx is rounded once
            wide, *sums = backward_checked(
                dy, widened(x), stats, weight, training, channel_axis, None, dtype
            )
            return round_to(dx, wide), *sums
    target = np.empty_like(x_ncl, subok=False, order="C") if dx_ncl is None else dx_ncl
    dz = dz_ncl = None if dresidual is None else arrangement.view(dresidual)
    if dresidual is not None and dz_ncl is None:
        dz = np.empty_like(x_ncl, subok=False, order="C")
    slope, most = gate
    threads, cache, stream = plan(x.size, x.itemsize)
    of[x.dtype].batch_backward(
        target, dz, dweight, dbias, arrangement.gather(dy), x_ncl,
        None if y is None else arrangement.gather(y), stats, weight, slope, most, training,
        threads, cache, stream,
    )  # fmt: skip
    if dx_ncl is None:
        arrangement.scatter(target, dx)
    if dresidual is not None and dz_ncl is None:
        arrangement.scatter(dz, dresidual)
    return dx, dweight, dbias
