"""InstanceNorm1d, 2d and 3d: one class, and the ranks that each takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.batch_checked import backward_checked, forward_checked
from ...functional.groups import check_instance_size, instance_checked
from ...functional.rows import gradient_checked
from ...layout import group_rows
from ...options import Bounds, DType, PositiveInt
from ...registry import register
from ...validation import (
    as_float_array,
    check_channels,
    check_eps,
    check_rank,
)
from ..channelnorm import ChannelNorm

_RANKS = {2: "InstanceNorm1d", 3: "InstanceNorm1d", 4: "InstanceNorm2d", 5: "InstanceNorm3d"}


class InstanceNorm(ChannelNorm):
    r"""Instance normalization: each channel of each sample to mean 0 and variance 1, then scaled.

    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    mean and var (biased) are those of one channel of one sample, n values, in evaluation too. With
    track_running_stats evaluation takes running statistics instead, which in training follow

        running_mean += momentum * (mean over the samples             - running_mean)
        running_var  += momentum * (var * n/(n-1) over the samples    - running_var)

    Ulyanov, Vedaldi and Lempitsky, Instance Normalization: The Missing Ingredient for Fast
    Stylization, 2016 (arXiv 1607.08022). Names, defaults and semantics are PyTorch's; but where
    PyTorch warns of another number of channels than num_features, this is an error.

    Parameters
    ----------
    num_features: C, the number of channels.
    eps: added to the variance, >= 0, and > 0 but with running statistics.
    momentum: the weight of the new batch in the running statistics, 0 to 1; None leaves them alone.
    affine: learn weight and bias; else both are None.
    track_running_stats: keep running statistics; else they are None.
    bias: False leaves out the bias alone.
    dtype: of parameters and buffers, "float32" or "float64". Inputs may be either.
    channel_axis: 1, or -1 for channels last, which is copied on the way.

    Attributes
    ----------
    weight, bias: (C,), ones and zeros at first. running_mean, running_var: (C,), zeros and ones.
    num_batches_tracked: 0-D int64, in the state dict for PyTorch's sake, which never counts here
        either. Each is None where the options leave it out.
    grads: {"weight": (C,), "bias": (C,)} after backward.

    x is a batch, or one sample without the axis N. For out see LayerNorm. Raises TypeError for
    another dtype; ValueError for another rank or number of channels, one value per channel of a
    sample (but with running statistics), or an unusable out. The layer is unchanged then.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.InstanceNorm1d(2)
    >>> layer
    InstanceNorm1d(2, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)
    >>> layer(np.array([[[1.0, 3.0], [10.0, 30.0]]])).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    ranks: ClassVar[tuple[int, ...]] = ()  # of one sample, and of a batch
    optional_arrays = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        weight: np.ndarray | None
        running: bool  # normalized by running statistics
        alone: bool  # x is one sample
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self._declare_channels(affine, bias, track_running_stats)

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Normalize x; in training update the running statistics. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        x = as_float_array(who, "x", x)
        check_rank(who, x, _RANKS, self.ranks, axis, unbatched=self.ranks[0])
        alone = x.ndim == self.ranks[0]
        check_channels(who, x, self.num_features, 0 if alone and axis == 1 else axis)
        arrays = self.channel_arrays()
        running = not (self.training or arrays.running_mean is None or arrays.running_var is None)
        if not running:
            check_eps(who, self.eps, True)
            check_instance_size(_batch(x, alone), axis)
        kept = self.begin(x, out)
        weight = None if arrays.weight is None else arrays.weight.copy()
        try:
            y, stats = self._normalize(_batch(kept, alone), _batch(out, alone), running, *arrays)
        except BaseException as error:
            self.undo(x, kept, out)
            if isinstance(error, ValueError):
                self.check_arrays()  # an array was spoilt since it was checked: says so
            raise
        return _unbatch(y, alone, out), self.Saved(kept, stats, weight, running, alone, axis)

    def _normalize(self, x, out, running, weight, bias, mean, var, _):
        # y and stats of a batch, by the running statistics or its own
        axis, char = self.channel_axis, np.dtype(self.dtype).char
        if running:
            return forward_checked(
                x, weight, bias, mean, var, None, False, 0.0, self.eps, axis, out, char
            )
        momentum = (self.training and self.track_running_stats and self.momentum) or 0.0
        return instance_checked(x, weight, bias, mean, var, momentum, self.eps, axis, out, char)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, in `out` where it is given, and the gradients of weight and bias."""
        dtype, names = np.dtype(self.dtype), dict(self.named_parameters())
        dy, (x, stats, weight, running, alone, axis) = self.resume(saved, dy, out), saved
        x, dy, dx = (_batch(a, alone) for a in (x, dy, out))
        if running:
            found = backward_checked(dy, x, stats, weight, False, axis, dx, dtype)
        else:
            rows, wanted = group_rows(x, x.shape[axis], axis), ("weight" in names, "bias" in names)
            found = gradient_checked(dy, x, rows, stats, weight, True, dx, dtype, wanted)
        dx, dweight, dbias = found
        return _unbatch(dx, alone, out), self.gradients(weight=dweight, bias=dbias)


def _batch(a: np.ndarray | None, alone: bool) -> np.ndarray | None:
    return a[None] if alone and a is not None else a


def _unbatch(a: np.ndarray, alone: bool, out: np.ndarray | None) -> np.ndarray:
    if out is not None:
        return out
    return a[0] if alone else a


@register("InstanceNorm1d", aliases=("IN1d",))
class InstanceNorm1d(InstanceNorm):
    """Instance normalization of (N, C, L) or (C, L); see InstanceNorm."""

    ranks = (2, 3)


@register("InstanceNorm2d", aliases=("IN", "IN2d", "InstanceNorm"))
class InstanceNorm2d(InstanceNorm):
    """Instance normalization of (N, C, H, W) or (C, H, W); see InstanceNorm."""

    ranks = (3, 4)


@register("InstanceNorm3d", aliases=("IN3d",))
class InstanceNorm3d(InstanceNorm):
    """Instance normalization of (N, C, D, H, W) or (C, D, H, W); see InstanceNorm."""

    ranks = (4, 5)
