"""GatedRMSNorm: RMS normalization with a gate, before it or after it, in groups of features.

The kernel of rows, as group norm without centring: a row is a group of features of one position,
and the weight lies on all features. The gate is a pass of the kernel of maps before or after.
Rejected: to keep the gated x for backward, which is computed again.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ...arrays.dtypes import PARAMETERS
from ...arrays.layout import Arrangement, group_rows
from ...arrays.outputs import empty_like
from ...arrays.validation import as_float_array, check_like
from ...functional._checked import gradient_checked, normalize_checked
from ...functional.maps import Maps, Point
from ...functional.running import Step
from ...options import Bounds, Divides, DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Featured

_STEEP = 800.0  # from here on sigma is 0 or 1 in float64


@register("GatedRMSNorm", aliases=("RMSNormGated",))
class GatedRMSNorm(Featured):
    r"""RMS normalization of an x that is multiplied by a gate, before or afterwards.

    `layer(x, gate=z)` is that of Mamba-2 with `norm_before_gate=False` [1]_, and that of gated
    linear attention with True, the default [2]_. Without a gate it is RMS normalization, by groups
    of features where `group_size` says so, as for the heads of queries and keys with a weight for
    each feature of each head. It is the same in training and evaluation.

    Parameters
    ----------
    num_features
        C, the number of features.
    eps
        Added to the mean square.
    group_size
        The features side by side whose mean square is taken, a divisor of C; None for all.
    norm_before_gate
        Normalize x and multiply by the activated gate; False normalizes their product.
    activation
        Of the gate: "silu", z·sigma(z), or "sigmoid".
    affine
        Learn weight; else it is None.
    channel_axis
        The axis of the features: -1, or 1 where they come before positions, which is copied on the
        way.

    Attributes
    ----------
    weight : (C,) or None
        The learned scale, ones at first. None where the options leave it out.
    dgate : ndarray or None
        The gradient to the gate after `backward`; None without one. `pullback` gives it as "gate".

    Raises
    ------
    TypeError
        For an option of another type, for an x of another dtype than float16, bfloat16, float32 and
        float64, and for a gate of another dtype than x.
    ValueError
        For an option out of range, and a group size that does not divide the features; for an x of
        another rank or number of features; for a gate of another shape than x; for an `out` that
        cannot be written to.

    Notes
    -----
    .. math::

        y &= \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \cdot weight \cdot \phi(z)

        y &= \frac{u}{\sqrt{\mathrm{mean}(u^2) + \epsilon}} \cdot weight
        \qquad u = x \cdot \phi(z)

    before the gate and after it, with the mean over a group of features of one position.

    x and the gate are (N, C) or (N, ..., C).

    References
    ----------
    .. [1] Dao and Gu, Transformers are SSMs: Generalized Models and Efficient Algorithms Through
       Structured State Space Duality, 2024 (arXiv 2405.21060).
    .. [2] Yang, Kautz and Hatamizadeh, Gated Delta Networks: Improving Mamba2 with Delta Rule, 2024
       (arXiv 2412.06464).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> x, z = np.array([[3.0, 4.0, 1.0, 1.0]]), np.array([[0.0, 1.0, 2.0, -2.0]])
    >>> cybn.GatedRMSNorm(4, group_size=2)(x).round(3)
    array([[0.849, 1.131, 1.   , 1.   ]])
    >>> cybn.GatedRMSNorm(4, group_size=2)(x, gate=z).round(3)
    array([[ 0.   ,  0.827,  1.762, -0.238]])
    >>> cybn.GatedRMSNorm(4, norm_before_gate=False)(x, gate=z).round(3)
    array([[ 0.   ,  1.709,  1.03 , -0.139]])
    """

    optional_arrays = ("weight",)
    differentiated = ("gate",)
    rules = (Divides("group_size", "num_features"),)
    sized_by = ("num_features",)

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        gate: np.ndarray | None
        stats: np.ndarray
        weight: np.ndarray | None
        groups: int
        before: bool
        activation: str
        axis: int

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        group_size: PositiveInt | None = None,
        norm_before_gate: bool = True,
        activation: Literal["silu", "sigmoid"] = "silu",
        affine: bool = True,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1 if affine else None)
        self.dgate = None

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """Make a gate of both signs."""
        return {"gate": np.random.default_rng(0).normal(0.5, 1, x.shape).astype(x.dtype)}

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, gate: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x with its gate, and tell what pullback needs. See the class."""
        given = {}
        if gate is not None:
            given["gate"] = as_float_array(f"{type(self).__name__}'s gate", "gate", gate)
            check_like(type(self).__name__, "gate", given["gate"], np.asanyarray(x))
        kept = self.begin(x, out, ndim=self.ranks, channels=self.num_features, **given)
        return self._guarded(x, kept, out, **given)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None, gate: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        before, axis = self.norm_before_gate, self.channel_axis
        wide = gate is not None and x.dtype == np.float32 and not before
        if wide and not _in_range(_size(x) * _size(gate)):
            wide, saved, steps = self._computed(x.astype(np.float64), None, gate.astype(np.float64))
            y = _rounded(wide, empty_like(x) if out is None else out)
            return y, saved._replace(x=x, gate=gate), steps
        groups = self.num_features // (self.group_size or self.num_features)
        weight = None if self.weight is None else self.copied("weight")
        rows = _rows(x, axis)
        values, y, target = rows.with_output(x, out)
        z = None if gate is None else rows.gather(gate)
        if z is not None and not before:
            values = _gated(values, z, self.activation)
        values = values[0]
        how = group_rows(values, groups, 1), weight, None, self.eps, False
        result, stats = normalize_checked(values, *how, None if target is None else target[0])
        result = result[None]
        if z is not None and before:
            _gated(result, z, self.activation, out=result)
        if target is None:
            rows.scatter(result, y)
        saved = self.Saved(x, gate, stats, weight, groups, before, self.activation, axis)
        return y, saved, []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, gate, stats, weight, groups, before, activation, axis = saved
        products = []
        if gate is not None and x.dtype == np.float32:
            upstream, of_gate, rstd = _size(dy), _size(gate), stats[2]
            products = [upstream * of_gate]
            if not before:
                products += [_size(x) * of_gate, upstream * _size(rstd)]
                products += [upstream * rstd.min(initial=1)]
        if not _in_range(*products):
            wide = saved._replace(x=x.astype(np.float64), gate=gate.astype(np.float64))
            values, grads = self._pulled_back(wide, dy.astype(np.float64), None)
            if grads.get("gate") is not None:
                grads["gate"] = _rounded(grads["gate"], np.empty_like(gate))
            return _rounded(values, empty_like(x) if out is None else out), grads
        rows, dgate = _rows(x, axis), None
        values, dx, target = rows.with_output(x, out)
        g, z = rows.gather(dy), None if gate is None else rows.gather(gate)
        how = group_rows(values[0], groups, 1)
        if z is not None and before:
            plain, _ = normalize_checked(values[0], how, weight, None, self.eps, False, None)
            dgate = _to_gate(np.multiply(g, plain, out=plain[None]), z, activation)
            g = _gated(g, z, activation)
        elif z is not None:
            values = _gated(values, z, activation)
        given = None if target is None or (z is not None and not before) else target[0]
        wanted = self.learns("weight") and weight is not None, False
        result, dweight, _ = gradient_checked(
            g[0], values[0], how, stats, weight, False, given, PARAMETERS[self.dtype], wanted
        )
        result = result[None]
        if z is not None and not before:
            dgate = _to_gate(result * rows.gather(x), z, activation)
            result = _gated(result, z, activation, out=target)
        if target is None:
            rows.scatter(result, dx)
        if dgate is not None:
            like = np.empty_like(gate)
            rows.scatter(dgate, like)
            dgate = like
        return dx, self.gradients(weight=dweight, gate=dgate)


def _rounded(values: np.ndarray, to: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        to[...] = values
    return to


def _rows(x: np.ndarray, axis: int) -> Arrangement:
    """x as (1, rows, C)."""
    return _arranged(x.shape, axis)


@lru_cache(maxsize=1024)
def _arranged(shape: tuple[int, ...], axis: int) -> Arrangement:
    n, features = len(shape), shape[axis]
    order = (*(i for i in range(n) if i != axis % n), axis % n)
    in_place = order == tuple(range(n))
    return Arrangement(None if in_place else order, (1, prod(shape) // features, features))


def _size(a: np.ndarray) -> float:
    """The largest absolute value."""
    return max(float(a.max(initial=0)), -float(a.min(initial=0)))


def _in_range(*products: float) -> bool:
    """Are they numbers of which float32 has all digits, and 30 bits less?

    What is multiplied by the gate may leave its range before it is divided by a root mean square.
    """
    return all(size == 0 or 1e-20 < size < 1e30 for size in products)


def _maps(a: np.ndarray) -> Maps:
    """All items as those of one channel."""
    return Maps(Arrangement(None, (1, a.size, 1)), True, 1, 1, a.size, a.dtype)


def _gated(
    a: np.ndarray, z: np.ndarray, activation: str, out: np.ndarray | None = None
) -> np.ndarray:
    """a times its activated gate, both (1, rows, C); out may be a."""
    if activation == "silu":
        return _maps(z).product(a, z, Point.SWISHED, out=out)
    return np.multiply(a, _sigmoid(z), out=out)


def _to_gate(dy: np.ndarray, z: np.ndarray, activation: str) -> np.ndarray:
    """The gradient to the gate, from that of its activation, which is overwritten."""
    if activation == "silu":
        return _maps(z).product(dy, z, Point.SWISH, out=dy)
    return np.multiply(dy, _sigmoid(z) * _sigmoid(-z), out=dy)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    # of the kernel's swish, as NumPy's exp has other bits on other machines
    z = np.clip(z, -_STEEP, _STEEP)
    swish = _maps(z).output(z, Point.SWISH, 1.0)
    return np.divide(swish, z, out=np.full_like(z, 0.5), where=z != 0)
