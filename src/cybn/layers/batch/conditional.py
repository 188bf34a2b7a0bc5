"""ConditionalBatchNorm1d, 2d and 3d: batch normalization with a weight and bias for each class.

The statistics are those of BatchNorm; weight and bias hang on the label of the sample. In the view
(1, N*C, L) every sample has channels of its own, and the kernel of evaluation, given the statistics
of the batch, does the rest: x is read twice and y is written once, as by BatchNorm. Channels last
and other orders of memory have no such view and go sample by sample.

Rejected: normalizing first and scaling in NumPy afterwards (more passes over memory), and a batch
norm for each class (its statistics would be those of a few samples).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.outputs import empty_like
from ...arrays.validation import check_count, check_per_channel, check_updatable
from ...functional import batch_norm_apply, batch_norm_backward, batch_norm_stats
from ...functional.masks import check_mask, pick, put
from ...functional.running import Step, follow
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ..base.channelnorm import ChannelNorm
from ..base.fixed import Fixed, fixed_batch_norm
from ..base.ranks import ranked

LONG_ROW = 16  # positions from which on a kernel needs a few coefficients per channel
SHORT_VIEW = 1 << 13  # items to a view of shorter rows, whose coefficients are to stay in cache


@register("ConditionalBatchNorm", aliases=("CBN",))
class ConditionalBatchNorm(ChannelNorm):
    r"""Batch normalization of <shapes> with a weight and bias for each class.

    The statistics are those of BatchNorm<d>, over all samples whatever their class; weight and bias
    are those of the class of each sample [1]_ [2]_. A call takes the classes as `labels`, (N,) ints
    from 0 to num_classes - 1; without them every sample is of class 0.

    Parameters
    ----------
    eps
        Added to the variance; more than 0 in training.
    momentum
        The weight of the new batch in the running statistics; None averages all batches alike.
    num_classes
        How many classes there are.
    track_running_stats
        Keep running statistics; else they are None, and evaluation uses the moments of its input,
        too.
    bias
        False leaves out the bias.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, <last>.

    Attributes
    ----------
    weight, bias : (num_classes, C)
        The learned scale and shift of each class, ones and zeros at first. The bias is None where
        the options leave it out.
    running_mean, running_var : (C,) or None
        The running statistics, zeros and ones at first.
    num_batches_tracked : 0-D int64 or None
        How many batches the running statistics have followed.
    grads : dict
        The gradients of `weight` and `bias` after `backward`, zero for classes that no sample had.

    Raises
    ------
    TypeError
        For an option of another type, for an x of another dtype than float16, bfloat16, float32 and
        float64, and for labels that are no ints.
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for labels of another shape or out of range; for an `out` that
        cannot be written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y_n = \frac{x_n - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}}
        \cdot weight[label_n] + bias[label_n]

    with mean and var (biased) those of the batch in training, and the running statistics in
    evaluation.

    x is <shapes>. An empty batch gives an empty output and leaves the running statistics alone.

    `layer(x, labels=l, mask=m)` takes the positions where m is True (the shape of x without the
    channels, or its first axes) as the data: the others have no part in statistics and gradients,
    and come out as 0.

    References
    ----------
    .. [1] De Vries, Strub, Mary, Larochelle, Pietquin and Courville, Modulating early visual
       processing by language, 2017 (arXiv 1707.00683).
    .. [2] Dumoulin, Shlens and Kudlur, A Learned Representation For Artistic Style, 2016 (arXiv
       1610.07629), for a table of weights for classes.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.<name>(1, num_classes=2)
    >>> layer.weight[1], layer.bias[1] = 10, 1
    >>> x = np.array([1.0, 3.0, 1.0, 3.0]).reshape(2, 1, 2<ones>)
    >>> layer(x, labels=np.array([0, 1])).ravel().round(3)
    array([-1.,  1., -9., 11.])
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    running_moments = True
    optional_arrays = ("bias", "running_mean", "running_var", "num_batches_tracked")

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        labels: np.ndarray
        stats: np.ndarray
        weight: np.ndarray  # (N, C), of each sample's class
        of_batch: bool
        axis: int
        mask: np.ndarray | None = None
        valid: np.ndarray | None = None  # (M, C), what x has where the mask is True

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.1,
        *,
        num_classes: PositiveInt = 1,
        track_running_stats: bool = True,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self._declare_channels(True, bias, track_running_stats)
        for name, a in list(self._parameters.items()):
            table = None if a is None else np.tile(a, (num_classes, 1))
            self.register_parameter(name, table)

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation."""
        return fixed_batch_norm(self, who)

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x; in training update the running statistics. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        kept = self.begin(x, out, ndim=self.ranks, channels=self.num_features)
        weight, bias = self._table("weight"), self._table("bias")
        labels = self._checked_labels(labels, len(kept))
        valid, along = kept, axis
        if mask is not None:  # the valid positions are samples of their own
            mask = check_mask(who, mask, kept, axis).copy()
            valid, along = pick(kept, mask, axis), 1
            labels = labels[np.nonzero(mask)[0]]
        of_batch = self.training or self.running_mean is None or self.running_var is None
        stats, step = self._stats(valid, of_batch, along)
        y = empty_like(kept) if out is None else out
        to = y if mask is None else empty_like(valid)
        weight = weight[labels]  # (N, C)
        bias = None if bias is None else bias[labels]
        try:
            for (part, place), rows, given in _views(along, stats, valid, to):
                batch_norm_apply(
                    part, given, weight[rows].ravel(), None if bias is None else bias[rows].ravel(),
                    channel_axis=along, out=place, who=who,
                )  # fmt: skip
            if mask is not None:
                put(to, mask, y, axis)
        except BaseException:
            self.undo(x, kept, out)
            raise
        if step is not None:
            follow([step])
        valid = None if mask is None else valid
        return y, self.Saved(kept, labels, stats, weight, of_batch, axis, mask, valid)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and the gradients of weight and bias.

        In evaluation dx = rstd * weight[label] * dy, with the sums for dweight and dbias of each
        sample. In training that is done without rstd, which may be too small for dy's dtype, and
        the backward of a batch norm follows.
        """
        dy = self.resume(saved, dy, out)
        x, labels, stats, weight, of_batch, axis, mask, valid = saved
        like, along = x, axis
        if mask is not None:
            x, dy, axis = valid, pick(dy, mask, axis), 1
        dx = empty_like(x) if out is None or mask is not None else out
        how = {"channel_axis": axis, "who": type(self).__name__}
        sums = np.zeros((2, *weight.shape))  # Σ dy*xhat and Σ dy of each sample and channel
        if of_batch:
            with np.errstate(divide="ignore", invalid="ignore"):  # rstd is 0 where var is infinite
                weight = weight / stats[2]
        for (part, given_dy, to), rows, given in _views(axis, stats, x, dy, dx):
            _, *both = batch_norm_backward(
                given_dy, part, given, weight[rows].ravel(), training=False, out=to, **how
            )
            sums[:, rows] = np.reshape(both, (2, -1, self.num_features))
        if of_batch and x.size:
            batch_norm_backward(dx, x, stats, None, training=True, out=dx, **how)
        if mask is not None:
            dx = put(dx, mask, empty_like(like) if out is None else out, along)
        order = np.argsort(labels, kind="stable")
        classes, starts = np.unique(labels[order], return_index=True)
        grads = {}
        for name, of_samples in zip(("weight", "bias"), sums, strict=True):
            grads[name] = np.zeros((self.num_classes, self.num_features), self._dtype())
            if labels.size:  # a sum per class: faster than np.add.at
                grads[name][classes] = np.add.reduceat(of_samples[order], starts)
        return dx, self.gradients(**grads)

    def sample_inputs(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Give labels that go through all classes."""
        return {"labels": np.arange(len(x)) % self.num_classes}

    def _checked_labels(self, labels: object, samples: int) -> np.ndarray:
        """labels as an (N,) array of ints within range."""
        who, many = type(self).__name__, self.num_classes
        if labels is None:
            return np.zeros(samples, np.intp)
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" and labels.size:
            raise TypeError(f"{who} takes ints as labels, got {labels.dtype}; pass class indices")
        if labels.shape != (samples,):
            raise ValueError(
                f"{who} takes one label for each of {samples} samples, got shape {labels.shape}"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < many:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(
                f"{who} takes labels from 0 to {many - 1}, got {wrong}; num_classes is {many}"
            )
        return labels.astype(np.intp)

    def running_arrays(self) -> tuple[np.ndarray | None, ...]:
        """Those of BatchNorm; weight and bias have another shape here."""
        running = self.running_mean, self.running_var, self.num_batches_tracked
        named = {"running_mean": running[0], "running_var": running[1]}
        check_per_channel(type(self).__name__, named, self.num_features, self._dtype())
        check_count(type(self).__name__, running[2])
        if self.training:
            check_updatable(type(self).__name__, self._buffers)
        return running

    def _table(self, name: str) -> np.ndarray | None:
        """weight or bias, (num_classes, C), in float64."""
        a, expected = self._parameters[name], (self.num_classes, self.num_features)
        if a is not None and a.shape != expected:
            raise ValueError(
                f"{type(self).__name__} needs {name} of shape {expected}, one row for each class, "
                f"got {a.shape}"
            )
        return None if a is None else a.astype(np.float64)

    def _stats(self, x: np.ndarray, of_batch: bool, axis: int) -> tuple[np.ndarray, Step | None]:
        """mean, var and rstd, (3, C), to normalize x with; and how the running ones then move."""
        running, who = self.running_arrays(), type(self).__name__
        if not of_batch:
            mean, var = (a.astype(np.float64) for a in running[:2])
            return np.stack([mean, var, 1 / np.sqrt(var + self.eps)]), None
        stats = batch_norm_stats(x, eps=self.eps, channel_axis=axis, who=who)
        moves = self.training and self.track_running_stats and x.size > 0
        return stats, self.step(running, stats, x) if moves else None


def _views(
    axis: int, stats: np.ndarray, *arrays: np.ndarray
) -> Iterator[tuple[list[np.ndarray], slice, np.ndarray]]:
    """The arrays in views whose channels are those of single samples.

    Yields views, the samples in them, and stats, (3, channels of the view).
    """
    n, channels, *inner = arrays[0].shape
    wide = all(a.flags.c_contiguous for a in arrays) and (axis == 1 or not inner)
    step = 1
    if wide:
        row = prod(inner)
        step = max(1, n if row >= LONG_ROW else SHORT_VIEW // max(1, channels * row))
    for i in range(0, n, step):
        samples = slice(i, min(i + step, n))
        views = [a[samples] for a in arrays]
        if wide:
            views = [a.reshape(1, len(a) * channels, *inner) for a in views]
        yield views, samples, np.tile(stats, samples.stop - i)


ConditionalBatchNorm1d, ConditionalBatchNorm2d, ConditionalBatchNorm3d = ranked(
    ConditionalBatchNorm, "CBN"
)
