"""RevIN: normalize each series by itself, and put its mean and scale back on the way out.

NumPy over the compiled kernels, and no kernel of its own: a series, one channel of one sample, is a
plane to the batch kernels, which give its moments, move it by numbers of its own and sum gradients.
What is left are a few numbers for each series.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...arrays.validation import (
    check_per_channel,
)
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._inverse import Inverse, Reached, Reversible
from ._planes import (
    check_planes,
    moments_of_planes,
    move_planes,
    normalize_planes,
    plane_shape,
    products,
)

_RANKS = (3,)


@register("RevIN", aliases=("ReversibleInstanceNorm",))
class RevIN(Reversible):
    r"""Reversible instance normalization of time series, which `inverse` takes back.

    Each series, one channel of one sample of x (N, L, C), is centred and scaled by itself. A model
    forecasts from `layer(x)`, and `inverse` of the forecast has the level and scale of x. Training
    and evaluation are alike [1]_.

    Parameters
    ----------
    num_features
        C, the number of series in a sample.
    eps
        Added to the variance.
    subtract_last
        Centre on the last value, not on the mean.
    detach
        Take centre and std as constants in both backward passes, as the authors' code does.
    dtype
        Of weight and bias. Inputs may be float16, bfloat16, float32 or float64 with either.
    channel_axis
        The axis of the series: -1 for (N, L, C) as in the paper, 1 for (N, C, L).

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or with series
        of one step; for a weight of 0 in the inverse; for an `out` that cannot be written to. The
        layer is unchanged then.
    RuntimeError
        For an inverse or a backward before any forward.

    Notes
    -----
    .. math:: y = \frac{x - centre}{std} \cdot weight + bias
        \qquad inverse(y) = \frac{y - bias}{weight} \cdot std + centre

    with std² = var + eps, var the biased variance of a series over its L steps, and centre its
    mean, or its last value. The authors' code divides by weight + eps² in the inverse, so that it
    undoes the forward in part only; here it divides by weight, which must not be 0.

    The order of gradients is that of the chain rule. `inverse_backward` returns the gradient of the
    forecast, and `grads` are then those of the inverse alone; `backward`, called after it, returns
    dx with all that reaches x, by way of the inverse's centre and std too, and sets `grads` to the
    sums over forward and inverse. Without an inverse since the forward it is as in any layer. The
    pure pairs hand on what one needs of the other: `apply`, then `apply_inverse` with what that has
    saved, `pullback_inverse` with what the inverse has saved, and `pullback` with what that
    returns.

    x is (N, L, C).

    References
    ----------
    .. [1] Kim, Kim, Tae, Park, Choi and Choo, Reversible Instance Normalization for Accurate
       Time-Series Forecasting against Distribution Shift, ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.RevIN(1)
    >>> x = np.array([[[10.0], [14.0], [10.0], [14.0]]])
    >>> layer(x).ravel().round(4)
    array([-1.,  1., -1.,  1.])
    >>> layer.inverse(np.array([[[0.0], [2.0]]])).ravel().round(4)  # a forecast of two steps
    array([12., 16.])
    >>> dy = layer.inverse_backward(np.ones((1, 2, 1)))
    >>> dy.ravel().round(4)
    array([2., 2.])
    >>> dx = layer.backward(np.zeros((1, 4, 1)))  # as if the forecast had not depended on y
    >>> dx.ravel().round(4)  # 0.5 by the mean, -0.5 or 0.5 by std
    array([0., 1., 0., 1.])
    """

    class Saved(NamedTuple):
        """What pullback needs, and an inverse."""

        x: np.ndarray
        mean: np.ndarray
        centre: np.ndarray
        rstd: np.ndarray
        weight: np.ndarray
        subtract_last: bool
        detach: bool
        axis: int
        inverse: Inverse | None = None
        reached: Reached | None = None

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        affine: bool = True,
        subtract_last: bool = False,
        detach: bool = False,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        channels, dtype = self.num_features, self.dtype
        self.register_parameter("weight", np.ones(channels, dtype) if affine else None)
        self.register_parameter("bias", np.zeros(channels, dtype) if affine else None)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = self.begin(x, out, ndim=_RANKS, channels=self.num_features)
        check_planes(type(self).__name__, "x", kept, self.channel_axis)
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, (weight, bias) = self.channel_axis, self._affine()
        if self.subtract_last and x.size:
            mean, _, rstd = moments_of_planes(x, self.eps, axis)
            centre = _last(x, axis)
            y = move_planes(x, centre, weight * rstd, bias, axis, out)
        else:
            y, (mean, _, rstd) = normalize_planes(x, weight, bias, self.eps, axis, out)
            centre = mean
        how = self.subtract_last, self.detach, axis
        return y, self.Saved(x, mean, centre, rstd, weight, *how), []

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        """weight and bias in float64, copied; ones and zeros where there are none."""
        arrays, channels = {"weight": self.weight, "bias": self.bias}, self.num_features
        check_per_channel(type(self).__name__, arrays, channels, np.dtype(self.dtype))
        if self.weight is None:
            return np.ones(channels), np.zeros(channels)
        return self.weight.astype(np.float64), self.bias.astype(np.float64)

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx and the gradients of weight and bias:

            dstd = -Σ weight*dy*(x - centre)*rstd²        dcentre = -Σ weight*dy*rstd
            dx   = weight*rstd*dy + dstd*(x - mean)*rstd/L + dcentre/L

        with what an inverse adds to dstd and dcentre; dcentre goes to the last step alone where
        that is the centre.
        """
        x, mean, centre, rstd, weight, subtract_last, detach, axis, _, reached = saved
        # about the mean the kernel takes the gradient through the statistics by itself
        through = not (subtract_last or detach)
        # the last step is its own centre: dy cancels there, so its dx is summed in float64
        dx_last = weight * rstd * _last(dy, axis) if subtract_last and x.size else None
        dx, along, total = products(dy, x, centre, rstd, weight, axis, out, through=through)
        dstd, dcentre = np.zeros_like(rstd), np.zeros_like(rstd)
        if subtract_last:
            dstd, dcentre = -weight * rstd * along, -weight * rstd * total
        dweight, dbias = along.sum(0), total.sum(0)
        if reached is not None:
            dstd, dcentre = dstd + reached.by_std, dcentre + reached.by_centre
            dweight, dbias = dweight + reached.dweight, dbias + reached.dbias
        if x.size and not detach and (subtract_last or reached is not None):
            length = plane_shape(x, axis)[2]
            slope, shift = dstd * rstd / length, None if subtract_last else dcentre / length
            dx += move_planes(x, mean, slope, shift, axis)
            if subtract_last:
                dx_last += (_last(x, axis) - mean) * slope + dcentre
                np.moveaxis(dx, axis, 1)[:, :, -1] = dx_last
        return dx, self.gradients(weight=dweight, bias=dbias)


def _last(a: np.ndarray, axis: int) -> np.ndarray:
    """(N, C) float64: the last step of each series, copied."""
    return np.moveaxis(a, axis, 1)[:, :, -1].astype(np.float64)
