"""What installed distributions announce in the entry-point groups of cybn.

``cybn.layers`` has layers, and ``cybn.dialects`` dialects.

Metadata is read and nothing is imported. ``importlib.metadata.entry_points()`` was rejected: one
distribution with a malformed file makes it fail for all. Here such a one is a line of text for
people, and the others are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..terms.messages import folded, one_line, printable, shown
from ..terms.registry import is_name

__all__ = ["DIALECTS", "GROUP", "Plugin", "installed"]

GROUP = "cybn.layers"
DIALECTS = "cybn.dialects"

_TARGET = re.compile(r"\s*(?P<module>\w+(\.\w+)*)\s*:\s*(?P<attribute>\w+(\.\w+)*)\s*(\[.*\])?\s*")


@dataclass(frozen=True)
class Plugin:
    """A class that a distribution announces as a layer, by one or more names."""

    distribution: str
    version: str
    name: str
    aliases: tuple[str, ...]
    module: str
    attribute: str

    def __str__(self) -> str:
        return f"plugin {self.distribution} {self.version}"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @property
    def keys(self) -> set[str]:
        """The names as names are compared."""
        return {folded(name) for name in self.names}

    @property
    def full_name(self) -> str:
        """The name that no other distribution can have."""
        return f"{self.distribution}.{self.name}"

    @property
    def package(self) -> str:
        """The top-level package of the module."""
        return self.module.partition(".")[0]

    @property
    def target(self) -> str:
        return f"{self.module}:{self.attribute}"

    def present(self, modules: Mapping[str, Any]) -> Any:
        """What the entry point points to if its module is among these; else None."""
        found = modules.get(self.module)
        for attribute in self.attribute.split("."):
            found = vars(found).get(attribute) if hasattr(found, "__dict__") else None
        return found


def installed(group: str = GROUP) -> tuple[list[Plugin], list[str]]:
    """What all distributions on the path announce, and a line for each that is malformed."""
    from importlib.metadata import distribution, distributions  # takes a while, so only when asked

    names: set[str] = set()
    problems: list[str] = []
    for each in distributions():
        try:
            if group in (each.read_text("entry_points.txt") or ""):
                names.add(_name(each))
        except Exception as error:  # whatever is wrong with somebody's files
            problems.append(f"{_place(each)}: its metadata cannot be read: {_text(error)}")
    found: list[Plugin] = []
    for name in sorted(names):  # of several copies, the one that an import would find
        try:
            found += _plugins(group, distribution(name), name, problems)
        except Exception as error:
            problems.append(f"plugin {printable(name)}: malformed entry points: {_text(error)}")
    return found, problems


def _plugins(group: str, distribution: Any, name: str, problems: list[str]) -> list[Plugin]:
    version = printable(distribution.metadata.get("Version") or "unknown")
    targets: dict[tuple[str, str], list[str]] = {}
    seen: dict[str, tuple[str, str]] = {}
    for point in distribution.entry_points:
        if point.group != group:
            continue
        parsed = _TARGET.fullmatch(point.value)
        who = f"plugin {name} {version}"
        if not is_name(point.name):
            problems.append(f"{who}: the entry point {shown(point.name, False)} is no layer's name")
        elif parsed is None:
            value = shown(point.value, False)
            problems.append(f"{who}: {point.name!r} is to be 'module:Class', got {value}")
        else:
            target = parsed["module"], parsed["attribute"]
            if seen.setdefault(folded(point.name), target) != target:
                problems.append(f"{who}: {point.name!r} is given twice; the first one counts")
            else:
                targets.setdefault(target, []).append(point.name)
    return [
        Plugin(name, version, first, tuple(rest), *target)
        for target, names in targets.items()
        for first, *rest in [_by_rank(names, target[1])]
    ]


def _by_rank(names: list[str], attribute: str) -> list[str]:
    # The class's own name first, else the longest: entry points come in no particular order
    own = folded(attribute.rpartition(".")[2])
    return sorted(dict.fromkeys(names), key=lambda name: (folded(name) != own, -len(name), name))


def _name(distribution: Any) -> str:
    name = distribution.metadata.get("Name")
    if not name or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ValueError(f"it has no proper name, got {shown(name, False)}")
    return name


def _place(distribution: Any) -> str:
    # What a distribution without a name can be called: its folder
    return printable(str(getattr(distribution, "_path", "a distribution")))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
