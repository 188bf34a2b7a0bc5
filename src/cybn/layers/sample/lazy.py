"""LazyInstanceNorm1d, 2d and 3d: instance norm that takes num_features from its first input."""

from __future__ import annotations

import numpy as np

from ...options import PositiveInt, takes_options_of
from ..base.lazy import Lazy
from ..base.ranks import ranked
from .instancenorm import InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d


class LazyInstanceNorm(Lazy):
    r"""Instance normalization of <batch> or <sample> that takes num_features from its first input.

    It is InstanceNorm<d> whose width may wait: until the first input or state dict tells it every
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

    In training mean and var (biased) are those of a channel in a sample, and the running statistics
    follow them; in evaluation they are the running statistics, where there are any. As in PyTorch,
    `affine` and `track_running_stats` are True where they are not given. The class stays what it is
    once it is initialized, where that of PyTorch changes into the plain one; `to_plain` gives an
    InstanceNorm<d> that shares its arrays.

    x is a batch, <batch>, or one sample, <sample>.

    References
    ----------
    .. [1] Ulyanov, Vedaldi and Lempitsky, Instance Normalization: The Missing Ingredient for Fast
       Stylization, 2016 (arXiv 1607.08022).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.LazyInstanceNorm<d>()
    >>> layer.weight is None, layer.num_features is None, layer.state_dict()
    (True, True, {})
    >>> y = layer(np.array([1.0, 3.0, 10.0, 30.0]).reshape(1, 2, 2<ones>))
    >>> y.ravel().round(3), layer.num_features
    (array([-1.,  1., -1.,  1.]), 2)
    """

    @takes_options_of(InstanceNorm, affine=True, track_running_stats=True)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()

    def _width_of(self, x: np.ndarray) -> int:
        alone = x.ndim == self.ranks[0] and self.channel_axis == 1  # one sample: (C, L)
        return len(x) if alone else super()._width_of(x)


LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = ranked(
    LazyInstanceNorm, "LazyIN", beside=(InstanceNorm1d, InstanceNorm2d, InstanceNorm3d)
)
