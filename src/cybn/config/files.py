"""Config files to plain Python values: safely, within bounds, with the place of an error.

A file is text from anywhere, so nothing in it runs and its size is bounded before it is parsed:
``tomllib``, ``json``, and a ``yaml.SafeLoader``. Where a parser takes more than linear time or
memory, what it would take it for is bounded, too: the parts of a dotted key, the length of a number
(and of what aliases and merge keys of YAML spell, see ``yamlreader``). What the three formats let
pass in silence is an error here: a key that is given twice (JSON, YAML) and numbers that are not
finite (JSON).
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ..terms.messages import one_line, place, shown
from .yamlreader import MAX_NUMBER, read_yaml

__all__ = ["FORMATS", "MAX_BYTES", "opened", "parse_config", "read_config"]

MAX_BYTES = 2**20
MAX_PARTS = 32  # of a dotted key in TOML, for which tomllib takes quadratic time and memory


def read_config(path: str | os.PathLike[str], format: str | None = None) -> Any:
    """The content of a .toml, .json, .yaml or .yml file; of another one if `format` is given.

    FileNotFoundError where there is none; ValueError for a file that is no config: a directory, an
    unknown suffix, too large, not UTF-8, malformed; ImportError for YAML without PyYAML.
    """
    where, suffix = place(path), Path(os.fsdecode(path)).suffix
    data = _bytes(path, where)
    format = format or _SUFFIXES.get(suffix.lower())
    if format is None:
        raise ValueError(
            f"{where}: a config file ends in .toml, .json, .yaml or .yml, got {suffix!r}"
        )
    return parse_config(data, where, format)


def parse_config(data: bytes, where: str, format: str | None = None) -> Any:
    """What the bytes say, in `format`, or in the one that they look like; ValueError as above."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{where}: a config file has at most {MAX_BYTES:,} bytes; split it")
    name = "text"
    try:
        text = data.decode("utf-8-sig")
        name, parse = FORMATS[format or looks_like(text)]
        return parse(text)
    except ImportError as error:
        raise ImportError(f"{where}: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 text, see byte {error.start}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: not valid {name}: nested too deeply") from error
    except Exception as error:  # parsers leak others: PyYAML gives an IndexError for `!!int ""`
        reason = one_line(error) or type(error).__name__
        raise ValueError(f"{where}: not valid {name}: {reason}") from error


def looks_like(text: str) -> str:
    """The format that a text seems to be in, by its first line that is no comment.

    >>> looks_like('{"type": "BN1d"}'), looks_like("[stem]"), looks_like("type: BN1d")
    ('json', 'toml', 'yaml')
    """
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first[0:1] in ("{", "[", '"', "'") or first in ("null", "true", "false"):
        try:
            json.loads(text)
            return "json"
        except (ValueError, RecursionError):
            pass
    if _TOML_LINE.match(first):
        return "toml"
    return "json" if re.match(r'[{[]\s*([{["]|$)', first) else "yaml"


def _bytes(path: str | os.PathLike[str], where: str) -> bytes:
    with opened(path, where, "a config") as file:
        return file.read(MAX_BYTES + 1) or b""


def opened(path: str | os.PathLike[str], where: str, what: str) -> BinaryIO:
    """The file, opened to be read; ValueError for what is there and is none, as a pipe."""
    # What is no file is not even opened: a pipe would wait, a device may do anything
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{where}: {what} is a file, and this is none")
    without_waiting = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = open(path, "rb", opener=lambda name, _: os.open(name, without_waiting))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(f"{where}: {what} is a file, and this is none")
    return file


def _toml(text: str) -> Any:
    _bound_keys(text)
    return tomllib.loads(text)


def _bound_keys(text: str) -> None:
    # ValueError for a dotted key of too many parts, or a word that is too long to be a number
    at, dots, after_part = 0, 0, False
    while token := _TOKEN.match(text, at):
        at, kind = token.end(), token.lastgroup
        if kind == "long":
            end = _LONG_ENDS[token[0]].match(text, at)
            at = end.end() if end else len(text)  # a text without an end is an error of its own
        elif kind == "open":
            return  # as above
        elif kind == "word" and len(token[0]) > MAX_NUMBER:
            raise ValueError(
                f"a word or number has more than {MAX_NUMBER:,} characters{_line(text, at)}"
            )
        dots = dots + 1 if kind == "dot" and after_part else dots if kind in _IN_KEYS else 0
        after_part = kind in ("word", "text") or (kind == "space" and after_part)
        if dots >= MAX_PARTS:
            raise ValueError(f"a key has more than {MAX_PARTS} parts{_line(text, at)}")


def _line(text: str, at: int) -> str:
    number = text.count("\n", 0, at) + 1
    return f" (at line {number})"


def _json(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_int=_int,
        parse_float=_float,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {shown(key, with_type=False)} is given twice")
        table[key] = value
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _int(digits: str) -> int:
    if len(digits) > MAX_NUMBER:
        raise ValueError(f"a number has more than {MAX_NUMBER:,} characters")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{shown(digits, with_type=False)} is more than a float can hold")
    return value


FORMATS = {"toml": ("TOML", _toml), "json": ("JSON", _json), "yaml": ("YAML", read_yaml)}
_SUFFIXES = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_TOKEN = re.compile(
    r"""(?P<long>\"{3}|'{3})|(?P<text>"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')|(?P<open>["'])"""
    r"""|(?P<comment>\#[^\n]*+)|(?P<dot>\.)|(?P<space>[ \t]++)|(?P<word>[A-Za-z0-9_+-]++)"""
    r"""|(?P<other>[^"'\#. \tA-Za-z0-9_+-]++)"""
)
_IN_KEYS = ("dot", "space", "word", "text")
_LONG_ENDS = {
    '"' * 3: re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"{3}', re.DOTALL),
    "'" * 3: re.compile(r"(?:[^']|'(?!''))*+'{3}", re.DOTALL),
}
_TOML_LINE = re.compile(r"""\[\[?[^\[\]{},:]+\]?\]\s*(\#.*)?$|[\w."'\- \t]+=""")
