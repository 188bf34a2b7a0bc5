"""EvoNorm B0 and S0: a normalization and an activation in one, found by search.

The others of the paper are these with another size of a group, or another bound: evonorm_s.py and
evonorm_b.py.

Each is a function of its own to the kernel of maps, with moments by map: those of a group, or of
the batch, are merged from these. Two walks over the data for moments, one for what is written, and
backward one for sums and one for dx.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.validation import check_more_than_one
from ...functional.maps import Maps, Point, maps_of
from ...functional.running import Step
from ...options import Bounds, Divides, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured


@register("EvoNormS0")
class EvoNormS0(Featured):
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

    ranks: ClassVar[tuple[int, ...]] = (3, 4, 5)
    centred: ClassVar[bool] = True  # of one value the deviation is 0
    sixteen_bits = "native"
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
        self.learn("weight", 1)
        self.learn("bias", 0)
        self.learn("v1", 1)

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
        each_mean, each_var = maps.moments(x)
        mean = self._centre(each_mean)
        std = np.sqrt(self._over_groups(each_var + (each_mean - mean) ** 2) + self.eps)
        y = maps.output(x, Point.SWISH, v1, a=weight / std, b=self.copied("bias"), out=out)
        return y, self.Saved(x, maps, mean, std, weight, v1), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, maps, mean, std, weight, v1 = saved
        dbias, along, of_slope = maps.sums(dy, x, Point.SWISH, v1)
        scale = weight / std
        dstd = -self._over_groups(weight * along) / std**2  # a mean over the channels of a group
        slope = dstd / (max(1, maps.positions) * std)
        dx = maps.gradient(dy, x, Point.SWISH, v1, a=scale, m=mean, k=slope, out=out)
        slopes = {"v1": (scale * of_slope).sum(0)} if "v1" in self._parameters else {}
        return dx, self.gradients(weight=(along / std).sum(0), bias=dbias.sum(0), **slopes)

    def _slope(self) -> np.ndarray:
        return self.copied("v1")

    def _centre(self, means: np.ndarray) -> np.ndarray | float:
        """What the squares are about, for the means of maps, (N, C)."""
        return self._over_groups(means)

    def _unit(self) -> int:
        """How many channels make a group."""
        return self.num_features // min(self.groups, self.num_features)

    def _over_groups(self, a: np.ndarray) -> np.ndarray:
        """(N, C), the mean of each group spread again."""
        unit = self._unit()
        grouped = a.reshape(len(a), self.num_features // unit, unit)
        mean = grouped.mean(2, keepdims=True)
        return np.broadcast_to(mean, grouped.shape).reshape(a.shape)


@register("EvoNormB0")
class EvoNormB0(Featured):
    r"""EvoNormB0: x over the larger of the batch's deviation and one that depends on x.

    No activation is to follow. In evaluation the deviation of the batch is the running one [1]_.

    Parameters
    ----------
    eps
        Added to the variances.
    momentum
        The weight of the new batch in `running_var`.

    Attributes
    ----------
    weight, bias, v1 : (C,)
        The learned scale, shift and slope; ones, zeros and ones at first.
    running_var : (C,)
        The running variance, ones at first.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for an `out` that cannot be written to. The layer is unchanged
        then.

    Notes
    -----
    .. math::

        y = weight \cdot \frac{x}{\max\left(\sqrt{\mathrm{var} + \epsilon},\
        v_1 x + \sqrt{\mathrm{var}_i + \epsilon}\right)} + bias

    var is the biased variance of a channel over the batch and all positions, var_i that over the
    positions of one sample. Where both deviations are the same, the gradient goes to the first. In
    training the running variance moves by that of the batch, of m values per channel:

    .. math:: running\_var \leftarrow running\_var
        + momentum \cdot \left(\frac{m}{m - 1} var - running\_var\right)

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output and leaves
    `running_var` alone.

    References
    ----------
    .. [1] Liu, Brock, Simonyan and Le, Evolving Normalization-Activation Layers, 2020 (arXiv
       2004.02967).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormB0(1)
    >>> x = np.array([[[-3.0, -1.0]], [[1.0, 3.0]]])
    >>> layer(x).round(4)  # the variance is 5, that of each sample 1
    array([[[-1.3416, -0.4472]],
           [[ 0.4472,  0.75  ]]])
    """

    ranks: ClassVar[tuple[int, ...]] = (3, 4, 5)
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        maps: Maps
        mean_i: np.ndarray  # (N, C), of each map
        std_i: np.ndarray  # what is added to v1·x
        mean: np.ndarray | None  # (C,), of the batch, where std is that of the batch
        std: np.ndarray
        weight: np.ndarray
        v1: np.ndarray

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)
        self.learn("v1", 1)
        self.register_buffer("running_var", np.ones(num_features, dtype))

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = super()._accepted(x, out)
        if self.training:
            check_more_than_one(kept, kept.size // self.num_features)
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        running, training, m = self.running_var, self.training, x.size // self.num_features
        maps, weight = maps_of(x, self.channel_axis), self.copied("weight")
        mean_i, var_i = maps.moments(x)
        mean, var = mean_i.sum(0) / max(1, len(x)), running.astype(np.float64)
        if training:
            var = (var_i + (mean_i - mean) ** 2).sum(0) / max(1, len(x))
        v1, std_i = self._line(mean_i, var_i)
        std = np.sqrt(var + self.eps)
        bias = self.copied("bias")
        y = maps.output(x, Point.LARGER, v1, std_i, std, weight, bias, out=out)
        steps = []
        if training and m:
            steps = [Step(None, running, None, np.stack([mean, var]), m, self.momentum)]
        mean = mean if training else None
        return y, self.Saved(x, maps, mean_i, std_i, mean, std, weight, v1), steps

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, through both deviations; in evaluation std is a constant."""
        x, maps, mean_i, std_i, mean, std, weight, v1 = saved
        dbias, dweight, of_v1, of_own, of_std = maps.sums(dy, x, Point.LARGER, v1, std_i, std)
        m = max(1, maps.positions)
        slope, shift = self._own_slope(weight * of_own, weight * of_v1, mean_i, std_i * m)
        if mean is not None:  # (x - mean) is (x - mean_i) and what these are apart
            of_batch = (weight * of_std).sum(0) / (m * max(1, len(x)) * std)
            slope, shift = slope + of_batch, shift + (mean_i - mean) * of_batch
        dx = maps.gradient(
            dy, x, Point.LARGER, v1, std_i, std, weight, mean_i, slope, shift, out=out
        )
        slopes = {"v1": (weight * of_v1).sum(0)} if "v1" in self._parameters else {}
        return dx, self.gradients(weight=dweight.sum(0), bias=dbias.sum(0), **slopes)

    def _line(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """v and s of the bound v·x + s, for the moments of each map, (N, C)."""
        return self.copied("v1"), np.sqrt(var + self.eps)

    def _own_slope(
        self, of_s: np.ndarray, of_v: np.ndarray, mean: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """k and c of the gradient (x - mean)·k + c through the bound; size is m·s."""
        return of_s / size, 0.0
