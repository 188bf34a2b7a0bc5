"""AdaIN: the statistics of a style in place of the input's own.

NumPy over the compiled kernels, and no kernel of its own: to the batch kernels each plane is a
channel, and the moments of the style are its weight and bias. The gradient to the style is
normalization with given statistics once more, since d(mean)/ds is 1/L and d(std)/ds is (s - mean)/
(L*std).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from ...options import Bounds
from ...registry import register
from ...validation import as_float_array, check_rank
from ..base import Layer
from ._common import quiet
from ._planes import (
    accept,
    check_planes,
    moments_of_planes,
    move_planes,
    normalize_planes,
    plane_shape,
    products,
)

_RANKS = (3, 4, 5)


@register("AdaIN", aliases=("AdaptiveInstanceNorm",))
class AdaIN(Layer):
    r"""Adaptive instance normalization: each channel of a sample takes the style's mean and std.

    .. math:: y = \sigma(s) \frac{x - \mu(x)}{\sigma(x)} + \mu(s)

    with mu the mean over the positions of one channel of one sample, sigma² = var + eps and var
    the biased variance over them. Without a style mu(s) is 0 and sigma(s) 1: instance
    normalization. There are no parameters, and training and evaluation are alike.

    Huang and Belongie, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization,
    2017 (arXiv 1703.06868).

    Parameters
    ----------
    eps: added to both variances, > 0.
    channel_axis: 1, or -1 for channels last; the style's too.

    Attributes
    ----------
    grad_style: the gradient to the style, of its shape, dtype and memory order, after backward;
        None without a style. It is no parameter's, so it is not in `grads`, which stays empty.

    x and style are (N, C, L), (N, C, H, W) or (N, C, D, H, W), float32 or float64; the style has
    x's N and C and any size otherwise, and may have another rank and dtype. y has x's shape, dtype
    and memory order. Both are kept for backward, not copied (x is, in place).

    Raises TypeError for another dtype; ValueError for another rank, other N or C of the style, one
    value in a channel of a sample, an unusable out. The layer is unchanged then.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.AdaIN()
    >>> x = np.array([[[1.0, 2.0, 3.0]]])
    >>> layer(x).round(3)
    array([[[-1.225,  0.   ,  1.225]]])
    >>> layer(x, style=np.array([[[10.0, 14.0]]])).round(3)  # mean 12, std 2
    array([[[ 9.551, 12.   , 14.449]]])
    >>> dx = layer.backward(np.ones((1, 1, 3)))
    >>> layer.grad_style.round(3)
    array([[[1.5, 1.5]]])
    """

    num_features_option = None

    def __init__(
        self,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        *,
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self.grad_style = None

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """A style whose statistics are not those of x."""
        return {"style": x * x + 1}

    @quiet
    def forward(
        self, x: np.ndarray, out: np.ndarray | None = None, *, style: np.ndarray | None = None
    ) -> np.ndarray:
        """x with the statistics of the style. See the class."""
        axis = self.channel_axis
        others = {} if style is None else {"style": self._check_style(style)}
        x = accept(self, x, out, _RANKS, **others)
        who = type(self).__name__
        check_planes(who, "x", x, axis)
        style = others.get("style")
        mean = std = moments = None
        if style is not None:
            if plane_shape(style, axis)[:2] != plane_shape(x, axis)[:2]:
                raise ValueError(
                    f"{who} needs a style with the samples and channels of x, {x.shape}, got "
                    f"{style.shape}; repeat one style for every sample with np.broadcast_to"
                )
            if x.size and not style.size:
                raise ValueError(f"{who} got an empty style {style.shape}; leave it out for none")
            moments = moments_of_planes(style, self.eps, axis)
            mean, std = moments[0], 1 / moments[2]
        y, stats = normalize_planes(x, std, mean, self.eps, axis, out)
        self._saved = x, stats, style, moments, axis
        return y

    def _check_style(self, style: np.ndarray) -> np.ndarray:
        who = f"{type(self).__name__}'s style"
        style = as_float_array(who, "style", style)
        check_rank(who, style, _RANKS, self.channel_axis)
        check_planes(who, "a style", style, self.channel_axis)
        return style

    @quiet
    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward; sets `grad_style`. See `BatchNorm.backward` for dy and out."""
        dy, (x, stats, style, moments, axis) = self.checked_dy(dy, out)
        std = np.ones(()) if style is None else 1 / moments[2]
        dx, dstd, dmean = products(dy, x, stats[0], stats[2], std, axis, out, through=True)
        grad_style = None
        if style is not None:
            length = plane_shape(style, axis)[2]
            scale = dstd * moments[2] / length
            grad_style = move_planes(style, moments[0], scale, dmean / length, axis)
        self.grads, self.grad_style = {}, grad_style
        return dx
