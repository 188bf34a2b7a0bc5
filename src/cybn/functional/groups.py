r"""Group and instance normalization: rows of channels within a sample.

Instance normalization is group normalization with a group to each channel, but for its running
statistics. In evaluation with those it is batch normalization, and taken from there.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..kinds import PositiveInt, kind_of
from ..layout import group_rows
from ..validation import (
    as_float_array,
    check_axis,
    check_eps,
    check_groups,
    check_momentum,
    check_more_than_one,
    check_out,
    check_per_channel,
    check_stats,
    check_updatable,
    check_upstream,
)
from .batch import batch_norm_backward, batch_norm_forward
from .rows import gradient_checked, normalize_checked
from .running import Step, follow

__all__ = [
    "group_norm",
    "group_norm_backward",
    "group_norm_forward",
    "instance_norm",
    "instance_norm_backward",
    "instance_norm_forward",
]

_COUNT = kind_of(PositiveInt)


def group_norm(
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    r"""Normalize each group of channels of a sample, as `torch.nn.functional.group_norm` does.

    Returns y of x's shape, dtype and memory order. Errors are those of `group_norm_forward`.

    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    return group_norm_forward(
        x, num_groups, weight, bias, eps, channel_axis=channel_axis, out=out
    )[0]


def group_norm_forward(
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    who: str = "group_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""y = (x - mean) / sqrt(var + eps) * weight + bias, and the statistics it used.

    mean and var (biased) are those of C/num_groups channels side by side, of one sample. From Wu
    and He, Group Normalization, 2018 (arXiv 1803.08494).

    Parameters
    ----------
    x: float32 or float64, samples on axis 0, C channels on `channel_axis`; any strides.
    num_groups: a divisor of C.
    weight, bias: (C,), float32 or float64, both of one dtype; or None.
    eps: added to the variance, > 0.
    channel_axis: the axis of the channels, not 0.
    out: an array like x to write y to; may be x itself.
    who: the name that errors begin with.

    Returns
    -------
    y: of x's shape, dtype and memory order; `out` where it is given.
    stats: (3, N*num_groups) float64: mean, var and rstd of each sample's groups, in order.

    Raises TypeError for dtypes, ValueError for shapes, eps, an unusable out, and a single sample
    with one value per group.
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    groups = _check_groups(who, channels, num_groups)
    arrays = {"weight": weight, "bias": bias}
    dtype = check_per_channel(who, arrays, channels)
    check_eps(who, eps, True)
    check_group_size(x, groups)
    if out is not None:
        check_out(who, out, x, **arrays)
    rows = group_rows(x, groups, channel_axis)
    return normalize_checked(x, rows, weight, bias, eps, True, out, dtype.char)


def group_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    who: str = "group_norm",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The gradients of group_norm_forward.

    With xhat = (x - mean)*rstd, g = dy*weight and the means over a group of one sample,

        dweight = Σ dy * xhat        dbias = Σ dy        over all axes but the channels
        dx      = rstd * (g - mean(g) - xhat * mean(g * xhat))

    Parameters
    ----------
    dy: the gradient of y, of x's shape and dtype; any strides.
    x, num_groups, weight, channel_axis: what the forward was given.
    stats: what the forward returned.
    out: an array like x to write dx to; may be dy itself; must not overlap x.
    who: the name that errors begin with.

    Returns
    -------
    dx: of x's shape, dtype and memory order; `out` where it is given.
    dweight, dbias: (C,) of weight's dtype, float32 without weight.

    Raises TypeError for dtypes, ValueError for shapes and an unusable out.

    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[0.0, 2.0, 4.0, 1.0, 1.0, 1.0]])
    >>> y, stats = functional.group_norm_forward(x, 2, eps=1e-9)
    >>> dx, dweight, dbias = functional.group_norm_backward(np.eye(1, 6), x, stats, 2)
    >>> dx.round(4)
    array([[ 0.1021, -0.2041,  0.1021,  0.    ,  0.    ,  0.    ]])
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    groups = _check_groups(who, channels, num_groups)
    return _backward(dy, x, stats, groups, weight, channel_axis, out, who)


def instance_norm(
    x: np.ndarray,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    r"""Normalize each channel of each sample, as `torch.nn.functional.instance_norm` does.

    With use_input_stats by the moments of x, which also move `running_mean` and `running_var` in
    place where they are given; else by the running statistics.

    Returns y of x's shape, dtype and memory order. Errors are those of `instance_norm_forward`.

    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.instance_norm(np.array([[[1.0, 3.0]], [[10.0, 30.0]]])).round(3)
    array([[[-1.,  1.]],
    <BLANKLINE>
           [[-1.,  1.]]])
    """
    return instance_norm_forward(
        x, weight, bias, running_mean, running_var, use_input_stats=use_input_stats,
        momentum=momentum, eps=eps, channel_axis=channel_axis, out=out,
    )[0]  # fmt: skip


def instance_norm_forward(
    x: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    *,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    who: str = "instance_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""y = (x - mean) / sqrt(var + eps) * weight + bias, and the statistics it used.

    mean and var (biased) are those of one channel of one sample, n values. They move the running
    statistics, where given, in place, by their means over the samples:

        running_mean += momentum * (Σ mean / N           - running_mean)
        running_var  += momentum * (Σ var / N * n/(n-1)  - running_var)

    Without use_input_stats mean and var are the running ones. From Ulyanov, Vedaldi and Lempitsky,
    Instance Normalization: The Missing Ingredient for Fast Stylization, 2016 (arXiv 1607.08022).

    Parameters
    ----------
    x: float32 or float64, samples on axis 0, C channels on `channel_axis`; any strides.
    weight, bias, running_mean, running_var: (C,), float32 or float64, all of one dtype; or None.
    momentum: the weight of this batch, 0 to 1.
    eps: added to the variance; > 0 with use_input_stats.
    channel_axis: the axis of the channels, not 0.
    out: an array like x to write y to; may be x itself.
    who: the name that errors begin with.

    Returns
    -------
    y: of x's shape, dtype and memory order; `out` where it is given.
    stats: float64, mean, var and rstd: (3, N*C) of each sample's channels, in order; (3, C) without
        use_input_stats.

    Raises TypeError for dtypes, ValueError for shapes, eps or momentum out of range, an unusable
    out, and one value per channel of a sample with use_input_stats. Nothing has been changed then.
    """
    buffers = {"running_mean": running_mean, "running_var": running_var}
    if not use_input_stats:
        return batch_norm_forward(
            x, weight, bias, running_mean, running_var, training=False, eps=eps,
            channel_axis=channel_axis, out=out, who=who,
        )  # fmt: skip
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    dtype = check_per_channel(who, {"weight": weight, "bias": bias, **buffers}, channels)
    check_eps(who, eps, True)
    check_momentum(who, momentum)
    check_updatable(who, buffers)
    check_instance_size(x, channel_axis)
    if out is not None:
        check_out(who, out, x, weight=weight, bias=bias, **buffers)
    return instance_checked(
        x, weight, bias, running_mean, running_var, momentum or 0.0, eps, channel_axis, out,
        dtype.char,
    )  # fmt: skip


def instance_checked(
    x, weight, bias, running_mean, running_var, momentum, eps, channel_axis, out, parameter_char
):  # fmt: skip
    """instance_norm_forward with use_input_stats, for arguments that were checked."""
    channels = x.shape[channel_axis]
    rows = group_rows(x, channels, channel_axis)
    y, stats = normalize_checked(x, rows, weight, bias, eps, True, out, parameter_char)
    if x.size and momentum:
        of_samples = stats.reshape(3, -1, channels).mean(1)
        n = x.size // stats.shape[1]
        follow([Step(running_mean, running_var, None, of_samples, n, momentum)])
    return y, stats


def instance_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    use_input_stats: bool = True,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    who: str = "instance_norm",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The gradients of instance_norm_forward: those of `group_norm_backward` with C groups.

    Without use_input_stats those of `batch_norm_backward` in evaluation.
    """
    if not use_input_stats:
        return batch_norm_backward(
            dy, x, stats, weight, training=False, channel_axis=channel_axis, out=out, who=who
        )
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    return _backward(dy, x, stats, channels, weight, channel_axis, out, who)


def _backward(dy, x, stats, groups, weight, channel_axis, out, who):
    dtype = check_per_channel(who, {"weight": weight}, x.shape[channel_axis])
    rows = group_rows(x, groups, channel_axis)
    stats = check_stats(who, stats, rows.arrangement.shape[1])
    dy = check_upstream(who, dy, x, out, stats=stats, weight=weight)
    return gradient_checked(dy, x, rows, stats, weight, True, out, np.dtype(dtype))


def check_samples(who: str, x: np.ndarray, channel_axis: object) -> tuple[int, int]:
    """As check_axis; ValueError too for the axis of samples."""
    channel_axis, channels = check_axis(who, x, channel_axis)
    if channel_axis % x.ndim == 0:
        raise ValueError(f"{who} takes axis 0 for the samples, got channel_axis={channel_axis}")
    return channel_axis, channels


def check_group_size(x: np.ndarray, groups: int) -> None:
    """ValueError for one value per group. PyTorch lets it pass for more than one sample."""
    count = x.size // (len(x) * groups) if len(x) else 0
    fix = "use fewer groups" if groups > 1 else "pass larger samples"
    check_more_than_one(x, count, "value per group", fix)


def check_instance_size(x: np.ndarray, channel_axis: int, training: bool = True) -> None:
    """ValueError where a channel of a sample has a single value."""
    axis = channel_axis % x.ndim
    count = prod(n for i, n in enumerate(x.shape) if i not in (0, axis))
    what = "spatial element when training" if training else "spatial element"
    check_more_than_one(x, count, what, "pass larger samples")


def _check_groups(who: str, channels: int, num_groups: int) -> int:
    groups = _COUNT.check(num_groups, f"{who}: num_groups")
    check_groups(who, channels, groups)
    return groups
