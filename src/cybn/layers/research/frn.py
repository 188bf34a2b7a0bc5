"""Filter response normalization, with the thresholded linear unit (TLU) that goes with it.

A function of its own to the kernel of maps: the larger of v·x + s and a threshold, with the slope
v = weight/nu of each map.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.maps import Maps, Point, maps_of
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured

LEARNED_EPS = 1e-4  # the paper's start


@register("FilterResponseNorm", aliases=("FRN",))
class FilterResponseNorm(Featured):
    r"""Filter response normalization: response maps by their root mean square, a threshold.

    Nothing is centred, and nothing depends on other samples, so that training and evaluation are
    the same. The output ends with a thresholded linear unit (TLU), the larger of y and a learned
    tau, in the place of an activation [1]_.

    Parameters
    ----------
    eps
        Added to the mean square.
    tlu
        End with the threshold; else tau is left out, and an activation is to follow.
    learn_eps
        Learn an addition to eps, which the paper advises where a map has few positions or one.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.
    tau : (C,) or None
        The learned threshold, zeros at first. None without `tlu`.
    learned_eps : (1,) or None
        What is added to eps, by its absolute value, 1e-4 at first. None without `learn_eps`.

    Notes
    -----
    .. math::

        \nu^2 &= \frac{1}{L} \sum_i x_i^2 \qquad \text{over the L positions of a sample's channel}

        y &= \max\left(weight \cdot \frac{x}{\sqrt{\nu^2 + \epsilon}} + bias,\ tau\right)

    Where y is at the threshold exactly, the gradient goes to tau.

    x is (N, C) or (N, C, ...) of up to five axes.

    References
    ----------
    .. [1] Singh and Krishnan, Filter Response Normalization Layer: Eliminating Batch Dependence in
       the Training of Deep Neural Networks, 2019 (arXiv 1911.09737).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.FilterResponseNorm(1)
    >>> layer(np.array([[[1.0, -7.0]]])).round(3)  # the mean square is 25
    array([[[0.2, 0. ]]])
    """

    scalars: ClassVar[tuple[str, ...]] = ("learned_eps",)
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs. Parameters are copies; those that are left out change nothing."""

        x: np.ndarray
        maps: Maps
        rstd: np.ndarray  # (N, C)
        weight: np.ndarray
        bias: np.ndarray
        tau: np.ndarray
        learned_eps: np.ndarray

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        *,
        tlu: bool = True,
        learn_eps: bool = False,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)
        self.learn("tau", 0 if tlu else None)
        self.learn("learned_eps", LEARNED_EPS if learn_eps else None)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        maps = maps_of(x, self.channel_axis)
        weight, bias = self.copied("weight", 1), self.copied("bias", 0)
        tau, learned = self.copied("tau", -np.inf), self.copied("learned_eps", 0)
        eps = self.eps + np.abs(learned)
        rstd = 1 / np.sqrt(maps.squares(x) / max(1, maps.positions) + eps)
        y = maps.output(x, Point.THRESHOLD, weight * rstd, bias, tau, out=out)
        return y, self.Saved(x, maps, rstd, weight, bias, tau, learned), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx = (g - xhat·Σ(g·xhat)/L)·weight·rstd, with g = dy where y is above tau, else 0."""
        x, maps, rstd, weight, bias, tau, learned = saved
        scale = weight * rstd
        along, of_bias, of_tau = maps.sums(dy, x, scale, bias, tau)
        along *= rstd  # Σ(g·xhat)
        slope = -along / max(1, maps.positions) * rstd * scale
        dx = maps.gradient(dy, x, scale, bias, tau, k=slope, out=out)
        return dx, self.gradients(
            weight=along.sum(0),
            bias=of_bias.sum(0),
            tau=of_tau.sum(0),
            # d rstd / d eps = -rstd³/2
            learned_eps=np.sign(learned) / 2 * (-along * weight * rstd**2).sum(),
        )
