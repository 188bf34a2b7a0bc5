r"""Activations that follow a norm, in NumPy, and the gradient back past them, in float64.

With a residual z, y = f(norm(x) + z) for every norm: h = norm(x) + z, y = activate(h), and backward
dh = activate_backward(dy, h) is the gradient of z and the dy of the norm.

Elfwing, Uchibe and Doya, Sigmoid-Weighted Linear Units, 2017 (silu); Hendrycks and Gimpel, Gaussian
Error Linear Units, 2016 (gelu, gelu_tanh); Howard et al., Searching for MobileNetV3, 2019
(hardswish); Clevert, Unterthiner and Hochreiter, Exponential Linear Units, 2015 (elu); Misra, Mish,
2019.

>>> import numpy as np
>>> activate(np.array([-1.0, 0.0, 1.0]), "silu").round(4)
array([-0.2689,  0.    ,  0.7311])
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["activate", "activate_backward"]

_B = 2 * math.sqrt(2 / math.pi)


def activate(
    h: np.ndarray, activation: str | None, negative_slope: float = 0.01, alpha: float = 1.0
) -> np.ndarray:
    """Compute y = f(h).

    Parameters
    ----------
    h
        What goes into the activation: norm(x), with a residual norm(x) + z.
    activation
        The name, as that of a layer; None leaves h as it is.
    negative_slope
        The slope of leaky_relu below 0.
    alpha
        The factor of elu below 0.

    Returns
    -------
    ndarray
        The output, of h's shape.
    """
    h = np.asarray(h, np.float64)
    match activation:
        case None:
            return h
        case "relu":
            return np.maximum(h, 0)
        case "leaky_relu":
            return np.where(h > 0, h, negative_slope * h)
        case "relu6":
            return np.clip(h, 0, 6)
        case "silu":
            return h * _sigma(h)
        case "gelu":
            return h * _normal(h)
        case "gelu_tanh":
            return h * _sigma(_B * (h + 0.044715 * h**3))
        case "hardswish":
            return h * np.clip(h + 3, 0, 6) / 6
        case "elu":
            return np.where(h > 0, h, alpha * np.expm1(np.minimum(h, 0)))
        case "mish":
            return h * np.tanh(np.logaddexp(0, h))
    raise ValueError(f"cybn.reference knows no activation {activation!r}")


def activate_backward(
    dy: np.ndarray,
    h: np.ndarray,
    activation: str | None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
) -> np.ndarray:
    """Compute dh = dy * f'(h).

    Parameters
    ----------
    h, activation, negative_slope, alpha
        As in `activate`.

    Returns
    -------
    ndarray
        The gradient of h, and of a residual in it.
    """
    h = np.asarray(h, np.float64)
    match activation:
        case None:
            slope = np.ones(h.shape)
        case "relu":
            slope = h > 0
        case "leaky_relu":
            slope = np.where(h > 0, 1, negative_slope)
        case "relu6":
            slope = (h > 0) & (h < 6)
        case "silu":
            slope = _sigma(h) * (1 + h * _sigma(-h))
        case "gelu":
            slope = _normal(h) + h * np.exp(-(h**2) / 2) / math.sqrt(2 * math.pi)
        case "gelu_tanh":
            w = _B * (h + 0.044715 * h**3)
            slope = _sigma(w) * (1 + h * _sigma(-w) * _B * (1 + 3 * 0.044715 * h**2))
        case "hardswish":
            slope = np.where(h < 3, np.where(h > -3, h / 3 + 0.5, 0), 1)
        case "elu":
            slope = np.where(h > 0, 1, alpha * np.exp(np.minimum(h, 0)))
        case "mish":
            t = np.tanh(np.logaddexp(0, h))
            slope = t + h * _sigma(h) * (1 - t**2)
        case _:
            raise ValueError(f"cybn.reference knows no activation {activation!r}")
    return np.asarray(dy, np.float64) * slope


def _sigma(v: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(v))
    return np.where(v > 0, 1, e) / (1 + e)


def _normal(h: np.ndarray) -> np.ndarray:
    """Φ(h)."""
    return np.vectorize(math.erfc, otypes=[float])(-h / math.sqrt(2)) / 2
