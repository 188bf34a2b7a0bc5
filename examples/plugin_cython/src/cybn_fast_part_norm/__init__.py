"""FastPartNorm: a normalization layer for cybn in Cython. The loops are in _kernels.pyx."""

from __future__ import annotations

from math import prod
from typing import Annotated, NamedTuple

import numpy as np

import cybn
from cybn.arrays.outputs import empty_like
from cybn.arrays.validation import check_per_channel
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
    >>> layer = cybn.create("FastPartNorm", num_features=1, part=0.5)
    >>> layer(np.array([[[1.0, 3.0]]])).round(3)
    array([[[0., 2.]]])
    """

    class Saved(NamedTuple):
        x: np.ndarray  # in C order
        stats: np.ndarray  # (N*C, 2), mean and rstd
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
        """The output for x, see the class, and what pullback needs."""
        x = self.begin(x, out, ndim=(3, 4, 5), channels=self.num_features)
        # The kernels trust every length, so that of weight and bias, too, is checked here
        check_per_channel(type(self).__name__, dict(self.named_parameters()), self.num_features)
        weight, bias = (a.astype(np.float64) for a in self.parameters())
        saved = self.Saved(_packed(x), np.empty((prod(x.shape[:2]), 2)), weight, self.part)
        rows = saved.stats, _rows(saved.x), weight, bias, self.part, self.eps
        return _filled(x, out, _kernels.forward, *rows), saved

    def pullback(self, saved, dy, *, out=None):
        """dx and the gradients. Both mean and rstd depend on x, so that with g = dy * weight

        dx = rstd * (g - part * mean(g) - (x - mean) * rstd * mean(g * xhat))
        """
        dy = self.resume(saved, dy, out)
        x, stats, weight, part = saved
        sums = np.zeros((*x.shape[:2], 2))  # of dy * xhat and of dy, in each row
        rows = sums.reshape(-1, 2), _rows(_packed(dy)), _rows(x), stats, weight, part
        dx = _filled(dy, out, _kernels.backward, *rows)
        # Rows are added up in their order, whoever computed them
        return dx, self.gradients(weight=sums[..., 0].sum(0), bias=sums[..., 1].sum(0))


def _filled(a, out, kernel, *args):
    """What the kernel writes, in `out`, or in a new array like `a`."""
    result = empty_like(a) if out is None else out
    target = result if result.flags.carray else np.empty(a.shape, a.dtype)
    if a.size:
        threads, _, stream = plan(a.size, a.itemsize)
        kernel(_rows(target), *args, threads, stream)
    if target is not result:
        result[...] = target
    return result


def _packed(a):
    """`a` in C order, as the kernels read it."""
    return np.require(a, requirements=["C", "A"])


def _rows(a):
    """(N, C, ...) in C order as (N*C, L)."""
    return a.reshape(a.shape[0] * a.shape[1], prod(a.shape[2:]))
