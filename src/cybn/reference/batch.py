r"""Batch normalization in NumPy, in the order of the paper.

Every function takes the (N, C, L) view of its input, whatever the layout was, computes in
float64 and returns float64. `x` is (N, C, L), `m = N*L` values per channel; everything else (C,).

Ioffe and Szegedy, Batch Normalization, 2015: algorithm 1 is `normalize` with the moments of the
batch, algorithm 2 uses the running statistics, and the gradients are those of section 3.

>>> import numpy as np
>>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)
>>> mean, var = moments(x)
>>> mean, var
(array([2.5]), array([1.25]))
>>> normalize(x, mean, var, eps=0).ravel().round(4)
array([-1.3416, -0.4472,  0.4472,  1.3416])
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "backward_inference",
    "backward_training",
    "moments",
    "normalize",
    "to_ncl",
    "update_running",
    "xhat_of",
]


def to_ncl(x: np.ndarray, channel_axis: int = 1) -> np.ndarray:
    """View x as (N, C, L): what is before the channel axis becomes N, what is after it L.

    Returns
    -------
    ndarray
        The view, (N, C, L).
    """
    axis = channel_axis % x.ndim
    before, channels, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    return x.reshape(int(np.prod(before)), channels, int(np.prod(after)))


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean = Σx/m and var = Σ(x - mean)²/m of each channel, in two passes.

    The sum of the deviations, zero but for rounding, corrects the second pass [1]_.

    Returns
    -------
    tuple of ndarray
        The moments mean and var, (C,).

    References
    ----------
    .. [1] Chan, Golub and LeVeque, Algorithms for Computing the Sample Variance, 1983.
    """
    x = np.asarray(x, np.float64)
    m = x.shape[0] * x.shape[2]
    mean = x.sum((0, 2)) / m
    away = x - mean[:, None]
    left = away.sum((0, 2)) / m
    var = (away**2).sum((0, 2)) / m - left**2
    return mean + left, np.maximum(var, 0)


def xhat_of(x: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float) -> np.ndarray:
    """Compute xhat = (x - mean) / sqrt(var + eps).

    Returns
    -------
    ndarray
        The normalized x, (N, C, L).
    """
    return (np.asarray(x, np.float64) - mean[:, None]) / np.sqrt(var + eps)[:, None]


def normalize(
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    eps: float = 1e-5,
) -> np.ndarray:
    """Compute y = weight * xhat + bias.

    Returns
    -------
    ndarray
        The output, (N, C, L).
    """
    weight, bias = np.reshape(weight, (-1, 1)), np.reshape(bias, (-1, 1))
    return weight * xhat_of(x, mean, var, eps) + bias


def update_running(
    running_mean: np.ndarray,
    running_var: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    m: int,
    momentum: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the running statistics after one more batch.

    Returns
    -------
    tuple of ndarray
        The new running_mean and running_var, (C,); the variance that goes in is the unbiased one.
    """
    unbiased = var * m / (m - 1)
    return (
        running_mean + momentum * (mean - running_mean),
        running_var + momentum * (unbiased - running_var),
    )


def backward_training(
    dy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | float = 1.0,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients where mean and var are the moments of x.

    They are dbias = Σdy, dweight = Σdy·xhat, dx = weight·rstd·(dy - dbias/m - xhat·dweight/m).

    Returns
    -------
    tuple of ndarray
        The gradients dx, dweight and dbias: dx (N, C, L), the others (C,).
    """
    dy = np.asarray(dy, np.float64)
    m = x.shape[0] * x.shape[2]
    xhat = xhat_of(x, mean, var, eps)
    dbias = dy.sum((0, 2))
    dweight = (dy * xhat).sum((0, 2))
    scale = np.reshape(weight, (-1, 1)) / np.sqrt(var + eps)[:, None]
    dx = scale * (dy - dbias[:, None] / m - xhat * dweight[:, None] / m)
    return dx, dweight, dbias


def backward_inference(
    dy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | float = 1.0,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients where mean and var are constants: dx = weight·rstd·dy.

    Returns
    -------
    tuple of ndarray
        The gradients dx, dweight and dbias: dx (N, C, L), the others (C,).
    """
    dy = np.asarray(dy, np.float64)
    dbias = dy.sum((0, 2))
    dweight = (dy * xhat_of(x, mean, var, eps)).sum((0, 2))
    scale = np.reshape(weight, (-1, 1)) / np.sqrt(var + eps)[:, None]
    return scale * dy, dweight, dbias
