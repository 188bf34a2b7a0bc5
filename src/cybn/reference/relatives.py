r"""Batch norm's relatives in NumPy, where their formulas are more than those of batch norm.

`x` and `dy` are (N, C, L), everything else (C,) unless it says otherwise; float64 throughout.

Ioffe, Batch Renormalization, 2017, section 3; de Vries et al., Modulating early visual processing
by language, 2017, section 4.

>>> import numpy as np
>>> running_mean, running_var = np.array([0.0]), np.array([4.0])
>>> correction(np.array([1.0]), np.array([9.0]), running_mean, running_var, 3.0, 5.0, eps=0)
(array([1.5]), array([0.5]))
"""

from __future__ import annotations

import numpy as np

from .batch import backward_training, moments, xhat_of

__all__ = [
    "backward_conditional",
    "backward_renorm",
    "conditional",
    "correction",
    "renorm",
]


def correction(
    mean: np.ndarray,
    var: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    r_max: float,
    d_max: float,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute r and d, which take the output in training to that in evaluation, within limits.

    Parameters
    ----------
    r_max, d_max
        The limits: r is within [1/r_max, r_max], d within [-d_max, d_max].

    Returns
    -------
    tuple of ndarray
        The factor r and the shift d, (C,).
    """
    std, running_std = np.sqrt(var + eps), np.sqrt(running_var + eps)
    r = np.clip(std / running_std, 1 / r_max, r_max)
    d = np.clip((mean - running_mean) / running_std, -d_max, d_max)
    return r, d


def renorm(
    x: np.ndarray,
    r: np.ndarray,
    d: np.ndarray,
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    eps: float = 1e-5,
) -> np.ndarray:
    """Compute y = (xhat * r + d) * weight + bias with the moments of x.

    Returns
    -------
    ndarray
        The output, (N, C, L).
    """
    xhat = xhat_of(x, *moments(x), eps)
    weight, bias = np.reshape(weight, (-1, 1)), np.reshape(bias, (-1, 1))
    return (xhat * r[:, None] + d[:, None]) * weight + bias


def backward_renorm(
    dy: np.ndarray,
    x: np.ndarray,
    r: np.ndarray,
    d: np.ndarray,
    weight: np.ndarray | float = 1.0,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of `renorm`, with r and d as constants.

    They are dweight = Σdy·(xhat·r + d), dbias = Σdy, and dx as of batch norm with weight·r.

    Returns
    -------
    tuple of ndarray
        The gradients dx, dweight and dbias: dx (N, C, L), the others (C,).
    """
    dx, products, dbias = backward_training(dy, x, *moments(x), weight * r, eps)
    return dx, products * r + dbias * d, dbias


def conditional(
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    eps: float = 1e-5,
) -> np.ndarray:
    """Compute y_n = weight[label_n] * xhat_n + bias[label_n] for each sample n.

    Parameters
    ----------
    weight, bias
        The scale and shift of each class, (classes, C).
    labels
        The class of each sample, (N,).

    Returns
    -------
    ndarray
        The output, (N, C, L).
    """
    xhat = xhat_of(x, mean, var, eps)
    return weight[labels][:, :, None] * xhat + bias[labels][:, :, None]


def backward_conditional(
    dy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray,
    labels: np.ndarray,
    training: bool,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of `conditional`.

    dx is that of batch norm without weight for g_n = weight[label_n] * dy_n; past the statistics,
    as in evaluation, rstd * g. dweight and dbias are the sums of Σdy·xhat and Σdy over the samples
    of each class.

    Parameters
    ----------
    weight
        The scale of each class, (classes, C).
    labels
        The class of each sample, (N,).
    training
        Whether mean and var are the moments of x.

    Returns
    -------
    tuple of ndarray
        The gradients dx, dweight and dbias: dx (N, C, L), the others (classes, C).
    """
    g = weight[labels][:, :, None] * np.asarray(dy, np.float64)
    if training:
        dx, _, _ = backward_training(g, x, mean, var, 1.0, eps)
    else:
        dx = g / np.sqrt(var + eps)[:, None]
    products = dy * xhat_of(x, mean, var, eps)
    dweight, dbias = np.zeros(weight.shape), np.zeros(weight.shape)
    for n, label in enumerate(labels):
        dweight[label] += products[n].sum(1)
        dbias[label] += dy[n].sum(1, dtype=np.float64)
    return dx, dweight, dbias
