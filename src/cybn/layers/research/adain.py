"""AdaIN: the statistics of a style in place of the input's own.

NumPy over the compiled kernels, and no kernel of its own: to the batch kernels each plane is a
channel, and the moments of the style are its weight and bias. The gradient to the style is
normalization with given statistics once more, since d(mean)/ds is 1/L and d(std)/ds is (s - mean)/
(L*std).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ...arrays.validation import as_float_array, check_rank, check_separate
from ...functional.running import Step
from ...options import Bounds
from ...terms.registry import register
from ._common import Guarded
from ._planes import (
    check_planes,
    moments_of_planes,
    move_planes,
    normalize_planes,
    plane_shape,
    products,
)

_RANKS = (3, 4, 5)


@register("AdaIN", aliases=("AdaptiveInstanceNorm",))
class AdaIN(Guarded):
    r"""Adaptive instance normalization: each channel takes the style's mean and deviation.

    `layer(x, style=s)` gives each channel of each sample of x the moments that it has in s; without
    a style it is instance normalization. There are no parameters, and training and evaluation are
    alike [1]_.

    Parameters
    ----------
    eps
        Added to both variances.
    channel_axis
        The axis of the channels: 1, or -1 for channels last; that of the style, too.

    Attributes
    ----------
    dstyle : ndarray or None
        The gradient to the style after `backward`, of its shape, dtype and memory order; None
        without a style. It is no parameter's, so it is not in `grads`. `pullback` gives it as
        "style".
    grad_style : ndarray or None
        The same by another name.
    grads : dict
        Empty, since nothing is learned.

    Raises
    ------
    TypeError
        For an option of another type, and for an x or style of another dtype than float16,
        bfloat16, float32 and float64.
    ValueError
        For an option out of range; for an x or style of another rank or with one value in a channel
        of a sample; for a style with other samples or channels; for an `out` that cannot be written
        to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \sigma(s) \frac{x - \mu(x)}{\sigma(x)} + \mu(s)

    with mu the mean over the positions of one channel of one sample, sigma² = var + eps and var the
    biased variance over them. Without a style mu(s) is 0 and sigma(s) 1.

    x and style are (N, C, L), (N, C, H, W) or (N, C, D, H, W); the style has the N and C of x and
    any size otherwise, and may have another rank and dtype. y has the shape, dtype and memory order
    of x, and is written to `out` where it is given. Both inputs are kept for `backward`, not copied
    (x is, in place): leave them unchanged until then.

    References
    ----------
    .. [1] Huang and Belongie, Arbitrary Style Transfer in Real-time with Adaptive Instance
       Normalization, 2017 (arXiv 1703.06868).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.AdaIN()
    >>> x = np.array([[[1.0, 2.0, 3.0]]])
    >>> layer(x).round(3)
    array([[[-1.225,  0.   ,  1.225]]])
    >>> layer(x, style=np.array([[[10.0, 14.0]]])).round(3)  # mean 12, std 2
    array([[[ 9.551, 12.   , 14.449]]])
    >>> dx = layer.backward(np.ones((1, 1, 3)))
    >>> layer.dstyle.round(3)
    array([[[1.5, 1.5]]])
    """

    num_features_option = None
    differentiated = ("style",)
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        style: np.ndarray | None
        moments: np.ndarray | None  # of the style
        axis: int

    def __init__(
        self,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        *,
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self.dstyle: np.ndarray | None = None

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """A style whose statistics are not those of x."""
        return {"style": x * x + 1}

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, style: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved]:
        """Give x the statistics of the style, and tell what pullback needs. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        others = {} if style is None else {"style": self._check_style(style)}
        kept = self.begin(x, out, ndim=_RANKS, **others)
        check_planes(who, "x", kept, axis)
        style = others.get("style")
        if style is not None:
            if plane_shape(style, axis)[:2] != plane_shape(kept, axis)[:2]:
                raise ValueError(
                    f"{who} needs a style with the samples and channels of x, {kept.shape}, got "
                    f"{style.shape}; repeat one style for every sample with np.broadcast_to"
                )
            if kept.size and not style.size:
                raise ValueError(f"{who} got an empty style {style.shape}; leave it out for none")
        return self._guarded(x, kept, out, style=style)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None, style: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        mean = std = moments = None
        if style is not None:
            moments = moments_of_planes(style, self.eps, self.channel_axis)
            mean, std = moments[0], 1 / moments[2]
        y, stats = normalize_planes(x, std, mean, self.eps, self.channel_axis, out)
        return y, self.Saved(x, stats, style, moments, self.channel_axis), []

    def _check_style(self, style: np.ndarray) -> np.ndarray:
        who = f"{type(self).__name__}'s style"
        style = as_float_array(who, "style", style)
        check_rank(who, style, _RANKS, self.channel_axis)
        check_planes(who, "a style", style, self.channel_axis)
        return style

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, stats, style, moments, axis = saved
        if out is not None:
            check_separate(type(self).__name__, "out", out, style=style)
        std = np.ones(()) if style is None else 1 / moments[2]
        dx, dstd, dmean = products(dy, x, stats[0], stats[2], std, axis, out, through=True)
        dstyle = None
        if style is not None:
            length = plane_shape(style, axis)[2]
            scale = dstd * moments[2] / length
            dstyle = move_planes(style, moments[0], scale, dmean / length, axis)
        return dx, self.gradients(style=dstyle)

    @property
    def grad_style(self) -> np.ndarray | None:
        """`dstyle` by another name."""
        return self.dstyle
