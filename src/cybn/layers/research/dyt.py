"""Dynamic tanh: a squashing function in the place of a normalization.

The kernel of maps has the function, in the dtype of x, with sums in float64; backward, dx and sums
are written in one walk.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.maps import Maps, Point, maps_of
from ...functional.running import Step
from ...options import DType, PositiveInt, Trainable
from ...terms.registry import register
from ..base.pair import new
from ._common import Featured


@register("DyT", aliases=("DynamicTanh",))
class DyT(Featured):
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

    scalars: ClassVar[tuple[str, ...]] = ("alpha",)
    sixteen_bits = "native"
    warned: ClassVar[bool] = False

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        maps: Maps
        alpha: np.ndarray
        weight: np.ndarray

    def __init__(
        self,
        num_features: PositiveInt,
        alpha_init_value: float = 0.5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("alpha", alpha_init_value)
        self.learn("weight", 1 if affine else None)
        self.learn("bias", 0 if affine and bias else None)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        maps = maps_of(x, self.channel_axis, shared=True)
        alpha, weight = self.copied("alpha"), self.copied("weight", 1)
        bias = 0.0 if self.bias is None else self.bias
        y = maps.output(x, Point.SQUASH, alpha, a=weight, b=bias, out=out)
        return y, new(self.Saved, (x, maps, alpha, weight)), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, maps, alpha, weight = saved
        dx, sums = maps.slopes(dy, x, Point.SQUASH, alpha, a=weight, out=out)
        dbias, dweight, along = sums.sum(1)
        return dx, self.gradients(alpha=(weight * along).sum(), weight=dweight, bias=dbias)
