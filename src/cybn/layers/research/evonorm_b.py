"""EvoNorm B0, B1 and B2: x over the larger of the batch's deviation and a bound of the map's own.

To the kernel of maps the bound is v·x + s: a learned slope and the map's deviation in B0, its root
mean square and that again in B1, -1 and that in B2.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.validation import check_more_than_one
from ...functional.maps import Maps, Point, maps_of
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from .evonorm import EvoNorm


@register("EvoNormB0")
class EvoNormB0(EvoNorm):
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
        self._start()
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
        mean_i, var_i = self._moments(maps, x)
        mean, var = None, running.astype(np.float64)
        if training:
            mean = mean_i.sum(0) / max(1, len(x))
            var = (var_i + (mean_i - mean) ** 2).sum(0) / max(1, len(x))
        v1, std_i = self._line(mean_i, var_i)
        std = np.sqrt(var + self.eps)
        bias = self.copied("bias")
        y = maps.output(x, Point.LARGER, v1, std_i, std, weight, bias, out=out)
        steps = []
        if training and m:
            steps = [Step(None, running, None, np.stack([mean, var]), m, self.momentum)]
        return y, self.Saved(x, maps, mean_i, std_i, mean, std, weight, v1), steps

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, through both deviations; in evaluation std is a constant."""
        x, maps, mean_i, std_i, mean, std, weight, v1 = saved
        m = max(1, maps.positions)

        def follow(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | float]:
            _, _, of_v1, of_own, of_std = sums
            slope, shift = self._own_slope(weight * of_own, weight * of_v1, mean_i, std_i * m)
            if mean is not None:  # (x - mean) is (x - mean_i) and what these are apart
                of_batch = (weight * of_std).sum(0) / (m * max(1, len(x)) * std)
                slope, shift = slope + of_batch, shift + (mean_i - mean) * of_batch
            return mean_i, slope, shift

        inside = v1, std_i, std
        dx, (dbias, dweight, of_v1, _, _) = maps.through_moments(
            dy, x, Point.LARGER, inside, weight, follow, out=out
        )
        return dx, self._of_maps(dweight, dbias, weight * of_v1)

    def _moments(self, maps: Maps, x: np.ndarray) -> tuple[np.ndarray | float, np.ndarray]:
        """Mean and variance of each map, (N, C)."""
        return maps.moments(x)

    def _line(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """v and s of the bound v·x + s, for the moments of each map, (N, C)."""
        return self.copied("v1"), np.sqrt(var + self.eps)

    def _own_slope(
        self, of_s: np.ndarray, of_v: np.ndarray, mean: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """k and c of the gradient (x - mean)·k + c through the bound; size is m·s."""
        return of_s / size, 0.0


@register("EvoNormB1")
class EvoNormB1(EvoNormB0):
    r"""EvoNormB1: x over the larger of the batch's deviation and (x + 1) times the map's size.

    Parameters
    ----------
    eps
        Added to the variance and to the mean square.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.
    running_var : (C,)
        The running variance, ones at first.

    Notes
    -----
    .. math::

        y = weight \cdot \frac{x}{\max(\sqrt{\mathrm{var}_b + \epsilon},
        (x + 1) \sqrt{\mathrm{mean}_i(x^2) + \epsilon})} + bias

    var_b is the biased variance of a channel over the batch, and mean_i the mean over the positions
    of one of its maps. In training `running_var` follows the unbiased variance of the batches, as
    in batch normalization.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output and leaves
    `running_var` alone.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormB1(1)
    >>> x = np.array([[[-3.0, -1.0]], [[1.0, 3.0]]])
    >>> layer(x).round(4)  # the variance and each map's mean square are 5
    array([[[-1.3416, -0.4472]],
           [[ 0.2236,  0.3354]]])
    """

    learns_slope: ClassVar[bool] = False

    def _moments(self, maps: Maps, x: np.ndarray) -> tuple[np.ndarray | float, np.ndarray]:
        if self.training:
            return maps.moments(x)
        return 0.0, maps.squares(x) / max(1, maps.positions)  # which is all that a bound needs

    def _line(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = np.sqrt(var + mean**2 + self.eps)
        return size, size

    def _own_slope(
        self, of_s: np.ndarray, of_v: np.ndarray, mean: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        slope = (of_s + of_v) / size
        return slope, slope * mean  # x is (x - mean) and the mean


@register("EvoNormB2")
class EvoNormB2(EvoNormB1):
    r"""EvoNormB2: x over the larger of the batch's deviation and what the map's size is above x.

    Notes
    -----
    .. math::

        y = weight \cdot \frac{x}{\max(\sqrt{\mathrm{var}_b + \epsilon},
        \sqrt{\mathrm{mean}_i(x^2) + \epsilon} - x)} + bias

    var_b is the biased variance of a channel over the batch, and mean_i the mean over the positions
    of one of its maps. In training `running_var` follows the unbiased variance of the batches, as
    in batch normalization.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output and leaves
    `running_var` alone.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormB2(1)
    >>> x = np.array([[[-3.0, -1.0]], [[1.0, 3.0]]])
    >>> layer(x).round(4)  # the variance and each map's mean square are 5
    array([[[-0.5729, -0.309 ]],
           [[ 0.4472,  1.3416]]])
    """

    def _line(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(1, -1.0), np.sqrt(var + mean**2 + self.eps)

    def _own_slope(
        self, of_s: np.ndarray, of_v: np.ndarray, mean: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return super()._own_slope(of_s, 0.0, mean, size)
