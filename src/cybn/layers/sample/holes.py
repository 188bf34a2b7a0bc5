"""Rows of layer and RMS norm with holes: a mask within them.

The valid items of such a row have other places on weight and bias than those of the next row. They
are normalized without them, which follow in NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...arrays.dtypes import widened
from ...arrays.layout import trailing_rows
from ...arrays.outputs import empty_like
from ...functional._checked import gradient_checked, normalize_checked
from ...functional.curves import activated, let_back
from ...functional.gates import OPEN, Gate
from ...functional.masks import even_samples
from .masked import Masked, Part, begun, residual_like

if TYPE_CHECKING:
    from .rownorm import RowNorm


class Lines(NamedTuple):
    """What the pullback of rows with holes needs."""

    stats: np.ndarray
    places: np.ndarray  # (k, m), of each item on weight and bias
    weight: np.ndarray | None
    into: np.ndarray | None  # the activation


def apply_holes(
    layer: RowNorm,
    x: np.ndarray,
    mask: np.ndarray,
    out: np.ndarray | None,
    residual: np.ndarray | None,
) -> tuple[np.ndarray, Masked, np.ndarray]:
    """y, what pullback needs and x as it is kept, each row by its valid items."""
    kept, size = begun(layer, x, out, residual), int(np.prod(layer.normalized_shape))
    gate = layer._gate()
    extra = None if residual is None else residual.reshape(-1, size)
    weight, bias = (
        None if a is None else a.astype(np.float64).ravel()
        for a in map(layer._parameters.get, ("weight", "bias"))
    )
    if layer.unit_offset and weight is not None:
        weight = 1 + weight
    valid, eps = mask.reshape(-1, size), layer._eps(x)
    flat = kept.reshape(-1, size)
    try:
        parts, found = [], []
        for count, rows in even_samples(valid):
            places = np.nonzero(valid[rows])[1].reshape(len(rows), count)
            values = widened(np.take_along_axis(flat[rows], places, 1))
            xhat, stats = normalize_checked(
                values, trailing_rows(values, 1), None, None, eps, layer.centred, None
            )
            result = xhat if weight is None else xhat * weight[places]
            result = result if bias is None else result + bias[places]
            if extra is not None:
                result = result + widened(np.take_along_axis(extra[rows], places, 1))
            into = None if gate is OPEN else result.astype(values.dtype)
            found.append((rows, places, result if into is None else activated(into, gate)))
            parts.append(Part(rows, values, Lines(stats, places, weight, into)))
        y = empty_like(kept) if out is None else out
        _write(y, size, found)
    except BaseException:
        layer.undo(x, kept, out)
        raise
    return y, Masked(mask.copy(), tuple(parts), residual is not None), kept


def pullback_holes(
    layer: RowNorm,
    like: np.ndarray,
    masked: Masked,
    dy: np.ndarray,
    out: np.ndarray | None,
    gate: Gate,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """dx and the gradients of rows with holes."""
    size, found, back = int(np.prod(layer.normalized_shape)), [], []
    dweight, dbias, flat = np.zeros(size), np.zeros(size), dy.reshape(-1, size)
    for rows, values, (stats, places, weight, into) in masked.parts:
        given = widened(np.take_along_axis(flat[rows], places, 1))
        given = given if into is None else let_back(given, into, gate)
        back.append((rows, places, given))
        xhat = (values.astype(np.float64) - stats[0, :, None]) * stats[2, :, None]
        at = places.ravel()
        dweight += np.bincount(at, (given * xhat).ravel(), size)
        dbias += np.bincount(at, given.ravel().astype(np.float64), size)
        g = given if weight is None else (given * weight[places]).astype(given.dtype)
        part = gradient_checked(
            g, values, trailing_rows(values, 1), stats, None, layer.centred, None,
            np.dtype(np.float64), (False, False),
        )[0]  # fmt: skip
        found.append((rows, places, part))
    dx = empty_like(like) if out is None else out
    _write(dx, size, found)
    parameters = layer._parameters
    own = {"weight": dweight, "bias": dbias}
    own = {name: g for name, g in own.items() if name in parameters}
    dz = residual_like(like, masked)
    if dz is not None:
        _write(dz, size, back)
    return dx, layer.gradients(**own, residual=dz)


def _write(a: np.ndarray, size: int, found: list) -> None:
    """Write rows with holes to an array of any strides; what no row has is 0."""
    flat = np.zeros((a.size // size if size else 0, size), a.dtype)
    for rows, places, values in found:
        flat[rows[:, None], places] = values
    a[...] = flat.reshape(a.shape)
