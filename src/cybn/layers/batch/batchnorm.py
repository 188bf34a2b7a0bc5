"""BatchNorm1d, 2d and 3d: one class, and the ranks that each takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...functional.batch import CUMULATIVE, backward_checked, check_upstream, forward_checked
from ...options import Bounds, DType, PositiveInt
from ...registry import register
from ...validation import (
    check_eps,
    check_input,
    check_more_than_one,
    check_out,
)
from ..channelnorm import ChannelNorm

_CHARS = {"float32": "f", "float64": "d"}


class BatchNorm(ChannelNorm):
    r"""Batch normalization: each channel to mean 0 and variance 1 over the batch, then scaled.

    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    In training mean and var (biased) are the moments of x over all axes but the channels, and the
    running statistics follow them; in evaluation they are the running statistics:

        running_mean += momentum * (mean - running_mean)
        running_var  += momentum * (var * m/(m-1) - running_var)        m values per channel

    Ioffe and Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift, 2015 (arXiv 1502.03167). Names, defaults and semantics are PyTorch's.

    Parameters
    ----------
    num_features: C, the number of channels, >= 1.
    eps: added to the variance, >= 0, and > 0 in training.
    momentum: the weight of the new batch in the running statistics, 0 to 1; None averages all
        batches alike.
    affine: learn weight and bias; else both are None.
    track_running_stats: keep running statistics; else they are None, and evaluation uses the
        moments of its input too.
    bias: False leaves out the bias alone.
    dtype: of parameters and buffers, "float32" or "float64". Inputs may be either.
    channel_axis: 1, or -1 for channels last.

    Attributes
    ----------
    weight, bias: (C,), ones and zeros at first. running_mean, running_var: (C,), zeros and ones.
    num_batches_tracked: 0-D int64. Each is None where the options leave it out.
    grads: {"weight": (C,), "bias": (C,)} after backward.

    Calling the layer with x, float32 or float64, any strides, returns y of x's shape, dtype and
    memory order, in `out` where it is given; x itself as `out` works in place. x is kept for
    backward until the next forward, not copied (unless in place): leave it unchanged until then.

    Raises TypeError for another dtype; ValueError for another rank or number of channels, one value
    per channel in training, or an unusable out. The layer is unchanged then. An empty batch gives
    an empty output and leaves the running statistics alone.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.BatchNorm1d(1)
    >>> y = layer(np.array([[1.0], [2.0], [3.0], [4.0]], np.float32))
    >>> y.ravel().round(4).tolist() == np.float32([-1.3416, -0.4472, 0.4472, 1.3416]).tolist()
    True
    >>> layer.running_var.round(4)  # 0.9 * 1 + 0.1 * 5/3
    array([1.0667], dtype=float32)
    >>> dx = layer.backward(y)
    >>> sorted(layer.grads)
    ['bias', 'weight']
    """

    ranks: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self._declare_channels(affine, bias, track_running_stats)

    def forward(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Normalize x; in training update the running statistics. See the class."""
        who, axis, training = type(self).__name__, self.channel_axis, self.training
        x = check_input(who, x, self.ranks, self.num_features, axis)
        weight, bias, mean, var, count = self._checked or self._check_arrays(training)
        momentum = self.momentum
        of_batch = training or mean is None or var is None
        if of_batch:
            if self.eps == 0:
                check_eps(who, self.eps, True)
            check_more_than_one(x, x.size // self.num_features)
            if not (training and self.track_running_stats):
                mean = var = count = None
        if momentum is None:
            momentum = CUMULATIVE if count is not None else 0.0
        kept = x
        if out is not None and check_out(who, out, x):
            kept = x.copy(order="K")
        try:
            y, stats = forward_checked(
                x, weight, bias, mean, var, count,
                of_batch, momentum, self.eps, axis, out, _CHARS[self.dtype],
            )  # fmt: skip
        except ValueError:
            self._check_arrays(training)  # an array was spoilt since it was checked: says which
            raise
        saved = kept, stats, None if weight is None else weight.copy(), of_batch, axis
        vars(self)["_saved"] = saved  # past __setattr__, which has nothing to check here
        return y

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward, in `out` where it is given; sets `grads`.

        dy has the shape and dtype of that forward's x; `out` may be dy itself. The gradient is that
        of the forward as it was, with the weight of that time, and may be asked for again.

        Raises RuntimeError before any forward; TypeError and ValueError as the forward does.
        """
        who = type(self).__name__
        if self._saved is None:
            raise RuntimeError(f"{who}.backward needs a forward first: call the layer with x")
        x, stats, weight, training, axis = self._saved
        dy = check_upstream(who, dy, x, out)
        dx, dweight, dbias = backward_checked(
            dy, x, stats, weight, training, axis, out, np.dtype(self.dtype)
        )
        grads = {"weight": dweight, "bias": dbias}
        vars(self)["grads"] = {name: grads[name] for name, _ in self.named_parameters()}
        return dx


@register("BatchNorm1d", aliases=("BN1d",))
class BatchNorm1d(BatchNorm):
    """Batch normalization of (N, C) or (N, C, L); see BatchNorm."""

    ranks = (2, 3)


@register("BatchNorm2d", aliases=("BN", "BN2d", "BatchNorm"))
class BatchNorm2d(BatchNorm):
    """Batch normalization of (N, C, H, W); see BatchNorm."""

    ranks = (4,)


@register("BatchNorm3d", aliases=("BN3d",))
class BatchNorm3d(BatchNorm):
    """Batch normalization of (N, C, D, H, W); see BatchNorm."""

    ranks = (5,)
