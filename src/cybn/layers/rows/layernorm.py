"""LayerNorm: each sample by its own moments over the last axes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from ...options import Bounds, DType, Shape
from ...registry import register
from .rownorm import RowNorm


@register("LayerNorm", aliases=("LN",))
class LayerNorm(RowNorm):
    r"""Layer normalization: each sample to mean 0 and variance 1 over its last axes, then scaled.

    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    mean and var (biased) are those of the items on the last axes, which have the sizes
    `normalized_shape`, at each index of the axes before them; so they are in evaluation too.

    Ba, Kiros and Hinton, Layer Normalization, 2016 (arXiv 1607.06450). Names, defaults and
    semantics are PyTorch's.

    Parameters
    ----------
    normalized_shape: the sizes of the last axes; an int is one axis.
    eps: added to the variance, > 0.
    elementwise_affine: learn weight and bias; else both are None.
    bias: False leaves out the bias alone.
    dtype: of the parameters, "float32" or "float64". Inputs may be either.

    Attributes
    ----------
    weight, bias: of normalized_shape, ones and zeros at first; None where the options leave them
        out. grads: the gradient of each after backward.

    Calling the layer with x, float32 or float64, any strides, returns y of x's shape, dtype and
    memory order, in `out` where it is given; x itself as `out` works in place. x is kept for
    backward until the next forward, not copied (unless in place): leave it unchanged until then.

    Raises TypeError for another dtype; ValueError for other last axes or an unusable out. The layer
    is unchanged then.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.LayerNorm(4)
    >>> layer
    LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    >>> layer(np.array([[1.0, 2, 3, 4], [0, 0, 0, 8]])).round(4)
    array([[-1.3416, -0.4472,  0.4472,  1.3416],
           [-0.5774, -0.5774, -0.5774,  1.7321]])
    >>> dx = layer.backward(np.ones((2, 4)))
    >>> layer.grads["bias"]
    array([2., 2., 2., 2.], dtype=float32)
    """

    num_features_option: ClassVar[str] = "normalized_shape"

    def __init__(
        self,
        normalized_shape: Shape,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DType = "float32",
    ) -> None:
        shape, affine = self.normalized_shape, elementwise_affine
        self.register_parameter("weight", np.ones(shape, self.dtype) if affine else None)
        self.register_parameter("bias", np.zeros(shape, self.dtype) if affine and bias else None)
