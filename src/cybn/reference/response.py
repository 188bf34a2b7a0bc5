r"""Local response normalization in NumPy, written out channel by channel, in float64.

x is (N, C, ...). Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional
Neural Networks, 2012, section 3.3, with alpha divided by size as in PyTorch.

>>> import numpy as np
>>> local_response_norm(np.array([[[3.0], [4.0]]]), 2, alpha=2, beta=0.5, k=0).ravel()
array([1. , 0.8])
"""

from __future__ import annotations

import numpy as np

__all__ = ["local_response_norm", "local_response_norm_backward", "response_scale"]


def response_scale(x: np.ndarray, size: int, alpha: float, k: float) -> np.ndarray:
    """Compute s = k + alpha/size * Σx² over a window of channels.

    They are c - size//2 to c + (size-1)//2, as far as there are such.

    Returns
    -------
    ndarray
        The scale of each item, of x's shape.
    """
    x = np.asarray(x, np.float64)
    s = np.empty(x.shape)
    for c in range(x.shape[1]):
        window = slice(max(0, c - size // 2), c + (size - 1) // 2 + 1)
        s[:, c] = k + alpha / size * (x[:, window] ** 2).sum(1)
    return s


def local_response_norm(
    x: np.ndarray, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    """Compute y = x / s^beta.

    Returns
    -------
    ndarray
        The output, of x's shape.
    """
    return x / response_scale(x, size, alpha, k) ** beta


def local_response_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> np.ndarray:
    """Compute dx = dy/s^beta - 2·alpha·beta/size · x · Σ dy·y/s.

    y_j depends on x_i by its own x and by s_j, in whose window i is: i is in the window of the
    channels i - (size-1)//2 to i + size//2.

    Returns
    -------
    ndarray
        The gradient of x, of its shape.
    """
    s = response_scale(x, size, alpha, k)
    along = dy * local_response_norm(x, size, alpha, beta, k) / s
    dx = dy / s**beta
    for i in range(x.shape[1]):
        reaching = slice(max(0, i - (size - 1) // 2), i + size // 2 + 1)
        dx[:, i] -= 2 * alpha * beta / size * x[:, i] * along[:, reaching].sum(1)
    return dx
