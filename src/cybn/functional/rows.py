r"""Layer and RMS normalization, and the walk over rows that every norm within a sample takes.

`layer_norm`, `rms_norm` and the norms in groups.py check what they are given, and say which rows;
what is done with those is in `_checked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..arrays.layout import Rows, channel_rows, trailing_rows
from ..arrays.validation import (
    as_float_array,
    as_int,
    check_channels,
    check_eps,
    check_normalized_shape,
    check_parameters,
    check_stats,
    check_upstream,
)
from ..terms.kinds import Sizes
from ._checked import gradient_checked, normalize_checked
from .batch_checks import check_again, check_output

__all__ = ["layer_norm", "layer_norm_backward", "layer_norm_forward"]

_SHAPE = Sizes()


def layer_norm(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Normalize each sample over its last axes, as `torch.nn.functional.layer_norm` does.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.layer_norm(np.array([[1.0, 2, 3, 4], [0, 0, 0, 8]]), 4).round(4)
    array([[-1.3416, -0.4472,  0.4472,  1.3416],
           [-0.5774, -0.5774, -0.5774,  1.7321]])
    """
    return layer_norm_forward(
        x, normalized_shape, weight, bias, eps, channel_axis=channel_axis, out=out
    )[0]


def layer_norm_forward(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
    out: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "layer_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Normalize each row of x, and return the statistics, too.

    A row is what lies on the last axes, at one index of the axes before them; or on `channel_axis`,
    at one index of the others.

    Parameters
    ----------
    x
        The input, float16, bfloat16, float32 or float64, with the axes `normalized_shape` at the
        end or on `channel_axis`; any strides. It is never modified.
    normalized_shape
        The sizes of those axes; an int is one axis.
    weight, bias
        The scale and shift, of `normalized_shape`, float32 or float64, both of one dtype; or None.
    eps
        Added to the variance, more than 0.
    channel_axis
        The axis that is normalized, if it is but one: 1 for the channels of (N, C, ...), which are
        not copied on the way.
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
        The mean, var (biased) and rstd = 1/sqrt(var + eps) of each row, in order; (3, rows)
        float64.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape that does not fit, for eps, and for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    References
    ----------
    .. [1] Ba, Kiros and Hinton, Layer Normalization, 2016 (arXiv 1607.06450).
    """
    after = residual, (activation, negative_slope, alpha)
    return rows_forward(x, normalized_shape, weight, bias, eps, True, channel_axis, out, who, after)


def layer_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    *,
    channel_axis: int = -1,
    out: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    dresidual: np.ndarray | None = None,
    who: str = "layer_norm",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Compute the gradients of `layer_norm_forward`.

    Parameters
    ----------
    dy
        The gradient of y, of x's shape and dtype; any strides.
    x, normalized_shape, weight, channel_axis
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
        The gradients of weight and bias, of `normalized_shape` and weight's dtype, float32 without
        weight.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape that does not fit, and for an `out` that cannot be written to.

    Notes
    -----
    With xhat = (x - mean)·rstd, g = dy·weight and the means over a row

    .. math::

        dweight &= \sum dy \cdot \hat{x} \qquad dbias = \sum dy \qquad \text{over the rows}

        dx &= rstd \cdot (g - \mathrm{mean}(g) - \hat{x} \cdot \mathrm{mean}(g \hat{x}))

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[0.0, 2.0, 4.0]])
    >>> y, stats = functional.layer_norm_forward(x, 3, eps=1e-9)
    >>> dx, dweight, dbias = functional.layer_norm_backward(np.array([[1.0, 0, 0]]), x, stats, 3)
    >>> dx.round(4), dbias
    (array([[ 0.1021, -0.2041,  0.1021]]), array([1., 0., 0.], dtype=float32))
    """
    after = bias, residual, (activation, negative_slope, alpha), dresidual
    return rows_backward(
        dy, x, stats, normalized_shape, weight, True, channel_axis, out, who, after
    )


def rows_forward(x, normalized_shape, weight, bias, eps, centred, channel_axis, out, who, after):
    x = as_float_array(who, "x", x)
    shape = _SHAPE.check(normalized_shape, f"{who}: normalized_shape")
    rows = rows_in(who, x, shape, channel_axis)
    arrays = {"weight": weight, "bias": bias}
    check_parameters(who, arrays, shape, "the normalized_shape")
    check_eps(who, eps, True)
    residual, gate = check_output(who, x, out, *after, weight, bias, {})
    return normalize_checked(x, rows, weight, bias, eps, centred, out, residual, gate)


def rows_backward(dy, x, stats, normalized_shape, weight, centred, channel_axis, out, who, after):
    x = as_float_array(who, "x", x)
    shape = _SHAPE.check(normalized_shape, f"{who}: normalized_shape")
    rows = rows_in(who, x, shape, channel_axis)
    arrays = {"weight": weight, "bias": after[0]}
    dtype = check_parameters(who, arrays, shape, "the normalized_shape")
    stats = check_stats(who, stats, x.size // prod(shape))
    dy = check_upstream(who, dy, x, out, stats=stats, weight=weight)
    after = check_again(who, x, dy, out, stats, weight, *after)
    dx, *grads = gradient_checked(
        dy, x, rows, stats, weight, centred, out, np.dtype(dtype), (True, True), *after
    )
    return dx, *(a.reshape(shape) for a in grads)


def rows_in(who: str, x: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> Rows:
    """How the rows of x lie; ValueError for a shape or axis that does not fit."""
    axis = as_int(who, "channel_axis", channel_axis)
    if axis == -1:
        check_normalized_shape(who, x, shape)
        return trailing_rows(x, len(shape))
    if len(shape) != 1:
        raise ValueError(
            f"{who}: channel_axis={channel_axis} goes with a normalized_shape of one axis, the "
            f"number of channels, got {shape}; leave channel_axis out to normalize the last axes"
        )
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"{who} expects {shape[0]} channels on axis {axis}, got {x.ndim}-D {x.shape}; pass an "
            f"array that has this axis, or channel_axis=-1 for the last one"
        )
    check_channels(who, x, shape[0], axis, "normalized_shape={}")
    return channel_rows(x, axis)
