"""What a rule is: a name, a promise, what to change where it is broken, and the test of it.

A rule's test takes a case and returns where the promise holds. It says that the promise is broken
by `expect` or `broken`, with the numbers; any other exception of the layer breaks it too. Plain
asserts were rejected: they give no numbers without pytest, and none at all under ``python -O``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from ._subject import Case

BOTH = (True, False)
TRAINING = (True,)
EVALUATION = (False,)


class Broken(Exception):  # noqa: N818
    """The promise is broken; the text says what was seen."""


class NotApplicable(Exception):  # noqa: N818
    """The promise says nothing about this layer; the text says why."""


@dataclass(frozen=True)
class Rule:
    """One promise of a layer, and how it is tested."""

    name: str
    promise: str
    fix: str
    modes: tuple[bool, ...]
    test: Callable[[Case], None]
    strict: bool = False  # good manners beyond the contract: advice unless asked for


RULES: dict[str, Rule] = {}


def rule(
    name: str, fix: str, modes: tuple[bool, ...] = BOTH, *, strict: bool = False
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Decorator: a test in the given modes; the first paragraph of its docstring is the promise."""

    def decorate(test: Callable[[Case], None]) -> Callable[[Case], None]:
        promise = " ".join((test.__doc__ or "").partition("\n\n")[0].split())
        RULES[name] = Rule(name, promise, fix, modes, test, strict)
        return test

    return decorate


def broken(seen: str) -> NoReturn:
    """The promise is broken."""
    raise Broken(seen)


def expect(holds: object, seen: str) -> None:
    """The promise is broken unless `holds`."""
    if not holds:
        raise Broken(seen)
