"""PartNorm: a normalization layer for cybn in NumPy."""

from __future__ import annotations

from math import prod
from typing import Annotated

import numpy as np

import cybn
from cybn.options import Bounds, DType, PositiveInt
from cybn.validation import as_float_array, check_channels, check_like, check_out, check_per_channel

__all__ = ["PartNorm"]


@cybn.register("PartNorm")
class PartNorm(cybn.Layer):
    """Normalize each channel of each sample, and take off only a part of its mean.

        y = (x - part * mean) / sqrt(var + eps) * weight + bias

    mean and var (biased) are those of the values of one channel in one sample. x is (N, C, ...),
    float32 or float64. With part=1 this is instance normalization, with part=0 the mean stays.

    Raises TypeError for another dtype, ValueError for another shape or an unusable out.

    >>> layer = cybn.create("PartNorm", num_features=1, part=0.5)
    >>> layer(np.array([[[1.0, 3.0]]])).round(3)
    array([[[0., 2.]]])
    """

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        part: Annotated[float, Bounds(ge=0, le=1)] = 1.0,
        *,
        dtype: DType = "float32",
    ) -> None:
        self.register_parameter("weight", np.ones(num_features, dtype))
        self.register_parameter("bias", np.zeros(num_features, dtype))

    def forward(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The output for x; see the class."""
        x = self._fitting("x", x, out)
        axes, m = tuple(range(2, x.ndim)), max(1, prod(x.shape[2:]))
        weight, bias = (  # (C, 1, ...)
            a.astype(np.float64).reshape(-1, *(1,) * len(axes)) for a in self.parameters()
        )
        mean = x.sum(axes, np.float64, keepdims=True) / m  # (N, C, 1, ...), as rstd
        d = x - mean
        rstd = 1 / np.sqrt((d * d).sum(axes, keepdims=True) / m + self.eps)
        xhat = (d + (1 - self.part) * mean) * rstd
        y = np.empty_like(x) if out is None else out
        y[...] = xhat * weight + bias
        self._saved = x, d * rstd, xhat, weight * rstd, self.part, axes, m
        return y

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx for the last forward; sets grads.

        Both mean and rstd depend on x, so that with g = dy * weight

            dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        if self._saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward first: call it")
        x, d, xhat, scale, part, axes, m = self._saved
        dy = self._fitting("dy", dy, out)
        check_like(type(self).__name__, "dy", dy, x)
        mean_dy = dy.sum(axes, np.float64, keepdims=True) / m  # weight is in scale
        mean_dy_xhat = (dy * xhat).sum(axes, keepdims=True) / m
        dweight, dbias = (m * a.sum(0).ravel() for a in (mean_dy_xhat, mean_dy))
        dx = np.empty_like(x) if out is None else out
        dx[...] = scale * (dy - part * mean_dy - d * mean_dy_xhat)
        dtype = self.weight.dtype
        self.grads = {"weight": dweight.astype(dtype), "bias": dbias.astype(dtype)}
        return dx

    def _fitting(self, name: str, a: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """x or dy as an array that fits; errors before anything is computed or changed."""
        who = type(self).__name__
        a = as_float_array(who, name, a)
        if a.ndim < 3:
            raise ValueError(f"{who} expects {name} (N, C, ...), at least 3-D, got {a.shape}")
        check_channels(who, a, self.num_features, 1)
        check_per_channel(who, dict(self.named_parameters()), self.num_features)
        if out is not None:
            check_out(who, out, a)
        return a
