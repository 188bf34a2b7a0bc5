"""PartialRMSNorm: RMSNorm whose mean square is that of the first features alone.

NumPy on rows of features, by what `Layer` offers to authors, and nothing else: the shortest norm
here, to begin a new one from. Rejected: a view of the RMS kernel, whose statistics and weight lie
on the same features.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ..base.layer import Layer
from ._common import quiet


@register("PartialRMSNorm", aliases=("pRMSNorm",))
class PartialRMSNorm(Layer):
    r"""Partial RMS normalization: each feature vector by the RMS of its first features.

    A part of the features is taken to tell the scale of all, which spares reading the rest [1]_. It
    is the same in training and evaluation.

    Parameters
    ----------
    num_features
        C, the number of features.
    p
        The part that tells the scale; the number of features is rounded up.
    eps
        Added to the mean square.
    affine
        Learn a weight; else it is None.
    dtype
        Of the weight. Inputs may be float16, bfloat16, float32 or float64 with either.
    channel_axis
        The axis of the features: -1, or 1 for channels first.

    Attributes
    ----------
    weight : (C,) or None
        The learned scale, ones at first. None without `affine`.
    grads : dict
        The gradient of `weight`, (C,), after `backward`.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x}{\sqrt{\frac{1}{k} \sum_{i=1}^{k} x_i^2 + \epsilon}},
        \quad k = \lceil p C \rceil

    The sum is over the first k features of one position. With p=1 this is RMSNorm.

    x is (N, C) or (N, ..., C).

    References
    ----------
    .. [1] Zhang and Sennrich, Root Mean Square Layer Normalization, 2019 (arXiv 1910.07467),
       section 4.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.PartialRMSNorm(4, p=0.5)
    >>> layer(np.array([[5.0, 5.0, 10.0, -20.0]])).round(3)  # the first two are of size 5
    array([[ 1.,  1.,  2., -4.]])
    """

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        rstd: np.ndarray  # (M, 1), of each row
        weight: np.ndarray
        k: int
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        p: Annotated[float, Bounds(gt=0, le=1)] = 0.0625,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        affine: bool = True,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        self.register_parameter("weight", np.ones(num_features, dtype) if affine else None)

    @quiet
    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Divide by the RMS of the first features. See the class."""
        x = self.begin(x, out, channels=self.num_features)
        axis, k = self.channel_axis, ceil(self.num_features * self.p)
        rows = self.as_rows(x, axis, dtype=np.float64)
        (weight,) = self.per_channel(rows, weight=1)
        first = rows[:, :k]
        rstd = 1 / np.sqrt((first * first).mean(1, keepdims=True) + self.eps)
        return self.settle(rows * rstd * weight, x, out, axis), self.Saved(x, rstd, weight, k, axis)

    @quiet
    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx and dweight.

        With xhat = x * rstd and g = dy * weight, dx = rstd * (g - xhat * Σ(g * xhat) / k), where
        what is taken off is so for the first k features alone.
        """
        dy, (x, rstd, weight, k, axis) = self.resume(saved, dy, out), saved
        dy_rows, xhat = (self.as_rows(a, axis, dtype=np.float64) for a in (dy, x))
        xhat = xhat * rstd
        along, g = dy_rows * xhat, dy_rows * weight
        g[:, :k] -= xhat[:, :k] * ((along * weight).sum(1, keepdims=True) / k)
        return self.settle(g * rstd, dy, out, axis), self.gradients(weight=along.sum(0))
