"""FrozenBatchNorm1d, 2d and 3d: batch normalization that has stopped learning.

weight and bias are buffers, as in torchvision and detectron2, so that an optimizer that walks the
parameters never meets them. A flag on BatchNorm was rejected: `train()` on a whole network must not
thaw what is frozen.

With the statistics fixed the layer is y = scale*x + shift, so dx = scale*dy is the same kernel
again, with mean and bias 0: backward needs nothing of x, and nothing is kept of it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional import batch_norm_forward
from ...options import Bounds, DType, PositiveInt
from ..base.fixed import Fixed, fixed_batch_norm
from ..base.layer import Layer
from ..base.ranks import ranked


class FrozenBatchNorm(Layer):
    r"""Batch normalization of <shapes> that has stopped learning.

    It normalizes with fixed statistics, weight and bias, in training too, as for fine-tuning a
    detector on a network that was trained elsewhere [1]_. `train` and `eval` set `training` and
    change nothing else.

    Parameters
    ----------
    eps
        Added to the variance; 0 where the variances are positive.
    dtype
        Of the buffers. Inputs may be float16, bfloat16, float32 or float64 with either.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, <last>.

    Attributes
    ----------
    weight, bias : (C,)
        The scale and shift, ones and zeros at first. They are buffers: there are no parameters.
    running_mean, running_var : (C,)
        The statistics, zeros and ones at first.
    grads : dict
        Empty, since nothing is learned.

    Notes
    -----
    .. math:: y = \frac{x - running\_mean}{\sqrt{running\_var + \epsilon}} \cdot weight + bias

    x is <shapes>; y has its shape, dtype and memory order, and is written to `out` where it is
    given. `backward` needs no x, which may be changed after the forward; dx has the memory order of
    dy.

    `load_state_dict` takes the state dict of a BatchNorm<d> as it is: num_batches_tracked, of which
    there is none here, is passed over. `cybn.freeze` makes a frozen layer of a BatchNorm<d>. Names
    are those of FrozenBatchNorm2d in torchvision.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2015 (arXiv
       1512.03385).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.FrozenBatchNorm<d>(1, eps=0).train()
    >>> layer.running_mean[:], layer.running_var[:], layer.weight[:] = 1, 4, 3
    >>> x = np.array([1.0, 5.0]).reshape(1, 1, 2<ones>)
    >>> layer(x).ravel()  # (x - 1) / 2 * 3
    array([0., 6.])
    >>> layer.backward(np.ones_like(x)).ravel()
    array([1.5, 1.5])
    >>> list(layer.parameters())
    []
    """

    ranks: ClassVar[tuple[int, ...]] = ()
    sixteen_bits = "native"
    passed_over = ("num_batches_tracked",)

    class Saved(NamedTuple):
        """What pullback needs: nothing of x but its shape and dtype."""

        like: np.ndarray
        weight: np.ndarray
        running_var: np.ndarray
        eps: float
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            self.register_buffer(name, np.full(num_features, value, self.dtype))

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift, always."""
        return fixed_batch_norm(self, who, always=True)

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Normalize x with the running statistics. See the class."""
        who, axis = type(self).__name__, self.channel_axis
        x = self.begin(x, out, ndim=self.ranks, channels=self.num_features, keep=False)
        like = np.broadcast_to(np.empty((), x.dtype), x.shape)  # for its shape and dtype alone
        saved = self.Saved(like, self.weight.copy(), self.running_var.copy(), self.eps, axis)
        arrays = self.weight, self.bias, self.running_mean, self.running_var
        y, _ = batch_norm_forward(
            x, *arrays, training=False, eps=self.eps, channel_axis=axis, out=out, who=who
        )
        return y, saved

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx = weight * rstd * dy, in `out` where it is given, and {}."""
        dy, (_, weight, var, eps, axis) = self.resume(saved, dy, out), saved
        dx, _ = batch_norm_forward(
            dy, weight, None, np.zeros_like(var), var,
            training=False, eps=eps, channel_axis=axis, out=out, who=type(self).__name__,
        )  # fmt: skip
        return dx, {}

    def keeps_finite(self, name: str) -> bool:
        """Tell so of weight and bias; statistics that were frozen may have been anything."""
        return name in ("weight", "bias")


FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d = ranked(
    FrozenBatchNorm, "FrozenBN", thawed_form="BatchNorm{}d"
)
