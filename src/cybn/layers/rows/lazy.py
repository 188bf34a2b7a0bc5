"""LazyInstanceNorm1d, 2d and 3d: instance norm that takes num_features from its first input."""

from __future__ import annotations

import numpy as np

from ...options import PositiveInt, takes_options_of
from ...registry import register
from ..lazy import Lazy
from .instancenorm import InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d


class LazyInstanceNorm(Lazy):
    """The options of InstanceNorm, with num_features by name alone; see Lazy.

    As in PyTorch, affine and track_running_stats are True where they are not given.
    """

    @takes_options_of(InstanceNorm, affine=True, track_running_stats=True)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()

    def _width_of(self, x: np.ndarray) -> int:
        alone = x.ndim == self.ranks[0] and self.channel_axis == 1  # one sample: (C, L)
        return len(x) if alone else super()._width_of(x)


@register("LazyInstanceNorm1d", aliases=("LazyIN1d",))
class LazyInstanceNorm1d(LazyInstanceNorm, InstanceNorm1d):
    """InstanceNorm1d with num_features from the first input; see Lazy and InstanceNorm."""

    plain = InstanceNorm1d


@register("LazyInstanceNorm2d", aliases=("LazyIN", "LazyIN2d", "LazyInstanceNorm"))
class LazyInstanceNorm2d(LazyInstanceNorm, InstanceNorm2d):
    """InstanceNorm2d with num_features from the first input; see Lazy and InstanceNorm."""

    plain = InstanceNorm2d


@register("LazyInstanceNorm3d", aliases=("LazyIN3d",))
class LazyInstanceNorm3d(LazyInstanceNorm, InstanceNorm3d):
    """InstanceNorm3d with num_features from the first input; see Lazy and InstanceNorm."""

    plain = InstanceNorm3d
