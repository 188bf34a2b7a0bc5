"""Group normalization: rows of channels within a sample."""

from __future__ import annotations

import numpy as np

from ..arrays.layout import group_rows
from ..arrays.validation import (
    as_float_array,
    check_axis,
    check_eps,
    check_groups,
    check_more_than_one,
    check_per_channel,
    check_stats,
    check_upstream,
)
from ..terms.kinds import PositiveInt, kind_of
from ._checked import gradient_checked, normalize_checked
from .batch_checks import check_again, check_output

__all__ = ["group_norm", "group_norm_backward", "group_norm_forward"]

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
    """Normalize each group of channels of a sample, as `torch.nn.functional.group_norm` does.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    return group_norm_forward(x, num_groups, weight, bias, eps, channel_axis=channel_axis, out=out)[
        0
    ]


def group_norm_forward(
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "group_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Normalize each group of channels of a sample, and return the statistics, too.

    Parameters
    ----------
    x
        The input, float16, bfloat16, float32 or float64, samples on axis 0, C channels on
        `channel_axis`; any strides.
    num_groups
        The number of groups of channels side by side, a divisor of C.
    weight, bias
        The scale and shift, (C,), float32 or float64, both of one dtype; or None.
    eps
        Added to the variance, more than 0.
    channel_axis
        The axis of the channels, not 0.
    out
        An array like x to write to; it may be x itself.
    residual
        What is added to the norm, of x's shape and dtype; or None.
    activation
        A function of the sum, in the same pass over memory, as `batch_norm_forward` has it; or
        None.
    negative_slope, alpha
        The slope of "leaky_relu" and the factor of "elu" below 0.
    who
        The name that errors begin with.

    Returns
    -------
    y : ndarray
        The output, of x's shape, dtype and memory order; `out` where it is given.
    stats : ndarray
        The mean, var (biased) and rstd of each sample's groups, in order; (3, N*num_groups)
        float64.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape that does not fit, for eps, for an `out` that cannot be written to, and for a
        single sample with one value per group.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    References
    ----------
    .. [1] Wu and He, Group Normalization, 2018 (arXiv 1803.08494).
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_samples(who, x, channel_axis)
    groups = _check_groups(who, channels, num_groups)
    arrays = {"weight": weight, "bias": bias}
    check_per_channel(who, arrays, channels)
    check_eps(who, eps, True)
    check_group_size(x, groups)
    after = residual, (activation, negative_slope, alpha)
    residual, gate = check_output(who, x, out, *after, weight, bias, {})
    rows = group_rows(x, groups, channel_axis)
    return normalize_checked(x, rows, weight, bias, eps, True, out, residual, gate)


def group_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    dresidual: np.ndarray | None = None,
    who: str = "group_norm",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Compute the gradients of `group_norm_forward`.

    Parameters
    ----------
    dy
        The gradient of y, of x's shape and dtype; any strides.
    x, num_groups, weight, channel_axis
        What the forward was given.
    stats
        What the forward returned.
    out
        An array like x to write dx to; it may be dy itself, and must not overlap x.
    bias, residual, activation, negative_slope, alpha
        What the forward was given; the first two are needed past an activation.
    dresidual
        An array like x for the gradient of the residual to be written to; or None.
    who
        The name that errors begin with.

    Returns
    -------
    dx : ndarray
        The gradient of x, of its shape, dtype and memory order; `out` where it is given.
    dweight, dbias : ndarray
        The gradients of weight and bias, (C,) of weight's dtype, float32 without weight.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape that does not fit, and for an `out` that cannot be written to.

    Notes
    -----
    With xhat = (x - mean)·rstd, g = dy·weight and the means over a group of one sample

    .. math::

        dweight &= \sum dy \cdot \hat{x} \qquad dbias = \sum dy

        dx &= rstd \cdot (g - \mathrm{mean}(g) - \hat{x} \cdot \mathrm{mean}(g \hat{x}))

    Examples
    --------
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
    after = bias, residual, (activation, negative_slope, alpha), dresidual
    return gradient_of_groups(dy, x, stats, groups, weight, channel_axis, out, who, after)


def gradient_of_groups(dy, x, stats, groups, weight, channel_axis, out, who, after):
    arrays = {"weight": weight, "bias": after[0]}
    dtype = check_per_channel(who, arrays, x.shape[channel_axis])
    rows = group_rows(x, groups, channel_axis)
    stats = check_stats(who, stats, rows.arrangement.shape[1])
    dy = check_upstream(who, dy, x, out, stats=stats, weight=weight)
    after = check_again(who, x, dy, out, stats, weight, *after)
    return gradient_checked(
        dy, x, rows, stats, weight, True, out, np.dtype(dtype), (True, True), *after
    )


def check_samples(who: str, x: np.ndarray, channel_axis: object) -> tuple[int, int]:
    """As check_axis; ValueError too for the axis of samples."""
    channel_axis, channels = check_axis(who, x, channel_axis)
    if channel_axis % x.ndim == 0:
        raise ValueError(f"{who} takes axis 0 for the samples, got channel_axis={channel_axis}")
    return channel_axis, channels


def check_group_size(x: np.ndarray, groups: int) -> None:
    """ValueError for one value per group. PyTorch lets it pass for more than one sample."""
    rows = len(x) * groups
    count = x.size // rows if rows else 0
    fix = "use fewer groups" if groups > 1 else "pass larger samples"
    check_more_than_one(x, count, "value per group", fix)


def _check_groups(who: str, channels: int, num_groups: int) -> int:
    groups = _COUNT.check(num_groups, f"{who}: num_groups")
    check_groups(who, channels, groups)
    return groups
