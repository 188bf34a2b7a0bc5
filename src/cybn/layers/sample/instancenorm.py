"""InstanceNorm1d, 2d and 3d: one class, and the ranks that each takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.dtypes import PARAMETERS
from ...arrays.layout import group_rows
from ...arrays.validation import (
    as_float_array,
    check_channels,
    check_eps,
    check_rank,
)
from ...functional._checked import backward_checked, forward_checked, gradient_checked
from ...functional.instance import check_instance_size, instance_checked
from ...options import Bounds, DType, PositiveInt
from ..base.channelnorm import ChannelNorm
from ..base.pair import new
from ..base.ranks import ranked


class InstanceNorm(ChannelNorm):
    r"""Instance normalization of <batch> or <sample>, channel by channel.

    Each channel of each sample is brought to mean 0 and variance 1 by its own moments, in
    evaluation, too; then it may be scaled and shifted [1]_. With `track_running_stats` evaluation
    takes running statistics instead. Names, defaults and semantics are those of PyTorch; but where
    PyTorch warns of another number of channels than num_features, this is an error.

    Parameters
    ----------
    eps
        Added to the variance; more than 0 but with running statistics.
    momentum
        The weight of the new batch in the running statistics; None leaves them alone.
    track_running_stats
        Keep running statistics; else they are None.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, which is copied on the way.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    running_mean, running_var : (C,) or None
        The running statistics, zeros and ones at first.
    num_batches_tracked : 0-D int64 or None
        In the state dict for the sake of PyTorch, which never counts here either.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, but with
        running statistics, with one value per channel of a sample; for an `out` that cannot be
        written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    mean and var (biased) are those of the n values of a channel in a sample. In training running
    statistics move by their means over the samples:

    .. math::

        running\_mean &\leftarrow running\_mean + momentum \cdot (mean - running\_mean)

        running\_var &\leftarrow running\_var
        + momentum \cdot \left(\frac{n}{n - 1} var - running\_var\right)

    x is a batch, <batch>, or one sample, <sample>, with any strides; y has its shape, dtype and
    memory order, and is written to `out` where it is given; x itself as `out` works in place. x is
    kept for `backward` until the next `forward`, not copied (unless in place): leave it unchanged
    until then.

    References
    ----------
    .. [1] Ulyanov, Vedaldi and Lempitsky, Instance Normalization: The Missing Ingredient for Fast
       Stylization, 2016 (arXiv 1607.08022).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.InstanceNorm<d>(2)
    >>> layer
    InstanceNorm<d>(2, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)
    >>> x = np.array([1.0, 3.0, 10.0, 30.0]).reshape(1, 2, 2<ones>)
    >>> layer(x).ravel().round(3)
    array([-1.,  1., -1.,  1.])
    """

    ranks: ClassVar[tuple[int, ...]] = ()  # of one sample, and of a batch
    optional_arrays = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    sixteen_bits = "native"

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
        check_rank(who, x, self.ranks, axis, self.num_features, self.ranks[0])
        alone = x.ndim == self.ranks[0]
        check_channels(who, x, self.num_features, 0 if alone and axis == 1 else axis, own=())
        arrays = self.channel_arrays()
        running = not (self.training or arrays.running_mean is None or arrays.running_var is None)
        if not running:
            check_eps(who, self.eps, True)
            check_instance_size(_batch(x, alone), axis, self.training)
        kept = x if out is None else self.begin(x, out)
        weight = None if arrays.weight is None else arrays.weight.copy()
        try:
            y, stats = self._normalize(_batch(kept, alone), _batch(out, alone), running, *arrays)
        except BaseException as error:
            self.undo(x, kept, out)
            if isinstance(error, ValueError):
                self.check_arrays()  # an array was spoilt since it was checked: says so
            raise
        saved = new(self.Saved, (kept, stats, weight, running, alone, axis))
        return _unbatch(y, alone, out), saved

    def _normalize(self, x, out, running, weight, bias, mean, var, _):
        # y and stats of a batch, by the running statistics or its own
        axis = self.channel_axis
        if running:
            return forward_checked(
                x, weight, bias, mean, var, None, False, 0.0, self.eps, axis, out
            )
        momentum = (self.training and self.track_running_stats and self.momentum) or 0.0
        return instance_checked(x, weight, bias, mean, var, momentum, self.eps, axis, out)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and the gradients of weight and bias."""
        dtype, names = PARAMETERS[self.dtype], dict(self.named_parameters())
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


InstanceNorm1d, InstanceNorm2d, InstanceNorm3d = ranked(
    InstanceNorm, "IN", ranks=((2, 3), (3, 4), (4, 5))
)
