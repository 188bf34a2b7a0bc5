"""Global response normalization: channels compete by the energy of their maps.

Pure NumPy over blocks (see `_common`): a sum of squares for each item, and, once those of all
channels are known, a product and a sum.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt
from ...terms.registry import register
from ._common import Blockwise, Fitting, blocks, dot, total


@register("GlobalResponseNorm", aliases=("GRN",))
class GlobalResponseNorm(Blockwise):
    r"""Global response normalization: each channel by its share of the sample's energy.

    The channels of a sample compete by the energy of their maps. It is the same in training and
    evaluation [1]_.

    Parameters
    ----------
    eps
        Added to the mean of the energies.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, zeros at first, so that a new layer gives x.

    Notes
    -----
    .. math::

        G_c &= \sqrt{\sum_i x_{ci}^2} \qquad N_c = \frac{G_c}{\frac{1}{C} \sum_k G_k + \epsilon}

        y_c &= weight_c \cdot N_c \cdot x_c + bias_c + x_c

    The first sum is over the positions of one sample's channel. Where a channel of a sample is all
    zero, G is taken to have no slope.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    References
    ----------
    .. [1] Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders, 2023
       (arXiv 2301.00808).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.GlobalResponseNorm(2)
    >>> layer.weight[...] = 1
    >>> layer(np.array([[[3.0, 4.0], [0.0, 15.0]]])).round(3)  # G is 5 and 15, N is 1/2 and 3/2
    array([[[ 4.5,  6. ],
            [ 0. , 37.5]]])
    """

    ranks: ClassVar[tuple[int, ...]] = (3, 4, 5)

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        fitting: Fitting
        energy: np.ndarray
        mean: np.ndarray  # of the energy, and eps

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self.learn("weight", 0)
        self.learn("bias", 0)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        y, p = self._room(x, out), self._fitting(x)
        energy = np.empty((len(x), *p.weight.shape[1:]))  # G of each sample and channel
        for at in blocks(x, *p.cut):
            block = p.block(x, at)
            energy[at] = np.sqrt(dot(block, block, p.inner))
        mean = total(energy, (p.channel,)) / self.num_features + self.eps
        scale = 1 + p.weight * (energy / mean)
        for at in blocks(x, *p.cut):
            y[at] = x[at] * scale[at] + p.of(at).bias
        return y, self.Saved(x, p, energy, mean), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, p, energy, mean = saved
        dx, sums, dscale = self._room(dy, out), self._sums(), np.zeros_like(energy)
        for at in blocks(x, *p.cut):
            upstream = p.block(dy, at)
            dscale[at] = dot(upstream, p.block(x, at), p.inner)
            self._add(sums, {"bias": total(upstream, p.outer)}, p.channels(at))
        share = energy / mean
        sums["weight"] += dot(dscale, share, (0, *p.inner)).ravel()
        dshare = p.weight * dscale
        others = dot(dshare, share, (p.channel,)) / self.num_features
        slope = (dshare - others) / mean  # dy / dG
        slope = np.divide(slope, energy, out=np.zeros_like(energy), where=energy != 0)
        scale = 1 + p.weight * share
        for at in blocks(x, *p.cut):
            dx[at] = dy[at] * scale[at] + x[at] * slope[at]
        return dx, self.gradients(**sums)
