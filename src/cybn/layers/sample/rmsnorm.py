"""RMSNorm: each sample divided by its root mean square over the last axes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from ...functional.rms import eps_for
from ...options import Bounds, DType, Shape, Trainable
from ...terms.registry import register
from .rownorm import RowNorm


@register("RMSNorm", aliases=("RMS",))
class RMSNorm(RowNorm):
    r"""RMS normalization: each sample to a mean square of 1 over its last axes.

    The mean square is that of the items on the last axes, which have the sizes `normalized_shape`,
    at each index of the axes before them, in evaluation, too; then each item is scaled by a weight
    of its own. It is layer normalization without centring [1]_. Names, defaults and semantics are
    those of PyTorch.

    Parameters
    ----------
    normalized_shape
        The sizes of the last axes; an int is one axis.
    eps
        Added to the mean square; None is the distance from 1 to the next float of x's dtype.
    elementwise_affine
        Learn weight; else it is None.
    dtype
        Of the weight. Inputs may be float16, bfloat16, float32 or float64 with either.

    Attributes
    ----------
    weight : ndarray of shape normalized_shape, or None
        The learned scale, ones at first. None where the options leave it out.
    grads : dict
        The gradient of `weight` after `backward`.

    Raises
    ------
    ValueError
        For an option out of range; for an x with other last axes; for an `out` that cannot be
        written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \cdot weight

    x is of any shape (..., normalized_shape), with any strides; y has its shape, dtype and memory
    order, and is written to `out` where it is given; x itself as `out` works in place. x is kept
    for `backward` until the next `forward`, not copied (unless in place): leave it unchanged until
    then.

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

    def __init__(
        self,
        normalized_shape: Shape,
        eps: Annotated[float, Bounds(gt=0)] | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DType = "float32",
        trainable: Trainable = True,
    ) -> None:
        shape = self.normalized_shape
        weight = np.ones(shape, self.dtype) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def _eps(self, x: np.ndarray) -> float:
        return eps_for(x, self.eps)
