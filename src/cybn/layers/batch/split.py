"""SplitBatchNorm: auxiliary batch norms for the parts of a batch that come from elsewhere.

A batch that does not divide into equal parts is an error: rounding would put samples of one source
into the statistics of another without a word.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from ...options import Bounds, takes_options_of
from ...terms.registry import register
from ..base.fixed import Fixed
from ..base.ranks import ranked
from .batchnorm import BatchNorm
from .parts import MEMBERS, Part, PartedBatchNorm


@register("SplitBatchNorm", aliases=("SplitBN",))
class SplitBatchNorm(PartedBatchNorm):
    r"""Batch normalization of <shapes> whose batch has parts of several sources.

    In training the batch is cut along N into `num_splits` equal parts. The first goes through the
    main weight, bias and running statistics, each other one through auxiliary ones of its own, all
    as in BatchNorm<d>. In evaluation the main ones serve every sample [1]_.

    Parameters
    ----------
    num_splits
        The parts of a batch.

    Attributes
    ----------
    weight, bias : (C,) or None
        The main scale and shift, ones and zeros at first. None where the options leave them out.
    running_mean, running_var : (C,) or None
        The main running statistics, zeros and ones at first.
    num_batches_tracked : 0-D int64 or None
        How many batches the main running statistics have followed.
    grads : dict
        The gradients after `backward`, of `weight`, `bias`, `aux_bn.0.weight`, `aux_bn.0.bias` and
        so on, num_splits - 1 times; the names in `state_dict` are alike. In evaluation those of the
        auxiliary ones are zero.
    dresidual : ndarray or None
        The gradient of the residual after the backward of a forward that had one.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        of a number of samples that `num_splits` does not divide, or with one value per channel in a
        part; for an `out` that cannot be written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y_s = \frac{x_s - \mathrm{mean}_s}{\sqrt{\mathrm{var}_s + \epsilon}}
        \cdot weight_s + bias_s

    for each part x_s, in training with its own mean and biased variance. Clean images in the first
    half and adversarial ones in the second are the use that the paper makes of it. Names in state
    dicts are those of SplitBatchNorm2d in timm.

    x is <shapes>.
    `layer(x, residual=z)` adds z before the activation, and `layer(x, mask=m)` takes the positions
    where m is True as the data; the others come out as 0.

    References
    ----------
    .. [1] Xie et al., Adversarial Examples Improve Image Recognition, 2020 (arXiv 1911.09665).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.<name>(1, momentum=1)
    >>> x = np.array([1.0, 3.0, 10.0, 30.0]).reshape(2, 1, 2<ones>)
    >>> layer(x).ravel().round(3)
    array([-1.,  1., -1.,  1.])
    >>> state = layer.state_dict()
    >>> state["running_mean"].item(), state["aux_bn.0.running_mean"].item()
    (2.0, 20.0)
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    sized_by = ("num_features", "num_splits")

    @takes_options_of(BatchNorm)
    def __init__(
        self, *args, num_splits: Annotated[int, Bounds(ge=2, le=MEMBERS)] = 2, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self._declare_further(self._prefixes()[1:], keep=True)

    def _prefixes(self) -> tuple[str, ...]:
        return ("", *(f"aux_bn.{i}." for i in range(self.num_splits - 1)))

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation, those of the main arrays."""
        return super().fixed(who)

    def _parts(self, x: np.ndarray) -> list[Part]:
        """In training one for each source."""
        prefixes = self._prefixes() if self.training and x.size else ("",)
        size, rest = divmod(len(x), len(prefixes))
        if rest:
            raise ValueError(
                f"{type(self).__name__} expects a batch of {len(prefixes)} equal parts in "
                f"training, got {len(x)} samples in {x.shape}; pass a multiple of "
                f"num_splits={len(prefixes)}"
            )
        return [
            Part(slice(i * size, (i + 1) * size), prefix, self.channel_arrays(prefix))
            for i, prefix in enumerate(prefixes)
        ]


SplitBatchNorm1d, SplitBatchNorm2d, SplitBatchNorm3d = ranked(SplitBatchNorm, "SplitBN")
