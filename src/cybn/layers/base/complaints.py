"""Complaints: what an error says about the names of a state dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...terms.messages import did_you_mean, shown

__all__ = ["complaint", "is_count", "none_begins"]

_FEW = 3  # names that a message lists
_MANY = 12  # names of the layer's own that it lists
_NEAR = 1000  # names that are compared with one that is wrong


def is_count(name: str) -> bool:
    """Is it a count of batches? PyTorch before 0.4.1 had none, and loads what lacks one."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def none_begins(who: str, state: Mapping[Any, Any], prefix: str) -> str:
    """The error of a prefix that no name has; it names what is near."""
    stems: dict[str, None] = {}
    for name in state:
        for i, char in enumerate(name) if isinstance(name, str) else ():
            if char == "." and len(stems) < _NEAR:
                stems[name[: i + 1]] = None
    hint = did_you_mean(prefix, stems) or f"; they begin with {_few(stems)}" * bool(stems)
    return f"{who}: no name in the state dict begins with {shown(prefix, False)}{hint}"


def complaint(
    who: str,
    ways: Mapping[str, list[tuple[str, ...]]],
    state: Mapping[Any, Any],
    missing: list[str],
    unexpected: list[Any],
    prefix: str,
) -> str:
    """The error of names that are missing and of those that nobody has.

    ways: by the name of each array the names that it may have, after the prefix.
    """
    needed = {name: way for name, way in ways.items() if not is_count(name)}
    prefixes = (
        _prefixes(list(needed.values()), state, unexpected) if set(needed) <= {*missing} else []
    )
    if prefixes:
        one = f"; pass prefix={prefixes[0]!r}"
        return f"{who}: the names in the state dict have a prefix, {_few(prefixes)}{one}"
    parts = []
    if missing:
        names = [_with_others(name, ways.get(name, []), prefix) for name in missing]
        parts.append(f"lacks {_few(names, str)}")
    near = list(
        dict.fromkeys(prefix + each for way in ways.values() for one in way for each in one)
    )
    for name in unexpected[:_FEW]:
        nobody = "no layer has" if who == "load_state_dict" else "the layer has not"
        parts.append(f"has {shown(name, False)}, which {nobody}{_hint(name, state, near[:_NEAR])}")
    if len(unexpected) > _FEW:
        parts.append(f"{len(unexpected) - _FEW} more names")
    expected = ", ".join(list(ways)[:_MANY]) or "no arrays"
    more = f" and {len(ways) - _MANY} more" if len(ways) > _MANY else ""
    return (
        f"{who}: the state dict {' and '.join(parts)}; expected {expected}{more} "
        f"(strict=False ignores the difference)"
    )


def _with_others(name: str, ways: list[tuple[str, ...]], prefix: str) -> str:
    others = [" + ".join(prefix + each for each in way) for way in ways]
    others = [each for each in others if each != name]
    return f"{name} ({' or '.join(others)} there)" if others else name


def _hint(name: Any, state: Mapping[Any, Any], near: list[str]) -> str:
    if isinstance(state[name], Mapping):
        return f"; it is a dict, so pass state[{name!r}]"
    return did_you_mean(name, near).rstrip(".") if isinstance(name, str) else ""


def _few(names: Iterable[str], as_text: Callable[[str], str] = repr) -> str:
    names = list(names)
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"{', '.join(map(as_text, names[:_FEW]))}{more}"


def _prefixes(
    needed: list[list[tuple[str, ...]]], state: Mapping[Any, Any], unexpected: list[Any]
) -> list[str]:
    """What stands before the names of all arrays in a state dict, once for each that would do."""
    if not needed:
        return []
    ends = [each[0] for each in needed[0]]
    texts = [name for name in unexpected if isinstance(name, str)]
    found = [name.removesuffix(end) for name in texts for end in ends if name.endswith(end)]
    return [each for each in found if all(_is_there(each, way, state) for way in needed)]


def _is_there(prefix: str, way: list[tuple[str, ...]], state: Mapping[Any, Any]) -> bool:
    return any(all(prefix + end in state for end in each) for each in way)
