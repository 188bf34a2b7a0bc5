"""MeanVarianceNormalization: ONNX's operator, over any axes, with eps on the deviation.

The kernels of batch normalization: where the axes that are kept lie side by side, as the channels
of (N, C, H, W) do, they are the channels, and nothing is copied. eps stands beside the deviation,
not in the root, and what this makes of rstd is the weight of a channel.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, NamedTuple

import numpy as np

from ...arrays.layout import Arrangement
from ...functional import (
    batch_norm_apply,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
    batch_norm_moments,
)
from ...functional.running import Step
from ...options import Bounds
from ...terms.registry import register
from ._common import Guarded
from ._lines import axes_of


@register("MeanVarianceNormalization", aliases=("MVN",))
class MeanVarianceNormalization(Guarded):
    r"""Mean-variance normalization: x to mean 0 and deviation 1 over any axes.

    There are no parameters, and training and evaluation are alike: moments are those of the input.
    It is ONNX's operator of this name [1]_.

    Parameters
    ----------
    axes
        The axes over which moments are taken.
    eps
        Added to the deviation.

    Attributes
    ----------
    grads : dict
        Empty, since nothing is learned.

    Raises
    ------
    TypeError
        For an option of another type, and for an x of another dtype than float16, bfloat16, float32
        and float64.
    ValueError
        For an option out of range; for an x without those axes; for an `out` that cannot be written
        to.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var}} + \epsilon}

    with var the biased variance. Of a constant, y is 0, and the gradient does not go through the
    deviation.

    x is (N, C, H, W), or of any axes that are named.

    References
    ----------
    .. [1] ONNX operators, MeanVarianceNormalization,
       https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> x = np.array([[1.0, 10.0], [3.0, 50.0]])
    >>> cybn.MeanVarianceNormalization(axes=[0])(x)
    array([[-1., -1.],
           [ 1.,  1.]])
    """

    num_features_option = None

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        block: Arrangement
        stats: np.ndarray

    def __init__(
        self,
        axes: tuple[int, ...] = (0, 2, 3),
        eps: Annotated[float, Bounds(gt=0)] = 1e-9,
    ) -> None: ...

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = self.begin(x, out)
        axes_of(type(self).__name__, kept, self.axes)
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        who = type(self).__name__
        block = _block(x, axes_of(who, x, self.axes))
        values, y, target = block.with_output(x, out)
        moments = batch_norm_moments(values, who=who)
        stats = moments.stats(self.eps**2)
        rstd = 1 / (np.sqrt(stats[1]) + self.eps)
        result = batch_norm_apply(
            values, moments, rstd / stats[2], eps=self.eps**2, out=target, who=who
        )
        stats[2] = rstd
        if target is None:
            block.scatter(result, y)
        return y, self.Saved(x, block, stats), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, block, stats = saved
        who, (values, dx, target) = type(self).__name__, block.with_output(x, out)
        dy = block.gather(dy)
        sums = batch_norm_backward_reduce(dy, values, stats, who=who)
        std = np.sqrt(stats[1])  # its slope goes with 1/std, and xhat with rstd
        sums[1] = np.divide(sums[1], std * stats[2], out=np.zeros_like(std), where=std > 0)
        count = values.size // max(1, len(std))
        result = batch_norm_backward_apply(dy, values, stats, sums, count, out=target, who=who)
        if target is None:
            block.scatter(result, dx)
        return dx, self.gradients()


def _block(x: np.ndarray, axes: tuple[int, ...]) -> Arrangement:
    """x as (N, C, L) with the axes that are kept as C: copied where they lie apart."""
    kept = [i for i in range(x.ndim) if i not in axes]
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    if last - first == len(kept):
        sizes = x.shape[:first], x.shape[first:last], x.shape[last:]
        return Arrangement(None, tuple(map(prod, sizes)))
    shape = 1, prod(x.shape[i] for i in kept), prod(x.shape[i] for i in axes)
    return Arrangement((*kept, *axes), shape)
