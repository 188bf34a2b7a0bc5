"""Rules between options: what an annotation, which knows one option alone, cannot say.

A class lists its own as ``rules``; they are then checked when it is built, when a config is read
and when an option is assigned to, and are part of its JSON Schema. A test in ``__init__`` was
rejected, since neither an assignment nor a schema knows of it.

>>> from cybn.terms.signature import check
>>> class Norm:
...     rules = (Divides("num_groups", "num_channels"),)
...     def __init__(self, num_groups: int, num_channels: int): ...
>>> check(Norm, {"num_groups": 4, "num_channels": 10})
Traceback (most recent call last):
    ...
ValueError: Norm: num_channels (10) must be divisible by num_groups (4), as by 2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

from .messages import listed

__all__ = ["Divides", "GivenOne", "Needs", "OneAxis", "OneLength", "Rule"]


class Rule:
    """A rule between the options of a class.

    A rule of one's own has ``options``, ``broken`` and, where JSON Schema can say it, ``schema``.
    """

    options: tuple[str, ...]  # the names that it speaks of; a class that lacks one lacks the rule
    error: type[Exception] = ValueError

    def broken(self, options: Mapping[str, Any]) -> str | None:
        """What is wrong with these values, each checked by itself before; None if all is well."""
        raise NotImplementedError

    def schema(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The rule in JSON Schema, empty where that cannot say it; ``defaults`` by option."""
        return {}


@dataclass(frozen=True)
class Needs(Rule):
    """With ``option=value`` goes ``needed=wanted`` alone."""

    option: str
    value: Any
    needed: str
    wanted: Any

    @property
    def options(self) -> tuple[str, ...]:
        return self.option, self.needed

    def broken(self, options: Mapping[str, Any]) -> str | None:
        if options[self.option] != self.value or options[self.needed] == self.wanted:
            return None
        return f"{self.option}={self.value!r} needs {self.needed}={self.wanted!r}"

    def schema(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "if": _is(self.option, self.value, defaults),
            "then": _is(self.needed, self.wanted, defaults),
        }


@dataclass(frozen=True)
class OneAxis(Rule):
    """With ``option=value`` the sizes ``shape`` are those of one axis."""

    option: str
    value: Any
    shape: str

    @property
    def options(self) -> tuple[str, ...]:
        return self.option, self.shape

    def broken(self, options: Mapping[str, Any]) -> str | None:
        shape = options[self.shape]
        if options[self.option] != self.value or len(shape) == 1:
            return None
        return (
            f"{self.option}={self.value!r} goes with a {self.shape} of one axis, got {shape}; give "
            f"the size of that axis, or leave {self.option} out"
        )

    def schema(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "if": _is(self.option, self.value, defaults),
            "then": {"properties": {self.shape: {"maxItems": 1}}},
        }


@dataclass(frozen=True)
class Divides(Rule):
    """``whole`` is a multiple of ``part``, which may be more than it if it is ``capped``.

    JSON Schema compares no two values: it does not know of this rule.
    """

    part: str
    whole: str
    capped: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        return self.part, self.whole

    def broken(self, options: Mapping[str, Any]) -> str | None:
        part, whole = options[self.part], options[self.whole]
        if part is None or whole is None or (self.capped and part > whole) or whole % part == 0:
            return None
        return (
            f"{self.whole} ({whole}) must be divisible by {self.part} ({part}), "
            f"as by {gcd(whole, part)}"
        )


@dataclass(frozen=True)
class GivenOne(Rule):
    """Of these options at least one is not None; ``hint`` ends the message."""

    options: tuple[str, ...]
    hint: str = ""
    error = TypeError  # as for any option that is missing

    def broken(self, options: Mapping[str, Any]) -> str | None:
        if any(options[name] is not None for name in self.options):
            return None
        return f"{listed(self.options, 'or')} is needed{self.hint}"

    def schema(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        some = {"not": {"type": "null"}}
        return {
            "anyOf": [
                {
                    "properties": {name: some},
                    "required": [] if defaults.get(name) is not None else [name],
                }
                for name in self.options
            ]
        }


@dataclass(frozen=True)
class OneLength(Rule):
    """The lists among these options are as long as each other, as ``length`` says, and not empty.

    That they are not empty is all that JSON Schema knows of it.
    """

    lists: tuple[str, ...]
    length: str

    @property
    def options(self) -> tuple[str, ...]:
        return *self.lists, self.length

    def broken(self, options: Mapping[str, Any]) -> str | None:
        values = {name: options[name] for name in self.lists}
        lengths = {name: len(value) for name, value in values.items() if isinstance(value, list)}
        if options[self.length] is not None:
            lengths[self.length] = options[self.length]
        if len({*lengths.values()}) <= 1 and 0 not in lengths.values():
            return None
        got = listed((f"{n} from {name}" for name, n in lengths.items()), "and")
        return f"{listed(self.options, 'and')} must be of one length >= 1, got {got}"

    def schema(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        return {"properties": {name: {"minItems": 1} for name in self.lists}}


def _is(name: str, value: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    # The schema of a config in which an option has this value, given or by default
    given = {"properties": {name: {"const": value}}}
    by_default = name in defaults and defaults[name] == value
    return given if by_default else {**given, "required": [name]}
