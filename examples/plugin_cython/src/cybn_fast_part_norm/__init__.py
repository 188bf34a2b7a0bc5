"""FastPartNorm: a normalization layer for cybn in Cython. The loops are in _kernels.pyx.

README.md says how to make another layer of it.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

import cybn
from cybn.kernels.policy import plan
from cybn.options import Bounds, DType, PositiveInt

from . import _kernels

__all__ = ["FastPartNorm"]


@cybn.register("FastPartNorm")
class FastPartNorm(cybn.Layer):
    r"""Normalize each channel of each sample, and take off only a part of its mean.

    With part=1 this is instance normalization, with part=0 the mean stays.

    Parameters
    ----------
    eps
        Added to the variance.
    part
        How much of the mean is taken off.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.

    Notes
    -----
    .. math:: y = \frac{x - part \cdot \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}}
        \cdot weight + bias

    with mean and var (biased) those of the values of one channel in one sample. x is (N, C, ...),
    of 3 to 5 dimensions, and kept for the backward pass: leave it unchanged until then.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.create("FastPartNorm", num_features=1, part=0.5)
    >>> layer(np.array([[[1.0, 3.0]]])).round(3)
    array([[[0., 2.]]])
    """

    class Saved(NamedTuple):
        """What pullback needs. x is first, and what may change meanwhile is a copy."""

        x: np.ndarray
        stats: np.ndarray  # (N, C, 2), mean and rstd
        weight: np.ndarray
        part: float

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

    def apply(self, x, *, out=None):
        """Compute the output for x, see the class, and what pullback needs."""
        x = self.begin(x, out, ndim=(3, 4, 5), channels=self.num_features)
        a, (y, target) = self.as_ncl(x), self.room(x, out)
        stats = np.empty((*a.shape[:2], 2))
        weight, bias = self.per_channel(a, weight=1, bias=0)
        if a.size:
            threads, _, stream = plan(a.size, a.itemsize)
            own = weight, bias, self.part, self.eps
            _kernels.forward(target, stats, a, *own, threads, stream)
        return self.settle(target, x, y), self.Saved(x, stats, weight, self.part)

    def pullback(self, saved, dy, *, out=None):
        """Compute dx and the gradients.

        Both mean and rstd depend on x, so that with g = dy * weight

        dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        dy, (x, stats, weight, part) = self.resume(saved, dy, out), saved
        a, b, (dx, target) = self.as_ncl(x), self.as_ncl(dy), self.room(dy, out)
        sums = np.zeros_like(stats)  # of dy * xhat and of dy, in each channel of a sample
        if a.size:
            threads, _, stream = plan(a.size, a.itemsize)
            _kernels.backward(target, sums, b, a, stats, weight, part, threads, stream)
        # Samples are added up in their order, whoever computed them
        grads = self.gradients(weight=sums[..., 0].sum(0), bias=sums[..., 1].sum(0))
        return self.settle(target, dy, dx), grads
