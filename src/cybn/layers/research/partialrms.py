"""PartialRMSNorm: RMSNorm whose mean square is that of the first features alone.

The kernel of rows is told how many items of a row it counts.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np

from ...arrays.layout import Rows, leading_rows
from ...arrays.validation import check_channels
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ..sample.rownorm import RowNorm


@register("PartialRMSNorm", aliases=("pRMSNorm",))
class PartialRMSNorm(RowNorm):
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
    dresidual : ndarray or None
        The gradient of the residual after the backward of a forward that had one.
    grads : dict
        The gradient of `weight`, (C,), after `backward`.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x}{\sqrt{\frac{1}{k} \sum_{i=1}^{k} x_i^2 + \epsilon}},
        \quad k = \lceil p C \rceil

    The sum is over the first k features of one position. With p=1 this is RMSNorm.

    x is (N, C) or (N, ..., C). `layer(x, residual=z)` adds z, of the shape and dtype of x, to the
    output.

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

    num_features_option: ClassVar[str] = "num_features"
    centred: ClassVar[bool] = False
    affine_meaning: ClassVar[str] = "one for each feature"

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
        self._declare_affine((self.num_features,), affine, False)

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, residual: np.ndarray | None = None
    ) -> tuple[np.ndarray, RowNorm.Saved]:
        """Divide by the RMS of the first features. See the class."""
        return super().apply(x, out=out, residual=residual)

    def _rows(self, x: np.ndarray) -> Rows:
        who, axis = type(self).__name__, self.channel_axis
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"{who} expects channels on axis {axis}, got {x.shape}")
        check_channels(who, x, self.num_features, axis)
        return leading_rows(x, axis, ceil(self.num_features * self.p))

    def _affine_shape(self) -> tuple[int, ...]:
        return (self.num_features,)
