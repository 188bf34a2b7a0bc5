"""SwitchableNorm1d, 2d and 3d: instance, layer and batch statistics in a learned mixture.

NumPy over the compiled kernels, and no kernel of its own. The moments of planes come from the batch
kernels (each plane a channel of its own); those of a sample's layer and of the batch are moments of
these N*C pairs, which is little work. What is left is to move each plane by numbers of its own, the
batch kernel with given statistics.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ..base.channelnorm import ChannelNorm
from ..base.ranks import ranked
from ._common import Guarded
from ._planes import (
    check_planes,
    moments_of_planes,
    move_planes,
    plane_shape,
    products,
)


class SwitchableNorm(Guarded, ChannelNorm):
    r"""Switchable normalization of <shapes>: a learned mixture of statistics.

    Each layer learns how to mix the statistics of a channel of a sample (instance), of a sample
    (layer), and of a channel over the batch (batch). In evaluation those of the batch are running
    statistics [1]_.

    Parameters
    ----------
    eps
        Added to the variance.
    momentum
        The weight of the new batch in the running statistics, where the authors' code has that of
        the old ones, 0.9; None averages all batches alike.
    track_running_stats
        Keep running statistics; else they are None, and evaluation uses the moments of its batch,
        too.
    channel_axis
        The axis of the channels: 1, or -1 for channels last, <last>.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    mean_weight, var_weight : (3,)
        The shares of instance, layer and batch before the softmax, ones at first.
    running_mean, running_var : (C,) or None
        The running statistics, zeros and ones at first.
    num_batches_tracked : 0-D int64 or None
        How many batches the running statistics have followed.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or with one
        value in a channel of a sample; for an `out` that cannot be written to. The layer is
        unchanged then.

    Notes
    -----
    .. math:: y = \frac{x - \sum_k a_k \mu_k}{\sqrt{\sum_k b_k \sigma^2_k + \epsilon}}
        \cdot weight + bias, \quad k \in \{instance, layer, batch\}

    with a = softmax(mean_weight) and b = softmax(var_weight), and all variances biased. In training
    the running statistics move by those of the batch, of m values per channel:

    .. math::

        running\_mean &\leftarrow running\_mean + momentum \cdot (\mu - running\_mean)

        running\_var &\leftarrow running\_var
        + momentum \cdot \left(\frac{m}{m - 1} \sigma^2 - running\_var\right)

    The paper averages the statistics of a few batches after training; running statistics, as the
    authors' code has too, are kept up during it.

    x is <shapes>, y has its shape, dtype and memory order, and is written to `out` where it is
    given. x is kept for `backward`, not copied (unless in place): leave it unchanged until then. An
    empty batch gives an empty output and leaves the running statistics alone.

    References
    ----------
    .. [1] Luo, Ren, Peng, Zhang and Li, Differentiable Learning-to-Normalize via Switchable
       Normalization, 2018 (arXiv 1806.10779).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.SwitchableNorm<d>(2)
    >>> x = np.array([0.0, 2.0, 4.0, 6.0] * 2).reshape(2, 2, 2<ones>)
    >>> layer(x).ravel().round(3)[:4]  # means 1, 3, 1 and 5, 3, 5; variances 1, 5, 1
    array([-1.091,  0.218, -0.218,  1.091])
    >>> layer.mean_weight[:] = layer.var_weight[:] = [100, 0, 0]  # instance normalization
    >>> layer(x).ravel().round(3)[:4]
    array([-1.,  1., -1.,  1.])
    >>> dx = layer.backward(x)
    >>> list(layer.grads)
    ['weight', 'bias', 'mean_weight', 'var_weight']
    """

    ranks: ClassVar[tuple[int, ...]] = ()
    optional_arrays = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    class Saved(NamedTuple):
        """What pullback needs. Of means, variances and rstd see `_moments` and the equations."""

        x: np.ndarray
        means: np.ndarray  # (3, N, C)
        variances: np.ndarray
        by_mean: np.ndarray  # (3,), the shares
        by_var: np.ndarray
        mean: np.ndarray  # (N, C)
        var: np.ndarray
        rstd: np.ndarray
        weight: np.ndarray
        of_batch: bool
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
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
        self._declare_channels(affine, bias, track_running_stats)
        self.register_parameter("mean_weight", np.ones(3, self.dtype))
        self.register_parameter("var_weight", np.ones(3, self.dtype))

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, equal shares and running statistics as in a new layer."""
        super().reset_parameters()
        self.mean_weight[...] = self.var_weight[...] = 1

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = self.begin(x, out, ndim=self.ranks, channels=self.num_features)
        check_planes(type(self).__name__, "x", kept, self.channel_axis)
        self.check_arrays()
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, (weight, bias, *running) = self.channel_axis, self.channel_arrays()
        tracked = running[0] is not None and running[1] is not None
        of_batch = self.training or not tracked
        means, variances = _moments(*moments_of_planes(x, self.eps, axis)[:2])
        steps = []
        if not of_batch:
            means[2], variances[2] = running[:2]
        elif self.training and tracked and x.size:
            steps = [self.step(running, np.stack([means[2, 0], variances[2, 0]]), x)]
        by_mean, by_var = _softmax(self.mean_weight), _softmax(self.var_weight)
        mean, var = _mixture(by_mean, means), _mixture(by_var, variances)
        rstd = 1 / np.sqrt(var + self.eps)
        weight = np.ones(1) if weight is None else weight.astype(np.float64)
        y = move_planes(x, mean, weight * rstd, bias, axis, out)
        mixed = means, variances, by_mean, by_var, mean, var, rstd
        return y, self.Saved(x, *mixed, weight, of_batch, axis), steps

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx and the gradients of the parameters:

        With dmean = -weight*rstd*Σ dy and dvar = -weight*rstd²*Σ dy*xhat/2 by plane,

            dmean_weight_k = a_k * Σ dmean*(mu_k - mean)            of the softmax; var alike
            dx = weight*rstd*dy + Σ_k a_k*dmean_k/m_k + Σ_k b_k*dvar_k*2*(x - mu_k)/m_k

        where dmean_k is the sum of dmean over the planes that share mu_k, and m_k counts the values
        that it is the mean of.
        """
        x, means, variances, by_mean, by_var, mean, var, rstd, weight, of_batch, axis = saved
        dx, along, total = products(dy, x, mean, rstd, weight, axis, out)
        dmean, dvar = -weight * rstd * total, -weight * rstd**2 * along / 2
        grads = {
            "weight": along.sum(0),
            "bias": total.sum(0),
            "mean_weight": by_mean * (dmean * (means - mean)).sum((1, 2)),
            "var_weight": by_var * (dvar * (variances - var)).sum((1, 2)),
        }
        if x.size:
            length, own = plane_shape(x, axis)[2], 3 if of_batch else 2  # those that x moves
            each = by_mean[:, None, None] * _pooled(dmean) / length
            slope = by_var[:, None, None] * _pooled(dvar) * 2 / length
            shift = each + slope * (means[0] - means)
            dx += move_planes(x, means[0], slope[:own].sum(0), shift[:own].sum(0), axis)
        return dx, self.gradients(**grads)


def _pooled(by_plane: np.ndarray) -> np.ndarray:
    """(3, N, C): each of (N, C), its mean over the channels, its mean over the samples."""
    pooled = np.empty((3, *by_plane.shape))
    pooled[0] = by_plane
    if by_plane.size:
        pooled[1], pooled[2] = _mean(by_plane, 1), _mean(by_plane, 0)
    return pooled


def _mean(by_plane: np.ndarray, axis: int) -> np.ndarray:
    return np.add.reduce(by_plane, axis, keepdims=True) / by_plane.shape[axis]


def _moments(mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3, N, C) each: the moments of planes, samples and channels from those of planes, (N, C)."""
    means, variances = _pooled(mean), _pooled(var)
    if mean.size:  # of equal parts: the mean of their variances and the variance of their means
        variances[1] += _mean((mean - means[1]) ** 2, 1)
        variances[2] += _mean((mean - means[2]) ** 2, 0)
    return means, variances


def _softmax(weight: np.ndarray) -> np.ndarray:
    shares = np.exp(weight.astype(np.float64) - weight.max())
    return shares / shares.sum()


def _mixture(shares: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """(N, C): the mean of (3, N, C), with these shares."""
    return (shares[:, None, None] * moments).sum(0)


SwitchableNorm1d, SwitchableNorm2d, SwitchableNorm3d = ranked(
    SwitchableNorm, "SN", ranks=((3,), (4,), (5,))
)
