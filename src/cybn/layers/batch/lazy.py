"""LazyBatchNorm1d, 2d and 3d: batch normalization that takes num_features from its first input."""

from __future__ import annotations

from ...options import PositiveInt, takes_options_of
from ..base.fixed import Fixed
from ..base.lazy import Lazy
from ..base.ranks import ranked
from .batchnorm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d


class LazyBatchNorm(Lazy):
    r"""Batch normalization of <shapes> that takes num_features from its first input.

    It is BatchNorm<d> whose width may wait: until the first input or state dict tells it every
    parameter and buffer is None and the state dict is empty [1]_. A first call or a loading that
    fails leaves the layer as it was. Options are given by name alone, `num_features` among them.

    Parameters
    ----------
    num_features
        C, the number of channels. None leaves it to the first input; a number initializes the layer
        at once, so that one norm config serves lazy layers as well.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    In training mean and var (biased) are the moments of a channel over the batch, and the running
    statistics follow them; in evaluation they are the running statistics. The class stays what it
    is once it is initialized, where that of PyTorch changes into the plain one; `to_plain` gives a
    BatchNorm<d> that shares its arrays.

    x is <shapes>.
    `layer(x, residual=z)` adds z before the activation, and `layer(x, mask=m)` takes the positions
    where m is True as the data; the others come out as 0.

    References
    ----------
    .. [1] Ioffe and Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing
       Internal Covariate Shift, 2015 (arXiv 1502.03167).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.LazyBatchNorm<d>(eps=1e-3)
    >>> layer.weight is None, layer.num_features is None, layer.state_dict()
    (True, True, {})
    >>> y = layer(np.ones((4, 3, 2<ones>), np.float32))
    >>> layer.num_features, layer.weight.shape
    (3, (3,))
    >>> layer.to_plain()
    BatchNorm<d>(3, eps=0.001, momentum=0.1, affine=True, track_running_stats=True)
    """

    @takes_options_of(BatchNorm)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()

    running_moments = True  # a lazy layer computes what the plain one does

    def fixed(self, who: str) -> Fixed:
        """Tell what the plain layer does, once there is a width."""
        return super().fixed(who)


LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = ranked(
    LazyBatchNorm,
    "LazyBN",
    beside=(BatchNorm1d, BatchNorm2d, BatchNorm3d),
    frozen_form="FrozenBatchNorm{}d",
)
