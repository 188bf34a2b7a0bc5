"""reStructuredText of the pages that are written while the site is built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import survey


def title(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def section(text: str, line: str = "-") -> list[str]:
    return [text, line * len(text), ""]


def rubric(text: str) -> list[str]:
    """A heading that is in no table of contents."""
    return [f".. rubric:: {text}", ""]


def tick(holds: bool) -> str:
    return "✓" if holds else ""


def code(names: Iterable[str]) -> str:
    return ", ".join(f"``{name}``" for name in names)


def table(heads: Iterable[tuple[str, int]], rows: Iterable[Iterable[str]]) -> list[str]:
    heads = list(heads)
    lines = [
        ".. list-table::",
        "   :class: fit",
        "   :header-rows: 1",
        "   :widths: " + " ".join(str(width) for _, width in heads),
        "",
    ]
    for row in [[head for head, _ in heads], *rows]:
        lines += [f"   {'* ' if not i else '  '}- {cell}".rstrip() for i, cell in enumerate(row)]
    return [*lines, ""]


def value(prop: dict[str, Any]) -> str:
    """A JSON Schema of a value, in words."""
    if "anyOf" in prop:
        return " or ".join(value(each) for each in prop["anyOf"])
    if "enum" in prop:
        return ", ".join(f"``{each!r}``" for each in prop["enum"])
    kind = prop.get("type", "anything")
    if kind == "array":
        return f"a list of: {value(prop.get('items', {}))}"
    bounds = [
        f"{sign} {prop[key]:g}"
        for key, sign in (
            ("minimum", ">="), ("exclusiveMinimum", ">"),
            ("maximum", "<="), ("exclusiveMaximum", "<"),
        )
        if key in prop and abs(prop[key]) < 2**31 - 1
    ]  # fmt: skip
    names = {"integer": "int", "boolean": "bool", "string": "text", "null": "``None``"}
    return " ".join(filter(None, [names.get(kind, kind), ", ".join(bounds)]))


def default(key: str, about: dict[str, Any]) -> str:
    option = about["options"][key]
    return "required" if option["required"] else f"``{option['default']!r}``"


def link(family: survey.Family) -> str:
    return f":doc:`{family.shown} <{family.members[0]}>`"
