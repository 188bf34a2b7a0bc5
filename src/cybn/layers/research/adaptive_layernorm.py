"""AdaptiveLayerNorm: layer normalization whose scale and shift come with each sample.

The kernel of layer norm, a sample at a time: its scale and shift are weight and bias of the call,
so that x is read and y is written once, and what backward finds for weight and bias are the
gradients of the sample's own. Where a sample is one row that would be a call for each row, and
scale and shift follow in NumPy instead.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ...arrays.outputs import empty_like
from ...arrays.validation import as_float_array
from ...functional import layer_norm_backward, layer_norm_forward
from ...functional.running import Step
from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured


@register("AdaptiveLayerNorm", aliases=("AdaLN", "AdaLayerNorm"))
class AdaptiveLayerNorm(Featured):
    r"""Adaptive layer normalization: each sample brings its scale and shift.

    `layer(x, scale=s, shift=t)` normalizes every feature vector and modulates it, as the blocks of
    diffusion transformers do with what a small network makes of the time and class [1]_; the
    modulation alone is FiLM [2]_. Without them it is layer normalization. It is the same in
    training and evaluation.

    Parameters
    ----------
    num_features
        C, the number of features.
    eps
        Added to the variance.
    affine
        Learn a weight and bias for all samples, too, which come before scale and shift.
    unit_offset
        Multiply by 1 + scale; False multiplies by the scale itself.
    channel_axis
        The axis of the features: -1, or 1 where they come before positions, which is copied on the
        way.

    Attributes
    ----------
    weight, bias : (C,) or None
        The learned scale and shift of all samples, ones and zeros at first. None where the options
        leave them out.
    dscale, dshift : (N, C) or None
        The gradients to scale and shift after `backward`, in their dtypes; None for one that was
        not given. They are no parameters', so they are not in `grads`. `pullback` gives them as
        "scale" and "shift".

    Raises
    ------
    TypeError
        For an option of another type, and for an x, scale or shift of another dtype than float16,
        bfloat16, float32 and float64.
    ValueError
        For an option out of range; for an x of another rank or number of features; for a scale or
        shift that is not (N, C); for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y_n = \left(\frac{x_n - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight
        + bias\right) \cdot (1 + scale_n) + shift_n

    with mean and var (biased) those of the C features of one position.

    x is (N, C) or (N, ..., C); scale and shift are (N, C).

    References
    ----------
    .. [1] Peebles and Xie, Scalable Diffusion Models with Transformers, 2022 (arXiv 2212.09748).
    .. [2] Perez, Strub, de Vries, Dumoulin and Courville, FiLM: Visual Reasoning with a General
       Conditioning Layer, 2017 (arXiv 1709.07871).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.AdaptiveLayerNorm(2)
    >>> x = np.array([[1.0, 3.0], [1.0, 3.0]])
    >>> layer(x, scale=np.array([[0, 1], [9, 9]], float), shift=np.ones((2, 2))).round(3)
    array([[ 0.,  3.],
           [-9., 11.]])
    >>> dx = layer.backward(x)
    >>> layer.dscale.round(3), layer.dshift
    (array([[-1.,  3.],
           [-1.,  3.]]), array([[1., 3.],
           [1., 3.]]))
    """

    optional_arrays = ("weight", "bias")
    differentiated = ("scale", "shift")
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        stats: np.ndarray  # (3, rows)
        scale: np.ndarray | None  # (N, C), with the offset, float64
        weight: np.ndarray | None
        bias: np.ndarray | None
        given: tuple[np.dtype | None, np.dtype | None]  # of scale and shift
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        affine: bool = False,
        *,
        unit_offset: bool = True,
        bias: bool = True,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1 if affine else None)
        self.learn("bias", 0 if affine and bias else None)
        self.dscale = self.dshift = None

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """Make scales and shifts that differ from sample to sample."""
        rng = np.random.default_rng(0)
        shape = len(x), self.num_features
        return {name: rng.uniform(0.5, 2, shape).astype(x.dtype) for name in self.differentiated}

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        scale: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x and modulate it, and tell what pullback needs. See the class."""
        given = {"scale": scale, "shift": shift}
        given = {name: self._modulation(name, a, x) for name, a in given.items() if a is not None}
        kept = self.begin(x, out, ndim=self.ranks, channels=self.num_features, **given)
        return self._guarded(x, kept, out, **given)

    def _modulation(self, name: str, a: object, x: np.ndarray) -> np.ndarray:
        who, expected = type(self).__name__, (len(x) if np.ndim(x) else 0, self.num_features)
        a = as_float_array(f"{who}'s {name}", name, a)
        if a.shape != expected:
            raise ValueError(
                f"{who} needs a {name} of shape {expected}, a row for each sample, got {a.shape}"
            )
        return a

    def _computed(
        self,
        x: np.ndarray,
        out: np.ndarray | None,
        scale: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        axis, features, who = self.channel_axis, self.num_features, type(self).__name__
        dtypes = tuple(None if a is None else a.dtype for a in (scale, shift))
        weight, bias = (
            None if a is None else a.astype(np.float64) for a in (self.weight, self.bias)
        )
        if scale is not None:
            scale = scale.astype(np.float64) + (1.0 if self.unit_offset else 0.0)
        y = empty_like(x) if out is None else out
        values, target = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
        if scale is None and shift is None:
            _, stats = layer_norm_forward(
                values, features, weight, bias, self.eps, out=target, who=who
            )
            return y, self.Saved(x, stats, scale, weight, bias, dtypes, axis), []
        own_weight, own_bias = _folded(scale, shift, weight, bias, (len(x), features))
        if x.ndim == 2:
            xhat, stats = layer_norm_forward(_wide(values), features, eps=self.eps, who=who)
            target[...] = xhat * own_weight + own_bias
            return y, self.Saved(x, stats, scale, weight, bias, dtypes, axis), []
        stats = np.empty((3, x.size // features))
        of_sample = stats.reshape(3, len(x), x.size // max(1, len(x) * features))
        for n in range(len(x)):
            _, of_sample[:, n] = layer_norm_forward(
                values[n], features, own_weight[n], own_bias[n], self.eps, out=target[n], who=who
            )
        return y, self.Saved(x, stats, scale, weight, bias, dtypes, axis), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, stats, scale, weight, bias, given, axis = saved
        who, features = type(self).__name__, self.num_features
        dx = empty_like(dy) if out is None else out
        values, upstream, target = (np.moveaxis(a, axis, -1) for a in (x, dy, dx))
        if given[0] is None and given[1] is None:
            _, dweight, dbias = layer_norm_backward(
                upstream, values, stats, features, weight, out=target, who=who
            )
            return dx, self.gradients(weight=dweight, bias=dbias)
        shape = len(x), features
        own_weight, _ = _folded(scale, None, weight, None, shape)
        along, total = np.empty(shape), np.empty(shape)  # Σ dy·xhat and Σ dy of each sample
        if x.ndim == 2:
            wide, g = _wide(values), _wide(upstream)
            rstd = stats[2, :, None]
            along[...], total[...] = g * ((wide - stats[0, :, None]) * rstd), g
            target[...] = layer_norm_backward(
                (g * own_weight).astype(wide.dtype), wide, stats, features, who=who
            )[0]
        of_sample = stats.reshape(3, len(x), x.size // max(1, len(x) * features))
        for n in range(len(x) if x.ndim > 2 else 0):
            _, along[n], total[n] = layer_norm_backward(
                upstream[n], values[n], of_sample[:, n], features, own_weight[n], out=target[n],
                who=who,
            )  # fmt: skip
        by_scale = 1.0 if scale is None else scale
        grads = {"weight": (along * by_scale).sum(0), "bias": (total * by_scale).sum(0)}
        if given[0] is not None:
            dscale = along if weight is None else along * weight
            grads["scale"] = (dscale if bias is None else dscale + total * bias).astype(given[0])
        if given[1] is not None:
            grads["shift"] = total.astype(given[1])
        return dx, self.gradients(**grads)


def _folded(scale, shift, weight, bias, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of each sample, (N, C): (xhat·weight + bias)·scale + shift."""
    own_weight, own_bias = np.ones(shape), np.zeros(shape)
    if weight is not None:
        own_weight *= weight
    if bias is not None:
        own_bias += bias
    if scale is not None:
        own_weight *= scale
        own_bias *= scale
    return own_weight, own_bias if shift is None else own_bias + shift


def _wide(a: np.ndarray) -> np.ndarray:
    return a if a.dtype == np.float64 else a.astype(np.float64)
