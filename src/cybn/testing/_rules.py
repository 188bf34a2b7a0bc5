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
    root: bool = False  # where it is broken, so are most of those after it
    once: bool = False  # one input will do: the promise is not about shapes
    needs: tuple[str, ...] = ()  # the rules without which this one means nothing


RULES: dict[str, Rule] = {}


def rule(
    name: str,
    fix: str,
    modes: tuple[bool, ...] = BOTH,
    *,
    strict: bool = False,
    root: bool = False,
    once: bool = False,
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Decorator: a test in the given modes; the first paragraph of its docstring is the promise.

    Every rule needs the root rules before it, and those that it names: where one of them is broken
    the rule is not tested, so that one mistake is reported once, under its own name.
    """

    def decorate(test: Callable[[Case], None]) -> Callable[[Case], None]:
        promise = " ".join((test.__doc__ or "").partition("\n\n")[0].split())
        roots = [each.name for each in RULES.values() if each.root]
        needed = tuple(dict.fromkeys((*roots, *needs)))
        assert all(each in RULES for each in needed), f"{name} needs a rule that comes later"
        RULES[name] = Rule(name, promise, fix, modes, test, strict, root, once, needed)
        return test

    return decorate


def broken(seen: str) -> NoReturn:
    """The promise is broken."""
    raise Broken(seen)


def expect(holds: object, seen: str) -> None:
    """The promise is broken unless `holds`."""
    if not holds:
        raise Broken(seen)


# The one that all others need: it is no test of a case, and runs before them.
BUILDS = Rule(
    "builds",
    "The layer can be built from its name or class, and takes an input.",
    "Give every option but the width a default that its annotation takes, and set "
    "num_features_option to the option that means the width, or to None, so that "
    "cybn.create(name, num_features=4) works; or pass options and input_shapes that fit. Another "
    "error than a ValueError for a shape is a mistake in apply.",
    (True,),
    lambda case: None,
)
