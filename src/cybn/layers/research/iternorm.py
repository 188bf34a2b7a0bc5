"""IterNorm: channels that are uncorrelated, by Newton's iteration for the root of a covariance.

NumPy in float64, and no kernel of its own: its work is products of matrices, which no kernel here
does. They are taken with np.einsum over fixed blocks of positions: it runs on one thread in one
order, so the bits do not depend on the number of threads. Rejected: BLAS (`@`), several times as
fast, whose order of summation follows its own threads and the CPU; the decomposition of the
covariance into eigenvectors, whose gradient is unbounded where two eigenvalues meet.

The covariance and the output each take C*d multiplications per position for groups of d channels,
so wide layers want groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...arrays.validation import check_more_than_one
from ...functional.running import Step
from ...options import Bounds, Divides, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Guarded

_RANKS = (2, 3, 4, 5)
_BLOCK = 1 << 16  # items of a group in a block: half a megabyte of float64


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
        chain: _Chain | None  # the iteration, where it was run
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
        weight = self._per_channel(self.weight, 1)
        values, chain, steps = self._grouped(x), None, []
        if self.training and x.size:
            mean = values.mean(2, dtype=np.float64)
            covariance = _products(values, mean, values, mean) / values.shape[2]
            chain = _Chain(covariance, self.eps, self.iterations)
            wm = chain.wm
            m, momentum = values.shape[2], self.momentum
            for running, value in ((self.running_mean, mean), (self.running_wm, wm)):
                stats = value.reshape(1, -1)
                steps.append(Step(running.reshape(-1), None, None, stats, m, momentum))
        else:
            mean = self._per_channel(self.running_mean, 0)
            wm = self.running_wm.astype(np.float64)
        y = np.empty_like(x, subok=False) if out is None else out
        self._ungroup(_mapped([(weight * wm, values, mean)], self._per_channel(self.bias, 0)), y)
        return y, self.Saved(x, mean, wm, chain, weight), steps

    def _per_channel(self, a: np.ndarray | None, otherwise: float) -> np.ndarray:
        """A copy of (C,) as (G, d, 1) float64; all `otherwise` where it is None."""
        channels, groups = self.num_features, self.num_groups
        full = np.full(channels, otherwise, np.float64) if a is None else a.astype(np.float64)
        return full.reshape(groups, channels // groups, 1)

    def _grouped(self, a: np.ndarray) -> np.ndarray:
        """`a` as (G, d, m)."""
        channels, groups = self.num_features, self.num_groups
        turned = np.moveaxis(a, self.channel_axis, 0)
        shape = groups, channels // groups, a.size // channels
        return np.ascontiguousarray(turned).reshape(shape)

    def _ungroup(self, values: np.ndarray, a: np.ndarray) -> None:
        """Write (G, d, m) into `a`."""
        turned = np.moveaxis(a, self.channel_axis, 0)
        turned[...] = values.reshape(turned.shape)

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
        dx = np.empty_like(x, subok=False) if out is None else out
        values, slopes = self._grouped(x), self._grouped(dy)
        total = slopes.sum(2, dtype=np.float64, keepdims=True)
        along = _products(slopes, np.zeros_like(mean), values, mean)
        back = np.swapaxes(weight * wm, 1, 2)
        if chain is None:
            terms = [(back, slopes, np.zeros_like(mean))]
        else:
            m = values.shape[2]
            dsigma = chain.gradient(weight * along)
            through = (dsigma + np.swapaxes(dsigma, 1, 2)) / m
            terms = [(back, slopes, total / m), (through, values, mean)]
        self._ungroup(_mapped(terms), dx)
        dweight = (wm * along).sum(2).reshape(-1)
        return dx, self.gradients(weight=dweight, bias=total.reshape(-1))


class _Chain:
    """Newton's iteration for Sigma^(-1/2) of each group, and its gradient. Matrices are (G, d, d).

    With q = S p, which is kept beside p, a step is p, q <- h p, q h of h = (3 - p q)/2. For exact
    numbers that is the paper's p <- (3 p - p³ S)/2, whose rounding errors grow from step to step
    once p is near its limit; those of this form (Denman-Beavers; Higham, Functions of Matrices,
    2008, ch. 6) do not.

    wm: the whitening matrix.
    """

    def __init__(self, covariance: np.ndarray, eps: float, iterations: int) -> None:
        identity = np.eye(covariance.shape[1])
        sigma = covariance + eps * identity
        self.trace = np.einsum("gii->g", sigma)[:, None, None]
        p, q = np.broadcast_to(identity, sigma.shape), sigma / self.trace
        self.scaled, self.steps = q, []
        for _ in range(iterations):
            h = 1.5 * identity - 0.5 * _matmul(p, q)
            self.steps.append((p, q, h))
            p, q = _matmul(h, p), _matmul(q, h)
        self.wm = p / np.sqrt(self.trace)

    def gradient(self, dwm: np.ndarray) -> np.ndarray:
        """dSigma, given dW."""
        dp, dq = dwm / np.sqrt(self.trace), np.zeros_like(dwm)
        for step in reversed(self.steps):
            p, q, h = (np.swapaxes(a, 1, 2) for a in step)
            dh = _matmul(dp, p) + _matmul(q, dq)
            dp, dq = _matmul(h, dp) - 0.5 * _matmul(dh, q), _matmul(dq, h) - 0.5 * _matmul(p, dh)
        # of the trace: W = p/sqrt(trace) and S = sigma/trace
        by_root = (self.wm * dwm).sum((1, 2), keepdims=True) / 2
        by_scaled = (self.scaled * dq).sum((1, 2), keepdims=True)
        return (dq - (by_root + by_scaled) * np.eye(dwm.shape[1])) / self.trace


def _matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("gij,gjk->gik", a, b)


def _blocks(values: np.ndarray) -> Iterator[slice]:
    """Slices of m, cut by the shape of (G, d, m) alone."""
    groups, channels, m = values.shape
    each = max(64, _BLOCK // (groups * channels))
    yield from (slice(i, i + each) for i in range(0, m, each))


def _centred(values: np.ndarray, block: slice, centre: np.ndarray) -> np.ndarray:
    # in C order whatever that of values: the order of summation follows the memory
    centre = centre.reshape(*values.shape[:2], 1)
    return np.subtract(values[:, :, block], centre, dtype=np.float64, order="C")


def _products(a: np.ndarray, a_centre: np.ndarray, b: np.ndarray, b_centre: np.ndarray):
    """(G, d, d): Σ (a - a_centre)(b - b_centre)^T over m."""
    result = np.zeros((*a.shape[:2], a.shape[1]))
    for block in _blocks(a):
        left, right = _centred(a, block, a_centre), _centred(b, block, b_centre)
        result += np.einsum("gdm,gem->gde", left, right)
    return result


def _mapped(terms: list[tuple], shift: np.ndarray | float = 0.0) -> np.ndarray:
    """(G, d, m): Σ matrix (values - centre) over the terms, plus shift, in the dtype of values."""
    values = terms[0][1]
    result = np.empty_like(values)
    for block in _blocks(values):
        parts = (_matmul(matrix, _centred(a, block, centre)) for matrix, a, centre in terms)
        result[:, :, block] = sum(parts, shift)
    return result
