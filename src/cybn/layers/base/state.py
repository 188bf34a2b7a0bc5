"""State dicts: everything about one is checked before anything is assigned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...arrays.dtypes import is_bfloat16
from ...arrays.fixes import dtype_fix
from ...arrays.validation import as_plain_array
from ...terms.kinds import Bounds
from ...terms.messages import did_you_mean, shown

if TYPE_CHECKING:
    from .declared import Declared

COUNT = Bounds(ge=0, le=1 << 62)  # of batches: a count that is loaded can go on counting
_FEW = 3  # names that a message lists


class StateError(LookupError, ValueError):
    """A state dict lacks names that the layer has, or has names that the layer lacks."""


class IncompatibleKeys(NamedTuple):
    """What load_state_dict found, as PyTorch's method returns it."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def checked_state(
    layer: Declared, state: Mapping[str, np.ndarray], strict: bool
) -> tuple[dict[str, np.ndarray], IncompatibleKeys]:
    """The arrays of `state` that the layer has, in its dtypes, and the names that do not match."""
    who, own = type(layer).__name__, layer._arrays()
    if not isinstance(state, Mapping):
        raise TypeError(f"{who}: a state dict maps names to arrays, got {type(state).__name__}")
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if strict:
        missing = [name for name in missing if not _is_count(name)]
        if missing or unexpected:
            raise StateError(_complaint(who, own, state, missing, unexpected))
    loaded = {}
    for name, a in own.items():
        if name not in state:
            continue
        loaded[name] = _converted(f"{who}: {name}", a, state[name], layer.keeps_finite(name))
        if not a.flags.writeable:
            raise ValueError(f"{who}: {name} is read-only and cannot be loaded into")
        bounds = COUNT if _is_count(name) else layer._bounds.get(name)
        if bounds is not None:
            _check_bounds(f"{who}: {name}", loaded[name], bounds)
    layer.check_values(loaded)
    return loaded, IncompatibleKeys(missing, unexpected)


def _is_count(name: str) -> bool:
    """Is it a count of batches? PyTorch before 0.4.1 had none, and loads what lacks one."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def _check_bounds(where: str, a: np.ndarray, bounds: Bounds) -> None:
    """ValueError for a value out of bounds. NaN, of which nothing can be said, is not one."""
    numbers = a[~np.isnan(a)]
    for value in (numbers.min(), numbers.max()) if numbers.size else ():
        if value.item() not in bounds:
            raise ValueError(f"{where} must be {bounds}, got {value}")


def _complaint(who: str, own: Mapping, state: Mapping, missing: list, unexpected: list) -> str:
    prefixes = _prefixes(own, state, unexpected)
    if prefixes:
        one, few = prefixes[0], ", ".join(map(repr, prefixes[:_FEW]))
        more = "" if len(prefixes) <= _FEW else f" and {len(prefixes) - _FEW} more"
        return (
            f"{who}: the names in the state dict have a prefix, {few}{more}; strip it: "
            f"{{name.removeprefix({one!r}): a for name, a in state.items() "
            f"if name.startswith({one!r})}}"
        )
    parts = []
    if missing:
        parts.append(f"lacks {', '.join(missing)}")
    for name in unexpected[:_FEW]:
        hint = did_you_mean(name, own) if isinstance(name, str) else ""
        parts.append(f"has {shown(name, False)}, which the layer has not{hint.rstrip('.')}")
    if len(unexpected) > _FEW:
        parts.append(f"{len(unexpected) - _FEW} more names")
    return (
        f"{who}: the state dict {' and '.join(parts)}; expected {', '.join(own) or 'no arrays'} "
        f"(strict=False ignores the difference)"
    )


def _prefixes(own: Mapping, state: Mapping, unexpected: list) -> list[str]:
    """What stands before the layer's names in a state dict of a network, once for each layer."""
    needed = [name for name in own if not _is_count(name)]
    if not needed:
        return []
    ends = (name for name in unexpected if isinstance(name, str) and name.endswith(needed[0]))
    found = (name.removesuffix(needed[0]) for name in ends)
    return [each for each in found if all(each + name in state for name in needed)]


def _converted(where: str, own: np.ndarray, value: object, finite: bool) -> np.ndarray:
    array = as_plain_array(where, "its values", value)
    kinds = "iu" if own.dtype.kind in "iu" else "f"
    if array.dtype.kind not in kinds and not (kinds == "f" and is_bfloat16(array.dtype)):
        expected = "integers" if kinds == "iu" else "floats"
        name = f"state[{where.partition(': ')[2]!r}]"
        fix = dtype_fix(name, array.dtype) if kinds == "f" else f"pass {name}.astype(np.int64)"
        raise TypeError(f"{where} must hold {expected} ({own.dtype}), got {array.dtype}; {fix}")
    if array.shape != own.shape:
        raise ValueError(f"{where} must have shape {own.shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        converted = array.astype(own.dtype)
    if kinds == "f":
        bad = ~np.isfinite(converted) & (True if finite else np.isfinite(array))
        if bad.any():
            raise ValueError(f"{where} must be finite, got {array[bad][0]}")
    elif (converted < 0).any():
        raise ValueError(f"{where} must be >= 0, got {array}")
    return converted
