"""A part of a file by its path, as ``model.norm_cfg`` or ``stages[0].norm``.

Keys may have dots themselves (nnU-Net's do not, Keras's may): of several ways to take a path apart
the one with the longest keys counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..terms.messages import did_you_mean, printable, shown

__all__ = ["part_of", "parts_with"]

_STEP = re.compile(r"\[(\d{1,9})\]")
_FEW = 8  # keys that a message lists
_MOST, _DEEPEST = 10_000, 32  # entries that are looked at, and levels


def part_of(tree: Any, section: str) -> Any:
    """What stands at a path; ValueError, with the keys that there are, where nothing does."""
    if not isinstance(section, str):
        raise TypeError(f"section is a path in the file, as 'model.norm_cfg', got {shown(section)}")
    at, rest = tree, section
    while rest:
        step = _STEP.match(rest)
        if step and isinstance(at, list):
            if int(step[1]) >= len(at):
                size = f"a list of {len(at)} has no {step[0]}"
                raise ValueError(f"section {shown(section, False)}: {size}")
            at, rest = at[int(step[1])], rest[step.end() :].removeprefix(".")
            continue
        keys = [key for key in at if isinstance(key, str)] if isinstance(at, dict) else []
        fitting = [key for key in keys if key and _begins(rest, key)]
        if not fitting:
            raise ValueError(_nothing(section, rest, at, keys))
        key = max(fitting, key=len)
        at, rest = at[key], rest[len(key) :].removeprefix(".")
    return at


def _begins(rest: str, key: str) -> bool:
    return rest == key or rest.startswith((f"{key}.", f"{key}["))


def _nothing(section: str, rest: str, at: Any, keys: list[str]) -> str:
    name = re.split(r"[.\[]", rest)[0] or rest
    place = section[: len(section) - len(rest)].rstrip(".")
    there = f"in {shown(place, False)} " if place else ""
    if not keys:
        what = f"a list of {len(at)}; say [0]" if isinstance(at, list) and at else shown(at)
        return f"section {shown(section, False)}: {there}there is {what}"
    known = ", ".join(map(printable, keys[:_FEW])) + (", ..." if len(keys) > _FEW else "")
    hint = did_you_mean(name, keys) or "."
    missing = f"{there}there is no {shown(name, False)}"
    return f"section {shown(section, False)}: {missing}{hint} Keys: {known}"


def parts_with(tree: Any, is_layer: Any) -> Iterator[str]:
    """The paths of what looks like a layer, the uppermost alone."""
    left = iter(range(_MOST))

    def walk(tree: Any, path: str, key: str, depth: int = 0) -> Iterator[str]:
        if next(left, None) is None or depth > _DEEPEST:
            return
        if path and is_layer(key, tree):
            yield path
        elif isinstance(tree, dict):
            for key, value in tree.items():
                if isinstance(key, str) and printable(key) == key:
                    yield from walk(value, f"{path}.{key}" if path else key, key, depth + 1)
        elif isinstance(tree, list):
            for i, value in enumerate(tree):
                yield from walk(value, f"{path}[{i}]", key, depth + 1)

    return walk(tree, "", "")
