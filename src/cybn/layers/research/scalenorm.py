"""ScaleNorm: each feature vector to one learned length.

A view of RMS normalization, with its compiled kernel: the length of x is its root mean square times
the root of C, so that every feature has the weight g/sqrt(C), and the gradient of g is the sum of
theirs over sqrt(C). Rejected: the bound that the paper's code has in place of eps, the larger of
the length and eps, whose gradient jumps.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.layout import Rows, leading_rows
from ...arrays.validation import FLOAT64
from ...functional._checked import gradient_checked, normalize_checked
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured


@register("ScaleNorm")
class ScaleNorm(Featured):
    r"""Scale normalization: every feature vector to the same length, which is learned.

    It is RMSNorm with one weight for all features, and the same in training and evaluation [1]_.

    Parameters
    ----------
    num_features
        C, the number of features.
    eps
        Added to the sum of squares.
    dtype
        Of the parameter. Inputs may be float16, bfloat16, float32 or float64 with either.
    channel_axis
        The axis of the features: -1, or 1 where they come before positions.

    Attributes
    ----------
    weight : (1,)
        The learned length, the square root of C at first; g in the paper.
    grads : dict
        The gradient of `weight` after `backward`.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x}{\sqrt{\sum_i x_i^2 + \epsilon}}

    The sum is over the C features of one sample and position.

    x is (N, C) or (N, ..., C).

    References
    ----------
    .. [1] Nguyen and Salazar, Transformers without Tears: Improving the Normalization of
       Self-Attention, 2019 (arXiv 1910.05895).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.ScaleNorm(2)
    >>> layer.weight[...] = 10
    >>> layer(np.array([[3.0, 4.0], [-0.6, 0.8]])).round(3)
    array([[ 6.,  8.],
           [-6.,  8.]])
    """

    scalars: ClassVar[tuple[str, ...]] = ("weight",)
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        weight: np.ndarray
        rows: Rows

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-10,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", sqrt(num_features))

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        features = self.num_features
        rows = leading_rows(x, self.channel_axis, 0)._replace(run=features, values=1)
        weight = self.copied("weight") / sqrt(features)
        y, stats = normalize_checked(x, rows, weight, None, self.eps / features, False, out)
        return y, self.Saved(x, stats, weight, rows), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, stats, weight, rows = saved
        dx, dweight, _ = gradient_checked(
            dy, x, rows, stats, weight, False, out, FLOAT64, (self.learns("weight"), False)
        )
        if dweight is not None:
            dweight = dweight / sqrt(rows.run)
        return dx, self.gradients(weight=dweight)
