"""Instance normalization: channels of a sample, each by itself.

It is group normalization with a group to each channel, but for its running statistics. In
evaluation with those it is batch normalization, and taken from there.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays.layout import group_rows
from ..arrays.validation import (
    as_float_array,
    check_eps,
    check_momentum,
    check_more_than_one,
    check_per_channel,
    check_updatable,
)
from ._checked import normalize_checked
from .batch import batch_norm_backward, batch_norm_forward
from .batch_checks import check_output
from .groups import check_samples, gradient_of_groups
from .running import Step, follow

__all__ = ["instance_norm", "instance_norm_backward", "instance_norm_forward"]


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
    """Normalize each channel of each sample, as `torch.nn.functional.instance_norm` does.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.instance_norm(np.array([[[1.0, 3.0]], [[10.0, 30.0]]])).round(3).ravel()
    array([-1.,  1., -1.,  1.])
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
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "instance_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Normalize each channel of each sample, and return the statistics, too.

    Parameters
    ----------
    running_mean, running_var
        The running statistics, (C,), or None. With `use_input_stats` they are moved in place.
    use_input_stats
        Normalize by the moments of x, else by the running statistics.
    momentum
        The weight of this batch in the running statistics, 0 to 1.
    eps
        Added to the variance; more than 0 with `use_input_stats`.
    activation
        A function of the norm, in the same pass over memory, as `batch_norm_forward` has it; or
        None.
    negative_slope, alpha
        The slope of "leaky_relu" and the factor of "elu" below 0.

    Returns
    -------
    y : ndarray
        The output, of x's shape, dtype and memory order; `out` where it is given.
    stats : ndarray
        The mean, var (biased) and rstd, float64: (3, N*C) of each sample's channels, in order; (3,
        C) without `use_input_stats`.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape, eps or momentum out of range, an `out` that cannot be written to, and one value
        per channel of a sample with `use_input_stats`. Nothing has been changed then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    With n values in a channel of a sample the running statistics follow the means over the samples,

    .. math:: running\_mean \leftarrow running\_mean + momentum \cdot (mean - running\_mean)

    and running_var those of var·n/(n-1).

    References
    ----------
    .. [1] Ulyanov, Vedaldi and Lempitsky, Instance Normalization: The Missing Ingredient for Fast
       Stylization, 2016 (arXiv 1607.08022).
    """
    buffers = {"running_mean": running_mean, "running_var": running_var}
    if not use_input_stats:
        return batch_norm_forward(
            x, weight, bias, running_mean, running_var, training=False, eps=eps,
            channel_axis=channel_axis, out=out, activation=activation,
            negative_slope=negative_slope, alpha=alpha, who=who,
        )  # fmt: skip
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    check_per_channel(who, {"weight": weight, "bias": bias, **buffers}, channels)
    check_eps(who, eps, True)
    check_momentum(who, momentum)
    check_updatable(who, buffers)
    check_instance_size(x, channel_axis)
    after = activation, negative_slope, alpha
    _, gate = check_output(who, x, out, None, after, weight, bias, buffers)
    rows = group_rows(x, channels, channel_axis)
    y, stats = normalize_checked(x, rows, weight, bias, eps, True, out, None, gate)
    follow_samples(stats, x.size, channels, running_mean, running_var, momentum or 0.0)
    return y, stats


def follow_samples(stats, size, channels, running_mean, running_var, momentum):
    """Move running statistics by the means of those of each sample, of an x of so many items."""
    if size and momentum:
        n, samples = size // stats.shape[1], stats.shape[1] // channels
        of_samples = np.add.reduce(stats.reshape(3, samples, channels), 1) / samples
        follow([Step(running_mean, running_var, None, of_samples, n, momentum)])


def instance_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    use_input_stats: bool = True,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    y: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "instance_norm",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of `instance_norm_forward`.

    They are those of `group_norm_backward` with C groups; without `use_input_stats` those of
    `batch_norm_backward` in evaluation.

    Parameters
    ----------
    x, weight, use_input_stats, channel_axis, activation, negative_slope, alpha
        What the forward was given.
    y
        What the forward returned; needed without `use_input_stats` where it had a gate, as
        `batch_norm_backward` says.
    bias
        What the forward was given; needed past an activation.
    """
    if not use_input_stats:
        return batch_norm_backward(
            dy, x, stats, weight, training=False, channel_axis=channel_axis, out=out, y=y,
            activation=activation, negative_slope=negative_slope, alpha=alpha, bias=bias, who=who,
        )  # fmt: skip
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    after = bias, None, (activation, negative_slope, alpha), None
    return gradient_of_groups(dy, x, stats, channels, weight, channel_axis, out, who, after)


def check_instance_size(x: np.ndarray, channel_axis: int, training: bool = True) -> None:
    """ValueError where a channel of a sample has a single value."""
    axis = channel_axis % x.ndim
    count = prod(n for i, n in enumerate(x.shape) if i not in (0, axis))
    what = "spatial element when training" if training else "spatial element"
    check_more_than_one(x, count, what, "pass larger samples")
