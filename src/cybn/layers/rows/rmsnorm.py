"""RMSNorm: each sample divided by its root mean square over the last axes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from ...functional.rows import eps_for
from ...options import Bounds, DType, Shape
from ...registry import register
from .rownorm import RowNorm


@register("RMSNorm", aliases=("RMS",))
class RMSNorm(RowNorm):
    r"""RMS normalization: each sample to a mean square of 1 over its last axes, then scaled.

    .. math:: y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \cdot weight

    The mean is that over the items on the last axes, which have the sizes `normalized_shape`, at
    each index of the axes before them. It is layer normalization without centring.

    Zhang and Sennrich, Root Mean Square Layer Normalization, 2019 (arXiv 1910.07467). Names,
    defaults and semantics are PyTorch's.

    Parameters
    ----------
    normalized_shape: the sizes of the last axes; an int is one axis.
    eps: added to the mean square, > 0; None is the distance from 1 to the next float of x's dtype.
    elementwise_affine: learn weight; else it is None.
    dtype: of weight, "float32" or "float64". Inputs may be either.

    Attributes
    ----------
    weight: of normalized_shape, ones at first, or None. grads: its gradient after backward.

    For x, out and errors see LayerNorm.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.RMSNorm(4)
    >>> layer
    RMSNorm((4,), eps=None, elementwise_affine=True)
    >>> layer(np.array([[3.0, 4.0, 0.0, 0.0]]))
    array([[1.2, 1.6, 0. , 0. ]])
    """

    num_features_option: ClassVar[str] = "normalized_shape"
    centred: ClassVar[bool] = False

    def __init__(
        self,
        normalized_shape: Shape,
        eps: Annotated[float, Bounds(gt=0)] | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DType = "float32",
    ) -> None:
        shape = self.normalized_shape
        weight = np.ones(shape, self.dtype) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def _eps(self, x: np.ndarray) -> float:
        return eps_for(x, self.eps)
