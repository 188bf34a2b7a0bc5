"""ScaleNorm: each feature vector to one learned length.

Pure NumPy over blocks (see `_common`): a sum of squares and a product for each item.
Rejected: the bound on the length that the paper's code has in place of eps, max(|x|, eps), whose
gradient jumps.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated, ClassVar, Literal

import numpy as np

from ...options import Bounds, DType, PositiveInt
from ...registry import register
from ._common import Blockwise, Fitting, dot


@register("ScaleNorm")
class ScaleNorm(Blockwise):
    r"""Scale normalization: every feature vector to the same length, which is learned.

    .. math:: y = weight \cdot \frac{x}{\sqrt{\sum_i x_i^2 + \epsilon}}

    The sum is over the C features of one sample and position. It is `RMSNorm` with one weight for
    all features, and the same in training and evaluation.

    Nguyen and Salazar, Transformers without Tears: Improving the Normalization of Self-Attention,
    2019 (arXiv 1910.05895), where the weight is called g.

    Parameters
    ----------
    num_features: C, the number of features, >= 1.
    eps: added to the sum of squares, > 0.
    dtype: of the parameter, "float32" or "float64". Inputs may be either.
    channel_axis: the axis of the features, -1, or 1 where they come before positions.

    Attributes
    ----------
    weight: (1,), the square root of C at first. grads: {"weight": (1,)} after backward.

    Calling the layer with x, (N, C) or (N, ..., C), float32 or float64, gives y of x's shape, dtype
    and memory order. Raises TypeError for another dtype; ValueError for another rank or number of
    features, or an unusable out.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.ScaleNorm(2)
    >>> layer.weight[...] = 10
    >>> layer(np.array([[3.0, 4.0], [-0.6, 0.8]])).round(3)
    array([[ 6.,  8.],
           [-6.,  8.]])
    """

    by_channel: ClassVar[bool] = False
    scalars: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-10,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
    ) -> None:
        self.learn("weight", sqrt(num_features))

    def forward_block(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        return x * (p.weight / self._length(x, p))

    def backward_block(self, dy: np.ndarray, x: np.ndarray, p: Fitting):
        length = self._length(x, p)
        xhat = x / length
        along = dot(dy, xhat, (p.channel,))
        dx = (dy - xhat * along) * (p.weight / length)
        return dx, {"weight": along.sum()}

    def _length(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        return np.sqrt(dot(x, x, (p.channel,)) + self.eps)
