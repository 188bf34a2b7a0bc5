"""FastPartNorm: a normalization layer for cybn in Cython. The loops are in _kernels.pyx."""

from __future__ import annotations

from math import prod
from typing import Annotated

import numpy as np

import cybn
from cybn.kernels.outputs import empty_like
from cybn.kernels.policy import plan
from cybn.options import Bounds, DType, PositiveInt
from cybn.validation import as_float_array, check_channels, check_like, check_out, check_per_channel

from . import _kernels

__all__ = ["FastPartNorm"]


@cybn.register("FastPartNorm")
class FastPartNorm(cybn.Layer):
    """Normalize each channel of each sample, and take off only a part of its mean.

        y = (x - part * mean) / sqrt(var + eps) * weight + bias

    mean and var (biased) are those of the values of one channel in one sample. x is (N, C, ...),
    float32 or float64. With part=1 this is instance normalization, with part=0 the mean stays.
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
        x = self._fitting("x", x)
        in_place = out is not None and check_out(type(self).__name__, out, x)
        kept = x.copy() if in_place else np.require(x, requirements=["C", "A"])
        weight, bias = (a.astype(np.float64) for a in self.parameters())
        y = empty_like(x) if out is None else out
        target, stats = _packed(y), np.empty((prod(x.shape[:2]), 2))
        if x.size:
            threads, _, stream = plan(x.size, x.itemsize)
            _kernels.forward(
                _rows(target), stats, _rows(kept), weight, bias,
                self.part, self.eps, threads, stream,
            )  # fmt: skip
        if target is not y:
            y[...] = target
        self._saved = kept, stats, weight, self.part
        return y

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx for the last forward; sets grads.

        Both mean and rstd depend on x, so that with g = dy * weight

            dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        who = type(self).__name__
        if self._saved is None:
            raise RuntimeError(f"{who}.backward needs a forward first: call it")
        x, stats, weight, part = self._saved
        dy = self._fitting("dy", dy)
        check_like(who, "dy", dy, x)
        if out is not None:
            check_out(who, out, dy, x=x)
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

    def _fitting(self, name: str, a: np.ndarray) -> np.ndarray:
        """x or dy as an array that fits; errors before anything is computed or changed."""
        who = type(self).__name__
        a = as_float_array(who, name, a)
        if a.ndim < 3:
            raise ValueError(f"{who} expects {name} (N, C, ...), at least 3-D, got {a.shape}")
        check_channels(who, a, self.num_features, 1)
        check_per_channel(who, dict(self.named_parameters()), self.num_features)
        return a


def _packed(a: np.ndarray) -> np.ndarray:
    """`a`, or an array to be copied to it where a kernel cannot write to it directly."""
    return a if a.flags.carray else np.empty(a.shape, a.dtype)


def _rows(a: np.ndarray) -> np.ndarray:
    """(N, C, ...) in C order as (N*C, L)."""
    return a.reshape(a.shape[0] * a.shape[1], -1)
