"""PartNorm: a normalization layer for cybn in NumPy. README.md says how to make another of it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

import cybn
from cybn.options import Bounds, DType, PositiveInt

__all__ = ["PartNorm"]


@cybn.register("PartNorm")
class PartNorm(cybn.Layer):
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
    >>> layer = cybn.create("PartNorm", num_features=1, part=0.5)
    >>> layer(np.array([[[1.0, 3.0]]])).round(3)
    array([[[0., 2.]]])
    """

    class Saved(NamedTuple):
        """What pullback needs. x is first, and what may change meanwhile is a copy."""

        x: np.ndarray
        mean: np.ndarray  # (N, C, 1), as rstd
        rstd: np.ndarray
        weight: np.ndarray  # (C, 1)
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
        a = self.as_ncl(x, dtype=np.float64)
        weight, bias = self.per_channel(a, weight=1, bias=0)
        mean = a.mean(2, keepdims=True)
        rstd = 1 / np.sqrt(a.var(2, keepdims=True) + self.eps)
        y = (a - self.part * mean) * rstd * weight + bias
        return self.settle(y, x, out), self.Saved(x, mean, rstd, weight, self.part)

    def pullback(self, saved, dy, *, out=None):
        """Compute dx and the gradients.

        Both mean and rstd depend on x, so that with g = dy * weight

        dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        dy, (x, mean, rstd, weight, part) = self.resume(saved, dy, out), saved
        a, b = (self.as_ncl(each, dtype=np.float64) for each in (x, dy))
        xhat, g = (a - part * mean) * rstd, b * weight
        grads = self.gradients(weight=(b * xhat).sum((0, 2)), bias=b.sum((0, 2)))
        mean_g, mean_g_xhat = (each.mean(2, keepdims=True) for each in (g, g * xhat))
        dx = rstd * (g - part * mean_g - (a - mean) * rstd * mean_g_xhat)
        return self.settle(dx, dy, out), grads
