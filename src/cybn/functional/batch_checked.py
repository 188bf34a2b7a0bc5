"""Halves of batch normalization, and its statistics, of arguments that were checked.

The functions that check them come here; a whole forward and backward is in `_checked`.
"""

from __future__ import annotations

import numpy as np

from ..arrays.layout import arrange
from ..kernels import of
from ..kernels.policy import plan
from .gates import OPEN


def statistics_checked(
    stats, x, channel_axis, eps, running_mean, running_var, num_batches_tracked, momentum
):
    """OUT stats: what forward_checked would have in training, without an output; x has values.

    (3, C); or (6, C) with the sums that parts are merged from (moments.py).
    """
    dense, arrangement = arrange(x, channel_axis)
    x_ncl = arrangement.gather(dense)
    threads, cache, _ = plan(x.size, x.itemsize)
    of[x.dtype].batch_forward(
        None, stats, running_mean, running_var, num_batches_tracked, x_ncl, None, None, None, eps,
        momentum, *OPEN, True, threads, cache, False,
    )  # fmt: skip


def sums_checked(x, channel_axis):
    """The shift, and total and squares about it, of each channel, (3, C); x has values."""
    stats = np.empty((6, x.shape[channel_axis]))
    statistics_checked(stats, x, channel_axis, 0.0, None, None, None, 0.0)
    return stats[3:]


def output_checked(x, stats, count, weight, bias, channel_axis, out, residual, gate):
    """batch_norm_apply for arguments that were checked; stats (3, C), or (6, C) with sums."""
    dense, arrangement = arrange(x, channel_axis)
    x_ncl, y, y_ncl = arrangement.with_output(dense, out)
    if not x.size:
        return y
    target = np.empty_like(x_ncl, subok=False, order="C") if y_ncl is None else y_ncl
    residual = None if residual is None else arrangement.gather(residual)
    threads, cache, stream = plan(x.size, x.itemsize, once=True)
    of[x.dtype].batch_output(
        target, stats, x_ncl, residual, weight, bias, count, *gate, threads, cache, stream
    )
    if y_ncl is None:
        arrangement.scatter(target, y)
    return y


def products_checked(dy, x, stats, channel_axis, y, gate):
    """batch_norm_backward_reduce for arguments that were checked."""
    sums = np.zeros((2, stats.shape[1]))
    if x.size:
        dense, arrangement = arrange(x, channel_axis)
        x_ncl = arrangement.gather(dense)
        y = None if gate is OPEN else arrangement.gather(y)
        threads, cache, _ = plan(x.size, x.itemsize)
        dy_ncl = arrangement.gather(dy)
        of[x.dtype].batch_sums(sums, dy_ncl, x_ncl, y, stats, *gate[:2], threads, cache)
    return sums
