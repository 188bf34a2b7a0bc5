"""BatchRenorm1d, 2d and 3d: batch normalization that trains on nearly what it evaluates.

With the clipped r and d held fixed, the output is batch normalization with the weight weight*r and
the bias weight*d + bias, and so is its gradient: the kernels of batch norm do both. r and d hang on
the moments of the batch, which are therefore computed first; before the ramp begins, r = 1 and
d = 0, and a step is one of BatchNorm.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...functional import batch_norm_backward, batch_norm_forward, batch_norm_stats
from ...functional.running import follow
from ...options import Bounds, DType, PositiveInt
from ...registry import register
from ...validation import check_input
from ..channelnorm import ChannelNorm


@register("BatchRenorm", aliases=("BRN",))
class BatchRenorm(ChannelNorm):
    r"""Batch normalization with its output in training corrected towards that in evaluation.

    .. math:: y = \left(\frac{x - \mathrm{mean}}{\mathrm{std}} \cdot r + d\right)
        \cdot weight + bias

    In training, with mean and std = sqrt(var + eps) of the batch, and likewise running_std,

        r = std / running_std, clipped to [1/r_max, r_max]
        d = (mean - running_mean) / running_std, clipped to [-d_max, d_max]

    with the running statistics as they were before the batch. The gradient takes r and d as
    constants. In evaluation it is BatchNorm. The limits r_max and d_max follow num_batches_tracked:
    1 and 0, which is BatchNorm in training too, for `warmup_steps` batches, then they grow
    evenly, to `rmax` at `rmax_steps` and to `dmax` at `dmax_steps`.

    Ioffe, Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized Models,
    2017 (arXiv 1702.03275). The defaults are those of its experiments. The running variance is that
    of BatchNorm, where the paper averages std, so state dicts fit BatchNorm and back.

    Parameters
    ----------
    num_features, eps, affine, bias, dtype, channel_axis: as in BatchNorm.
    momentum: as in BatchNorm; smaller by default, so that the running statistics are steadier than
        those of one batch.
    rmax: what r_max grows to, >= 1. dmax: what d_max grows to, >= 0.
    warmup_steps: batches before the limits begin to grow; 0 starts with the first batch.
    rmax_steps, dmax_steps: batches until they are at rmax and dmax. Where that is no more than
        warmup_steps, they jump there after warmup_steps.

    Attributes, input, output and errors are those of BatchNorm. Running statistics are always kept.
    BatchRenorm takes (N, C), (N, C, L), (N, C, H, W) and (N, C, D, H, W); BatchRenorm1d, 2d and 3d
    take what BatchNorm1d, 2d and 3d take.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.BatchRenorm(1, warmup_steps=0, rmax_steps=0, dmax_steps=0)
    >>> x = np.array([[2.0], [4.0]])
    >>> layer(x).ravel().round(3)  # mean 0, variance 1 are the running ones: r = 1, d = 3
    array([2., 4.])
    >>> cybn.BatchRenorm(1)(x).ravel().round(3)  # a new layer is BatchNorm for 5000 batches
    array([-1.,  1.])
    """

    ranks = (2, 3, 4, 5)
    optional_arrays = ("weight", "bias")

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        scale: np.ndarray | None  # weight * r
        r: np.ndarray | float
        d: np.ndarray | float
        training: bool
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.01,
        affine: bool = True,
        *,
        rmax: Annotated[float, Bounds(ge=1)] = 3.0,
        dmax: Annotated[float, Bounds(ge=0)] = 5.0,
        warmup_steps: Annotated[int, Bounds(ge=0)] = 5000,
        rmax_steps: Annotated[int, Bounds(ge=0)] = 40000,
        dmax_steps: Annotated[int, Bounds(ge=0)] = 25000,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self._declare_channels(affine, bias, True)

    def limits(self) -> tuple[float, float]:
        """r_max and d_max of the next training batch."""
        step, start = int(self.num_batches_tracked), self.warmup_steps

        def grown(stop: int) -> float:
            if step < start or start >= stop:
                return float(step >= start)
            return min((step - start) / (stop - start), 1.0)

        r_max = 1 + (self.rmax - 1) * grown(self.rmax_steps)
        return r_max, self.dmax * grown(self.dmax_steps)

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Normalize x; in training update the running statistics. See the class."""
        who, axis, training = type(self).__name__, self.channel_axis, self.training
        x = check_input(who, x, self.ranks, self.num_features, axis)
        kept = self.begin(x, out)
        weight, bias, *running = self.channel_arrays()
        how = {"eps": self.eps, "channel_axis": axis, "who": who}
        r, d, step = 1.0, 0.0, None
        scale = None if weight is None else weight.astype(np.float64)
        limits = self.limits()
        try:
            if training and limits != (1, 0) and x.size:
                stats = batch_norm_stats(x, **how)
                step = self.step(running, stats, x)
                r, d = self._correction(stats, *running[:2], *limits)
                scale = r if weight is None else weight * r
                shift = d if weight is None else weight * d
                y, _ = batch_norm_forward(
                    kept, scale, shift if bias is None else shift + bias, *stats[:2],
                    training=False, out=out, **how,
                )  # fmt: skip
            else:
                y, stats = batch_norm_forward(
                    kept, weight, bias, *running,
                    training=training, momentum=self.momentum, out=out, **how,
                )  # fmt: skip
        except BaseException:
            self.undo(x, kept, out)
            raise
        if step is not None:
            follow([step])
        return y, self.Saved(kept, stats, scale, r, d, training, axis)

    def _correction(
        self, stats: np.ndarray, mean: np.ndarray, var: np.ndarray, r_max: float, d_max: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """r and d of each channel, (C,), for the running mean and var before the batch."""
        mean, rstd = mean.astype(np.float64), 1 / np.sqrt(var.astype(np.float64) + self.eps)
        with np.errstate(all="ignore"):  # channels that are not finite
            r = rstd / stats[2]
            d = (stats[0] - mean) * rstd
        return np.clip(r, 1 / r_max, r_max), np.clip(d, -d_max, d_max)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, with r and d as constants, and the gradients of weight and bias."""
        dy, (x, stats, scale, r, d, training, axis) = self.resume(saved, dy, out), saved
        # dscale = Σ dy*xhat and dbias = Σ dy, where y = xhat*scale + weight*d + bias
        dx, dscale, dbias = batch_norm_backward(
            dy, x, stats, scale, training=training, channel_axis=axis, out=out,
            who=type(self).__name__,
        )  # fmt: skip
        return dx, self.gradients(weight=dscale * r + dbias * d, bias=dbias)


@register("BatchRenorm1d", aliases=("BRN1d",))
class BatchRenorm1d(BatchRenorm):
    """Batch renormalization of (N, C) or (N, C, L); see BatchRenorm."""

    ranks = (2, 3)


@register("BatchRenorm2d", aliases=("BRN2d",))
class BatchRenorm2d(BatchRenorm):
    """Batch renormalization of (N, C, H, W); see BatchRenorm."""

    ranks = (4,)


@register("BatchRenorm3d", aliases=("BRN3d",))
class BatchRenorm3d(BatchRenorm):
    """Batch renormalization of (N, C, D, H, W); see BatchRenorm."""

    ranks = (5,)
