"""RMSNorm: each sample divided by its root mean square over the last axes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...functional.gates import ACTIVATIONS
from ...functional.rms import eps_for
from ...options import Bounds, DType, OneAxis, Shape, Trainable
from ...terms.registry import register
from .rownorm import RowNorm


@register("RMSNorm", aliases=("RMS",))
class RMSNorm(RowNorm):
    r"""RMS normalization: each sample to a mean square of 1 over its last axes.

    The mean square is that of the items on the last axes, which have the sizes `normalized_shape`,
    at each index of the axes before them, in evaluation, too; then each item is scaled by a weight
    of its own. It is layer normalization without centring [1]_. With `channel_axis=1` it is that of
    the channels of one position of (N, C, ...), which are not copied on the way. Names, defaults
    and semantics are those of PyTorch.

    Parameters
    ----------
    normalized_shape
        The sizes of the last axes; an int is one axis. With `channel_axis=1` the number of
        channels.
    eps
        Added to the mean square; None is the distance from 1 to the next float of x's dtype,
        and float32's for sixteen bits, as PyTorch takes it on the CPU.
    elementwise_affine
        Learn weight, and bias if it is asked for; else both are None.
    weight
        False leaves out the weight alone.
    bias
        Learn a bias as well, which PyTorch's has not.
    unit_offset
        Multiply by 1 + weight, and not by the weight, which is 0 at first, as in Gemma.
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
    .. math:: y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \cdot weight + bias

    x is of any shape (..., normalized_shape), or (N, C) or (N, C, ...) with `channel_axis=1`, with
    any strides; y has its shape, dtype and memory order, and is written to `out` where it is given;
    x itself as `out` works in place. x is kept for `backward` until the next `forward`, not copied
    (unless in place): leave it unchanged until then.

    `layer(x, residual=z)` adds z, of the shape and dtype of x, before the activation, in the same
    pass.

    `layer(x, mask=m)` takes the items where m is True (the shape of x, or of its first axes) as the
    data: the others have no part in the moments and gradients, and come out as 0.

    References
    ----------
    .. [1] Zhang and Sennrich, Root Mean Square Layer Normalization, 2019 (arXiv 1910.07467).

    Examples
    --------
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
    rules = (OneAxis("channel_axis", 1, "normalized_shape"),)

    def __init__(
        self,
        normalized_shape: Shape,
        eps: Annotated[float, Bounds(gt=0)] | None = None,
        elementwise_affine: bool = True,
        *,
        weight: bool = True,
        bias: bool = False,
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

    def _eps(self, x: np.ndarray) -> float:
        return eps_for(x, self.eps)
