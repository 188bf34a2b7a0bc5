"""The statistics of a batch without its output: `batch_norm_stats`.

What normalizes in two steps, since something is computed from the statistics first, takes these
and then `batch_norm_forward(..., training=False)` with mean and var: x is read twice and the output
written once, as in a training step. The kernel is that of training, without an output.
"""

from __future__ import annotations

import numpy as np

from ..kernels import normalize_training
from ..kernels.policy import plan
from ..layout import arrange
from ..validation import as_float_array, check_axis, check_eps, check_per_channel
from .batch import check_step
from .batch_checked import CUMULATIVE
from .gates import OPEN

__all__ = ["batch_norm_stats"]


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
    r"""mean, var and rstd of each channel of x, as `batch_norm_forward` computes them in training.

    Returns stats, (3, C) float64: mean, var (biased) and rstd = 1/sqrt(var + eps), to the bit those
    of `batch_norm_forward`. The running statistics move as they do there, each where it is given.
    Arguments and errors are the same, too; an empty x has the statistics 0, 0 and 1/sqrt(eps).

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
    dtype = check_per_channel(who, buffers, channels)
    check_eps(who, eps, True)
    fix = "pass a larger batch"
    check_step(who, x, channels, buffers, num_batches_tracked, momentum, fix)
    stats = np.zeros((3, channels))
    if x.size == 0:
        stats[2] = 1 / np.sqrt(eps)
        return stats
    _, x_ncl, _ = arrange(x, channel_axis)
    threads, cache, _ = plan(x.size, x.itemsize)
    normalize_training[x.dtype.char + dtype.char](
        None, stats, running_mean, running_var,
        None if num_batches_tracked is None else num_batches_tracked.reshape(1),
        x_ncl, None, None, None, eps, CUMULATIVE if momentum is None else momentum, *OPEN,
        threads, cache, False,
    )  # fmt: skip
    return stats
