r"""Fold a norm with fixed statistics into the weights of the layer before it, or after it.

A batch norm in evaluation is y = scale·x + shift for each channel, with

    scale = weight / sqrt(running_var + eps)        shift = bias - running_mean·scale

so that it can vanish into a linear layer or convolution (weights W, bias b) that it follows,

    norm(W·x + b) = (scale·W)·x + (scale·b + shift)                                       fold

or that it precedes: W·norm(x) + b = (W·scale)·x + (W·shift + b)                fold_into_next

The network then computes the same with one layer less. Results are rounded from more precision than
their dtype has. That is why scale and shift, a few numbers for each channel, are computed in
decimal arithmetic: scale·b + shift can cancel, and float64 leaves nothing in reserve for float64
weights. Rejected: extended precision, which is float64 again on some machines.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import NamedTuple

import numpy as np

from ..arrays.validation import as_float_array, check_per_channel, whole
from ..layers.base.fixed import Fixed, overridden
from ..layers.base.layer import Layer

__all__ = ["fold", "fold_into_next"]

_DIGITS = Context(prec=60)
# What layers call the arrays of a Fixed
_BY_VAR = "running_mean", "running_var", "std", "weight", "bias"
_BY_STD = "mean", "var", "std", "weight", "bias"


class _Affine(NamedTuple):
    """What a norm does to each of its C channels: scale·x + shift."""

    scale: list[Decimal]
    shift: list[Decimal]


class _View(NamedTuple):
    """A weight as (groups, rows, channels, rest): the norm's channels are groups and channels."""

    groups: int
    rows: int
    channels: int
    rest: int

    @property
    def scales(self) -> tuple[int, int, int, int]:
        """The shape that one number for each channel of the norm has beside the view."""
        return self.groups, 1, self.channels, 1


def fold(
    weight: np.ndarray,
    bias: np.ndarray | None,
    norm: Layer,
    *,
    transposed: bool = False,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute the weight and bias of one layer that does what a layer and then `norm` do.

    Parameters
    ----------
    weight
        That of a linear layer (out, in), a convolution (out, in/groups, \*kernel), or a transposed
        convolution (in, out/groups, \*kernel); float16, bfloat16, float32 or float64.
    bias
        That of the layer, (out,), or None for a layer without one.
    norm
        A batch norm of `out` channels in evaluation, a frozen one, or a Normalize.
    transposed
        The weight is that of a transposed convolution.
    groups
        The groups of a transposed convolution; of no account for others.

    Returns
    -------
    weight : ndarray
        The new weight, of weight's dtype; each value is within an ulp of the exact one.
    bias : ndarray
        The new bias, (out,), of the same dtype, as exact. Arguments are not modified.

    Raises
    ------
    TypeError
        For another dtype, or a layer that is no scale and shift.
    ValueError
        For a norm that is in training, keeps no running statistics or has an activation, for shapes
        that do not fit, and for values that are not finite, before or after.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> rng = np.random.default_rng(0)
    >>> x, weight = rng.normal(size=(8, 5)), rng.normal(size=(3, 5))
    >>> norm = cybn.BatchNorm1d(3, dtype="float64")
    >>> _ = norm(x @ weight.T)  # a step of training
    >>> folded, bias = cybn.fold(weight, None, norm.eval())
    >>> np.allclose(x @ folded.T + bias, norm(x @ weight.T))
    True
    """
    groups = _checked_groups("fold", groups)
    weight = _checked_weight("fold", weight, groups if transposed else 1)
    if transposed:
        layout = f"(in, out/groups, ...) with groups={groups}"
        rows, out = weight.shape[0] // groups, weight.shape[1] * groups
        view = _View(groups, rows, out // groups, weight[0, 0].size)
    else:
        layout, out = "(out, in, ...)", weight.shape[0]
        view = _View(1, 1, out, weight[0].size)
    bias = _checked_bias("fold", bias, weight, out)
    scale, shift = _affine("fold", norm, weight, f"outputs as {layout}", out)
    with localcontext(_DIGITS):
        before = [Decimal(0)] * out if bias is None else _decimals(bias)
        sums = [s * b + t for s, b, t in zip(scale, before, shift, strict=True)]
    return (
        _scaled("fold", weight, view, scale),
        _finite("fold", "bias", np.array([float(each) for each in sums]), weight.dtype),
    )


def fold_into_next(
    weight: np.ndarray, bias: np.ndarray | None, norm: Layer, *, groups: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute the weight and bias of one layer that does what `norm` and then a layer do.

    Exact for a linear layer, and for a convolution **without padding**: zeros that a convolution
    pads with come after the norm, and folded they would come before it. (Padding x with the value
    that the norm takes to zero, -shift/scale, is exact too.) A transposed convolution pads by its
    nature, so it is not offered.

    Parameters
    ----------
    weight
        That of a linear layer (out, in) or a convolution (out, in/groups, \*kernel); float32 or
        float64.
    bias
        That of the layer, (out,), or None for a layer without one.
    norm
        A batch norm of `in` channels in evaluation, a frozen one, or a Normalize.
    groups
        The groups of the convolution.

    Returns
    -------
    weight : ndarray
        The new weight, of weight's dtype; each value is within an ulp of the exact one.
    bias : ndarray
        The new bias, (out,), of the same dtype: a sum over a row of weights in float64.

    Raises
    ------
    TypeError
        For another dtype, or a layer that is no scale and shift.
    ValueError
        For a norm that is in training, keeps no running statistics or has an activation, for shapes
        that do not fit, and for values that are not finite, before or after.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> rng = np.random.default_rng(0)
    >>> x, weight, bias = rng.normal(7, 3, (8, 5)), rng.normal(size=(3, 5)), rng.normal(size=3)
    >>> norm = cybn.Normalize.fit(x)
    >>> folded, shifted = cybn.fold_into_next(weight, bias, norm)
    >>> np.allclose(x @ folded.T + shifted, norm(x) @ weight.T + bias)
    True
    """
    who = "fold_into_next"
    groups = _checked_groups(who, groups)
    weight = _checked_weight(who, weight, groups)
    out, inputs = weight.shape[0], weight.shape[1] * groups
    bias = _checked_bias(who, bias, weight, out)
    layout = f"(out, in/groups, ...) with groups={groups}"
    scale, shift = _affine(who, norm, weight, f"inputs as {layout}", inputs)
    view = _View(groups, out // groups, inputs // groups, weight[0, 0].size)
    terms = weight.reshape(view) * np.array([float(s) for s in shift]).reshape(view.scales)
    sums = terms.sum((2, 3)).reshape(out) + (0.0 if bias is None else bias)
    return _scaled(who, weight, view, scale), _finite(who, "bias", sums, weight.dtype)


def _checked_groups(who: str, groups: object) -> int:
    plain = whole(groups)
    if plain is None or plain < 1:
        raise ValueError(f"{who} needs groups as an int >= 1, got {groups!r}")
    return plain


def _checked_weight(who: str, weight: np.ndarray, groups: int) -> np.ndarray:
    weight = as_float_array(who, "weight", weight)
    if weight.ndim < 2 or 0 in weight.shape:
        raise ValueError(
            f"{who} needs a weight of two or more dimensions, none empty, got {weight.shape}"
        )
    if weight.shape[0] % groups:
        raise ValueError(
            f"{who} cannot divide axis 0 of weight {weight.shape} into groups={groups}"
        )
    _check_finite(who, "weight", weight)
    return weight


def _checked_bias(
    who: str, bias: np.ndarray | None, weight: np.ndarray, out: int
) -> np.ndarray | None:
    if bias is None:
        return None
    bias = as_float_array(who, "bias", bias)
    if bias.shape != (out,):
        raise ValueError(
            f"{who} needs a bias of shape ({out},) with weight {weight.shape}, got {bias.shape}"
        )
    _check_finite(who, "bias", bias)
    return bias


def _check_finite(who: str, name: str, a: np.ndarray) -> None:
    finite = np.isfinite(a)
    if not finite.all():
        raise ValueError(f"{who} needs a finite {name}, got {a[~finite][0]} in it")


def _affine(who: str, norm: Layer, weight: np.ndarray, side: str, channels: int) -> _Affine:
    # scale and shift of a norm that has as many channels as that side of weight
    name = type(norm).__name__
    fixed = _fixed(who, norm)
    *arrays, eps, any_width = fixed
    arrays = dict(zip(_BY_STD if fixed.std is not None else _BY_VAR, arrays, strict=True))
    if any_width:
        arrays = {each: None if a is None else np.repeat(a, channels) for each, a in arrays.items()}
    elif fixed.mean.size != channels:
        raise ValueError(
            f"{who} needs a norm that fits the weight: {name} has {fixed.mean.size} channels, "
            f"weight {weight.shape} has {channels} {side}"
        )
    check_per_channel(f"{who}: {name}", arrays, channels)
    for each, a in arrays.items():
        if a is not None:
            _check_finite(who, f"{each} of {name}", a)
    with localcontext(_DIGITS):
        mean, var, std, weights, bias = (
            _decimals(a, channels, default)
            for a, default in zip(arrays.values(), (0, 0, 0, 1, 0), strict=True)
        )
        if fixed.std is None:
            least = min(var) + Decimal(eps)
            if least <= 0:
                raise ValueError(f"{who} needs running_var + eps > 0, got {least}")
            std = [(v + Decimal(eps)).sqrt() for v in var]
        scale = [w / s if s else w for w, s in zip(weights, std, strict=True)]
        shift = [b - m * s for b, m, s in zip(bias, mean, scale, strict=True)]
    return _Affine(scale, shift)


def _fixed(who: str, norm: Layer) -> Fixed:
    # What the norm says of itself, if that is known to be so
    name = type(norm).__name__
    if not isinstance(norm, Layer) or type(norm).fixed is Layer.fixed:
        raise TypeError(f"{who} takes a batch norm, a frozen one or a Normalize, got {name}")
    own = overridden(norm, "fixed")
    if own is not None:
        raise TypeError(
            f"{who} got a {name}, whose {own} is its own and may do anything; if it is a scale and "
            f"a shift all the same, let the class define fixed, too"
        )
    return norm.fixed(who)


def _decimals(a: np.ndarray | None, channels: int = 0, default: int = 0) -> list[Decimal]:
    # exactly the values of a; without a the default for each channel
    return [Decimal(default)] * channels if a is None else [Decimal(v) for v in a.tolist()]


def _scaled(who: str, weight: np.ndarray, view: _View, scale: list[Decimal]) -> np.ndarray:
    # weight·scale by two float64 parts of scale, so that at most an ulp is lost
    high = [float(s) for s in scale]
    with localcontext(_DIGITS):
        low = [float(s - Decimal(h)) for s, h in zip(scale, high, strict=True)]
    high, low = (np.reshape(part, view.scales) for part in (high, low))
    with np.errstate(over="ignore", invalid="ignore"):  # seen below
        scaled = weight.reshape(view) * high + weight.reshape(view) * low
    return _finite(who, "weight", scaled.reshape(weight.shape), weight.dtype)


def _finite(who: str, name: str, a: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        converted = a.astype(dtype)
    finite = np.isfinite(converted)
    if not finite.all():
        raise ValueError(f"{who} gives a {name} that {dtype} cannot hold: {a[~finite][0]}")
    return converted
