"""BatchNorm1d, 2d and 3d: one class, and the ranks that each takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...functional.batch_checked import CUMULATIVE, backward_checked, forward_checked
from ...functional.gates import ACTIVATIONS, OPEN, check_residual, gate_of
from ...functional.masks import check_mask, pick, put
from ...kernels.outputs import empty_like
from ...options import Bounds, DType, PositiveInt
from ...registry import register
from ...validation import (
    check_eps,
    check_input,
    check_more_than_one,
    check_out,
    check_separate,
    keep_input,
)
from ..channelnorm import ChannelNorm
from ..fixed import Fixed, fixed_batch_norm

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
    activation: "relu", "leaky_relu" or "relu6", in the same pass over memory; or None.
    negative_slope: of leaky_relu, between 0 and 1.
    weight_init: "ones"; "zeros" for the last norm of a residual branch, which then begins as the
        identity (Goyal et al. 2017, arXiv 1706.02677); "uniform" in [0, 1), drawn from
        `numpy.random`'s global state.
    on_single: what training does with one value per channel, whose variance means nothing: "error",
        or "running" to normalize with the running statistics and leave them as they are.
    on_nonfinite: what training does with a batch that has NaN or Inf: "propagate" lets it into the
        running statistics of its channel; "skip" leaves all running statistics and the count as
        they are; "error" raises, and changes nothing.

    Attributes
    ----------
    weight, bias: (C,), ones and zeros at first. running_mean, running_var: (C,), zeros and ones.
    num_batches_tracked: 0-D int64. Each is None where the options leave it out.
    grads: {"weight": (C,), "bias": (C,)} after backward.

    Calling the layer with x, float32 or float64, any strides, returns y of x's shape, dtype and
    memory order, in `out` where it is given; x itself as `out` works in place. x is kept for
    backward until the next forward, not copied (unless in place): leave it unchanged until then.
    With an activation y is kept, too.

    `layer(x, residual=z)` adds z, of x's shape and dtype, before the activation; backward puts its
    gradient in `layer.dresidual`. `layer(x, mask=m)` takes the positions where m is True (shape of
    x without the channels, or its first axes) as the data: the others have no part in statistics
    and gradients, and come out as 0.

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
    #: the gradient of the residual, after backward of a forward that had one
    dresidual: np.ndarray | None = None
    weight_init = "ones"  # of subclasses without that option
    running_moments = True
    # affine and bias are what the arrays are; negative_slope is nothing without an activation
    thawed_only = (
        "momentum", "num_batches_tracked", "affine", "bias", "track_running_stats", "weight_init",
        "on_single", "on_nonfinite", "negative_slope",
    )  # fmt: skip

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
        activation: Literal[ACTIVATIONS] | None = None,
        negative_slope: Annotated[float, Bounds(gt=0, lt=1)] = 0.01,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
    ) -> None:
        if on_single == "running" and not track_running_stats:
            raise ValueError(
                f"{type(self).__name__}: on_single='running' needs track_running_stats=True"
            )
        self._declare_channels(affine, bias, track_running_stats)
        self._fill_weight()

    def reset_parameters(self) -> None:
        """weight as weight_init says, bias 0 and running statistics as in a new layer."""
        super().reset_parameters()
        self._fill_weight()

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation."""
        return fixed_batch_norm(self, who)

    def _fill_weight(self) -> None:
        weight = self._parameters["weight"]
        if weight is None or self.weight_init == "ones":
            return
        weight[...] = 0
        if self.weight_init == "uniform":
            # As torch.manual_seed does for PyTorch, np.random.seed makes networks repeatable.
            weight[...] = np.random.random_sample(len(weight))  # noqa: NPY002

    def forward(
        self,
        x: np.ndarray,
        out: np.ndarray | None = None,
        *,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """Normalize x; in training update the running statistics. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        x = check_input(who, x, self.ranks, self.num_features, axis)
        if residual is not None:
            residual = check_residual(who, residual, x)
        if mask is not None:
            return self._forward_masked(x, out, residual, check_mask(who, mask, x, axis))
        kept = keep_input(who, x, out)
        if out is not None and residual is not None:
            check_out(who, out, residual)
        y, saved = self._normalize(x, kept, out, residual, axis)
        vars(self)["_saved"] = saved  # past __setattr__, which has nothing to check here
        return y

    def _normalize(self, x, kept, out, residual, axis):
        """y and what backward needs, of arguments that were checked; `kept` is x as it was."""
        training, momentum = self.training, self.momentum
        weight, bias, mean, var, count = self._checked or self._check_arrays(training)
        gate = OPEN
        if self.activation is not None:
            gate = gate_of("", self.activation, self.negative_slope)
        of_batch = training or mean is None or var is None
        if of_batch:
            single = x.size == self.num_features
            if single and training and self.on_single == "running":
                of_batch = False
            elif single or self.eps == 0:
                self._check_batch(x)
            if of_batch and not (training and self.track_running_stats):
                mean = var = count = None
        if momentum is None:
            momentum = CUMULATIVE if count is not None else 0.0
        moved = mean, var, count
        if of_batch and self.on_nonfinite != "propagate" and training:
            moved = self._moved(x, axis)
        try:
            y, stats = forward_checked(
                x, weight, bias, *moved, of_batch, momentum, self.eps, axis, out,
                _CHARS[self.dtype], residual, gate,
            )  # fmt: skip
        except ValueError:
            self._check_arrays(training)  # an array was spoilt since it was checked: says which
            raise
        y_kept = None if gate is OPEN else y
        weight = None if weight is None else weight.copy()
        return y, (kept, stats, weight, of_batch, axis, y_kept, gate, residual is not None, None)

    def _check_batch(self, x: np.ndarray) -> None:
        """ValueError for a batch that has no moments to normalize with."""
        if self.eps == 0:
            check_eps(type(self).__name__, self.eps, True)
        check_more_than_one(x, x.size // self.num_features)

    def _moved(self, x: np.ndarray, axis: int) -> tuple[np.ndarray | None, ...]:
        """The running arrays that this batch may move: none of them if it is not finite."""
        if np.isfinite(x).all():
            return self.running_mean, self.running_var, self.num_batches_tracked
        if self.on_nonfinite == "skip":
            return None, None, None
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(
            f"{type(self).__name__} got {x[where]} at {where} of {x.shape}; clean the batch, or "
            f"build the layer with on_nonfinite='skip'"
        )

    def _forward_masked(self, x, out, residual, mask):
        """As forward, of the positions where mask is True."""
        axis = self.channel_axis
        if out is not None:
            check_out(type(self).__name__, out, x)
            if residual is not None:
                check_out(type(self).__name__, out, residual)
        valid = pick(x, mask, axis)
        z = None if residual is None else pick(residual, mask, axis)
        if z is not None:
            z = np.ascontiguousarray(z)
        y_valid, saved = self._normalize(valid, valid, None, z, 1)
        y = put(y_valid, mask, empty_like(x) if out is None else out, axis)
        vars(self)["_saved"] = (x, *saved[1:-1], (valid, mask.copy(), axis))
        return y

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward, in `out` where it is given; sets `grads`.

        dy has the shape and dtype of that forward's x; `out` may be dy itself. The gradient is that
        of the forward as it was, with the weight of that time, and may be asked for again.

        Raises RuntimeError before any forward; TypeError and ValueError as the forward does.
        """
        dy, saved = self.checked_dy(dy, out)
        x, stats, weight, training, axis, y, gate, added, masked = saved
        if out is not None and y is not None:
            check_separate(type(self).__name__, "out", out, y=y)
        like = x
        if masked is not None:
            x, mask, axis_then = masked
            dy = pick(dy, mask, axis_then)
        dz = empty_like(x) if added else None
        dx, dweight, dbias = backward_checked(
            dy, x, stats, weight, training, axis, out if masked is None else None,
            np.dtype(self.dtype), y, gate, dz,
        )  # fmt: skip
        if masked is not None:
            dx = put(dx, mask, empty_like(like) if out is None else out, axis_then)
            dz = None if dz is None else put(dz, mask, empty_like(like), axis_then)
        grads = {"weight": dweight, "bias": dbias}
        vars(self)["grads"] = {name: grads[name] for name, _ in self.named_parameters()}
        vars(self)["dresidual"] = dz
        return dx


@register("BatchNorm1d", aliases=("BN1d",))
class BatchNorm1d(BatchNorm):
    """Batch normalization of (N, C) or (N, C, L); see BatchNorm."""

    ranks = (2, 3)
    frozen_form = "FrozenBatchNorm1d"


@register("BatchNorm2d", aliases=("BN", "BN2d", "BatchNorm"))
class BatchNorm2d(BatchNorm):
    """Batch normalization of (N, C, H, W); see BatchNorm."""

    ranks = (4,)
    frozen_form = "FrozenBatchNorm2d"


@register("BatchNorm3d", aliases=("BN3d",))
class BatchNorm3d(BatchNorm):
    """Batch normalization of (N, C, D, H, W); see BatchNorm."""

    ranks = (5,)
    frozen_form = "FrozenBatchNorm3d"
