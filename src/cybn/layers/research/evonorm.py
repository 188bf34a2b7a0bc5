"""EvoNorm B0 and S0: a normalization and an activation in one, found by search.

Pure NumPy over blocks (see `_common`), which is fast enough: the work is a maximum and a
division, or a sigmoid, on items that are in cache. B0 needs the variance of the batch before it can
write anything, and its gradient before any dx is whole; so it goes over the data twice each way.
Rejected for its statistics: the compiled kernels, which have no moments of a sample's channel with
channels last. The variance of a group, or of the batch, is merged from those of its parts.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.validation import check_more_than_one
from ...functional.running import Step
from ...options import Bounds, Divides, DType, PositiveInt
from ...terms.registry import register
from ._common import Blockwise, Fitting, blocks, dot, moments, total


@register("EvoNormS0")
class EvoNormS0(Blockwise):
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
    rules = (Divides("groups", "num_features", capped=True),)
    sized_by = ("num_features",)

    def __init__(
        self,
        num_features: PositiveInt,
        groups: PositiveInt = 32,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)
        self.learn("v1", 1)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = super()._accepted(x, out)
        if prod(kept.shape[1:]) == self.num_features // self.unit():
            raise ValueError(
                f"{type(self).__name__} needs more than 1 value in each group of channels of a "
                f"sample, got x of shape {kept.shape} and groups of {self.unit()}; pass larger "
                f"maps, or build the layer with fewer groups"
            )
        return kept

    def forward_block(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        _, std, _ = self._of_groups(x, p)
        return x / (1 + np.exp(-p.v1 * x)) * (p.weight / std) + p.bias

    def backward_block(self, dy: np.ndarray, x: np.ndarray, p: Fitting):
        mean, std, size = self._of_groups(x, p)
        gate = 1 / (1 + np.exp(-p.v1 * x))
        swish = x * gate
        along = dot(dy, swish, p.inner)
        dswish = dy * (p.weight / std)
        dgate = dswish * swish * (1 - gate)  # dy / d(v1 x)
        dstd = -self._over_groups(np.add, p.weight * along) / std**2
        dx = dswish * gate + dgate * p.v1 + (x - mean) * (dstd / (size * std))
        grads = {
            "weight": total(along / std, (0,)),
            "bias": total(dy, p.outer),
            "v1": dot(dgate, x, p.outer),
        }
        return dx, grads

    def unit(self) -> int:
        return self.num_features // min(self.groups, self.num_features)

    def _over_groups(self, ufunc: np.ufunc, a: np.ndarray) -> np.ndarray:
        """a, one value for each sample and channel, reduced over each group and spread again."""
        grouped = a.reshape(len(a), -1, self.unit())
        reduced = ufunc.reduce(grouped, axis=2, keepdims=True)
        return np.broadcast_to(reduced, grouped.shape).reshape(a.shape)

    def _of_groups(self, x: np.ndarray, p: Fitting) -> tuple[np.ndarray, np.ndarray, int]:
        """Mean and deviation of each channel's group, shaped as moments are; a group's items."""
        channels = self.unit()
        each_mean, each_var = moments(x, p.inner)
        mean = self._over_groups(np.add, each_mean) / channels
        spread = each_var + (each_mean - mean) ** 2
        var = self._over_groups(np.add, spread) / channels
        return mean, np.sqrt(var + self.eps), channels * p.each


@register("EvoNormB0")
class EvoNormB0(Blockwise):
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

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        fitting: Fitting
        mean_i: np.ndarray  # of each sample's channel
        std_i: np.ndarray
        mean: np.ndarray | None  # of the batch, where std is that of the batch

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
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
        running, training = self.running_var, self.training
        y, p, m = self._room(x, out), self._fitting(x), x.size // self.num_features
        mean_i = np.empty((len(x), *p.weight.shape[1:]))  # of each sample and channel
        var_i = np.empty_like(mean_i)
        for at in blocks(x, *p.cut):
            mean_i[at], var_i[at] = moments(p.block(x, at), p.inner)
        mean, var = total(mean_i, (0,)) / max(1, len(x)), running.reshape(p.weight.shape)
        if training:
            var = total(var_i + (mean_i - mean) ** 2, (0,)) / max(1, len(x))
        std_i = np.sqrt(var_i + self.eps, out=var_i)
        p.std = np.sqrt(var.astype(np.float64) + self.eps)
        for at in blocks(x, *p.cut):
            q = p.of(at)
            own = q.v1 * x[at] + std_i[at]
            y[at] = x[at] / np.maximum(own, q.std, out=own) * q.weight + q.bias
        steps = []
        if training and m:
            stats = np.stack([mean.ravel(), var.ravel()])
            steps = [Step(None, running, None, stats, m, self.momentum)]
        return y, self.Saved(x, p, mean_i, std_i, mean if training else None), steps

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, p, mean_i, std_i, mean = saved
        dx, sums, dstd = self._room(dy, out), self._sums(), {"std": np.zeros(self.num_features)}
        for at in blocks(x, *p.cut):
            upstream, block, q = p.block(dy, at), p.block(x, at), p.of(at)
            own = q.v1 * block + std_i[at]
            chosen = own > q.std
            xhat = block / np.maximum(own, q.std, out=own)
            direct = upstream * q.weight / own
            divisor = -direct * xhat  # dy / d(max(...))
            of_own = divisor * chosen
            parts = {
                "weight": dot(upstream, xhat, p.outer),
                "bias": total(upstream, p.outer),
                "v1": dot(of_own, block, p.outer),
            }
            self._add(sums, parts, p.channels(at))
            of_std = total(divisor, p.outer) - total(of_own, p.outer)
            self._add(dstd, {"std": of_std}, p.channels(at))
            dstd_i = total(of_own, p.inner) / (p.each * std_i[at])
            dx[at] = direct + of_own * q.v1 + (block - mean_i[at]) * dstd_i
        if mean is not None:  # in evaluation std is a constant
            p = Fitting(**vars(p), mean=mean)
            m = max(1, x.size // self.num_features)
            p.slope = dstd["std"].reshape(p.std.shape) / (p.std * m)
            for at in blocks(x, *p.cut):
                q = p.of(at)
                dx[at] += (x[at] - q.mean) * q.slope
        return dx, self.gradients(**sums)
