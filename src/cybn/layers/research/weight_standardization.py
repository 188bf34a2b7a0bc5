"""WeightStandardization: each filter of a weight to mean 0 and variance 1.

A view of batch normalization, with its kernel: the filters are the channels, and there is one
"sample". What it normalizes is the weight of a linear layer or convolution, not an activation.

Implementations differ. The authors' takes the unbiased variance and divides by std + 1e-5; the one
of the residual networks trained with it (BiT) and timm's take the biased variance, and eps is in
the root. This is the latter, as in the paper's equation.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...functional import batch_norm_backward, batch_norm_forward
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Guarded


@register("WeightStandardization", aliases=("WS", "WeightStandardisation"))
class WeightStandardization(Guarded):
    r"""Weight standardization: each output filter to mean 0 and variance 1.

    What it normalizes is the weight of a linear layer or convolution, not an activation [1]_. A
    filter may be multiplied by a gain that is learned [2]_. Training and evaluation are alike.

    Parameters
    ----------
    out_channels
        The number of filters, to learn a gain for each; None learns none and takes weights of any
        number.
    eps
        Added to the variance.
    scaled
        Divide by the root of I, the values of a filter, so that a filter has norm 1.
    dtype
        Of the gain. Inputs may be float16, bfloat16, float32 or float64 with either.
    channel_axis
        The axis of the filters: 0 as in PyTorch, (C_out, C_in, ...), or -1 as in frameworks with
        channels last, (..., C_in, C_out).

    Attributes
    ----------
    gain : (out_channels,) or None
        The learned gain, ones at first.
    grads : dict
        The gradient of `gain` after `backward`, or empty.

    Raises
    ------
    TypeError
        For an option of another type, and for a weight of another dtype than float16, bfloat16,
        float32 and float64.
    ValueError
        For an option out of range; for a weight of less than two axes, another number of filters
        than `out_channels`, or filters of one value; for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y_o = \frac{x_o - \mathrm{mean}_o}{\sqrt{\mathrm{var}_o + \epsilon}} \cdot gain_o

    with mean and var (biased) over the I values of filter o.

    x is a weight, 2-D or more; y has its shape, dtype and memory order, and is written to `out`
    where it is given. `backward` turns the gradient of y, which the layer that uses it gives, into
    that of x. x is kept for it, not copied (unless in place).

    References
    ----------
    .. [1] Qiao, Wang, Liu, Shen and Yuille, Micro-Batch Training with Batch-Channel Normalization
       and Weight Standardization, 2019 (arXiv 1903.10520).
    .. [2] Brock, De and Smith, Characterizing Signal Propagation to Close the Performance Gap in
       Unnormalized ResNets, 2021 (arXiv 2101.08692), for gain and scaling.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.WeightStandardization()
    >>> layer(np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 8.0, 8.0]])).round(4)
    array([[-1.3416, -0.4472,  0.4472,  1.3416],
           [-1.    , -1.    ,  1.    ,  1.    ]])
    >>> dx = layer.backward(np.ones((2, 4)))  # filters of any mean give the same
    >>> bool((dx == 0).all()), layer.grads
    (True, {})
    """

    num_features_option = None
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        gain: np.ndarray  # with share in it
        share: float
        axis: int

    def __init__(
        self,
        out_channels: PositiveInt | None = None,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        scaled: bool = False,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[0, -1] = 0,
        trainable: Trainable = True,
    ) -> None:
        gain = None if out_channels is None else np.ones(self.out_channels, self.dtype)
        self.register_parameter("gain", gain)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        who, axis, kept = type(self).__name__, self.channel_axis, self.begin(x, out)
        if kept.ndim < 2:
            raise ValueError(
                f"{who} expects a weight of 2 axes or more, filters on axis {axis}, got "
                f"{kept.ndim}-D {kept.shape}"
            )
        filters = kept.shape[axis]
        if self.gain is not None and filters != self.out_channels:
            raise ValueError(
                f"{who} expects {self.out_channels} filters on axis {axis}, got {filters} in "
                f"{kept.shape}; build the layer with out_channels={filters}"
            )
        if filters and kept.size == filters:
            raise ValueError(
                f"{who} needs filters of more than 1 value, got {kept.shape} with filters on axis "
                f"{axis}; a single value would become 0"
            )
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, filters = self.channel_axis, x.shape[self.channel_axis]
        share = sqrt(filters / x.size) if self.scaled and x.size else 1.0
        gain = np.full(filters, share)
        if self.gain is not None:
            gain *= self.gain
        y, stats = batch_norm_forward(
            x, gain, eps=self.eps, channel_axis=axis, out=out, who=type(self).__name__
        )
        return y, self.Saved(x, stats, gain, share, axis), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, stats, gain, share, axis = saved
        dx, dgain, _ = batch_norm_backward(
            dy, x, stats, gain, channel_axis=axis, out=out, who=type(self).__name__
        )
        return dx, self.gradients(gain=dgain * share)
