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

A batch may come in parts: their moments are merged, and their sums of a backward added up.

>>> merge_moments([part_moments(x[:1]), part_moments(x[1:1]), part_moments(x[1:])])
(4, array([2.5]), array([5.]))
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = [
    "backward_apply",
    "backward_inference",
    "backward_reduce",
    "backward_training",
    "merge_moments",
    "moments",
    "normalize",
    "part_moments",
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


def part_moments(x: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Compute the count, the mean and Σ(x - mean)² of each channel of a part, which may be empty.

    Returns
    -------
    count : int
        The values per channel.
    mean, squares : ndarray
        The mean and the sum of squared deviations from it, (C,); zeros of an empty part.
    """
    m = x.shape[0] * x.shape[2]
    if not m:
        return 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
    mean, var = moments(x)
    return m, mean, var * m


def merge_moments(
    parts: Iterable[tuple[int, np.ndarray, np.ndarray]],
) -> tuple[int, np.ndarray, np.ndarray]:
    """Merge the moments of parts, one after the other [1]_.

    With m and n values, means a and b, and squares A and B of the two, mean = a + (b - a)·n/(m + n)
    and squares = A + B + (b - a)²·m·n/(m + n).

    Parameters
    ----------
    parts
        What `part_moments` returns, of each part.

    Returns
    -------
    count : int
        The values per channel.
    mean, squares : ndarray
        The mean and the sum of squared deviations from it, (C,).

    References
    ----------
    .. [1] Chan, Golub and LeVeque, Algorithms for Computing the Sample Variance, 1983.
    """
    m, mean, squares = 0, 0.0, 0.0
    for n, part_mean, part_squares in parts:
        share = n / (m + n) if n else 0.0
        apart = part_mean - mean
        mean = mean + apart * share
        squares = squares + part_squares + apart**2 * (m * share)
        m += n
    return m, mean, squares


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


def backward_reduce(
    dy: np.ndarray, x: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """Compute Σdy and Σdy·xhat of a part: its dbias and dweight. Those of parts are added up.

    Returns
    -------
    tuple of ndarray
        The sums sum_dy and sum_dy_xhat, (C,).
    """
    dy = np.asarray(dy, np.float64)
    return dy.sum((0, 2)), (dy * xhat_of(x, mean, var, eps)).sum((0, 2))


def backward_apply(
    dy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    sum_dy: np.ndarray,
    sum_dy_xhat: np.ndarray,
    m: int,
    weight: np.ndarray | float = 1.0,
    eps: float = 1e-5,
) -> np.ndarray:
    """Compute dx = weight·rstd·(dy - sum_dy/m - xhat·sum_dy_xhat/m) of a part.

    Parameters
    ----------
    sum_dy, sum_dy_xhat
        Those of the whole, (C,).

    Returns
    -------
    ndarray
        The gradient dx, (N, C, L).
    """
    dy = np.asarray(dy, np.float64)
    scale = np.reshape(weight, (-1, 1)) / np.sqrt(var + eps)[:, None]
    along = xhat_of(x, mean, var, eps) * sum_dy_xhat[:, None] / m
    return scale * (dy - sum_dy[:, None] / m - along)


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
    dbias, dweight = backward_reduce(dy, x, mean, var, eps)
    m = x.shape[0] * x.shape[2]
    dx = backward_apply(dy, x, mean, var, dbias, dweight, m, weight, eps)
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
    dbias, dweight = backward_reduce(dy, x, mean, var, eps)
    scale = np.reshape(weight, (-1, 1)) / np.sqrt(var + eps)[:, None]
    return scale * np.asarray(dy, np.float64), dweight, dbias
