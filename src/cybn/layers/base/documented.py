"""Documented: the docstring of a layer class, completed from what the class says otherwise.

A docstring explains each option once, in words. Its type and its default are those of the
signature, and what a relative takes from its parent (`takes_options_of`) is explained where the
parent explains it. Both are put in when somebody asks for the docstring, so that importing a
hundred classes costs nothing. Rejected: the same lines pasted into every class, which drift apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from ...spec.docstrings import Entry, entries_of, parts_of
from ...spec.signature import Option, options_of

__all__ = ["Documented"]

_INHERITED = ("Attributes", "Raises")  # sections that are the parent's where a docstring has none


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
    parts, options, said = parts_of(text), options_of(cls), entries_of(cls)
    entries = dict.fromkeys(said[name] for name in options if name in said)
    if not entries:
        return text
    sections = {"Parameters": [_typed(entry, options) for entry in entries]}
    parent = getattr(inspect.unwrap(cls.__init__), "options_of", None)
    theirs = parts_of(parent.__doc__ if parent else None).sections
    for name in _INHERITED:
        if name in theirs and name not in parts.sections:
            sections[name] = [theirs[name]]
    return str(parts.replaced(**sections))


def _typed(entry: Entry, options: Mapping[str, Option]) -> Entry:
    # The entry with the type and default of its options, where it gives none and they are alike
    known = {_type_of(options[name]) for name in entry.names if name in options}
    return entry._replace(type=known.pop()) if not entry.type and len(known) == 1 else entry


def _type_of(option: Option) -> str:
    return option.kind.text + ("" if option.required else f", default {option.default!r}")
