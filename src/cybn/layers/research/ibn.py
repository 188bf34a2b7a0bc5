"""IBN: instance normalization for the first channels, batch normalization for the others.

NumPy over the compiled kernels, and no kernel of its own: the two parts are slices of the channels
to the kernels of each.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from ...functional import (
    batch_norm_backward,
    batch_norm_forward,
    instance_norm_backward,
    instance_norm_forward,
)
from ...options import Bounds, DType, PositiveInt
from ...registry import register
from ...validation import (
    check_count,
    check_more_than_one,
    check_per_channel,
    check_updatable,
)
from ..base import Layer
from ._common import quiet
from ._planes import accept, check_planes

_RANKS = (3, 4, 5)


@register("IBN", aliases=("InstanceBatchNorm",))
class IBN(Layer):
    r"""Instance normalization of the first channels and batch normalization of the others.

    .. math:: y_c = \frac{x_c - \mathrm{mean}_c}{\sqrt{\mathrm{var}_c + \epsilon}} \cdot weight_c
              + bias_c

    For c < half = floor(ratio*C) mean and var are the moments of a channel of a sample over its
    positions, in training and evaluation. For the other channels they are those of BatchNorm: of
    the batch in training, which running statistics follow, and the running ones in evaluation.

    Pan, Luo, Shi and Tang, Two at Once: Enhancing Learning and Generalization Capacities via
    IBN-Net, 2018 (arXiv 1807.09441): its IBN-a block.

    Parameters
    ----------
    num_features: C, the number of channels, >= 1.
    ratio: the part of the channels that gets instance normalization, 0 to 1.
    eps: added to the variance, > 0.
    momentum: the weight of the new batch in the running statistics, 0 to 1; None averages all
        batches alike.
    affine: learn weight and bias; else both are None.
    track_running_stats: keep running statistics; else they are None, and evaluation uses the
        moments of its batch too.
    bias: False leaves out the bias alone.
    dtype: of parameters and buffers, "float32" or "float64". Inputs may be either.
    channel_axis: 1, or -1 for channels last.

    Attributes
    ----------
    half: the number of channels with instance normalization.
    weight, bias: (C,), ones and zeros at first. running_mean, running_var: (C - half,), zeros and
    ones. num_batches_tracked: 0-D int64. Each is None where the options leave it out. grads:
    {"weight": (C,), "bias": (C,)} after backward.

    The authors' code has two layers in place of one: its IN.weight and BN.weight joined are weight,
    and so are the biases; its BN.running_mean is running_mean.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W), float32 or float64; y has its shape, dtype and
    memory order. x is kept for backward, not copied (unless in place).

    Raises TypeError for another dtype; ValueError for another rank or number of channels, one value
    in a channel of a sample, an unusable out. The layer is unchanged then. An empty batch gives an
    empty output and leaves the running statistics alone.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.IBN(2)
    >>> x = np.array([[[0.0, 2.0], [0.0, 2.0]], [[4.0, 6.0], [4.0, 6.0]]])
    >>> layer(x).round(3).tolist()  # channel 0 by sample; channel 1 with mean 3 and variance 5
    [[[-1.0, 1.0], [-1.342, -0.447]], [[-1.0, 1.0], [0.447, 1.342]]]
    >>> layer.half, layer.running_mean
    (1, array([0.3], dtype=float32))
    """

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

    @quiet
    def forward(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Normalize x; in training update the running statistics. See the class."""
        axis, half = self.channel_axis, self.half
        x = accept(self, x, out, _RANKS)
        running = self.running_mean, self.running_var, self.num_batches_tracked
        if running[0] is None or running[1] is None:
            running = None, None, None
        of_batch = self.training or running[0] is None
        self._check_arrays(x, of_batch)
        y = np.empty_like(x, subok=False) if out is None else out
        first, rest = _parts(half, axis)
        instance = batch = None
        if half > 0:
            _, instance = instance_norm_forward(
                x[first],
                _slice(self.weight, None, half),
                _slice(self.bias, None, half),
                eps=self.eps,
                channel_axis=axis,
                out=y[first],
                who=type(self).__name__,
            )
        if half < self.num_features:
            _, batch = batch_norm_forward(
                x[rest],
                _slice(self.weight, half, None),
                _slice(self.bias, half, None),
                *running,
                training=of_batch,
                momentum=0.0 if running[2] is None and self.momentum is None else self.momentum,
                eps=self.eps,
                channel_axis=axis,
                out=y[rest],
                who=type(self).__name__,
            )
        weight = None if self.weight is None else self.weight.copy()
        self._saved = x, half, instance, batch, weight, of_batch, axis
        return y

    def _check_arrays(self, x: np.ndarray, of_batch: bool) -> None:
        who, rest = type(self).__name__, self.num_features - self.half
        dtype = np.dtype(self.dtype)
        check_per_channel(who, {"weight": self.weight, "bias": self.bias}, self.num_features, dtype)
        moving = {"running_mean": self.running_mean, "running_var": self.running_var}
        check_per_channel(who, moving, rest, dtype)
        check_count(who, self.num_batches_tracked)
        if self.training:
            check_updatable(who, {**moving, "num_batches_tracked": self.num_batches_tracked})
        if self.half:
            check_planes(who, "x", x, self.channel_axis)
        if of_batch and rest:
            check_more_than_one(x, x.size // self.num_features)

    @quiet
    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward; sets `grads`. See `BatchNorm.backward` for dy and out."""
        dy, (x, half, instance, batch, weight, of_batch, axis) = self.checked_dy(dy, out)
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
        grads = {"weight": dweight, "bias": dbias}
        self.grads = {name: grads[name].astype(a.dtype) for name, a in self.named_parameters()}
        return dx


def _parts(half: int, axis: int) -> tuple[tuple, tuple]:
    """The index of the first half channels on an axis, 1 or -1, and that of the rest."""
    before = (slice(None),) if axis == 1 else (...,)
    return (*before, slice(None, half)), (*before, slice(half, None))


def _slice(a: np.ndarray | None, start: int | None, stop: int | None) -> np.ndarray | None:
    return None if a is None else a[start:stop]
