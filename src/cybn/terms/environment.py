"""Numbers from the environment: what is malformed is refused by name, what is too much is cut."""

from __future__ import annotations

import os
import re

from .messages import shown

__all__ = ["number_from"]

_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_DIGITS = 4_000  # fewer than Python refuses to read


def number_from(
    variable: str, what: str, least: int, most: int, *, listed: bool = False
) -> int | None:
    """The number that an environment variable says, from `least` to `most`; None where it is empty.

    A number beyond an end is taken for that end. `listed` takes the first of several with commas
    between them. ImportError for anything else, since it is read when a module is imported.
    """
    text = os.environ.get(variable, "")
    if not text.strip():
        return None
    numbers = text.split(",") if listed else [text]
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        raise ImportError(f"{variable} takes {what}, got {shown(text, False)}; or leave it unset")
    first = numbers[0].strip()
    if len(first) > _DIGITS:
        return least if first.startswith("-") else most
    return min(max(int(first), least), most)
