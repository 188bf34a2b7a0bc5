"""State dicts: everything about one is checked before anything is assigned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..messages import did_you_mean, shown

_FEW = 3  # names that a message lists


class StateError(LookupError, ValueError):
    """A state dict lacks names that the layer has, or has names that the layer lacks."""


class IncompatibleKeys(NamedTuple):
    """What load_state_dict found, as PyTorch's method returns it."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def checked_state(
    who: str, own: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray], strict: bool
) -> tuple[dict[str, np.ndarray], IncompatibleKeys]:
    """The arrays of `state` that `own` has, converted to its dtypes, and what does not match."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{who}: a state dict maps names to arrays, got {type(state).__name__}")
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if strict and (missing or unexpected):
        raise StateError(_complaint(who, own, state, missing, unexpected))
    loaded = {
        name: _converted(f"{who}: {name}", own[name], state[name]) for name in own if name in state
    }
    for name, value in loaded.items():
        if not own[name].flags.writeable:
            raise ValueError(f"{who}: {name} is read-only and cannot be loaded into")
        if name.endswith("_var") and (value < 0).any():
            raise ValueError(f"{who}: {name} must be >= 0, got {value.min()}")
    return loaded, IncompatibleKeys(missing, unexpected)


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
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    if not needed:
        return []
    ends = (name for name in unexpected if isinstance(name, str) and name.endswith(needed[0]))
    found = (name.removesuffix(needed[0]) for name in ends)
    return [each for each in found if all(each + name in state for name in needed)]


def _converted(where: str, own: np.ndarray, value: object) -> np.ndarray:
    array = np.asarray(value)
    kinds = "iu" if own.dtype.kind in "iu" else "f"
    if array.dtype.kind not in kinds:
        expected = "integers" if kinds == "iu" else "floats"
        raise TypeError(f"{where} must hold {expected} ({own.dtype}), got {array.dtype}")
    if array.shape != own.shape:
        raise ValueError(f"{where} must have shape {own.shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        converted = array.astype(own.dtype)
    if kinds == "f" and not np.isfinite(converted).all():
        raise ValueError(f"{where} must be finite, got {array[~np.isfinite(converted)][0]}")
    if kinds == "iu" and (converted < 0).any():
        raise ValueError(f"{where} must be >= 0, got {array}")
    return converted
