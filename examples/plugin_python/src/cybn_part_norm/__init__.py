"""PartNorm: a normalization layer for cybn in NumPy."""

from __future__ import annotations

from math import prod
from typing import Annotated

import numpy as np

import cybn
from cybn.options import Bounds, DType, PositiveInt

__all__ = ["PartNorm"]


@cybn.register("PartNorm")
class PartNorm(cybn.Layer):
    """Normalize each channel of each sample, and take off only a part of its mean.

        y = (x - part * mean) / sqrt(var + eps) * weight + bias

    mean and var (biased) are those of the values of one channel in one sample. x is (N, C, ...), of
    3 to 5 dimensions, float32 or float64. With part=1 this is instance normalization, with part=0
    the mean stays.

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
        x = self.checked_x(x, out, ndim=(3, 4, 5), channels=self.num_features)
        axes, m = tuple(range(2, x.ndim)), max(1, prod(x.shape[2:]))
        along_c = (-1, *(1,) * len(axes))
        weight, bias = (a.astype(np.float64).reshape(along_c) for a in self.parameters())
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
        dy, (_, d_hat, xhat, scale, part, axes, m) = self.checked_dy(dy, out)
        mean_dy = dy.sum(axes, np.float64, keepdims=True) / m  # weight is in scale
        mean_dy_xhat = (dy * xhat).sum(axes, keepdims=True) / m
        dx = np.empty_like(dy) if out is None else out
        dx[...] = scale * (dy - part * mean_dy - d_hat * mean_dy_xhat)
        sums = {"weight": mean_dy_xhat, "bias": mean_dy}
        dtype = self.weight.dtype
        self.grads = {name: (m * a.sum(0).ravel()).astype(dtype) for name, a in sums.items()}
        return dx
