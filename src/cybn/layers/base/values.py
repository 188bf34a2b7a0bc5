"""Values of a state dict: as the arrays of a layer, or an error that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...arrays.dtypes import is_bfloat16
from ...arrays.fixes import dtype_fix
from ...arrays.foreign import as_numpy
from ...terms.kinds import Bounds
from ...terms.messages import listed
from .complaints import is_count

if TYPE_CHECKING:
    from .arrays import Arrays

COUNT = Bounds(ge=0, le=1 << 62)  # of batches: a count that is loaded can go on counting


class Found(NamedTuple):
    """What a state dict has for an array: the names, the keys as they stand there, the values.

    Several are parts to join.
    """

    names: tuple[str, ...]
    keys: tuple[Any, ...]
    values: tuple[Any, ...]


def checked_values(
    who: str, prefix: str, layer: Arrays, found: Mapping[str, Found], reshape: bool
) -> dict[str, np.ndarray]:
    """The arrays in the dtypes of the layer's; with `reshape` axes of one item do not matter."""
    loaded, arrays = {}, layer._arrays()
    for name, (_, keys, values) in found.items():
        own, where = arrays[name], f"{who}: {name}"
        if keys != (prefix + name,):
            where += f" ({listed(map(repr, keys), 'and')})"
        parts = [
            _as_kind(where, f"state[{key!r}]", own.dtype, value)
            for key, value in zip(keys, values, strict=True)
        ]
        loaded[name] = _like(where, own, parts, layer.keeps_finite(name), reshape)
        if not own.flags.writeable:
            raise ValueError(f"{who}: {name} is read-only and cannot be loaded into")
        bounds = COUNT if is_count(name) else layer._bounds.get(name)
        if bounds is not None:
            _check_bounds(where, loaded[name], bounds)
    layer.check_values(loaded)
    return loaded


def _as_kind(where: str, name: str, dtype: np.dtype, value: object) -> np.ndarray:
    array = as_numpy(where, "its values", value)
    integers = dtype.kind in "iu"
    kinds = "iu" if integers else "f"
    if array.dtype.kind in kinds or (is_bfloat16(array.dtype) and not integers):
        return array
    fix = f"pass {name}.astype(np.int64)" if integers else dtype_fix(name, array.dtype)
    kind = "integers" if integers else "floats"
    raise TypeError(f"{where} must hold {kind} ({dtype}), got {array.dtype}; {fix}")


def _like(
    where: str, own: np.ndarray, parts: list[np.ndarray], finite: bool, reshape: bool
) -> np.ndarray:
    array = parts[0] if len(parts) == 1 else np.concatenate([part.reshape(-1) for part in parts])
    if reshape and _plain(array.shape) == _plain(own.shape):
        array = array.reshape(own.shape)
    if array.shape != own.shape:
        raise ValueError(f"{where} must have shape {own.shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        converted = array.astype(own.dtype)
    if own.dtype.kind not in "iu":
        bad = ~np.isfinite(converted) & (True if finite else np.isfinite(array))
        if bad.any():
            raise ValueError(f"{where} must be finite, got {array[bad][0]}")
    elif (converted < 0).any():
        raise ValueError(f"{where} must be >= 0, got {array}")
    return converted


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _check_bounds(where: str, a: np.ndarray, bounds: Bounds) -> None:
    """ValueError for a value out of bounds. NaN, of which nothing can be said, is not one."""
    numbers = a[~np.isnan(a)]
    for value in (numbers.min(), numbers.max()) if numbers.size else ():
        if value.item() not in bounds:
            raise ValueError(f"{where} must be {bounds}, got {value}")
