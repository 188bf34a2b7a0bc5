"""GroupNorm: groups of channels by the moments that they have in a sample."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...functional.groups import check_group_size, check_samples
from ...layout import Rows, group_rows
from ...options import Bounds, Divides, DType, PositiveInt
from ...registry import register
from ...validation import check_channels, check_groups
from .rownorm import RowNorm


@register("GroupNorm", aliases=("GN",))
class GroupNorm(RowNorm):
    r"""Group normalization: each group of channels of a sample to mean 0 and variance 1, scaled.

    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    mean and var (biased) are those of num_channels/num_groups channels side by side, of one sample;
    so they are in evaluation too. One group is layer normalization of the sample but for weight and
    bias, which are the channels' own; as many groups as channels are instance normalization.

    Wu and He, Group Normalization, 2018 (arXiv 1803.08494). Names, defaults and semantics are
    PyTorch's.

    Parameters
    ----------
    num_groups: a divisor of num_channels.
    num_channels: C, the number of channels.
    eps: added to the variance, > 0.
    affine: learn weight and bias; else both are None.
    bias: False leaves out the bias alone.
    dtype: of the parameters, "float32" or "float64". Inputs may be either.
    channel_axis: 1, or -1 for channels last.

    Attributes
    ----------
    weight, bias: (C,), ones and zeros at first; None where the options leave them out.
    grads: {"weight": (C,), "bias": (C,)} after backward.

    x is (N, C) or (N, C, ...); for out and errors see LayerNorm. ValueError also for another number
    of channels, and for one sample with one value per group. Channels last is copied on the way.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.create({"type": "GN", "num_groups": 2}, num_features=4)
    >>> layer
    GroupNorm(2, 4, eps=1e-05, affine=True)
    >>> layer(np.array([[1.0, 3.0, 10.0, 30.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """

    num_features_option: ClassVar[str] = "num_channels"
    rules = (Divides("num_groups", "num_channels"),)
    sized_by = ("num_channels",)
    affine_meaning: ClassVar[str] = "one for each channel"

    def __init__(
        self,
        num_groups: PositiveInt,
        num_channels: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        channels = self.num_channels
        self.register_parameter("weight", np.ones(channels, self.dtype) if affine else None)
        self.register_parameter("bias", np.zeros(channels, self.dtype) if affine and bias else None)

    def _rows(self, x: np.ndarray) -> Rows:
        who, axis, groups = type(self).__name__, self.channel_axis, self.num_groups
        check_samples(who, x, axis)
        check_channels(who, x, self.num_channels, axis, "num_channels")
        check_groups(who, self.num_channels, groups)  # either may have been assigned to
        check_group_size(x, groups)
        return group_rows(x, groups, axis)

    def _affine_shape(self) -> tuple[int, ...]:
        return (self.num_channels,)
