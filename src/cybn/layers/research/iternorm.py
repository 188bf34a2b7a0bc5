"""IterNorm: channels that are uncorrelated, by Newton's iteration for the root of a covariance.

Its work is products of matrices, compiled (`functional/matrices.py`). Rejected: the decomposition
of the covariance into eigenvectors, whose gradient is unbounded where two eigenvalues meet.

The covariance and the output each take C*d multiplications per position for groups of d channels,
so wide layers want groups.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...arrays.validation import check_more_than_one
from ...functional import batch_norm_moments
from ...functional.matrices import InverseRoot, covariances, map_channels
from ...functional.running import Step
from ...options import Bounds, Divides, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Guarded

_RANKS = (2, 3, 4, 5)


@register("IterNorm", aliases=("IterativeNorm",))
class IterNorm(Guarded):
    r"""Iterative normalization: the channels of each group whitened over the batch.

    The inverse root of the covariance comes from a few steps of Newton's iteration, through which
    the gradient goes, too. In evaluation mean and whitening matrix are running ones [1]_.

    Parameters
    ----------
    num_groups
        G, the number of groups, each whitened by itself; it must divide C.
    iterations
        T, the steps of the iteration. Directions of small variance are whitened in part with few of
        them, and that is wanted: the paper takes 5.
    eps
        Added to the diagonal of the covariance.
    momentum
        The weight of the new batch in the running statistics.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift, ones and zeros at first. None where the options leave them out.
    running_mean : (C,)
        The running mean, zeros at first.
    running_wm : (G, d, d)
        The running whitening matrices of groups of d channels, identities at first.

    Raises
    ------
    ValueError
        For an option out of range, and groups that do not divide the channels; for an x of another
        rank or number of channels, or, in training, with one value per channel; for an `out` that
        cannot be written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = W (x - \mathrm{mean}) \cdot weight + bias, \quad W \approx \Sigma^{-1/2},
        \quad \Sigma = \frac{1}{m} \sum (x - \mathrm{mean})(x - \mathrm{mean})^T + \epsilon I

    over the m values of each channel in the batch, for each group of d channels by itself. W comes
    from T steps of

    .. math:: P_0 = I, \quad P_k = \frac{3 P_{k-1} - P_{k-1}^3 S}{2},
        \quad S = \frac{\Sigma}{\mathrm{tr}(\Sigma)}, \quad W =
        \frac{P_T}{\sqrt{\mathrm{tr}(\Sigma)}}

    and in training the running ones follow:

    .. math::

        running\_mean &\leftarrow running\_mean + momentum \cdot (mean - running\_mean)

        running\_wm &\leftarrow running\_wm + momentum \cdot (W - running\_wm)

    x is (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output
    and leaves the running statistics alone.

    References
    ----------
    .. [1] Huang, Zhou, Zhu, Liu and Shao, Iterative Normalization: Beyond Standardization towards
       Efficient Whitening, 2019 (arXiv 1904.03441).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.IterNorm(2, iterations=20)
    >>> x = np.array([[3.0, 1.0], [1.0, 3.0], [-1.0, -3.0], [-3.0, -1.0]])  # correlated
    >>> y = layer(x)
    >>> (y.T @ y / 4).round(3)  # the covariance is the identity
    array([[1., 0.],
           [0., 1.]])
    >>> layer.running_wm.round(3)  # 0.9 of the identity and 0.1 of the root's inverse
    array([[[ 0.953, -0.018],
            [-0.018,  0.953]]], dtype=float32)
    """

    rules = (Divides("num_groups", "num_features"),)
    sized_by = ("num_features", "num_features")  # the whitening matrix of a single group
    optional_arrays = ("weight", "bias")

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        mean: np.ndarray
        wm: np.ndarray
        chain: InverseRoot | None  # the iteration, where it was run
        weight: np.ndarray

    def __init__(
        self,
        num_features: PositiveInt,
        num_groups: PositiveInt = 1,
        iterations: PositiveInt = 5,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        channels, groups, dtype = self.num_features, self.num_groups, self.dtype
        self.register_parameter("weight", np.ones(channels, dtype) if affine else None)
        self.register_parameter("bias", np.zeros(channels, dtype) if affine and bias else None)
        self.register_buffer("running_mean", np.zeros(channels, dtype))
        identity = np.eye(channels // groups, dtype=dtype)
        self.register_buffer("running_wm", np.stack([identity] * groups))

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = self.begin(x, out, ndim=_RANKS, channels=self.num_features)
        if not self.running_wm.flags.c_contiguous:
            raise ValueError(
                f"{type(self).__name__} needs a running_wm in C order; pass running_wm.copy()"
            )
        if self.training:
            check_more_than_one(kept, kept.size // self.num_features)
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        groups, axis = self.num_groups, self.channel_axis
        weight = self._per_channel(self.weight, 1)
        chain, steps = None, []
        if self.training and x.size:
            m, mean = x.size // self.num_features, self._mean(x)
            sigma = covariances(x, mean, axis, groups, 1 / m)
            chain = InverseRoot(sigma, self.eps, self.iterations)
            wm, momentum = chain.root, self.momentum
            for running, value in ((self.running_mean, mean), (self.running_wm, wm)):
                stats = value.reshape(1, -1)
                steps.append(Step(running.reshape(-1), None, None, stats, m, momentum))
        else:
            mean = self._per_channel(self.running_mean, 0)
            wm = self.running_wm.astype(np.float64)
        by = weight.reshape(groups, -1, 1) * wm
        y = map_channels([(by, x, mean)], self._per_channel(self.bias, 0), axis, out)
        return y, self.Saved(x, mean, wm, chain, weight), steps

    def _per_channel(self, a: np.ndarray | None, otherwise: float) -> np.ndarray:
        """A copy of (C,) in float64; all `otherwise` where it is None."""
        return np.full(self.num_features, otherwise) if a is None else a.astype(np.float64)

    def _mean(self, a: np.ndarray) -> np.ndarray:
        moments = batch_norm_moments(a, channel_axis=self.channel_axis, who=type(self).__name__)
        return moments.mean

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx and the gradients of weight and bias.

        With K = Σ dy*(x - mean)^T, dweight is the diagonal of K W^T, and W gets dW = weight*K. The
        iteration run backwards gives dSigma, and

            dx = W^T (weight*(dy - Σ dy/m)) + (dSigma + dSigma^T)(x - mean)/m    in training
            dx = W^T (weight*dy)                                                 in evaluation
        """
        x, mean, wm, chain, weight = saved
        groups, axis = self.num_groups, self.channel_axis
        m = x.size // len(mean)
        dy_mean = self._mean(dy)
        along = covariances(dy, 0.0, axis, groups, 1.0, x, mean)
        weight = weight.reshape(groups, -1, 1)
        back = np.swapaxes(weight * wm, 1, 2)
        if chain is None:
            terms = [(back, dy, 0.0)]
        else:
            through = chain.gradient(weight * along) * (2 / m)
            terms = [(back, dy, dy_mean), (through, x, mean)]
        dx = map_channels(terms, 0.0, axis, out)
        dweight = (wm * along).sum(2).reshape(-1)
        return dx, self.gradients(weight=dweight, bias=dy_mean * m)
