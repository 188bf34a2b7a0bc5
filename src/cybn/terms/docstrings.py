"""Docstrings in numpydoc's form, taken apart: which sections there are, and what an entry explains.

The one parser of docstrings: `describe`, the command line and JSON Schema say of an option what the
docstring of its class says. numpydoc itself was rejected: it brings Sphinx along, and at run time
the package needs NumPy alone. A docstring in any other form is a text without sections.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from .words import WORDS

__all__ = ["STANDARD", "Entry", "Parts", "complete", "entries_of", "explanations", "parts_of"]

SECTIONS = (
    "Parameters", "Attributes", "Methods", "Returns", "Yields", "Other Parameters", "Raises",
    "Warns", "See Also", "Notes", "References", "Examples",
)  # fmt: skip
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)})\n(-+)\n", re.MULTILINE)
_INDENT = "    "


class Entry(NamedTuple):
    """One entry of a section such as Parameters: `names : type`, and what they mean.

    `text` has its lines as they stand, less the indentation.
    """

    names: tuple[str, ...]
    type: str
    text: str

    def __str__(self) -> str:
        head = ", ".join(self.names) + (f" : {self.type}" if self.type else "")
        lines = self.text.splitlines()
        return "\n".join([head, *(f"{_INDENT}{line}".rstrip() for line in lines)])


class Parts(NamedTuple):
    """A docstring: its first line, what follows before any section, and the sections by name."""

    summary: str
    more: str
    sections: Mapping[str, str]

    def entries(self, section: str = "Parameters") -> list[Entry]:
        """The entries of a section, in order.

        >>> doc = parts_of("Scale.\\n\\nParameters\\n----------\\na, b : int\\n    Sizes of x.")
        >>> doc.entries()
        [Entry(names=('a', 'b'), type='int', text='Sizes of x.')]
        """
        found = []
        for block in re.split(r"\n(?=\S)", self.sections.get(section, "")):
            head, _, text = block.partition("\n")
            names, _, kind = head.partition(" : ")
            if head:
                each = tuple(name.strip() for name in names.split(","))
                found.append(Entry(each, kind.strip(), inspect.cleandoc(text)))
        return found

    def named(self, section: str = "Parameters") -> dict[str, Entry]:
        """The same by name."""
        return {name: entry for entry in self.entries(section) for name in entry.names}

    def replaced(self, **sections: Iterable[object]) -> Parts:
        """The same docstring with these sections, each an iterable of entries."""
        texts = {name: "\n".join(map(str, each)) for name, each in sections.items()}
        both = {**self.sections, **texts}
        return self._replace(sections={name: both[name] for name in SECTIONS if name in both})

    def __str__(self) -> str:
        ruled = (f"{name}\n{'-' * len(name)}\n{text}" for name, text in self.sections.items())
        return "\n\n".join(filter(None, (self.summary, self.more, *ruled))) + "\n"


def parts_of(doc: str | None) -> Parts:
    """A docstring taken apart; all of its parts are empty where there is none."""
    before, *rest = _HEADING.split(inspect.cleandoc(doc or "") + "\n")
    summary, _, more = before.strip().partition("\n")
    sections = {name: text.strip("\n") for name, text in zip(rest[::3], rest[2::3], strict=True)}
    return Parts(summary, more.strip(), sections)


STANDARD = parts_of(WORDS)  # what docstrings need not say


def entries_of(cls: type) -> dict[str, Entry]:
    """What is written of the options of a class, by name.

    What its docstring does not say its bases may, up to the one whose `__init__` takes the options,
    and the class that this one takes options of; then `words` of what all norms share.
    """
    said: dict[str, Entry] = {}
    for each in cls.__mro__:
        doc = vars(each).get("__doc__")
        for entry in parts_of(getattr(doc, "text", doc)).entries():  # as written, not completed
            for name in entry.names:
                said.setdefault(name, entry)
        if "__init__" in vars(each):
            parent = getattr(inspect.unwrap(each.__init__), "options_of", None)
            return {**(entries_of(parent) if parent else STANDARD.named()), **said}
    return {**STANDARD.named(), **said}


def explanations(cls: type) -> dict[str, str]:
    """What the options of a class mean, as far as somebody says it: by name, in one line each."""
    return {name: " ".join(entry.text.split()) for name, entry in entries_of(cls).items()}


def complete(function: Callable, *others: Callable | str) -> None:
    """Put into the docstring of a function what it lacks and others, or a docstring, explain.

    That are its parameters, in their order, and the sections Returns and Raises.
    """
    if function.__doc__ is None:  # left out by -OO
        return
    parts = parts_of(function.__doc__)
    known = [parts_of(each if isinstance(each, str) else each.__doc__) for each in others]
    said = {n: e for each in (*reversed(known), parts) for e in each.entries() for n in e.names}
    names = [
        "*" * ((one.kind is one.VAR_POSITIONAL) + 2 * (one.kind is one.VAR_KEYWORD)) + one.name
        for one in inspect.signature(function).parameters.values()
    ]
    # an entry may be of names that this function has not, or has elsewhere
    runs = groupby((name for name in names if name in said), key=lambda name: said[name])
    entries = [entry._replace(names=tuple(own)) for entry, own in runs]
    sections: dict[str, Iterable[object]] = {"Parameters": entries} if entries else {}
    for each in known:
        for name in ("Returns", "Raises"):
            if name in each.sections and name not in parts.sections:
                sections.setdefault(name, [each.sections[name]])
    function.__doc__ = str(parts.replaced(**sections))
