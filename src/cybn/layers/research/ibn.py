"""IBN: instance normalization for the first channels, batch normalization for the others.

NumPy over the compiled kernels, and no kernel of its own: the two parts are slices of the channels
to the kernels of each.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...arrays.validation import (
    check_more_than_one,
)
from ...functional import (
    batch_norm_backward,
    batch_norm_forward,
    instance_norm_backward,
    instance_norm_forward,
)
from ...functional.running import CUMULATIVE, Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Guarded
from ._planes import check_planes

_RANKS = (3, 4, 5)


@register("IBN", aliases=("InstanceBatchNorm",))
class IBN(Guarded):
    r"""Instance normalization of the first channels and batch normalization of the rest.

    The first half = floor(ratio*C) channels are normalized by their moments in each sample, in
    training and evaluation; the others by those of the batch in training, which running statistics
    follow, and by the running ones in evaluation. It is the IBN-a block of the paper [1]_.

    Parameters
    ----------
    ratio
        The part of the channels that gets instance normalization.
    eps
        Added to the variance.
    momentum
        The weight of the new batch in the running statistics; None averages all batches alike.
    track_running_stats
        Keep running statistics; else they are None, and evaluation uses the moments of its batch,
        too.

    Attributes
    ----------
    half : int
        The number of channels with instance normalization.
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    running_mean, running_var : (C - half,) or None
        The running statistics, zeros and ones at first.
    num_batches_tracked : 0-D int64 or None
        How many batches the running statistics have followed.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, with one value
        in a channel of a sample or, in training, one value per channel; for an `out` that cannot be
        written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y_c = \frac{x_c - \mathrm{mean}_c}{\sqrt{\mathrm{var}_c + \epsilon}} \cdot weight_c
        + bias_c

    with var the biased variance. The authors' code has two layers in the place of one: its weights
    joined, those for instances first, are `weight`, and its biases are alike; the running
    statistics are those of its second layer.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output and leaves
    the running statistics alone.

    References
    ----------
    .. [1] Pan, Luo, Shi and Tang, Two at Once: Enhancing Learning and Generalization Capacities via
       IBN-Net, 2018 (arXiv 1807.09441).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.IBN(2)
    >>> x = np.array([[[0.0, 2.0], [0.0, 2.0]], [[4.0, 6.0], [4.0, 6.0]]])
    >>> layer(x).round(3).tolist()  # channel 0 by sample; channel 1 with mean 3 and variance 5
    [[[-1.0, 1.0], [-1.342, -0.447]], [[-1.0, 1.0], [0.447, 1.342]]]
    >>> layer.half, layer.running_mean
    (1, array([0.3], dtype=float32))
    """

    optional_arrays = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        half: int
        instance: np.ndarray | None  # statistics of the first half
        batch: np.ndarray | None  # and of the rest
        weight: np.ndarray | None
        of_batch: bool
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        ratio: Annotated[float, Bounds(ge=0, le=1)] = 0.5,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        channels, dtype, rest = self.num_features, self.dtype, self.num_features - self.half
        self.register_parameter("weight", np.ones(channels, dtype) if affine else None)
        self.register_parameter("bias", np.zeros(channels, dtype) if affine and bias else None)
        tracked = track_running_stats and rest > 0
        self.register_buffer("running_mean", np.zeros(rest, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(rest, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.array(0) if tracked else None)

    @property
    def half(self) -> int:
        """The number of channels with instance normalization."""
        return int(self.num_features * self.ratio)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        channels = self.num_features
        kept = self.begin(x, out, ndim=_RANKS, channels=channels)
        if self.half:
            check_planes(type(self).__name__, "x", kept, self.channel_axis)
        if self.half < channels and (self.training or not self._tracked):
            count = kept.size // channels
            check_more_than_one(kept, count, tracked=self._tracked)
        return kept

    @property
    def _tracked(self) -> bool:
        return self.running_mean is not None and self.running_var is not None

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, half, who = self.channel_axis, self.half, type(self).__name__
        of_batch = self.training or not self._tracked
        y = np.empty_like(x, subok=False) if out is None else out
        first, rest = _parts(half, axis)
        instance = batch = None
        steps = []
        if half > 0:
            _, instance = instance_norm_forward(
                x[first],
                _slice(self.weight, None, half),
                _slice(self.bias, None, half),
                eps=self.eps,
                channel_axis=axis,
                out=y[first],
                who=who,
            )
        if half < self.num_features:
            running = self.running_mean, self.running_var
            _, batch = batch_norm_forward(
                x[rest],
                _slice(self.weight, half, None),
                _slice(self.bias, half, None),
                *((None, None) if of_batch else running),
                training=of_batch,
                eps=self.eps,
                channel_axis=axis,
                out=y[rest],
                who=who,
            )
            if self.training and self._tracked and x.size:
                count, momentum = self.num_batches_tracked, self.momentum
                if momentum is None:
                    momentum = 0.0 if count is None else CUMULATIVE
                steps = [Step(*running, count, batch, x.size // self.num_features, momentum)]
        weight = None if self.weight is None else self.weight.copy()
        return y, self.Saved(x, half, instance, batch, weight, of_batch, axis), steps

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, half, instance, batch, weight, of_batch, axis = saved
        dx = np.empty_like(x, subok=False) if out is None else out
        dweight, dbias = np.zeros((2, x.shape[axis]))
        first, rest = _parts(half, axis)
        if instance is not None:
            _, dweight[:half], dbias[:half] = instance_norm_backward(
                dy[first], x[first], instance, _slice(weight, None, half),
                channel_axis=axis, out=dx[first],
            )  # fmt: skip
        if batch is not None:
            _, dweight[half:], dbias[half:] = batch_norm_backward(
                dy[rest], x[rest], batch, _slice(weight, half, None),
                training=of_batch, channel_axis=axis, out=dx[rest],
            )  # fmt: skip
        return dx, self.gradients(weight=dweight, bias=dbias)


def _parts(half: int, axis: int) -> tuple[tuple, tuple]:
    """The index of the first half channels on an axis, 1 or -1, and that of the rest."""
    before = (slice(None),) if axis == 1 else (...,)
    return (*before, slice(None, half)), (*before, slice(half, None))


def _slice(a: np.ndarray | None, start: int | None, stop: int | None) -> np.ndarray | None:
    return None if a is None else a[start:stop]
