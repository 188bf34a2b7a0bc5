"""LayerNorm: each sample by its own moments over the last axes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from ...functional.gates import ACTIVATIONS
from ...options import Bounds, DType, OneAxis, Shape, Trainable
from ...terms.registry import register
from .rownorm import RowNorm


@register("LayerNorm", aliases=("LN",))
class LayerNorm(RowNorm):
    r"""Layer normalization: each sample to mean 0 and variance 1 over its last axes.

    The moments are those of the items on the last axes, which have the sizes `normalized_shape`, at
    each index of the axes before them, in evaluation, too; then each item is scaled and shifted by
    a weight and bias of its own [1]_. With `channel_axis=1` they are those of the channels of one
    position of (N, C, ...), which are not copied on the way, as in ConvNeXt. Names, defaults and
    semantics are those of PyTorch.

    Parameters
    ----------
    normalized_shape
        The sizes of the last axes; an int is one axis. With `channel_axis=1` the number of
        channels.
    eps
        Added to the variance.
    elementwise_affine
        Learn weight and bias; else both are None.
    unit_offset
        Multiply by 1 + weight, and not by the weight, which is 0 at first.
    channel_axis
        What is normalized: -1 for the last axes, 1 for the channels of (N, C, ...).
    activation
        A function of the output, computed in the same pass over memory, or None.
    negative_slope
        The slope of "leaky_relu" below 0. Without that activation it means nothing.
    alpha
        The factor of "elu" below 0. Without that activation it means nothing.

    Attributes
    ----------
    weight, bias : ndarray of shape normalized_shape, or None
        The learned scale and shift, ones (zeros with `unit_offset`) and zeros at first. None where
        the options leave them out.
    dresidual : ndarray or None
        The gradient of the residual after the backward of a forward that had one.

    Raises
    ------
    ValueError
        For an option out of range, and `channel_axis=1` with a `normalized_shape` of several axes;
        for an x with other last axes, or another number of channels; for an `out` that cannot be
        written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    with var the biased variance. x is of any shape (..., normalized_shape), or (N, C) or
    (N, C, ...) with `channel_axis=1`, with any strides; y has its shape, dtype and memory order,
    and is written to `out` where it is given; x itself as `out` works in place. x is kept for
    `backward` until the next `forward`, not copied (unless in place): leave it unchanged until
    then.

    `layer(x, residual=z)` adds z, of the shape and dtype of x, before the activation, in the same
    pass.

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
    rules = (OneAxis("channel_axis", 1, "normalized_shape"),)

    def __init__(
        self,
        normalized_shape: Shape,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        weight: bool = True,
        unit_offset: bool = False,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        activation: Literal[ACTIVATIONS] | None = None,
        negative_slope: Annotated[float, Bounds(gt=0, lt=1)] = 0.01,
        alpha: Annotated[float, Bounds(gt=0)] = 1.0,
        trainable: Trainable = True,
    ) -> None:
        affine = elementwise_affine
        self._declare_affine(self.normalized_shape, affine and weight, affine and bias)
