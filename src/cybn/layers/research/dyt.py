"""Dynamic tanh: a squashing function in the place of a normalization.

Pure NumPy over blocks (see `_common`). The work is the tanh, which NumPy computes with vector
instructions, several times faster in float32 than in float64: blocks stay in the dtype of x, and
only sums are in float64. A compiled loop would call a scalar tanh.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from ...options import DType, PositiveInt
from ...terms.registry import register
from ._common import Blockwise, Fitting, dot, total


@register("DyT", aliases=("DynamicTanh",))
class DyT(Blockwise):
    r"""Dynamic tanh: no statistics, each item squashed by a tanh of learned slope.

    It takes the place of a LayerNorm or RMSNorm in a transformer [1]_. It is the same in training
    and evaluation.

    Parameters
    ----------
    num_features
        C, the number of features.
    alpha_init_value
        The first value of alpha.
    channel_axis
        The axis of the features: -1, or 1 for channels first.

    Attributes
    ----------
    alpha : (1,)
        The learned slope.
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.

    Notes
    -----
    .. math:: y = weight \cdot \tanh(alpha \cdot x) + bias

    x is (N, C) or (N, ..., C).

    References
    ----------
    .. [1] Zhu, Chen, He, LeCun and Liu, Transformers without Normalization, 2025 (arXiv
       2503.10622).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.DyT(2, alpha_init_value=1)
    >>> layer(np.array([[0.0, 1.0], [-1.0, 100.0]])).round(4)
    array([[ 0.    ,  0.7616],
           [-0.7616,  1.    ]])
    """

    by_channel: ClassVar[bool] = False
    scalars: ClassVar[tuple[str, ...]] = ("alpha",)
    wide: ClassVar[bool] = False

    def __init__(
        self,
        num_features: PositiveInt,
        alpha_init_value: float = 0.5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
    ) -> None:
        self.learn("alpha", alpha_init_value)
        self.learn("weight", 1 if affine else None)
        self.learn("bias", 0 if affine and bias else None)

    def forward_block(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        y = np.tanh(x * p.alpha)
        if "weight" in vars(p):
            y *= p.weight
        if "bias" in vars(p):
            y += p.bias
        return y

    def backward_block(self, dy: np.ndarray, x: np.ndarray, p: Fitting):
        inside, grads = x * p.alpha, {}
        if "bias" in vars(p):
            grads["bias"] = total(dy, p.outer)
        if "weight" in vars(p):
            grads["weight"] = dot(dy, np.tanh(inside), p.outer)
            dy = dy * p.weight
        # 1 - tanh² would have no digits left where tanh is next to 1
        e = np.exp(-2 * np.abs(inside))
        slope = 4 * e / np.square(1 + e)
        slope *= dy
        grads["alpha"] = dot(slope, x, tuple(range(x.ndim)))
        slope *= p.alpha
        return slope, grads
