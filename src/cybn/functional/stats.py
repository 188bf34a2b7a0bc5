"""The statistics of a batch without its output, `batch_norm_stats`, and the step that running
statistics take to them, `update_running`.

What normalizes in two steps, since something is computed from the statistics first, takes these
and then `batch_norm_apply`: x is read twice and the output written once, as in a training step. The
kernel is that of training, without an output. What has the statistics of several parts to merge
takes the moments of each (halves.py).

What decides after a batch was normalized whether it may move the running statistics leaves them out
of the forward, and calls `update_running` last.
"""

from __future__ import annotations

import numpy as np

from ..arrays.validation import (
    as_float_array,
    check_axis,
    check_count,
    check_eps,
    check_momentum,
    check_per_channel,
    check_stats,
    check_updatable,
)
from .batch_checked import statistics_checked
from .batch_checks import check_step
from .running import CUMULATIVE, Step, fits, follow

__all__ = ["batch_norm_stats", "update_running"]


def batch_norm_stats(
    x: np.ndarray,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    num_batches_tracked: np.ndarray | None = None,
    *,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    channel_axis: int = 1,
    who: str = "batch_norm_stats",
) -> np.ndarray:
    """Compute the statistics of each channel of x, as `batch_norm_forward` does in training.

    The running statistics move as they do there, each where it is given.

    Returns
    -------
    ndarray
        The statistics, (3, C) float64: mean, var (biased) and rstd = 1/sqrt(var + eps), to the bit
        those of `batch_norm_forward`. Those of an empty x are 0, 0 and 1/sqrt(eps).

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.batch_norm_stats(np.array([[0.0, 1.0], [2.0, 1.0]])).round(3)
    array([[  1.   ,   1.   ],
           [  1.   ,   0.   ],
           [  1.   , 316.228]])
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_axis(who, x, channel_axis)
    buffers = {"running_mean": running_mean, "running_var": running_var}
    check_per_channel(who, buffers, channels)
    check_eps(who, eps, True)
    fix = "pass a larger batch"
    check_step(who, x, channels, buffers, num_batches_tracked, momentum, fix)
    stats = np.zeros((3, channels))
    if x.size == 0:
        stats[2] = 1 / np.sqrt(eps)
        return stats
    statistics_checked(
        stats, x, channel_axis, eps, running_mean, running_var, num_batches_tracked,
        CUMULATIVE if momentum is None else momentum,
    )  # fmt: skip
    return stats


def update_running(
    stats: np.ndarray,
    m: int,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    num_batches_tracked: np.ndarray | None = None,
    *,
    momentum: float | None = 0.1,
    must_fit: bool = True,
    who: str = "update_running",
) -> int | None:
    r"""Move running statistics to those of a batch, all of them or none.

    They move in place, each where it is given, to the bit as `batch_norm_forward` moves them. All
    values are found and looked at before the first is written, and the GIL is held from the first
    to the last: threads lose no update, and an interrupt comes before or after.

    Parameters
    ----------
    stats
        What `batch_norm_forward` or `batch_norm_stats` returned, (3, C).
    m
        The values per channel that they are of, 2 or more.
    running_mean, running_var
        The running statistics, (C,), float32 or float64, both of one dtype; or None.
    num_batches_tracked
        The count of batches, int64, 0-D; or None.
    momentum
        The weight of this batch, 0 to 1, or None for 1/num_batches_tracked.
    must_fit
        Move nothing if the dtype of the arrays cannot hold the mean or the variance of the batch. A
        finite batch may have a variance that float32 cannot hold; else its largest number stands
        for it.
    who
        The name that errors begin with.

    Returns
    -------
    int or None
        The first channel that kept the statistics from moving; None where they have moved.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape, m or momentum out of range. Nothing has moved then.

    Notes
    -----
    .. math::

        running\_mean &\leftarrow running\_mean + momentum \cdot (mean - running\_mean)

        running\_var &\leftarrow running\_var
        + momentum \cdot \left(\frac{m}{m - 1} var - running\_var\right)

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[1.0, 1e20], [3.0, -1e20]], np.float32)
    >>> mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    >>> y, stats = functional.batch_norm_forward(x)
    >>> functional.update_running(stats, 2, mean, var)  # 2e40 is no float32
    1
    >>> mean, var
    (array([0., 0.], dtype=float32), array([1., 1.], dtype=float32))
    >>> functional.update_running(stats[:, :1], 2, mean[:1], var[:1])
    >>> mean[0], var[0]
    (np.float32(0.2), np.float32(1.1))
    """
    stats = np.asarray(stats)
    channels = stats.shape[1] if stats.ndim == 2 else 0
    buffers = {"running_mean": running_mean, "running_var": running_var}
    dtype = check_per_channel(who, buffers, channels)
    stats = check_stats(who, stats, channels)
    check_momentum(who, momentum)
    check_count(who, num_batches_tracked)
    check_updatable(who, {**buffers, "num_batches_tracked": num_batches_tracked})
    if m < 2:
        raise ValueError(f"{who} needs m >= 2, the values per channel, got {m}")
    if momentum is None and num_batches_tracked is None:
        raise ValueError(f"{who} with momentum=None needs num_batches_tracked to count the batches")
    if must_fit and momentum != 0:
        unfit = np.flatnonzero(~fits(stats, m, dtype, running_mean is None, running_var is None))
        if unfit.size:
            return int(unfit[0])
    moving = running_mean, running_var, num_batches_tracked
    follow([Step(*moving, stats, m, CUMULATIVE if momentum is None else momentum)])
    return None
