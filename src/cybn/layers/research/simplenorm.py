"""SimpleNorm: timm's norm that divides by a deviation without centring.

The deviation is the unbiased one. To the kernel of maps a row of features is a map, with its
deviation as the number of the map; the weight, which is another number for each item of it, follows
in a second pass. Rejected: layer norm plus the mean that it takes away, whose error is that of the
mean where x is next to 0.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...functional import batch_norm_backward_reduce
from ...functional.maps import Point
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured
from ._lines import Lines, lines_of


@register("SimpleNorm")
class SimpleNorm(Featured):
    r"""Simple normalization: every feature vector over its deviation, with its mean left in.

    It is the same in training and evaluation; names, defaults and semantics are those of timm
    [1]_.

    Parameters
    ----------
    num_features
        C, the number of features, 2 or more.
    eps
        Added to the variance.
    affine
        Learn weight; else it is None.
    channel_axis
        The axis of the features: -1, or 1 where they come before positions, which is copied on the
        way.

    Attributes
    ----------
    weight : (C,) or None
        The learned scale, ones at first. None where the options leave it out.

    Raises
    ------
    ValueError
        For an option out of range, and for one feature; for an x of another rank or number of
        features; for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y = \frac{x}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight

    with var the unbiased variance of the C features of one sample and position.

    x is (N, C) or (N, ..., C).

    References
    ----------
    .. [1] Wightman, PyTorch Image Models, `timm.layers.SimpleNorm`,
       https://github.com/huggingface/pytorch-image-models.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.SimpleNorm(3)
    >>> layer(np.array([[1.0, 3.0, 5.0]])).round(4)  # the variance is 4
    array([[0.5, 1.5, 2.5]])
    """

    optional_arrays = ("weight",)

    class Saved(NamedTuple):
        """What pullback needs; numbers of rows are (rows,)."""

        x: np.ndarray
        lines: Lines
        mean: np.ndarray
        rstd: np.ndarray
        weight: np.ndarray | None
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        affine: bool = True,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1 if affine else None)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = super()._accepted(x, out)
        if self.num_features == 1:
            raise ValueError(
                f"{type(self).__name__} needs more than 1 feature, got x of shape {kept.shape}: a "
                f"single value has no deviation"
            )
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, features = self.channel_axis, self.num_features
        lines = lines_of(x, (axis % x.ndim,))
        mean, var = lines.maps.moments(x)
        mean, rstd = mean[0], 1 / np.sqrt(var[0] * (features / (features - 1)) + self.eps)
        y = lines.maps.output(x, Point.LINEAR, rstd, out=out)
        weight = None if self.weight is None else self.copied("weight")
        if weight is not None:
            _times(y, weight, axis, y)
        return y, self.Saved(x, lines, mean, rstd, weight, axis), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, lines, mean, rstd, weight, axis = saved
        grads, g = {}, dy
        if weight is not None:
            xhat = lines.maps.output(x, Point.LINEAR, rstd)
            plain = np.stack([np.zeros_like(weight), np.ones_like(weight), np.ones_like(weight)])
            sums = batch_norm_backward_reduce(
                dy, xhat, plain, channel_axis=axis, who=type(self).__name__
            )
            grads["weight"] = sums[1]
            g = _times(dy, weight, axis, xhat)
        along = lines.maps.sums(g, x, 1.0)[0, 0]
        pull = -along * rstd**3 / (lines.maps.positions - 1)
        dx = lines.maps.gradient(g, x, rstd, m=mean, k=pull, out=out)
        return dx, self.gradients(**grads)


def _times(a: np.ndarray, weight: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    shape = [1] * a.ndim
    shape[axis] = len(weight)
    return np.multiply(a, weight.reshape(shape), out=out, casting="same_kind")
