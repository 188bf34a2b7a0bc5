"""FastPartNorm: a normalization layer for cybn in Cython. The loops are in _kernels.pyx."""

from __future__ import annotations

from math import prod
from typing import Annotated

import numpy as np

import cybn
from cybn.kernels.outputs import empty_like
from cybn.kernels.policy import plan
from cybn.options import Bounds, DType, PositiveInt
from cybn.validation import check_per_channel

from . import _kernels

__all__ = ["FastPartNorm"]


@cybn.register("FastPartNorm")
class FastPartNorm(cybn.Layer):
    """Normalize each channel of each sample, and take off only a part of its mean.

        y = (x - part * mean) / sqrt(var + eps) * weight + bias

    mean and var (biased) are those of the values of one channel in one sample. x is (N, C, ...), of
    3 to 5 dimensions, float32 or float64. With part=1 this is instance normalization, with part=0
    the mean stays.
    x is kept for backward until the next forward; leave it unchanged until then.

    Raises TypeError for another dtype, ValueError for another shape or an unusable out.

    >>> layer = cybn.create("FastPartNorm", num_features=1, part=0.5)
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
        # The kernels trust every length, so that of weight and bias, too, is checked here
        check_per_channel(type(self).__name__, dict(self.named_parameters()), self.num_features)
        weight, bias = (a.astype(np.float64) for a in self.parameters())
        packed = np.require(x, requirements=["C", "A"])
        y = empty_like(x) if out is None else out
        target, stats = _packed(y), np.empty((prod(x.shape[:2]), 2))
        if x.size:
            threads, _, stream = plan(x.size, x.itemsize)
            _kernels.forward(
                _rows(target), stats, _rows(packed), weight, bias,
                self.part, self.eps, threads, stream,
            )  # fmt: skip
        if target is not y:
            y[...] = target
        self._saved = packed, stats, weight, self.part
        return y

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx for the last forward; sets grads.

        Both mean and rstd depend on x, so that with g = dy * weight

            dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        dy, (x, stats, weight, part) = self.checked_dy(dy, out)
        dx = empty_like(dy) if out is None else out
        target, sums = _packed(dx), np.zeros((len(stats), 2))
        if x.size:
            threads, _, stream = plan(x.size, x.itemsize)
            _kernels.backward(
                _rows(target), sums, _rows(np.require(dy, requirements=["C", "A"])), _rows(x),
                stats, weight, part, threads, stream,
            )  # fmt: skip
        if target is not dx:
            dx[...] = target
        # Rows are added up in their order, whoever computed them
        dweight, dbias = sums.reshape(*x.shape[:2], 2).sum(0).T.astype(self.weight.dtype)
        self.grads = {"weight": dweight, "bias": dbias}
        return dx


def _packed(a: np.ndarray) -> np.ndarray:
    """`a`, or an array to be copied to it where a kernel cannot write to it directly."""
    return a if a.flags.carray else np.empty(a.shape, a.dtype)


def _rows(a: np.ndarray) -> np.ndarray:
    """(N, C, ...) in C order as (N*C, L)."""
    return a.reshape(a.shape[0] * a.shape[1], -1)
