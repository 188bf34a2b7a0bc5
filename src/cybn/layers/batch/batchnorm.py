"""BatchNorm: one class for all ranks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays._looks import affine_grads, clear
from ...arrays.dtypes import PARAMETERS
from ...arrays.outputs import empty_like
from ...arrays.validation import check_input, check_separate
from ...functional._checked import BatchWay, backward_checked, batch_back
from ...functional.gates import ACTIVATIONS, OPEN, Gate, check_residual, gate_of
from ...functional.masks import check_mask, pick, put
from ...functional.running import Step, fits, follow
from ...options import Bounds, DType, Needs, PositiveInt, Trainable
from ..base.channelnorm import ChannelArrays, ChannelNorm
from ..base.fixed import Fixed, fixed_batch_norm
from ..base.ranks import ranked
from .batches import Batch, looked_at


class BatchNorm(ChannelNorm):
    r"""Batch normalization of <shapes>: each channel to mean 0, variance 1.

    In training each channel is normalized by its mean and variance over the batch, and running
    statistics follow them; in evaluation it is normalized by the running statistics. Then it is
    scaled by a weight and shifted by a bias that are learned [1]_. Names, defaults and semantics
    are those of PyTorch.

    Parameters
    ----------
    eps
        Added to the variance; more than 0 in training.
    momentum
        The weight of the new batch in the running statistics; None averages all batches alike.
    track_running_stats
        Keep running statistics; else they are None, and evaluation uses the moments of its input,
        too.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, <last>.
    activation
        A function of the output, computed in the same pass over memory, or None.
    negative_slope
        The slope of "leaky_relu" below 0. Without that activation it means nothing.
    alpha
        The factor of "elu" below 0. Without that activation it means nothing.
    weight_init
        What the weight is at first: "ones"; "zeros" for the last norm of a residual branch, which
        then begins as the identity (Goyal et al. 2017, arXiv 1706.02677); "uniform" in [0, 1),
        drawn from the global state of `numpy.random`.
    on_single
        What training does with one value per channel, whose variance means nothing: "error", or
        "running" to normalize with the running statistics and leave them as they are.
    on_nonfinite
        What training does with a batch that has NaN or Inf, or a mean or variance that the
        running statistics cannot hold: "propagate" lets NaN and Inf into those of its channel, and
        the largest number stand for a larger one; "skip" leaves all running statistics and the
        count as they are; "error" raises, and changes nothing.
    unbiased
        The running variance follows the unbiased variance of the batch, as in PyTorch; False for
        the biased one, as in Keras, Flax and ONNX.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    running_mean, running_var : (C,) or None
        The running statistics, zeros and ones at first.
    num_batches_tracked : 0-D int64 or None
        How many batches the running statistics have followed.
    dresidual : ndarray or None
        The gradient of the residual after the backward of a forward that had one.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for an `out` that cannot be written to. The layer is unchanged
        then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    In training mean and var (biased) are the moments of the m values that a channel has in x, and
    then the running statistics move:

    .. math::

        running\_mean &\leftarrow running\_mean + momentum \cdot (mean - running\_mean)

        running\_var &\leftarrow running\_var
        + momentum \cdot \left(\frac{m}{m - 1} var - running\_var\right)

    The factor m / (m - 1) is 1 if not `unbiased`.

    x is <shapes>, with any strides; y has its shape, dtype and memory order, and is written to
    `out` where it is given; x itself as `out` works in place. x is kept for `backward` until the
    next `forward`, not copied (unless in place): leave it unchanged until then. With an activation
    y is kept, too. An empty batch gives an empty output and leaves the running statistics alone.

    `layer(x, residual=z)` adds z, of the shape and dtype of x, before the activation.
    `layer(x, mask=m)` takes the positions where m is True (the shape of x without the channels, or
    its first axes) as the data: the others have no part in statistics and gradients, and come out
    as 0.

    References
    ----------
    .. [1] Ioffe and Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing
       Internal Covariate Shift, 2015 (arXiv 1502.03167).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.BatchNorm<d>(1)
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(2, 1, 2<ones>)
    >>> y = layer(x)
    >>> y.shape == x.shape, y.ravel().round(3)
    (True, array([-1.342, -0.447,  0.447,  1.342]))
    >>> layer.running_var.round(4)  # 0.9 * 1 + 0.1 * 5/3
    array([1.0667], dtype=float32)
    >>> dx = layer.backward(y)
    >>> sorted(layer.grads)
    ['bias', 'weight']
    """

    ranks: ClassVar[tuple[int, ...]] = ()
    optional_arrays = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    differentiated = ("residual",)
    dresidual: np.ndarray | None = None
    rules = (Needs("on_single", "running", "track_running_stats", True),)
    weight_init = "ones"  # of subclasses without that option
    running_moments = True
    # affine and bias are what the arrays are; negative_slope is nothing without an activation
    thawed_only = (
        "momentum", "num_batches_tracked", "affine", "weight", "bias", "track_running_stats",
        "weight_init", "on_single", "on_nonfinite", "negative_slope", "alpha", "unbiased",
        "trainable",
    )  # fmt: skip
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs: of the forward as it was, and of the layer as it was then."""

        x: np.ndarray
        stats: np.ndarray
        weight: np.ndarray | None
        of_batch: bool
        axis: int
        y: np.ndarray | None  # where there was an activation
        gate: Gate
        added: bool  # a residual
        mask: np.ndarray | None
        valid: np.ndarray | None  # (M, C), what x has where the mask is True
        bias: np.ndarray | None = None  # past a curve
        residual: np.ndarray | None = None

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(ge=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: Literal[ACTIVATIONS] | None = None,
        negative_slope: Annotated[float, Bounds(gt=0, lt=1)] = 0.01,
        alpha: Annotated[float, Bounds(gt=0)] = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: Trainable = True,
    ) -> None:
        self._declare_channels(affine, bias, track_running_stats, weight)
        self._fill_weight()

    def reset_parameters(self) -> None:
        """Set weight as weight_init says, bias to 0 and running statistics as in a new layer."""
        super().reset_parameters()
        self._fill_weight()

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation."""
        return fixed_batch_norm(self, who)

    def _fill_weight(self) -> None:
        if self.weight_init == "ones":
            return
        for name, a in self._parameters.items():
            if name.rpartition(".")[2] == "weight" and a is not None:
                a[...] = 0
                if self.weight_init == "uniform":
                    # As torch.manual_seed for PyTorch, np.random.seed makes networks repeatable.
                    a[...] = np.random.random_sample(len(a))  # noqa: NPY002

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x; in training update the running statistics. See the class."""
        checked = self._checked
        way = (checked and checked.get("way")) or self._find_way()
        if out is None and residual is None and mask is None:
            made = way.alone(x)
            if made is not None:
                return made
        values = way.values(x)
        if values < 0:
            who = type(self).__name__
            x = check_input(who, x, self.ranks, self.num_features, self.channel_axis)
        if residual is not None:
            residual = check_residual(type(self).__name__, residual, x)
        if mask is not None:
            mask = check_mask(type(self).__name__, mask, x, self.channel_axis)
        kept = x
        if out is not None and not clear(out, x, residual, self._parameters, self._buffers):
            kept = self.begin(x, out, residual=residual)
        batch = kept, residual, mask, way
        if mask is not None or values < 2 or way.careful:
            batch = looked_at(self, *batch)
        try:
            y, saved, step = self._normalize(batch, kept, out)
        except BaseException:
            self.undo(x, kept, out)
            raise
        if step is not None:
            follow([step])
        return y, saved

    def _find_way(self) -> BatchWay:
        """How a batch is gone about, for all calls until an array or an option is another."""
        way = self._way_with(self.channel_arrays())
        self._checked = {**(self._checked or {}), "way": way}
        return way

    def _way_with(self, arrays: ChannelArrays) -> BatchWay:
        training, (_, _, mean, var, count) = self.training, arrays
        of_batch = training or mean is None or var is None
        looks = training and self.on_nonfinite == "error"
        gate = OPEN
        if self.activation is not None:
            gate = gate_of("", self.activation, self.negative_slope, self.alpha)
        at_once = self.unbiased and self.on_nonfinite == "propagate"
        return BatchWay(
            BatchNorm.Saved, arrays, of_batch, moves=training and self.track_running_stats,
            at_once=at_once, careful=of_batch and (looks or self.eps == 0), ranks=self.ranks,
            channels=self.num_features, axis=self.channel_axis,
            momentum=self.step_size(count), eps=self.eps, gate=gate,
        )  # fmt: skip

    def _normalize(
        self, batch: Batch, kept: np.ndarray, out: np.ndarray | None, last: bool = True
    ) -> tuple[np.ndarray, Saved, Step | None]:
        """y, what pullback needs, and how the running statistics are to move, if they have not.

        `last`: nothing is computed after this batch, so that its kernel may move them.
        """
        x, residual, mask, way = batch
        try:
            if mask is None:
                y, saved, later = way.normalize(x, residual, out, last, False)
            else:
                y = empty_like(kept) if out is None else out
                values, saved, later = way.normalize(x, residual, None, False, True)
        except ValueError:
            self.check_arrays()  # an array was spoilt since it was checked: says which
            raise
        step = None
        if later and (self.on_nonfinite == "propagate" or self._fit(saved.stats, x).all()):
            running = way.running_mean, way.running_var, way.num_batches_tracked
            step = self.step(running, saved.stats, x)
        if mask is not None:
            axis = self.channel_axis
            _, mask, valid = put(values, mask, y, axis), mask.copy(), x
            saved = saved._replace(x=kept, axis=axis, mask=mask, valid=valid)
        return y, saved, step

    def keeps_finite(self, name: str) -> bool:
        """Parameters, and statistics that on_nonfinite protects."""
        return name in self._parameters or self.on_nonfinite != "propagate"

    def _fit(self, stats: np.ndarray, x: np.ndarray) -> np.ndarray:
        return fits(stats, self._values(x), PARAMETERS[self.dtype])

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx and the gradients of weight, bias and residual."""
        if out is None and type(saved) is BatchNorm.Saved:
            made = batch_back(saved, dy, PARAMETERS[self.dtype], vars(self))
            if made is not None:
                return made
        dy = self.resume(saved, dy, out)
        if out is not None and saved.y is not None:
            check_separate(type(self).__name__, "out", out, y=saved.y)
        dx, dweight, dbias, dz = self._pulled_back(saved, dy, out)
        return dx, affine_grads(self._learned(), dweight, dbias, dz)

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """dx, dweight, dbias and the residual's gradient, of arguments that were checked."""
        like, stats, weight, of_batch, axis_then, y, gate, added, mask, valid, *again = saved
        x, axis = (like, axis_then) if mask is None else (valid, 1)
        if mask is not None:
            dy = pick(dy, mask, axis_then)
        dz = empty_like(x) if added else None
        dx, dweight, dbias = backward_checked(
            dy, x, stats, weight, of_batch, axis, out if mask is None else None,
            PARAMETERS[self.dtype], y, gate, dz, None, *again,
        )  # fmt: skip
        if mask is not None:
            dx = put(dx, mask, empty_like(like) if out is None else out, axis_then)
            dz = None if dz is None else put(dz, mask, empty_like(like), axis_then)
        return dx, dweight, dbias, dz


BatchNorm1d, BatchNorm2d, BatchNorm3d = ranked(BatchNorm, "BN", frozen_form="FrozenBatchNorm{}d")
