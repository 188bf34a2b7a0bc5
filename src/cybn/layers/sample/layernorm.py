"""LayerNorm: each sample by its own moments over the last axes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from ...options import Bounds, DType, Shape, Trainable
from ...terms.registry import register
from .rownorm import RowNorm


@register("LayerNorm", aliases=("LN",))
class LayerNorm(RowNorm):
    r"""Layer normalization: each sample to mean 0 and variance 1 over its last axes.

    The moments are those of the items on the last axes, which have the sizes `normalized_shape`, at
    each index of the axes before them, in evaluation, too; then each item is scaled and shifted by
    a weight and bias of its own [1]_. Names, defaults and semantics are those of PyTorch.

    Parameters
    ----------
    normalized_shape
        The sizes of the last axes; an int is one axis.
    eps
        Added to the variance.
    elementwise_affine
        Learn weight and bias; else both are None.

    Attributes
    ----------
    weight, bias : ndarray of shape normalized_shape, or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.

    Raises
    ------
    ValueError
        For an option out of range; for an x with other last axes; for an `out` that cannot be
        written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    with var the biased variance. x is of any shape (..., normalized_shape), with any strides; y
    has its shape, dtype and memory order, and is written to `out` where it is given; x itself as
    `out` works in place. x is kept for `backward` until the next `forward`, not copied (unless in
    place): leave it unchanged until then.

    `layer(x, mask=m)` takes the items where m is True (the shape of x, or of its first axes) as the
    data: the others have no part in the moments and gradients, and come out as 0.

    References
    ----------
    .. [1] Ba, Kiros and Hinton, Layer Normalization, 2016 (arXiv 1607.06450).

    Examples
    --------
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
        trainable: Trainable = True,
    ) -> None:
        shape, affine = self.normalized_shape, elementwise_affine
        self.register_parameter("weight", np.ones(shape, self.dtype) if affine else None)
        self.register_parameter("bias", np.zeros(shape, self.dtype) if affine and bias else None)
