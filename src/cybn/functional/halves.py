r"""Batch normalization in halves: what parts of a batch say of themselves, and what follows.

Whoever has a part of a batch (a process, a chunk of what fits no memory, a domain) takes its
moments, `batch_norm_moments`, and has them merged with those of the others, `merge_moments`; then
`batch_norm_apply` gives the output of the part. Back again, `batch_norm_backward_reduce` gives two
sums per channel; those of all parts are added up, and `batch_norm_backward_apply` gives dx. What
goes from part to part are a count and three numbers per channel, and then two.

The whole batch as its only part gives the bits of `batch_norm_forward` and `batch_norm_backward`,
but for channels whose gradient is computed in double (kernels/doubt.pxi), since the mean of dy is
far beyond its deviations or something is beyond the range of its dtype, and but for a variance that
float64 does not hold. Those are within rounding, that of dy as it is: `batch_norm_backward` takes
the mean of dy off before it multiplies, which no part knows.

Rejected: the mean and the variance of a part in float64, which are not enough to merge float64 data
by (moments.py); the sums of a backward about the mean of dy in the part, which would be twice as
many numbers; a count for each channel, since parts have rows of all channels.
"""

from __future__ import annotations

import numpy as np

from ..arrays.outputs import empty_like
from ..arrays.validation import (
    as_float_array,
    as_int,
    check_axis,
    check_eps,
    check_per_channel,
    check_stats,
)
from ._checked import backward_checked
from .batch_checked import output_checked, products_checked, sums_checked
from .batch_checks import check_backward, check_output, check_sums, past_curve, valid_parts
from .masks import check_mask, pick, put
from .moments import Moments

__all__ = [
    "batch_norm_apply",
    "batch_norm_backward_apply",
    "batch_norm_backward_reduce",
    "batch_norm_moments",
]


def batch_norm_moments(
    x: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    channel_axis: int = 1,
    who: str = "batch_norm_moments",
) -> Moments:
    r"""Compute the moments of each channel of x, a part of a batch, for `merge_moments`.

    They are summed as in `batch_norm_forward`, in the dtype of x where that is good enough; see
    `Moments.add` for data of any dtype in float64. The part may be empty, by its shape or its mask,
    or have one value per channel.

    Parameters
    ----------
    mask
        Which positions are data, bool, of x's shape without the channels or of its first axes; None
        for all.

    Returns
    -------
    Moments
        The count of values per channel, and of each channel the sums that its mean and variance
        follow from.

    Raises
    ------
    TypeError
        For a dtype other than that of floats, and for a mask that is not bool.
    ValueError
        For an axis that x has not, and for a mask of another shape.

    Notes
    -----
    With the shift a value of the channel, or near its mean,

    .. math::

        total &= \sum (x - shift) \qquad squares = \sum (x - shift)^2

        mean &= shift + \frac{total}{count} \qquad
        var = \frac{1}{count} \left(squares - \frac{total^2}{count}\right)

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> moments = functional.batch_norm_moments(np.array([[1e8], [1e8 + 1], [1e8 + 5]]))
    >>> moments.count, moments.mean - 1e8, moments.var().round(6)
    (3, array([2.]), array([4.666667]))
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_axis(who, x, channel_axis)
    if mask is not None:
        x, channel_axis = pick(x, check_mask(who, mask, x, channel_axis), channel_axis), 1
    if not x.size:
        return Moments(channels)
    return Moments.of_sums(x.size // channels, sums_checked(x, channel_axis))


def batch_norm_apply(
    x: np.ndarray,
    moments: Moments | np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    eps: float = 1e-5,
    mask: np.ndarray | None = None,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "batch_norm_apply",
) -> np.ndarray:
    r"""Normalize each channel of x, a part of a batch, by the moments of the whole.

    Parameters
    ----------
    moments
        Those of the whole, from `merge_moments`; or a mean and an rstd as they are, in the rows 0
        and 2 of stats, (3, C) float64, as `batch_norm_forward` returns them.
    eps
        Added to the variance of moments, more than 0; stats have it in their rstd.
    mask
        Which positions are data, bool, of x's shape without the channels or of its first axes; None
        for all. The others come out as 0.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given.

    Raises
    ------
    TypeError
        For a dtype other than that of floats, and mixed ones among the parameters.
    ValueError
        For a shape or eps out of range, moments of no values where x has some, an `out` that is
        read-only or overlaps x in part. Nothing has been changed then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    Then residual and activation follow, as in `batch_norm_forward`. A mean or rstd that is NaN
    makes its channel NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> parts = np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])
    >>> whole = functional.merge_moments(map(functional.batch_norm_moments, parts))
    >>> [functional.batch_norm_apply(part, whole).ravel().round(4) for part in parts]
    [array([-1.3416, -0.4472]), array([0.4472, 1.3416])]
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_axis(who, x, channel_axis)
    check_per_channel(who, {"weight": weight, "bias": bias}, channels)
    given = {}
    if isinstance(moments, Moments):
        check_eps(who, eps, True)
        if moments.channels != channels:
            raise ValueError(
                f"{who} needs moments of {channels} channels, as x {x.shape} has, "
                f"got {moments.channels}"
            )
        if not moments.count and x.size:
            raise ValueError(
                f"{who} got moments of no values for x {x.shape}; merge those of all parts, x too"
            )
        stats, count = moments._with_sums(eps), moments.count
    else:
        stats, count = check_stats(who, moments, channels), 1
        given = {"moments": moments}
    residual, gate = check_output(
        who, x, out, residual, (activation, negative_slope, alpha), weight, bias, given
    )
    if mask is None:
        return output_checked(x, stats, count, weight, bias, channel_axis, out, residual, gate)
    mask = check_mask(who, mask, x, channel_axis)
    valid = pick(x, mask, channel_axis)
    residual = None if residual is None else pick(residual, mask, channel_axis)
    y = output_checked(valid, stats, count, weight, bias, 1, None, residual, gate)
    return put(y, mask, empty_like(x) if out is None else out, channel_axis)


def batch_norm_backward_reduce(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    channel_axis: int = 1,
    y: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    who: str = "batch_norm_backward_reduce",
) -> np.ndarray:
    r"""Sum dy and dy·xhat over a part of a batch, for `batch_norm_backward_apply`.

    Parameters
    ----------
    x, mask, channel_axis, activation, negative_slope, alpha, weight, bias, residual
        What `batch_norm_apply` was given.
    stats
        Those of the whole, (3, C) float64: `Moments.stats(eps)`, or what `batch_norm_apply` was
        given as moments.
    y
        What `batch_norm_apply` returned; needed where it had an activation, by whose slope dy is
        multiplied.

    Returns
    -------
    ndarray
        The sums, (2, C) float64, zeros of an empty part. Added up over the parts they are those of
        the whole. Those of the part itself are the gradients of bias and weight.

    Notes
    -----
    .. math:: sums_0 = \sum dy \qquad sums_1 = \sum dy \cdot \hat{x} \qquad
        \hat{x} = (x - \mathrm{mean}) \cdot rstd

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x, dy = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [0.0], [0.0]])
    >>> stats = functional.batch_norm_moments(x).stats(eps=1e-9)
    >>> functional.batch_norm_backward_reduce(dy[:1], x[:1], stats).round(4)
    array([[ 1.    ],
           [-1.2247]])
    """
    back = check_backward(
        who, dy, x, stats, channel_axis, y, (activation, negative_slope, alpha), None, None, weight,
        bias, residual,
    )  # fmt: skip
    back = past_curve(back, weight, bias)
    dy, x, y, axis, _ = valid_parts(who, back, mask)
    return products_checked(dy, x, back.stats, axis, y, back.gate)


def batch_norm_backward_apply(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    sums: np.ndarray,
    count: int,
    weight: np.ndarray | None = None,
    *,
    mask: np.ndarray | None = None,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    y: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    dresidual: np.ndarray | None = None,
    who: str = "batch_norm_backward_apply",
) -> np.ndarray:
    r"""Compute dx of a part of a batch from the sums of the whole.

    Parameters
    ----------
    x, weight, bias, residual, mask, channel_axis, activation, negative_slope, alpha
        What `batch_norm_apply` was given.
    stats
        What `batch_norm_backward_reduce` was given.
    sums
        What that returned, added up over all parts, (2, C) float64.
    count
        The values per channel of all parts, those of this one at the least.

    Returns
    -------
    ndarray
        The gradient dx, of x's shape, dtype and memory order, 0 where the mask is False; `out`
        where it is given.

    Raises
    ------
    TypeError
        For a dtype, and a count that is no int.
    ValueError
        For a shape that does not fit, a count below that of x, and an `out` that cannot be written
        to. Nothing has been changed then.

    Notes
    -----
    .. math:: dx = weight \cdot rstd \cdot \left(dy - \frac{sums_0}{count}
        - \hat{x} \frac{sums_1}{count}\right)

    NaN in the sums makes its channel NaN, and no other.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x, dy = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [0.0], [0.0]])
    >>> stats = functional.batch_norm_moments(x).stats(eps=1e-9)
    >>> parts = [(dy[:1], x[:1]), (dy[1:], x[1:])]
    >>> sums = sum(functional.batch_norm_backward_reduce(*part, stats) for part in parts)
    >>> [functional.batch_norm_backward_apply(*part, stats, sums, 3).ravel().round(4)
    ...  for part in parts]
    [array([0.1021]), array([-0.2041,  0.1021])]
    """
    back = check_backward(
        who, dy, x, stats, channel_axis, y, (activation, negative_slope, alpha), out, dresidual,
        weight, bias, residual,
    )  # fmt: skip
    back = past_curve(back, weight, bias)
    channels = back.stats.shape[1]
    sums = check_sums(who, sums, channels)
    dy, valid, y, axis, mask = valid_parts(who, back, mask)
    n, count = valid.size // max(channels, 1), as_int(who, "count", count)
    if count < n:
        raise ValueError(
            f"{who} needs the count of the whole, {n} or more as x has {n} values per channel, "
            f"got {count}"
        )
    sums = sums * (n / count if count else 1.0)  # their means are what the kernel goes by
    dz = dresidual if mask is None or dresidual is None else np.empty_like(valid)
    dx = backward_checked(
        dy, valid, back.stats, weight, True, axis, out if mask is None else None,
        np.dtype(np.float64), y, back.gate, dz, sums,
    )[0]  # fmt: skip
    if mask is None:
        return dx
    if dresidual is not None:
        put(dz, mask, dresidual, channel_axis)
    return put(dx, mask, empty_like(back.x) if out is None else out, channel_axis)
