r"""The norms of a sample by itself in NumPy: layer, RMS, group and instance normalization.

A row is what one mean and variance are taken of; every norm here is `normalize_row` on its rows, as
(..., n), and weight and bias on top. Computed and returned in float64.

Ba, Kiros and Hinton, Layer Normalization, 2016; Zhang and Sennrich, Root Mean Square Layer
Normalization, 2019; Wu and He, Group Normalization, 2018; Ulyanov, Vedaldi and Lempitsky, Instance
Normalization, 2016.

>>> import numpy as np
>>> layer_norm(np.array([[1.0, 2.0, 3.0, 4.0]]), 4, eps=0).round(4)
array([[-1.3416, -0.4472,  0.4472,  1.3416]])
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

__all__ = [
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "normalize_row",
    "normalize_row_backward",
    "rms_norm",
    "rms_norm_backward",
    "row_moments",
    "update_running_instances",
]


def row_moments(x: np.ndarray, centred: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean = Σx/n and var = Σ(x - mean)²/n of each row of x, (..., n).

    Two passes; the sum of the deviations, zero but for rounding, corrects the second.

    Returns
    -------
    tuple of ndarray
        The moments mean and var, (...); the mean is 0 if rows are not centred.
    """
    x = np.asarray(x, np.float64)
    if not centred:
        return np.zeros(x.shape[:-1]), (x**2).mean(-1)
    mean = x.mean(-1)
    away = x - mean[..., None]
    left = away.mean(-1)
    return mean + left, np.maximum((away**2).mean(-1) - left**2, 0)


def normalize_row(x: np.ndarray, eps: float, centred: bool = True) -> np.ndarray:
    """Compute xhat = (x - mean) / sqrt(var + eps) of each row of x, (..., n).

    Returns
    -------
    ndarray
        The normalized x.
    """
    mean, var = row_moments(x, centred)
    return (np.asarray(x, np.float64) - mean[..., None]) / np.sqrt(var + eps)[..., None]


def normalize_row_backward(
    g: np.ndarray, x: np.ndarray, eps: float, centred: bool = True
) -> np.ndarray:
    """Compute dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) of each row.

    mean(g) is what goes through the mean of x, and is missing where that is not subtracted.

    Parameters
    ----------
    g
        The gradient of xhat.

    Returns
    -------
    ndarray
        The gradient of x.
    """
    _, var = row_moments(x, centred)
    xhat = normalize_row(x, eps, centred)
    through_mean = g.mean(-1, keepdims=True) if centred else 0
    along = (g * xhat).mean(-1, keepdims=True)
    return (g - through_mean - xhat * along) / np.sqrt(var + eps)[..., None]


def layer_norm(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    eps: float = 1e-5,
    channel_axis: int = -1,
) -> np.ndarray:
    """Compute y = weight * xhat + bias, a row being the last axes, or the axis of the channels.

    Returns
    -------
    ndarray
        The output, of x's shape.
    """
    x = np.moveaxis(x, channel_axis, -1)
    y = _layer(x, normalized_shape, eps, True) * weight + bias
    return np.moveaxis(y, -1, channel_axis)


def layer_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | float = 1.0,
    eps: float = 1e-5,
    channel_axis: int = -1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of `layer_norm`: dweight = Σdy·xhat, dbias = Σdy over the rows, and dx.

    Returns
    -------
    tuple of ndarray
        The gradients dx, dweight and dbias: dx of x's shape, the others of `normalized_shape`.
    """
    dy, x = np.moveaxis(dy, channel_axis, -1), np.moveaxis(x, channel_axis, -1)
    dx, dweight, dbias = _layer_backward(dy, x, normalized_shape, weight, eps, True)
    return np.moveaxis(dx, -1, channel_axis), dweight, dbias


def rms_norm(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | float = 1.0,
    eps: float | None = None,
    bias: np.ndarray | float = 0.0,
    channel_axis: int = -1,
    counted: int | None = None,
) -> np.ndarray:
    """Compute y = weight * x / sqrt(mean(x²) + eps) + bias, over the last axes or the channels.

    Parameters
    ----------
    eps
        Added to the mean square; None is the distance from 1 to the next float of x's dtype.
    counted
        The mean square is that of so many items of a row, the first; None: of all.

    Returns
    -------
    ndarray
        The output, of x's shape.
    """
    x = np.moveaxis(x, channel_axis, -1)
    rows = _trailing(x, normalized_shape)
    _, square = row_moments(rows[..., :counted], False)
    xhat = (rows / np.sqrt(square + _eps(x, eps))[..., None]).reshape(x.shape)
    return np.moveaxis(xhat * weight + bias, -1, channel_axis)


def rms_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | float = 1.0,
    eps: float | None = None,
    channel_axis: int = -1,
    counted: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the gradients of `rms_norm`: dweight = Σdy·xhat over the rows, and dx.

    dx = rstd * (g - xhat * Σ(g * xhat) / counted), of which the last term is that of the items
    that are counted alone; the gradient of a bias is Σdy.

    Parameters
    ----------
    eps
        Added to the mean square; None is the distance from 1 to the next float of x's dtype.
    counted
        As in `rms_norm`.

    Returns
    -------
    tuple of ndarray
        The gradients dx and dweight: dx of x's shape, dweight of `normalized_shape`.
    """
    eps = _eps(x, eps)
    dy, x = (np.moveaxis(np.asarray(a, np.float64), channel_axis, -1) for a in (dy, x))
    rows, g = _trailing(x, normalized_shape), _trailing(dy * weight, normalized_shape)
    count = rows.shape[-1] if counted is None else counted
    _, square = row_moments(rows[..., :count], False)
    rstd = 1 / np.sqrt(square + eps)[..., None]
    xhat = rows * rstd
    along = xhat * ((g * xhat).sum(-1, keepdims=True) / count)
    along[..., count:] = 0
    dx = ((g - along) * rstd).reshape(x.shape)
    others = tuple(range(x.ndim - np.size(normalized_shape)))
    return np.moveaxis(dx, -1, channel_axis), (dy * xhat.reshape(x.shape)).sum(others)


def group_norm(
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    eps: float = 1e-5,
) -> np.ndarray:
    """Compute y = weight * xhat + bias of x, (N, C, ...); a row is a group of a sample.

    Returns
    -------
    ndarray
        The output, of x's shape.
    """
    xhat = normalize_row(_groups(x, num_groups), eps).reshape(x.shape)
    return xhat * _per_channel(weight, x) + _per_channel(bias, x)


def group_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | float = 1.0,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of `group_norm`, with sums over all axes but the channels.

    Returns
    -------
    tuple of ndarray
        The gradients dx, of x's shape, dweight = Σdy·xhat and dbias = Σdy, (C,).
    """
    dy = np.asarray(dy, np.float64)
    rows = _groups(x, num_groups)
    xhat = normalize_row(rows, eps).reshape(x.shape)
    g = _groups(dy * _per_channel(weight, x), num_groups)
    dx = normalize_row_backward(g, rows, eps).reshape(x.shape)
    others = (0, *range(2, x.ndim))
    return dx, (dy * xhat).sum(others), dy.sum(others)


def instance_norm(
    x: np.ndarray,
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    eps: float = 1e-5,
) -> np.ndarray:
    """Compute `group_norm` with a group to each channel.

    Returns
    -------
    ndarray
        The output, of x's shape.
    """
    return group_norm(x, x.shape[1], weight, bias, eps)


def instance_norm_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray | float = 1.0, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of `instance_norm`.

    Returns
    -------
    tuple of ndarray
        The gradients dx, of x's shape, dweight = Σdy·xhat and dbias = Σdy, (C,).
    """
    return group_norm_backward(dy, x, x.shape[1], weight, eps)


def update_running_instances(
    running_mean: np.ndarray, running_var: np.ndarray, x: np.ndarray, momentum: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the running statistics after x, (N, C, ...).

    Returns
    -------
    tuple of ndarray
        The new running_mean and running_var, (C,), after the means over the samples of mean and
        unbiased variance.
    """
    mean, var = row_moments(_groups(x, x.shape[1]))
    n = prod(x.shape[2:])
    unbiased = var * n / (n - 1)
    return (
        running_mean + momentum * (mean.mean(0) - running_mean),
        running_var + momentum * (unbiased.mean(0) - running_var),
    )


def _layer(x, normalized_shape, eps, centred):
    return normalize_row(_trailing(x, normalized_shape), eps, centred).reshape(x.shape)


def _layer_backward(dy, x, normalized_shape, weight, eps, centred):
    dy = np.asarray(dy, np.float64)
    rows, g = _trailing(x, normalized_shape), _trailing(dy * weight, normalized_shape)
    dx = normalize_row_backward(g, rows, eps, centred).reshape(x.shape)
    xhat = normalize_row(rows, eps, centred).reshape(x.shape)
    others = tuple(range(x.ndim - np.size(normalized_shape)))
    return dx, (dy * xhat).sum(others), dy.sum(others)


def _trailing(x: np.ndarray, normalized_shape: int | Sequence[int]) -> np.ndarray:
    # (*, normalized_shape) as (*, n)
    axes = np.size(normalized_shape)
    return x.reshape(*x.shape[: x.ndim - axes], int(np.prod(normalized_shape)))


def _groups(x: np.ndarray, num_groups: int) -> np.ndarray:
    # (N, C, ...) as (N, G, n)
    return x.reshape(x.shape[0], num_groups, prod(x.shape[1:]) // num_groups)


def _per_channel(a: np.ndarray | float, x: np.ndarray) -> np.ndarray:
    return np.reshape(a, (-1, *(1,) * (x.ndim - 2)))


def _eps(x: np.ndarray, eps: float | None) -> float:
    return float(np.finfo(x.dtype).eps) if eps is None else eps
