"""GroupNorm: groups of channels by the moments that they have in a sample."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...arrays.layout import Rows, group_rows
from ...arrays.validation import check_channels, check_groups
from ...functional.gates import ACTIVATIONS
from ...functional.groups import check_group_size, check_samples
from ...functional.masks import check_mask
from ...options import Bounds, Divides, DType, PositiveInt, Trainable
from ...terms.registry import register
from .masked import apply_samples, check_counts, pullback_samples
from .rownorm import RowNorm


@register("GroupNorm", aliases=("GN",))
class GroupNorm(RowNorm):
    r"""Group normalization: each group of channels of a sample to mean 0 and variance 1.

    The moments are those of num_channels/num_groups channels side by side of one sample, in
    evaluation, too; then each channel is scaled and shifted [1]_. One group is layer normalization
    of the sample but for weight and bias, which are the channels' own; as many groups as channels
    are instance normalization. Names, defaults and semantics are those of PyTorch.

    Parameters
    ----------
    num_groups
        The number of groups, a divisor of `num_channels`.
    num_channels
        C, the number of channels.
    eps
        Added to the variance.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, which is copied on the way.
    activation
        A function of the output, computed in the same pass over memory, or None.
    negative_slope
        The slope of "leaky_relu" below 0. Without that activation it means nothing.
    alpha
        The factor of "elu" below 0. Without that activation it means nothing.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    dresidual : ndarray or None
        The gradient of the residual after the backward of a forward that had one.

    Raises
    ------
    ValueError
        For an option out of range, and groups that do not divide the channels; for an x of less
        than two axes, with another number of channels or, of one sample, with one value per group;
        for an `out` that cannot be written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    with var the biased variance. x is (N, C) or (N, C, ...), with any strides; y has its shape,
    dtype and memory order, and is written to `out` where it is given; x itself as `out` works in
    place. x is kept for `backward` until the next `forward`, not copied (unless in place): leave it
    unchanged until then.

    `layer(x, mask=m)` takes the positions where m is True (the shape of x without the channels, or
    its first axes) as the data: the others have no part in the moments and gradients, and come out
    as 0.

    `layer(x, residual=z)` adds z, of the shape and dtype of x, before the activation, in the same
    pass.

    References
    ----------
    .. [1] Wu and He, Group Normalization, 2018 (arXiv 1803.08494).

    Examples
    --------
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
        weight: bool = True,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: Literal[ACTIVATIONS] | None = None,
        negative_slope: Annotated[float, Bounds(gt=0, lt=1)] = 0.01,
        alpha: Annotated[float, Bounds(gt=0)] = 1.0,
        trainable: Trainable = True,
    ) -> None:
        channels = self.num_channels
        self._declare_affine((channels,), affine and weight, affine and bias)

    def _rows(self, x: np.ndarray) -> Rows:
        who, axis, groups = type(self).__name__, self.channel_axis, self.num_groups
        check_samples(who, x, axis)
        fits = x.shape[axis] % groups == 0
        build = "num_channels={}" if fits else "num_channels={} and a num_groups that divides it"
        check_channels(who, x, self.num_channels, axis, build)
        check_groups(who, self.num_channels, groups)  # either may have been assigned to
        check_group_size(x, groups)
        return group_rows(x, groups, axis)

    def _apply_masked(
        self, x: np.ndarray, mask: np.ndarray, out: np.ndarray | None, residual: np.ndarray | None
    ) -> tuple[np.ndarray, RowNorm.Saved]:
        who, axis, rows = type(self).__name__, self.channel_axis, self._rows(x)
        mask = check_mask(who, mask, x, axis)
        check_counts(who, mask, self.num_channels // self.num_groups)
        y, masked, kept = apply_samples(self, x, mask, axis, out, residual)
        return y, self._saved_masked(kept, rows, masked)

    def _pullback_masked(
        self, saved: RowNorm.Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return pullback_samples(self, saved.x, saved.masked, dy, self.channel_axis, out)

    def _affine_shape(self) -> tuple[int, ...]:
        return (self.num_channels,)
