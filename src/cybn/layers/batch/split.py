"""SplitBatchNorm: auxiliary batch norms for the parts of a batch that come from elsewhere.

A batch that does not divide into equal parts is an error: rounding would put samples of one source
into the statistics of another without a word.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from ...options import Bounds, takes_options_of
from ...registry import register
from ...validation import check_input
from .batchnorm import BatchNorm
from .parts import MEMBERS, Part, PartedBatchNorm


@register("SplitBatchNorm", aliases=("SplitBN",))
class SplitBatchNorm(PartedBatchNorm):
    r"""Batch normalization whose batch has parts of `num_splits` sources, each with its own layer.

    In training the batch is cut along N into num_splits equal parts. The first goes through the
    main weight, bias and running statistics, each other one through auxiliary ones of its own, all
    as in BatchNorm. In evaluation the main ones serve every sample.

    Xie et al., Adversarial Examples Improve Image Recognition, 2020 (arXiv 1911.09665): clean
    images in the first half, adversarial ones in the second. Names in state dicts are those of
    timm's SplitBatchNorm2d.

    Options, input and output are those of BatchNorm, with residual= and mask=, and:

    Parameters
    ----------
    num_splits: parts of a batch, >= 2.

    Attributes
    ----------
    weight, bias, running_mean, running_var, num_batches_tracked: the main ones, as in BatchNorm.
    named_parameters(), state_dict(), grads: also `aux_bn.0.weight` and so on, num_splits - 1 times.
        In evaluation the gradients of the auxiliary ones are zero.

    Raises what BatchNorm raises, and ValueError in training for a batch that num_splits does not
    divide.

    SplitBatchNorm takes (N, C), (N, C, L), (N, C, H, W) and (N, C, D, H, W); SplitBatchNorm1d, 2d
    and 3d take what BatchNorm1d, 2d and 3d take.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.SplitBatchNorm(1, momentum=1)
    >>> y = layer(np.array([[1.0], [3.0], [10.0], [30.0]]))
    >>> y.ravel().round(3)
    array([-1.,  1., -1.,  1.])
    >>> state = layer.state_dict()
    >>> state["running_mean"].item(), state["aux_bn.0.running_mean"].item()
    (2.0, 20.0)
    """

    ranks = (2, 3, 4, 5)
    sized_by = ("num_features", "num_splits")

    @takes_options_of(BatchNorm)
    def __init__(
        self, *args, num_splits: Annotated[int, Bounds(ge=2, le=MEMBERS)] = 2, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self._declare_further(self._prefixes()[1:], keep=True)

    def _prefixes(self) -> tuple[str, ...]:
        return ("", *(f"aux_bn.{i}." for i in range(self.num_splits - 1)))

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, NamedTuple]:
        """Normalize x, in training part by part. See the class."""
        who = type(self).__name__
        x = check_input(who, x, self.ranks, self.num_features, self.channel_axis)
        prefixes = self._prefixes() if self.training and x.size else ("",)
        size, rest = divmod(len(x), len(prefixes))
        if rest:
            raise ValueError(
                f"{who} expects a batch of {len(prefixes)} equal parts in training, got {len(x)} "
                f"samples in {x.shape}; pass a multiple of num_splits={len(prefixes)}"
            )
        parts = [
            Part(slice(i * size, (i + 1) * size), prefix, self.channel_arrays(prefix))
            for i, prefix in enumerate(prefixes)
        ]
        return self._apply_parts(x, out, residual, mask, parts)


@register("SplitBatchNorm1d", aliases=("SplitBN1d",))
class SplitBatchNorm1d(SplitBatchNorm):
    """Split batch normalization of (N, C) or (N, C, L); see SplitBatchNorm."""

    ranks = (2, 3)


@register("SplitBatchNorm2d", aliases=("SplitBN2d",))
class SplitBatchNorm2d(SplitBatchNorm):
    """Split batch normalization of (N, C, H, W); see SplitBatchNorm."""

    ranks = (4,)


@register("SplitBatchNorm3d", aliases=("SplitBN3d",))
class SplitBatchNorm3d(SplitBatchNorm):
    """Split batch normalization of (N, C, D, H, W); see SplitBatchNorm."""

    ranks = (5,)
