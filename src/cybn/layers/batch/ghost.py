"""GhostBatchNorm: batch normalization over virtual batches, smaller than the batch.

A ragged last virtual batch keeps its size, as long as it has two values per channel; a single
sample of a single value is added to the one before, since its variance would mean nothing.
Rejected: dropping the rest (its samples would be in no output), and sizes evened out by spreading
the rest (then virtual_batch_size would hold for no virtual batch).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ...options import PositiveInt, takes_options_of
from ...registry import register
from ...validation import check_input
from ..channelnorm import ChannelArrays
from .batchnorm import BatchNorm
from .parts import Part, PartedBatchNorm


@register("GhostBatchNorm", aliases=("GhostBN", "GBN"))
class GhostBatchNorm(PartedBatchNorm):
    r"""Batch normalization of every `virtual_batch_size` samples by themselves.

    .. math:: y_v = \frac{x_v - \mathrm{mean}_v}{\sqrt{\mathrm{var}_v + \epsilon}}
        \cdot weight + bias

    for each virtual batch x_v: samples 0 to V-1, V to 2V-1, ... along N with V the
    virtual_batch_size. The last one has the rest; a rest of a single value per channel is added to
    the virtual batch before. The running statistics move once for each virtual batch, in order, and
    num_batches_tracked counts virtual batches. A batch of up to V samples is one virtual batch.

    Hoffer, Hubara and Soudry, Train longer, generalize better: closing the generalization gap in
    large batch training of neural networks, 2017 (arXiv 1705.08741), algorithm 1. Summers and
    Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, 2019 (arXiv
    1906.03548), study it for smaller batches.

    Options, attributes, input, output and errors are those of BatchNorm, with residual= and mask=,
    and:

    Parameters
    ----------
    virtual_batch_size: samples to a virtual batch, >= 1; 1 needs several positions per channel.
    ghost_inference: in evaluation, too, normalize by the moments of virtual batches; else by the
        running statistics.

    GhostBatchNorm takes (N, C), (N, C, L), (N, C, H, W) and (N, C, D, H, W); GhostBatchNorm1d, 2d
    and 3d take what BatchNorm1d, 2d and 3d take.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.GhostBatchNorm(1, virtual_batch_size=2, eps=1e-9)
    >>> layer(np.array([[1.0], [3.0], [10.0], [20.0], [7.0]])).ravel().round(3)
    array([-1.   ,  1.   , -0.42 ,  1.379, -0.96 ])
    >>> int(layer.num_batches_tracked)
    2
    """

    ranks = (2, 3, 4, 5)
    sized_by = ("num_features",)

    @takes_options_of(BatchNorm)
    def __init__(
        self,
        *args,
        virtual_batch_size: PositiveInt = 128,
        ghost_inference: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, NamedTuple]:
        """Normalize x virtual batch by virtual batch. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        x = check_input(who, x, self.ranks, self.num_features, axis)
        arrays = self.channel_arrays()
        places = [slice(None)]
        if x.size and (self.training or self.ghost_inference or self.running_mean is None):
            places = self._virtual_batches(x)
            if not self.training:  # no statistics to read: those of the batch are taken
                arrays = ChannelArrays(arrays.weight, arrays.bias, None, None, None)
        parts = [Part(place, "", arrays) for place in places]
        return self._apply_parts(x, out, residual, mask, parts)

    def _virtual_batches(self, x: np.ndarray) -> list[slice]:
        """Where the virtual batches of x lie along N."""
        n, size = len(x), self.virtual_batch_size
        single = x.size == n * self.num_features  # one value per channel and sample
        refused = not (self.training and self.on_single == "running")
        if single and min(n, size) == 1 and refused:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.shape} "
                f"and virtual_batch_size={size}; pass a larger batch, choose a larger "
                f"virtual_batch_size, or call eval() to use the running statistics"
            )
        edges = [*range(0, n, size), n]
        if single and n % size == 1 and len(edges) > 2:
            del edges[-2]
        return [slice(*edge) for edge in pairwise(edges)]


@register("GhostBatchNorm1d", aliases=("GhostBN1d",))
class GhostBatchNorm1d(GhostBatchNorm):
    """Ghost batch normalization of (N, C) or (N, C, L); see GhostBatchNorm."""

    ranks = (2, 3)


@register("GhostBatchNorm2d", aliases=("GhostBN2d",))
class GhostBatchNorm2d(GhostBatchNorm):
    """Ghost batch normalization of (N, C, H, W); see GhostBatchNorm."""

    ranks = (4,)


@register("GhostBatchNorm3d", aliases=("GhostBN3d",))
class GhostBatchNorm3d(GhostBatchNorm):
    """Ghost batch normalization of (N, C, D, H, W); see GhostBatchNorm."""

    ranks = (5,)
