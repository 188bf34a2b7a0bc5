"""Global response normalization: channels compete by the energy of their maps.

To the kernel of maps it is v·x + s without a threshold, with v of each map: 1 + weight·N.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.maps import Maps, Point, maps_of
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured


@register("GlobalResponseNorm", aliases=("GRN",))
class GlobalResponseNorm(Featured):
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

    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs; energies are (N, C)."""

        x: np.ndarray
        maps: Maps
        energy: np.ndarray
        mean: np.ndarray  # (N, 1), of the energies, and eps
        weight: np.ndarray
        bias: np.ndarray

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 0)
        self.learn("bias", 0)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        maps = maps_of(x, self.channel_axis)
        weight, bias = self.copied("weight"), self.copied("bias")
        energy = np.sqrt(maps.squares(x))
        mean = energy.sum(1, keepdims=True) / self.num_features + self.eps
        y = maps.output(x, Point.LINEAR, 1 + weight * (energy / mean), bias, out=out)
        return y, self.Saved(x, maps, energy, mean, weight, bias), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, maps, energy, mean, weight, bias = saved
        share = energy / mean
        line = 1 + weight * share, bias
        dscale, dbias = maps.sums(dy, x, *line)
        dshare = weight * dscale
        others = (dshare * share).sum(1, keepdims=True) / self.num_features
        slope = (dshare - others) / mean  # dy / dG
        slope = np.divide(slope, energy, out=np.zeros_like(energy), where=energy != 0)
        dx = maps.gradient(dy, x, *line, k=slope, out=out)
        return dx, self.gradients(weight=(dscale * share).sum(0), bias=dbias.sum(0))
