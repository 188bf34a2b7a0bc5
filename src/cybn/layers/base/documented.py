"""Documented: the docstring of a layer class, completed from what the class says otherwise.

A docstring explains each option once, in words. Its type and its default are those of the
signature, what a relative takes from its parent (`takes_options_of`, or the `__init__` itself) is
explained where the parent explains it, and what all norms share in `words`. All of it is put in
when somebody asks for the docstring, so that importing a hundred classes costs nothing. Rejected:
the same lines pasted into every class, which drift apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from ...terms.docstrings import STANDARD, Entry, Parts, entries_of, parts_of
from ...terms.signature import Option, options_of
from ...terms.words import NOTE

__all__ = ["Documented"]

_SHARED = ("Attributes", "Raises")  # sections whose entries may be the parent's, or of all norms


class Documented:
    """What stands in a layer class for `__doc__`: a descriptor that completes the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._complete: str | None = None

    def __get__(self, instance: object, owner: type) -> str:
        if self._complete is None:
            try:
                self._complete = _completed(owner, self.text)
            except TypeError:  # an __init__ that is wrong, as the first use of the class will say
                return self.text
        return self._complete


def _completed(cls: type, text: str) -> str:
    parts, options = parts_of(text), options_of(cls)
    if not parts.sections:
        return text
    said = entries_of(cls)
    entries = dict.fromkeys(said[name] for name in options if name in said)
    sections = {"Parameters": [_typed(entry, options) for entry in entries]} if entries else {}
    theirs = _of_parent(cls)
    if "__init__" not in vars(cls):  # a variant of its base, of the same paper
        parts = parts._replace(more=parts.more or theirs.more)
        sources = (parts if "References" in parts.sections else theirs).sections.get("References")
        sections |= {"References": [sources]} if sources else {}
    for name in _SHARED:
        own = (parts if name in parts.sections else theirs).named(name)
        shared = STANDARD.named(name)
        first, last = (shared, own) if name == "Raises" else (own, shared)
        sections[name] = list(dict.fromkeys({**first, **last, **own}.values()))
    if "memory order" not in parts.sections.get("Notes", "memory order"):
        sections["Notes"] = [parts.sections["Notes"], "", NOTE.rstrip()]
    return str(parts.replaced(**sections))


def _of_parent(cls: type) -> Parts:
    """What the class says that the options come from; its base where `__init__` is that one's."""
    its_own = "__init__" in vars(cls)
    parent = getattr(inspect.unwrap(cls.__init__), "options_of", None) if its_own else cls.__base__
    return parts_of(parent.__doc__ if parent else None)


def _typed(entry: Entry, options: Mapping[str, Option]) -> Entry:
    # The entry with the type and default of its options, where it gives none and they are alike
    known = {_type_of(options[name]) for name in entry.names if name in options}
    return entry._replace(type=known.pop()) if not entry.type and len(known) == 1 else entry


def _type_of(option: Option) -> str:
    return option.kind.text + ("" if option.required else f", default {option.default!r}")
