"""The parts that error messages are made of, so that all of them read alike.

A message gives the value, what was expected and the fix. Values come from anywhere: they may be
huge, break in ``__repr__``, or hold characters that garble a terminal; the message is still one
short line.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase

__all__ = ["did_you_mean", "folded", "listed", "one_line", "place", "printable", "shown", "typos"]

_LONGEST = 60  # characters of a wrong value
_LONGEST_TEXT = 400  # characters of somebody else's message
_FOLDED = str.maketrans(ascii_uppercase, ascii_lowercase, "_-")
_REPR = reprlib.Repr()  # looks at a few items only: a page of YAML can spell billions
_REPR.maxlevel = 3
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = _LONGEST


def shown(value: object, with_type: bool = True) -> str:
    """A value by its repr, cut where it is long, and its type.

    >>> shown("16"), shown([1, 2], with_type=False)
    ("'16' (str)", '[1, 2]')
    """
    try:
        text = _REPR.repr(value)
    except Exception:  # a message must not fail over somebody's __repr__
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split()) if "\n" in text else text  # an array's has lines
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    return f"{text} ({type(value).__name__})" if with_type and value is not None else text


def printable(text: str) -> str:
    """A key as it is, or its repr where it is empty, long or could garble a terminal."""
    fits = text.isprintable() and 0 < len(text) <= _LONGEST
    return text if fits else shown(text, with_type=False)


def one_line(error: BaseException) -> str:
    """What somebody else's error says, on one line that is not too long.

    >>> one_line(ValueError("two\\nlines"))
    'two lines'
    """
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = shown(error, with_type=False)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def place(path: str | os.PathLike[str], entry: str = "") -> str:
    """The beginning of a message about a file, or about an entry in it.

    >>> place("net.toml", "encoder.norm1")
    'net.toml: encoder.norm1'
    """
    path = os.fsdecode(path)
    path = path if path and path.isprintable() else repr(path)
    return f"{path}: {entry}" if entry else path


def listed(words: Iterable[str], conjunction: str) -> str:
    """The words as a phrase.

    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def folded(name: str) -> str:
    """A name as names are compared: without case, ``_`` and ``-``.

    Letters beyond ASCII are left alone: no name has any, and none is to be taken for another.
    """
    return name.translate(_FOLDED)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of a message that names the nearest candidates; empty where none is near.

    >>> did_you_mean("epsilon", ["eps", "momentum"])
    "; did you mean 'eps'?"
    """
    spelt = {folded(candidate): candidate for candidate in sorted(candidates, reverse=True)}
    key = folded(name[:_LONGEST])  # difflib takes quadratic time
    near = [key] if key in spelt else difflib.get_close_matches(key, spelt, n=3)
    return f"; did you mean {listed([repr(spelt[key]) for key in near], 'or')}?" if near else ""


def typos(name: str, candidates: Iterable[str]) -> str:
    """As did_you_mean for the names of layers, where only what can be a slip of the keys is near.

    A name that has another in it, another first letter or another number, is one of its own:
    T5LayerNorm is no LayerNorm, XRMSNorm no pRMSNorm, and EvoNormB1 no EvoNormB0. Numbers that are
    a rank may be a slip.

    >>> typos("BatchNrm2d", ["BatchNorm2d"]), typos("T5LayerNorm", ["LayerNorm"])
    ("; did you mean 'BatchNorm2d'?", '')
    """
    spelt = {folded(candidate): candidate for candidate in sorted(candidates, reverse=True)}
    key = folded(name)
    if len(key) > _LONGEST:
        return ""
    near = [each for each in spelt if each == key] or sorted(
        (each for each in spelt if _is_slip(key, each)),
        key=lambda each: (_distance(key, each), each),
    )
    return (
        f"; did you mean {listed([repr(spelt[each]) for each in near[:3]], 'or')}?" if near else ""
    )


_RANK = re.compile(r"(?<=[a-z])[0-9]d$")


def _is_slip(key: str, other: str) -> bool:
    if other in key:
        return key == other + other[-1]
    if key[1:] == other[1:]:
        return False
    plain, other = _RANK.sub("", key), _RANK.sub("", other)
    if plain == other:
        return True
    digits, others = ("".join(filter(str.isdigit, each)) for each in (plain, other))
    if digits != others or len(plain) < 4:
        return False
    one_more = len(plain) < 6  # a short name is soon another: only a letter may be missing
    if one_more and len(other) <= len(plain):
        return False
    return _distance(plain, other) <= (1 if len(plain) < 10 else 2)


def _distance(a: str, b: str) -> int:
    """How many letters to insert, drop, change or swap with the next one."""
    rows: list[list[int]] = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        rows.append([i])
        for j, y in enumerate(b, 1):
            swapped = i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]
            rows[i].append(
                min(
                    rows[i - 1][j] + 1,
                    rows[i][j - 1] + 1,
                    rows[i - 1][j - 1] + (x != y),
                    rows[i - 2][j - 2] + 1 if swapped else len(a) + len(b),
                )
            )
    return rows[-1][-1]
