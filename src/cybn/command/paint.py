"""Colour, where a person reads: on a terminal, unless NO_COLOR (https://no-color.org) says no.

Never in a pipe or a file, so that what a script reads is plain. Rejected: a library, since four
escape sequences need none.
"""

from __future__ import annotations

import os
from typing import TextIO

__all__ = ["painted"]

_STYLES = {"bold": "1", "red": "31", "yellow": "33", "cyan": "36"}


def painted(text: str, style: str, stream: TextIO | None) -> str:
    """The text in a style, if the stream is a terminal that is to show it.

    >>> import io
    >>> painted("error", "red", io.StringIO())
    'error'
    """
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if text and _colourful(stream) else text


def _colourful(stream: TextIO | None) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()
