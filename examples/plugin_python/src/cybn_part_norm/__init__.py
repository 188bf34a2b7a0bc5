"""PartNorm: a normalization layer for cybn in NumPy."""

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
    num_features
        C, the number of channels.
    eps
        Added to the variance.
    part
        How much of the mean is taken off.
    dtype
        Of weight and bias. Inputs may be float16, bfloat16, float32 or float64 with either.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.

    Raises
    ------
    TypeError
        For another dtype.
    ValueError
        For another shape, and for an `out` that cannot be written to.

    Notes ----- .. math:: y = \frac{x - part \cdot \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}}
    \cdot weight + bias

    with mean and var (biased) those of the values of one channel in one sample. x is (N, C, ...),
    of 3 to 5 dimensions, and kept for the backward pass: leave it unchanged until then.

    Examples
    --------
    >>> layer = cybn.create("PartNorm", num_features=1, part=0.5)
    >>> layer(np.array([[[1.0, 3.0]]])).round(3)
    array([[[0., 2.]]])
    """

    class Saved(NamedTuple):
        x: np.ndarray
        mean: np.ndarray  # (N, C, 1, ...), as rstd
        rstd: np.ndarray
        weight: np.ndarray  # (C, 1, ...)
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
        """The output for x, see the class, and what pullback needs."""
        x = self.begin(x, out, ndim=(3, 4, 5), channels=self.num_features)
        axes = tuple(range(2, x.ndim))
        along_c = (-1, *(1,) * len(axes))
        weight, bias = (a.astype(np.float64).reshape(along_c) for a in self.parameters())
        mean = x.mean(axes, np.float64, keepdims=True)
        rstd = 1 / np.sqrt(x.var(axes, np.float64, keepdims=True) + self.eps)
        y = np.empty_like(x) if out is None else out
        y[...] = (x - self.part * mean) * rstd * weight + bias
        return y, self.Saved(x, mean, rstd, weight, self.part)

    def pullback(self, saved, dy, *, out=None):
        """dx and the gradients. Both mean and rstd depend on x, so that with g = dy * weight

        dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        dy = self.resume(saved, dy, out)
        x, mean, rstd, weight, part = saved
        axes = tuple(range(2, x.ndim))
        xhat, g = (x - part * mean) * rstd, dy * weight
        dweight, dbias = (a.sum((0, *axes), np.float64) for a in (dy * xhat, dy))
        mean_g, mean_g_xhat = (a.mean(axes, keepdims=True) for a in (g, g * xhat))
        dx = np.empty_like(dy) if out is None else out
        dx[...] = rstd * (g - part * mean_g - (x - mean) * rstd * mean_g_xhat)
        return dx, self.gradients(weight=dweight, bias=dbias)
