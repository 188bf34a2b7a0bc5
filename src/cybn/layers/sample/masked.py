"""Padding left out of the moments of single samples, in both directions.

Samples have their moments alone, and as many valid positions as they happen to have. Those with
equally many are picked together into a batch without padding, which is normalized as any other and
put back; padding comes out as 0 and has no gradient. So every kernel and option serves masked data,
and what a sample gives does not hang on the others. Rejected: kernels that skip items, with a
branch for each; padding that is filled with means, whose variance is then corrected.

A mask within rows of layer norm is in holes.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...arrays.layout import group_rows
from ...arrays.outputs import empty_like
from ...functional import masks
from ...functional._checked import (
    backward_checked,
    forward_checked,
    gradient_checked,
)
from ...functional.gates import Gate
from ...functional.masks import even_samples

if TYPE_CHECKING:
    from .instancenorm import InstanceNorm
    from .rownorm import RowNorm


class Part(NamedTuple):
    """Samples or rows with equally many valid items."""

    which: np.ndarray  # their indices
    picked: np.ndarray
    saved: Any


class Masked(NamedTuple):
    """What the pullback of a masked call needs."""

    mask: np.ndarray
    parts: tuple[Part, ...]
    added: bool = False  # a residual


def check_counts(who: str, mask: np.ndarray, values: int) -> None:
    """ValueError where a sample has one valid value per group, of `values` at each position."""
    for count, samples in even_samples(mask):
        if count * values == 1:
            raise ValueError(
                f"{who} needs more than 1 valid value per group in a sample, got 1 in sample "
                f"{samples[0]}; leave the sample out with mask[{samples[0]}] = False"
            )


def pick(a: np.ndarray, mask: np.ndarray, samples: np.ndarray, axis: int) -> np.ndarray:
    """The valid positions of some samples, (k, C, m) or, for channels last, (k, m, C)."""
    turned = np.moveaxis(a, axis, -1)
    values = turned[samples][mask[samples]].reshape(len(samples), -1, turned.shape[-1])
    return values if axis == -1 else _turned(values)


def put(
    values: np.ndarray, mask: np.ndarray, samples: np.ndarray, a: np.ndarray, axis: int
) -> None:
    """Write what `pick` would give of an array."""
    turned, where = np.moveaxis(a, axis, -1), np.zeros_like(mask)
    where[samples] = mask[samples]
    turned[where] = (values if axis == -1 else _turned(values)).reshape(-1, turned.shape[-1])


def _turned(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.swapaxes(values, 1, 2))


# Rows: groups of channels of a sample, or rows that are data or padding as a whole


def apply_samples(
    layer: RowNorm,
    x: np.ndarray,
    mask: np.ndarray,
    axis: int,
    out: np.ndarray | None,
    residual: np.ndarray | None,
) -> tuple[np.ndarray, Masked, np.ndarray]:
    """y, what pullback needs and x as it is kept, each sample by its valid positions."""
    kept = begun(layer, x, out, residual)
    try:
        parts = []
        for _, samples in even_samples(mask):
            values = pick(kept, mask, samples, axis)
            own = {} if residual is None else {"residual": pick(residual, mask, samples, axis)}
            part, saved = layer.apply(values, **own)
            parts.append((samples, part, saved))
        y = empty_like(kept) if out is None else out
        y[...] = 0
        for samples, part, _ in parts:
            put(part, mask, samples, y, axis)
    except BaseException:
        layer.undo(x, kept, out)
        raise
    saved = tuple(Part(samples, saved[0], saved) for samples, _, saved in parts)
    return y, Masked(mask.copy(), saved, residual is not None), kept


def pullback_samples(
    layer: RowNorm,
    like: np.ndarray,
    masked: Masked,
    dy: np.ndarray,
    axis: int,
    out: np.ndarray | None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """dx and the gradients, added up over the samples."""
    found, sums = [], {name: np.zeros(a.shape) for name, a in layer.named_parameters()}
    dz = residual_like(like, masked)
    for samples, _, saved in masked.parts:
        part, grads = layer.pullback(saved, pick(dy, masked.mask, samples, axis))
        found.append((samples, part))
        if dz is not None:
            put(grads["residual"], masked.mask, samples, dz, axis)
        for name in sums:
            sums[name] += grads[name]
    dx = empty_like(like) if out is None else out
    dx[...] = 0
    for samples, part in found:
        put(part, masked.mask, samples, dx, axis)
    return dx, layer.gradients(**sums, residual=dz)


def begun(
    layer: RowNorm, x: np.ndarray, out: np.ndarray | None, residual: np.ndarray | None
) -> np.ndarray:
    """x as it is kept, with `out` and the residual looked at."""
    return layer.begin(x, out) if residual is None else layer.begin(x, out, residual=residual)


def residual_like(like: np.ndarray, masked: Masked) -> np.ndarray | None:
    """Zeros for the gradient of a residual, if there was one."""
    if not masked.added:
        return None
    dz = empty_like(like)
    dz[...] = 0
    return dz


def apply_rows(
    layer: RowNorm,
    x: np.ndarray,
    mask: np.ndarray,
    out: np.ndarray | None,
    residual: np.ndarray | None,
) -> tuple[np.ndarray, Masked, np.ndarray]:
    """y, what pullback needs and x as it is kept, of rows that are data or padding as a whole."""
    kept, axis = begun(layer, x, out, residual), layer.channel_axis
    try:
        picked = masks.pick(kept, mask, axis) if axis == 1 else kept[mask]
        own = {}
        if residual is not None:
            own["residual"] = masks.pick(residual, mask, axis) if axis == 1 else residual[mask]
        values, saved = layer.apply(picked, **own)
        y = empty_like(kept) if out is None else out
        put_rows(values, mask, y, axis)
    except BaseException:
        layer.undo(x, kept, out)
        raise
    part = Part(np.arange(len(picked)), picked, saved)
    return y, Masked(mask.copy(), (part,), residual is not None), kept


def put_rows(values: np.ndarray, mask: np.ndarray, a: np.ndarray, axis: int) -> None:
    """Write rows where the mask is True, and 0 elsewhere."""
    if axis == 1:
        masks.put(values, mask, a, axis)
    else:
        a[...] = 0
        a[mask] = values


def pullback_rows(
    layer: RowNorm, like: np.ndarray, masked: Masked, dy: np.ndarray, out: np.ndarray | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """dx and the gradients of rows that are data or padding as a whole."""
    mask, (part,), _ = masked
    axis = layer.channel_axis
    values, grads = layer.pullback(
        part.saved, masks.pick(dy, mask, axis) if axis == 1 else dy[mask]
    )
    dz = residual_like(like, masked)
    dx = empty_like(like) if out is None else out
    put_rows(values, mask, dx, axis)
    if dz is not None:
        put_rows(grads["residual"], mask, dz, axis)
        grads["residual"] = dz
    return dx, grads


# Planes: the channels of instance norm


def apply_planes(
    layer: InstanceNorm,
    x: np.ndarray,
    mask: np.ndarray,
    axis: int,
    way: Any,
    running: bool,
    out: np.ndarray | None,
    gate: Gate,
) -> tuple[np.ndarray, Masked, np.ndarray | None]:
    """y, what pullback needs, and what the running statistics are to follow, (2, C).

    By running statistics the valid positions of all samples are one batch.
    """
    y, channels = empty_like(x) if out is None else out, x.shape[axis]
    if running:
        picked = masks.pick(x, mask, axis)
        values, stats = forward_checked(
            picked, way.weight, way.bias, layer.running_mean, layer.running_var, None, False, 0.0,
            layer.eps, 1, None, None, gate,
        )  # fmt: skip
        saved = stats, None if way.weight is None else way.weight.copy(), values
        masks.put(values, mask, y, axis)
        return y, Masked(mask.copy(), (Part(np.arange(len(x)), picked, saved),)), None
    parts, found, totals = [], [], np.zeros((2, channels))
    for count, samples in even_samples(mask):
        picked = pick(x, mask, samples, axis)
        rows = group_rows(picked, channels, axis)
        values, stats, weight = way.normalize(picked, rows, layer.eps, None, None, gate)
        found.append((samples, values))
        parts.append(Part(samples, picked, (rows, stats, weight)))
        own = stats.reshape(3, len(samples), channels).sum(1)
        totals += own[0], own[1] * (count / (count - 1))
    y[...] = 0
    for samples, values in found:
        put(values, mask, samples, y, axis)
    many = sum(len(part.which) for part in parts)
    return y, Masked(mask.copy(), tuple(parts)), totals / many if many else None


def pullback_planes(
    layer: InstanceNorm,
    like: np.ndarray,
    masked: Masked,
    dy: np.ndarray,
    axis: int,
    running: bool,
    out: np.ndarray | None,
    gate: Gate,
    bias: np.ndarray | None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """dx and the gradients of weight and bias."""
    mask, parts, _ = masked
    dtype = np.dtype(np.float64)
    dx = empty_like(like) if out is None else out
    if running:
        (part,) = parts
        stats, weight, y = part.saved
        values, dweight, dbias = backward_checked(
            masks.pick(dy, mask, axis), part.picked, stats, weight, False, 1, None, dtype, y, gate,
            None, None, bias,
        )  # fmt: skip
        masks.put(values, mask, dx, axis)
        return dx, _of_channels(layer, dweight, dbias)
    found, sums = [], np.zeros((2, like.shape[axis]))
    for samples, picked, (rows, stats, weight) in parts:
        values, *both = gradient_checked(
            pick(dy, mask, samples, axis), picked, rows, stats, weight, True, None, dtype,
            (True, True), bias, None, gate,
        )  # fmt: skip
        found.append((samples, values))
        sums += both
    dx[...] = 0
    for samples, values in found:
        put(values, mask, samples, dx, axis)
    return dx, _of_channels(layer, *sums)


def _of_channels(layer: InstanceNorm, dweight: np.ndarray, dbias: np.ndarray) -> dict:
    own = {"weight": dweight, "bias": dbias}
    return layer.gradients(**{name: g for name, g in own.items() if layer.learns(name)})
