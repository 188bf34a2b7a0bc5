"""LazyBatchNorm1d, 2d and 3d: batch normalization that takes num_features from its first input."""

from __future__ import annotations

from ...options import PositiveInt, takes_options_of
from ...registry import register
from ..fixed import Fixed
from ..lazy import Lazy
from .batchnorm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d


class LazyBatchNorm(Lazy):
    """The options of BatchNorm, with num_features by name alone; see Lazy."""

    @takes_options_of(BatchNorm)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()

    running_moments = True  # a lazy layer computes what the plain one does

    def fixed(self, who: str) -> Fixed:
        """As the plain layer, once there is a width."""
        return super().fixed(who)


@register("LazyBatchNorm1d", aliases=("LazyBN1d",))
class LazyBatchNorm1d(LazyBatchNorm, BatchNorm1d):
    """BatchNorm1d with num_features from the first input; see Lazy and BatchNorm."""

    plain = BatchNorm1d
    frozen_form = "FrozenBatchNorm1d"


@register("LazyBatchNorm2d", aliases=("LazyBN", "LazyBN2d", "LazyBatchNorm"))
class LazyBatchNorm2d(LazyBatchNorm, BatchNorm2d):
    """BatchNorm2d with num_features from the first input; see Lazy and BatchNorm."""

    plain = BatchNorm2d
    frozen_form = "FrozenBatchNorm2d"


@register("LazyBatchNorm3d", aliases=("LazyBN3d",))
class LazyBatchNorm3d(LazyBatchNorm, BatchNorm3d):
    """BatchNorm3d with num_features from the first input; see Lazy and BatchNorm."""

    plain = BatchNorm3d
    frozen_form = "FrozenBatchNorm3d"
