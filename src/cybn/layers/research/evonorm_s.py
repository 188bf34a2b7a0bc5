"""EvoNorm S0, S1 and S2: a swish over the size of a group of channels of one sample.

S1 is S0 with a slope of 1 that is not learned; S2 takes the root mean square of a group in place of
its deviation. timm's S0a, S1a and S2a are these with an eps of 1e-3.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.maps import Maps, Point, maps_of
from ...functional.running import Step
from ...options import Bounds, Divides, DType, PositiveInt, Trainable
from ...terms.registry import register
from .evonorm import EvoNorm


@register("EvoNormS0")
class EvoNormS0(EvoNorm):
    r"""EvoNormS0: a swish of learned slope, over the deviation of its group of channels.

    No activation is to follow. It is the same in training and evaluation [1]_.

    Parameters
    ----------
    groups
        The number of groups of channels, a divisor of C; C groups where there are fewer channels
        than that.
    eps
        Added to the variance.

    Attributes
    ----------
    weight, bias, v1 : (C,)
        The learned scale, shift and slope; ones, zeros and ones at first.

    Raises
    ------
    ValueError
        For an option out of range, and groups that do not divide the channels; for an x of another
        rank or number of channels, or with one value in a group; for an `out` that cannot be
        written to.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x \cdot \sigma(v_1 x)}{\sqrt{\mathrm{var} + \epsilon}} + bias

    with sigma the logistic function and var the biased variance over a group of channels and all
    positions of one sample.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    References
    ----------
    .. [1] Liu, Brock, Simonyan and Le, Evolving Normalization-Activation Layers, 2020 (arXiv
       2004.02967).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormS0(2, groups=1)
    >>> layer(np.array([[[-2.0, 0.0], [0.0, 2.0]]])).round(4)  # var is 2
    array([[[-0.1686,  0.    ],
            [ 0.    ,  1.2456]]])
    """

    centred: ClassVar[bool] = True  # of one value the deviation is 0
    rules = (Divides("groups", "num_features", capped=True),)
    sized_by = ("num_features",)

    class Saved(NamedTuple):
        """What pullback needs. Moments are those of each map's group, (N, C)."""

        x: np.ndarray
        maps: Maps
        mean: np.ndarray | float
        std: np.ndarray
        weight: np.ndarray
        v1: np.ndarray

    def __init__(
        self,
        num_features: PositiveInt,
        groups: PositiveInt = 32,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self._start()

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = super()._accepted(x, out)
        values = prod(kept.shape[1:]) // (self.num_features // self._unit())
        if self.centred and values == 1:
            raise ValueError(
                f"{type(self).__name__} needs more than 1 value in each group of channels of a "
                f"sample, got x of shape {kept.shape} and groups of {self._unit()}; pass larger "
                f"maps, or build the layer with fewer groups"
            )
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        maps, weight, v1 = maps_of(x, self.channel_axis), self.copied("weight"), self._slope()
        mean, squares = self._about_centre(maps, x)
        std = np.sqrt(self._over_groups(squares) + self.eps)
        y = maps.output(x, Point.SWISH, v1, a=weight / std, b=self.copied("bias"), out=out)
        return y, self.Saved(x, maps, mean, std, weight, v1), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, maps, mean, std, weight, v1 = saved
        scale = weight / std

        def follow(sums: np.ndarray) -> tuple[np.ndarray | float, np.ndarray, float]:
            dstd = -self._over_groups(weight * sums[1]) / std**2  # a mean over the group
            return mean, dstd / (max(1, maps.positions) * std), 0.0

        inside = v1, 0.0, 0.0
        dx, (dbias, along, of_slope) = maps.through_moments(
            dy, x, Point.SWISH, inside, scale, follow, out=out
        )
        return dx, self._of_maps(along / std, dbias, scale * of_slope)

    def _slope(self) -> np.ndarray:
        return self.copied("v1")

    def _about_centre(self, maps: Maps, x: np.ndarray) -> tuple[np.ndarray | float, np.ndarray]:
        """The mean of the group, and the mean squares of maps about it, (N, C)."""
        means, var = maps.moments(x)
        mean = self._over_groups(means)
        return mean, var + (means - mean) ** 2

    def _unit(self) -> int:
        """How many channels make a group."""
        return self.num_features // min(self.groups, self.num_features)

    def _over_groups(self, a: np.ndarray) -> np.ndarray:
        """(N, C), the mean of each group spread again."""
        unit = self._unit()
        if unit == 1:
            return a
        means = np.add.reduce(a.reshape(len(a), self.num_features // unit, unit), 2) / unit
        return np.repeat(means, unit, 1)


@register("EvoNormS1")
class EvoNormS1(EvoNormS0):
    r"""EvoNormS1: SiLU over the deviation of its group of channels.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x \cdot \sigma(x)}{\sqrt{\mathrm{var} + \epsilon}} + bias

    with sigma the logistic function and var the biased variance over a group of channels and all
    positions of one sample.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormS1(2, groups=1)
    >>> layer(np.array([[[-2.0, 0.0], [0.0, 2.0]]])).round(4)  # var is 2
    array([[[-0.1686,  0.    ],
            [ 0.    ,  1.2456]]])
    """

    learns_slope: ClassVar[bool] = False

    def _slope(self) -> np.ndarray:
        return np.ones(1)


@register("EvoNormS2")
class EvoNormS2(EvoNormS1):
    r"""EvoNormS2: SiLU over the root mean square of its group of channels.

    Parameters
    ----------
    eps
        Added to the mean square.

    Raises
    ------
    ValueError
        For an option out of range, and groups that do not divide the channels; for an x of another
        rank or number of channels; for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x \cdot \sigma(x)}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} + bias

    with sigma the logistic function and the mean over a group of channels and all positions of one
    sample.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormS2(2, groups=1)
    >>> layer(np.array([[[-2.0, 0.0], [0.0, 2.0]]])).round(4)  # the mean square is 2
    array([[[-0.1686,  0.    ],
            [ 0.    ,  1.2456]]])
    """

    centred: ClassVar[bool] = False

    def _about_centre(self, maps: Maps, x: np.ndarray) -> tuple[float, np.ndarray]:
        return 0.0, maps.squares(x) / max(1, maps.positions)
