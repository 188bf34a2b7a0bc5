"""BatchRenorm1d, 2d and 3d: batch normalization that trains on nearly what it evaluates.

With the clipped r and d held fixed, the output is batch normalization with the weight weight*r and
the bias weight*d + bias, and so is its gradient: the kernels of batch norm do both. r and d hang on
the moments of the batch, which are therefore computed first; before the ramp begins, r = 1 and
d = 0, and a step is one of BatchNorm.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.outputs import empty_like
from ...functional import (
    batch_norm_apply,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_stats,
)
from ...functional.masks import check_mask, pick, put
from ...functional.running import Step, follow
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ..base.channelnorm import ChannelNorm
from ..base.fixed import Fixed, fixed_batch_norm
from ..base.ranks import ranked


@register("BatchRenorm", aliases=("BRN",))
class BatchRenorm(ChannelNorm):
    r"""Batch renormalization of <shapes>: trained on nearly what it evaluates.

    The output in training is that of BatchNorm<d>, corrected towards the output in evaluation by
    factors whose limits grow from batch to batch [1]_. In evaluation it is BatchNorm<d>.

    Parameters
    ----------
    eps
        Added to the variance; more than 0 in training.
    momentum
        The weight of the new batch in the running statistics, small so that they are steadier than
        those of one batch; None averages all batches alike.
    rmax
        What the limit of r grows to.
    dmax
        What the limit of d grows to.
    warmup_steps
        The batches before the limits begin to grow; 0 starts with the first batch.
    rmax_steps
        The batches until the limit of r is `rmax`. Where that is no more than `warmup_steps` it
        jumps there after `warmup_steps`.
    dmax_steps
        The same of d and `dmax`.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, <last>.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    running_mean, running_var : (C,)
        The running statistics, zeros and ones at first, which are always kept.
    num_batches_tracked : 0-D int64
        How many batches they have followed, which the limits go by.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for an `out` that cannot be written to. The layer is unchanged
        then.

    Notes
    -----
    .. math:: y = \left(\frac{x - \mathrm{mean}}{\mathrm{std}} \cdot r + d\right)
        \cdot weight + bias

    In training, with mean and std = sqrt(var + eps) of the batch, and running_std likewise,

    .. math::

        r &= \frac{std}{running\_std} \quad \text{clipped to } [1/r_{max}, r_{max}]

        d &= \frac{mean - running\_mean}{running\_std} \quad \text{clipped to } [-d_{max}, d_{max}]

    with the running statistics as they were before the batch. The gradient takes r and d as
    constants. The limits, which `limits` tells, follow `num_batches_tracked`: 1 and 0, which is
    BatchNorm<d> in training too, for `warmup_steps` batches; then they grow evenly to `rmax` and
    `dmax`. The defaults are those of the paper's experiments. The running variance is that of
    BatchNorm<d>, where the paper averages std, so state dicts fit BatchNorm<d> and back.

    x is <shapes>. An empty batch gives an empty output and leaves the running statistics alone.

    `layer(x, mask=m)` takes the positions where m is True (the shape of x without the channels, or
    its first axes) as the data: the others have no part in statistics and gradients, and come out
    as 0.

    References
    ----------
    .. [1] Ioffe, Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized
       Models, 2017 (arXiv 1702.03275).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.<name>(1, warmup_steps=0, rmax_steps=0, dmax_steps=0)
    >>> x = np.array([2.0, 4.0]).reshape(1, 1, 2<ones>)
    >>> layer(x).ravel().round(3)  # mean 0, variance 1 are the running ones: r = 1, d = 3
    array([2., 4.])
    >>> cybn.<name>(1)(x).ravel().round(3)  # a new layer is plain batch norm for 5000 batches
    array([-1.,  1.])
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    running_moments = True
    optional_arrays = ("weight", "bias")
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        scale: np.ndarray | None  # weight * r
        r: np.ndarray | float
        d: np.ndarray | float
        training: bool
        axis: int
        mask: np.ndarray | None = None
        valid: np.ndarray | None = None  # (M, C), what x has where the mask is True

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
        trainable: Trainable = True,
    ) -> None:
        self._declare_channels(affine, bias, True)

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation."""
        return fixed_batch_norm(self, who)

    def limits(self) -> tuple[float, float]:
        """Tell the limits of r and d of the next training batch.

        Returns
        -------
        tuple of float
            The limits r_max and d_max.
        """
        step, start = int(self.num_batches_tracked), self.warmup_steps

        def grown(stop: int) -> float:
            if step < start or start >= stop:
                return float(step >= start)
            return min((step - start) / (stop - start), 1.0)

        r_max = 1 + (self.rmax - 1) * grown(self.rmax_steps)
        return r_max, self.dmax * grown(self.dmax_steps)

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x; in training update the running statistics. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        kept = self.begin(x, out, ndim=self.ranks, channels=self.num_features)
        if mask is None:
            valid, y, to = kept, out, out
        else:
            mask = check_mask(who, mask, kept, axis).copy()
            valid, y, to = pick(kept, mask, axis), empty_like(kept) if out is None else out, None
        try:
            values, saved, step = self._normalize(valid, axis if mask is None else 1, to)
            y = values if mask is None else put(values, mask, y, axis)
        except BaseException:
            self.undo(x, kept, out)
            raise
        if step is not None:
            follow([step])
        if mask is not None:
            saved = saved._replace(x=kept, axis=axis, mask=mask, valid=valid)
        return y, saved

    def _normalize(
        self, x: np.ndarray, axis: int, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, Step | None]:
        """y, what pullback needs, and how the running statistics are to move if they have not."""
        who, training = type(self).__name__, self.training
        weight, bias, *running = self.channel_arrays()
        how = {"eps": self.eps, "channel_axis": axis, "who": who}
        r, d, step = 1.0, 0.0, None
        scale = None if weight is None else weight.astype(np.float64)
        limits = self.limits()
        if training and limits != (1, 0) and x.size:
            stats = batch_norm_stats(x, **how)
            step = self.step(running, stats, x)
            r, d = self._correction(stats, *running[:2], *limits)
            scale = r if weight is None else weight * r
            shift = d if weight is None else weight * d
            shift = shift if bias is None else shift + bias
            y = batch_norm_apply(x, stats, scale, shift, out=out, **how)
        else:
            y, stats = batch_norm_forward(
                x, weight, bias, *running,
                training=training, momentum=self.momentum, out=out, **how,
            )  # fmt: skip
        return y, self.Saved(x, stats, scale, r, d, training, axis), step

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
        """Compute dx, with r and d as constants, and the gradients of weight and bias."""
        dy, (like, stats, scale, r, d, training, axis, mask, valid) = (
            self.resume(saved, dy, out),
            saved,
        )
        masked = mask is not None
        x, given, along = (valid, pick(dy, mask, axis), 1) if masked else (like, dy, axis)
        # dscale = Σ dy*xhat and dbias = Σ dy, where y = xhat*scale + weight*d + bias
        dx, dscale, dbias = batch_norm_backward(
            given, x, stats, scale, training=training, channel_axis=along,
            out=None if masked else out, who=type(self).__name__,
        )  # fmt: skip
        if masked:
            dx = put(dx, mask, empty_like(like) if out is None else out, axis)
        return dx, self.gradients(weight=dscale * r + dbias * d, bias=dbias)


BatchRenorm1d, BatchRenorm2d, BatchRenorm3d = ranked(BatchRenorm, "BRN")
