"""InstanceNorm1d, 2d and 3d: one class, and the ranks that each takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays._looks import affine_grads, clear
from ...arrays.dtypes import PARAMETERS
from ...arrays.layout import Rows, group_rows
from ...arrays.validation import (
    as_float_array,
    check_channels,
    check_eps,
    check_rank,
)
from ...functional._checked import (
    RowsWay,
    backward_checked,
    forward_checked,
    gradient_checked,
    rows_back,
)
from ...functional.gates import ACTIVATIONS, OPEN, Gate, gate_of
from ...functional.instance import check_instance_size, follow_samples
from ...functional.masks import check_mask
from ...functional.running import Step, follow
from ...options import Bounds, DType, PositiveInt, Trainable
from ..base.channelnorm import ChannelNorm
from ..base.pair import new
from ..base.ranks import ranked
from .masked import Masked, apply_planes, check_counts, pullback_planes

# What a Saved has beside x, its rows, statistics and weight, of x in C order and nothing else
ALONE = False, 1, None, OPEN, None, None


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
    activation
        A function of the output, computed in the same pass over memory, or None.
    negative_slope
        The slope of "leaky_relu" below 0. Without that activation it means nothing.
    alpha
        The factor of "elu" below 0. Without that activation it means nothing.

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

    `layer(x, mask=m)` takes the positions where m is True (the shape of x without the channels, or
    its first axes) as the data: the others have no part in the moments and gradients, and come out
    as 0.

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
        rows: Rows
        stats: np.ndarray
        weight: np.ndarray | None
        running: bool  # normalized by running statistics
        axis: int
        masked: Masked | None = None
        gate: Gate = OPEN
        bias: np.ndarray | None = None  # past an activation, or
        y: np.ndarray | None = None  # where it is a gate, and the statistics are running ones

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: Literal[ACTIVATIONS] | None = None,
        negative_slope: Annotated[float, Bounds(gt=0, lt=1)] = 0.01,
        alpha: Annotated[float, Bounds(gt=0)] = 1.0,
        trainable: Trainable = True,
    ) -> None:
        self._declare_channels(affine, bias, track_running_stats, weight)

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x; in training update the running statistics. See the class."""
        if mask is not None:
            return self._apply_masked(x, mask, out)
        checked = self._checked
        way, running = (checked and checked.get("way")) or self._find_way()
        if out is None:
            made = way.alone(x)
            if made is not None:
                return made
        found = way.known(x)
        if found is None:
            x = self._looked_at(x, running)
            found = way.learn(x, self._rows(x), self.eps)
        rows, eps = found
        alone = x.ndim == self.ranks[0]
        kept = x
        if out is not None and not clear(out, x, self._parameters, self._buffers):
            kept = self.begin(x, out)
        gate, bias = self._gate(way)
        try:
            batch, to = _batch(kept, alone), _batch(out, alone)
            if running:
                y, stats, weight = self._by_running(batch, to, way, gate)
            else:
                y, stats, weight = way.normalize(batch, rows, eps, to, None, gate)
                if self.training and self.track_running_stats:
                    moving = self.running_mean, self.running_var, self.momentum or 0.0
                    follow_samples(stats, kept.size, self.num_features, *moving)
        except BaseException as error:
            self.undo(x, kept, out)
            if isinstance(error, ValueError):
                self.check_arrays()  # an array was spoilt since it was checked: says so
            raise
        saved = kept, rows, stats, weight, running, self.channel_axis, None, gate, bias
        saved += (y if running and gate is not OPEN else None,)
        saved = new(InstanceNorm.Saved, saved)
        return _unbatch(y, alone, out), saved

    def _apply_masked(
        self, x: np.ndarray, mask: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved]:
        who, axis = type(self).__name__, self.channel_axis
        checked = self._checked
        way, running = (checked and checked.get("way")) or self._find_way()
        x = self._looked_at(x, running)
        alone = x.ndim == self.ranks[0]
        mask = np.asarray(mask)
        mask = check_mask(who, mask[None] if alone else mask, _batch(x, alone), axis)
        if not running:
            check_counts(who, mask, 1)
        kept = self.begin(x, out)
        try:
            batch, to = _batch(kept, alone), _batch(out, alone)
            gate, bias = self._gate(way)
            y, masked, moments = apply_planes(self, batch, mask, axis, way, running, to, gate)
            if moments is not None and self.training and self.track_running_stats:
                step = self.running_mean, self.running_var, None, moments, 0, self.momentum or 0.0
                follow([Step(*step)])
        except BaseException:
            self.undo(x, kept, out)
            raise
        saved = kept, self._rows(x), np.empty(0), way.weight, running, axis, masked, gate, bias
        return _unbatch(y, alone, out), InstanceNorm.Saved(*saved)

    def _find_way(self) -> tuple[RowsWay, bool]:
        # How a batch is gone about, until an array or an option is another; by running statistics?
        weight, bias, mean, var, _ = self.channel_arrays()
        running = not (self.training or mean is None or var is None)
        moves = self.training and self.track_running_stats
        in_order = self.channel_axis == 1  # one sample's rows lie as those of a batch of one
        alone = in_order and self.activation is None and not running and not moves
        rest = ALONE if alone else None
        way = RowsWay(weight, bias, True, False, InstanceNorm.Saved, rest), running
        self._checked = {**(self._checked or {}), "way": way}
        return way

    def _looked_at(self, x: np.ndarray, running: bool) -> np.ndarray:
        # x as an array that is in order
        who, axis = type(self).__name__, self.channel_axis
        x = as_float_array(who, "x", x)
        check_rank(who, x, self.ranks, axis, self.num_features, self.ranks[0])
        alone = x.ndim == self.ranks[0]
        check_channels(who, x, self.num_features, 0 if alone and axis == 1 else axis, own=())
        if not running:
            check_eps(who, self.eps, True)
            check_instance_size(_batch(x, alone), axis, self.training)
        return x

    def _rows(self, x: np.ndarray) -> Rows:
        return group_rows(_batch(x, x.ndim == self.ranks[0]), self.num_features, self.channel_axis)

    def _gate(self, way: RowsWay) -> tuple[Gate, np.ndarray | None]:
        # and the bias as it is now, where backward is to add it once more
        if self.activation is None:
            return OPEN, None
        gate = gate_of("", self.activation, self.negative_slope, self.alpha)
        return gate, None if way.bias is None else way.bias.copy()

    def _by_running(self, x, out, way, gate):
        weight = None if way.weight is None else way.weight.copy()
        y, stats = forward_checked(
            x, way.weight, way.bias, self.running_mean, self.running_var, None, False, 0.0,
            self.eps, self.channel_axis, out, None, gate,
        )  # fmt: skip
        return y, stats, weight

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and the gradients of weight and bias."""
        dtype, parameters = PARAMETERS[self.dtype], self._learned()
        if out is None and type(saved) is InstanceNorm.Saved:
            made = rows_back(saved, dy, ALONE, True, dtype, vars(self))
            if made is not None:
                return made
        dy = self.resume(saved, dy, out)
        x, rows, stats, weight, running, axis, masked, gate, bias, y = saved
        alone = x.ndim == self.ranks[0]
        x, dy, dx = _batch(x, alone), _batch(dy, alone), _batch(out, alone)
        if masked is not None:
            dx, grads = pullback_planes(self, x, masked, dy, axis, running, dx, gate, bias)
            return _unbatch(dx, alone, out), grads
        if running:
            found = backward_checked(
                dy, x, stats, weight, False, axis, dx, dtype, y, gate, None, None, bias
            )
        else:
            wanted = parameters.get("weight") is not None, parameters.get("bias") is not None
            found = gradient_checked(
                dy, x, rows, stats, weight, True, dx, dtype, wanted, bias, None, gate
            )
        dx, dweight, dbias = found
        return _unbatch(dx, alone, out), affine_grads(parameters, dweight, dbias)


def _batch(a: np.ndarray | None, alone: bool) -> np.ndarray | None:
    return a[None] if alone and a is not None else a


def _unbatch(a: np.ndarray, alone: bool, out: np.ndarray | None) -> np.ndarray:
    if out is not None:
        return out
    return a[0] if alone else a


InstanceNorm1d, InstanceNorm2d, InstanceNorm3d = ranked(
    InstanceNorm, "IN", ranks=((2, 3), (3, 4), (4, 5))
)
