"""PowerNorm: batch normalization without a mean, by a running quadratic mean.

A view of batch normalization: the compiled kernels take the quadratic mean as a variance about the
mean 0, and go over x once more in training for the moments of the batch. A correction of dx, where
the option asks for one, is a walk of the kernel of maps.

Rejected: the scaling by the quadratic mean of each sample's features that the authors' code does
before the layer; an `RMSNorm` without weight does the same.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...arrays.validation import (
    check_updatable,
)
from ...functional import batch_norm_backward, batch_norm_forward
from ...functional.maps import maps_of
from ...functional.running import Step
from ...kernels import move_anew
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Guarded

_RANKS = (2, 3, 4, 5)


@register("PowerNorm", aliases=("PN",))
class PowerNorm(Guarded):
    r"""Power normalization: each channel over a running quadratic mean, nothing centred.

    The quadratic mean is the one that the batches before have left, in training and in evaluation
    alike; after a forward in training it follows the batch [1]_.

    Parameters
    ----------
    eps
        Added to the quadratic mean.
    momentum
        The weight of the new batch in `running_phi` and `running_nu`.
    warmup
        How many batches are divided by their own quadratic mean; None for all of them, which is the
        PN-V of the paper.
    gradient
        The gradient to x while the quadratic mean is the running one: "exact", or "paper" for the
        estimator of the paper.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, as in a transformer.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    running_phi : (C,)
        The running quadratic mean, ones at first.
    running_nu : (C,) or None
        The running mean that the paper's estimator takes off, zeros at first; None with "exact".
    num_batches_tracked : 0-D int64
        How many batches they have followed.
    grads : dict
        The gradients of `weight` and `bias` after `backward`, exact in each case.

    Notes
    -----
    .. math:: y = weight \cdot \hat{x} + bias \qquad \hat{x} = \frac{x}{\sqrt{\phi + \epsilon}}

    phi is `running_phi`, which moves after a forward in training, by the m values of each channel;
    in the first `warmup` batches it is the mean square of the batch itself:

    .. math:: running\_phi \leftarrow running\_phi
        + momentum \cdot \left(\frac{1}{m} \sum x^2 - running\_phi\right)

    Where phi is the running one it is no function of x, so the exact gradient is g/sqrt(phi + eps)
    with g = weight·dy. The paper's estimator takes off what the gradient through a quadratic mean
    would have been, by a running mean nu of it:

    .. math::

        dx &= \frac{g - \nu \hat{x}}{\sqrt{\phi + \epsilon}}

        \nu &\leftarrow \nu \cdot \left(1 - \frac{momentum}{m} \sum \hat{x}^2\right)
        + \frac{momentum}{m} \sum g \hat{x}

    with nu as it was before the forward; a backward repeated for the same forward moves
    `running_nu` anew, not twice. While phi is that of the batch, and in evaluation, both gradients
    are the exact one; nu follows all batches of training. In the paper psi² is phi and alpha is 1 -
    momentum.

    x is (N, C) or (N, C, ...) of up to five axes. An empty batch gives an empty output and leaves
    the running values alone.

    References
    ----------
    .. [1] Shen et al., PowerNorm: Rethinking Batch Normalization in Transformers, 2020 (arXiv
       2003.07845).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.PowerNorm(1, warmup=1)
    >>> layer(np.array([[1.0], [7.0]])).round(3).tolist()  # by 5, whose square is 25
    [[0.2], [1.4]]
    >>> layer.running_phi  # 0.9 * 1 + 0.1 * 25
    array([3.4], dtype=float32)
    >>> layer(np.array([[1.0], [7.0]])).round(3).tolist()  # by the root of 3.4
    [[0.542], [3.796]]
    """

    optional_arrays = ("weight", "bias")

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray
        weight: np.ndarray | None
        batch_phi: np.ndarray | None  # of a batch in training
        of_batch: bool  # that is what x was divided by
        nu: np.ndarray | None  # as it was before the batch
        moved: np.ndarray | None  # by how much pullbacks of this batch have moved running_nu
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        affine: bool = True,
        *,
        warmup: Annotated[int, Bounds(ge=0)] | None = 0,
        gradient: Literal["exact", "paper"] = "exact",
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        paper = gradient == "paper"
        self.register_parameter("weight", np.ones(num_features, dtype) if affine else None)
        with_bias = affine and bias
        self.register_parameter("bias", np.zeros(num_features, dtype) if with_bias else None)
        phi = np.ones(num_features, dtype)
        self.register_buffer("running_phi", phi, holds=Bounds(ge=0))
        self.register_buffer("running_nu", np.zeros(num_features, dtype) if paper else None)
        self.register_buffer("num_batches_tracked", np.array(0))

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        return self.begin(x, out, ndim=_RANKS, channels=self.num_features)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, phi, count = self.channel_axis, self.running_phi, self.num_batches_tracked
        batch_phi = self._quadratic_mean(x) if self.training and x.size else None
        of_batch = self.training and (self.warmup is None or int(count) < self.warmup)
        used = phi if batch_phi is None or not of_batch else batch_phi
        # float64, as batch_phi is; copies, which later changes of the parameters do not reach
        weight, bias, used, nu = (
            None if a is None else a.astype(np.float64)
            for a in (self.weight, self.bias, used, self.running_nu)
        )
        y, stats = batch_norm_forward(
            x, weight, bias, np.zeros(len(used)), used,
            training=False, eps=self.eps, channel_axis=axis, out=out, who=type(self).__name__,
        )  # fmt: skip
        steps = []
        if batch_phi is not None:
            m = x.size // self.num_features
            steps = [Step(phi, None, count, batch_phi[None], m, self.momentum)]
        moved = None if nu is None or batch_phi is None else np.zeros(len(nu))
        return y, self.Saved(x, stats, weight, batch_phi, of_batch, nu, moved, axis), steps

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, stats, weight, batch_phi, of_batch, nu, moved, axis = saved
        who, moving, rstd = type(self).__name__, self.running_nu, stats[2]
        if moved is not None:
            self._check_own()
            check_updatable(who, {"running_nu": moving})  # in evaluation, too
        ones = np.ones(len(rstd)) if weight is None else weight  # float64, and so are the sums
        dx, dweight, dbias = batch_norm_backward(
            dy, x, stats, ones, training=False, channel_axis=axis, out=out, who=who
        )
        if batch_phi is not None:
            along = ones * dweight / (x.size // len(rstd))  # Σ(g·xhat)/m
            if of_batch:
                self._subtract(dx, x, along * rstd**2, axis)
            elif nu is not None:
                self._subtract(dx, x, nu * rstd**2, axis)
        grads = self.gradients(weight=dweight, bias=dbias)
        if moved is not None:
            square = batch_phi * rstd**2  # Σxhat²/m
            move_anew(moving, moved, self.momentum * (along - nu * square))
        return dx, grads

    def _quadratic_mean(self, x: np.ndarray) -> np.ndarray:
        """Σx²/m of each channel in float64."""
        squares = maps_of(x, self.channel_axis, shared=True).squares(x)
        return np.add.reduce(squares, 0) / (x.size // self.num_features)

    @staticmethod
    def _subtract(dx: np.ndarray, x: np.ndarray, coefficient: np.ndarray, axis: int) -> None:
        """dx -= x·coefficient, one for each channel."""
        maps = maps_of(x, axis, shared=True)
        maps.gradient(dx, x, 1.0, k=-coefficient, out=dx)
