"""GhostBatchNorm: batch normalization over virtual batches, smaller than the batch.

A ragged last virtual batch keeps its size, as long as it has two values per channel; a single
sample of a single value is added to the one before, since its variance would mean nothing.
Rejected: dropping the rest (its samples would be in no output), and sizes evened out by spreading
the rest (then virtual_batch_size would hold for no virtual batch).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np

from ...arrays.fixes import eval_fix
from ...options import PositiveInt, takes_options_of
from ...terms.registry import register
from ..base.channelnorm import ChannelArrays
from ..base.fixed import Fixed
from ..base.ranks import ranked
from .batchnorm import BatchNorm
from .parts import Part, PartedBatchNorm


@register("GhostBatchNorm", aliases=("GhostBN", "GBN"))
class GhostBatchNorm(PartedBatchNorm):
    r"""Batch normalization of <shapes>, virtual batch by virtual batch.

    Every `virtual_batch_size` samples are normalized by themselves, as by a BatchNorm<d> that sees
    a smaller batch [1]_ [2]_. In evaluation the running statistics serve all.

    Parameters
    ----------
    virtual_batch_size
        V, samples to a virtual batch; 1 needs several positions per channel.
    ghost_inference
        In evaluation, too, normalize by the moments of virtual batches; else by the running
        statistics.

    Notes
    -----
    .. math:: y_v = \frac{x_v - \mathrm{mean}_v}{\sqrt{\mathrm{var}_v + \epsilon}}
        \cdot weight + bias

    for each virtual batch x_v: samples 0 to V-1, V to 2V-1, and so on along N, with its mean and
    biased variance. The last one has the rest; a rest of a single value per channel is added to the
    virtual batch before. The running statistics move once for each virtual batch, in order, and
    `num_batches_tracked` counts virtual batches. A batch of up to V samples is one virtual batch.

    x is <shapes>.
    `layer(x, residual=z)` adds z before the activation, and `layer(x, mask=m)` takes the positions
    where m is True as the data; the others come out as 0.

    References
    ----------
    .. [1] Hoffer, Hubara and Soudry, Train longer, generalize better: closing the generalization
       gap in large batch training of neural networks, 2017 (arXiv 1705.08741), algorithm 1.
    .. [2] Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization,
       2019 (arXiv 1906.03548), which studies it for smaller batches.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.<name>(1, virtual_batch_size=1, eps=1e-9)
    >>> x = np.array([1.0, 3.0, 10.0, 20.0]).reshape(2, 1, 2<ones>)
    >>> layer(x).ravel().round(3)
    array([-1.,  1., -1.,  1.])
    >>> int(layer.num_batches_tracked)
    2
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    running_moments = True
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

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation, but for ghost_inference."""
        if self.ghost_inference:
            raise ValueError(
                f"{who} cannot fold ghost_inference=True of {type(self).__name__} into weights; "
                f"set ghost_inference to False to evaluate by the running statistics"
            )
        return super().fixed(who)

    def _parts(self, x: np.ndarray) -> list[Part]:
        """Virtual batches, unless the running statistics serve all."""
        arrays = self.channel_arrays()
        places = [slice(None)]
        if x.size and (self.training or self.ghost_inference or self.running_mean is None):
            places = self._virtual_batches(x)
            if not self.training:  # no statistics to read: those of the batch are taken
                arrays = ChannelArrays(arrays.weight, arrays.bias, None, None, None)
        return [Part(place, "", arrays) for place in places]

    def _virtual_batches(self, x: np.ndarray) -> list[slice]:
        """Where the virtual batches of x lie along N."""
        n, size = len(x), self.virtual_batch_size
        single = x.size == n * self.num_features  # one value per channel and sample
        refused = not (self.training and self.on_single == "running")
        if single and min(n, size) == 1 and refused:
            fix = "pass a larger batch" if n == 1 else "choose a larger virtual_batch_size"
            if not self.ghost_inference:
                fix += f", or {eval_fix(self.track_running_stats)}"
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.shape} "
                f"and virtual_batch_size={size}; {fix}"
            )
        edges = [*range(0, n, size), n]
        if single and n % size == 1 and len(edges) > 2:
            del edges[-2]
        return [slice(*edge) for edge in pairwise(edges)]


GhostBatchNorm1d, GhostBatchNorm2d, GhostBatchNorm3d = ranked(GhostBatchNorm, "GhostBN")
