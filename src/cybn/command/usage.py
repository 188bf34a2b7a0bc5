"""What may stand on the command line, and what is said of anything else.

argparse, with the nearest name for one that is misspelt, which it learns in Python 3.14 only, and
with the help of the command that is meant.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, NoReturn

from ..terms.messages import did_you_mean, shown

__all__ = ["Usage", "excuse", "setting", "shape"]

#: what --help shows of each command
EXAMPLES = {
    "list": ["cybn list", "cybn list --family batch", "cybn list --filter group"],
    "describe": ["cybn describe BatchNorm2d", "cybn describe BN --json"],
    "check": [
        "cybn check net.toml",
        "cybn check experiment.toml --section model.norm --set num_features=64",
        "cybn check model.json --section model.norm_cfg --dialect mmengine",
    ],
    "check-layer": ["cybn check-layer MyNorm --strict", "cybn check-layer BN2d --shape 8x16x7x7"],
    "info": ["cybn info", "cybn info --json"],
    "new": ["cybn new MyNorm", "cybn new MyFastNorm --kind cython --into projects"],
    "completion": [
        "cybn completion bash > ~/.local/share/bash-completion/completions/cybn",
        "cybn completion zsh > ~/.zfunc/_cybn",
    ],
}
MAX_ITEMS = 2**24  # of an input to check a layer with


class Usage:
    """The commands and their options."""

    def __init__(self, prog: str, version: str, description: str) -> None:
        self.parser = argparse.ArgumentParser(
            prog=prog, description=description, epilog=_epilog(EXAMPLES.values()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        self.parser.add_argument("--version", action="version", version=version)
        self._subparsers = self.parser.add_subparsers(
            title="commands", metavar="COMMAND", required=True
        )
        self._commands: dict[str, argparse.ArgumentParser] = {}

    def command(self, name: str, run: Callable[..., Any], help: str) -> argparse.ArgumentParser:
        """A new command, with --json."""
        sub = self._subparsers.add_parser(
            name, help=help, description=help, epilog=_epilog([EXAMPLES[name]]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.set_defaults(run=run)
        self._commands[name] = sub
        return sub

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments; SystemExit, with code 2 and a line on stderr, for wrong ones."""
        words = [word for word in argv if not word.startswith("-")]
        name = words[0] if words else None
        before = argv[: argv.index(name)] if words else argv
        options = ("-h", "--help", "--version")  # none of which takes a value
        for word in before:
            if not any(option.startswith(word) for option in options if word not in ("-", "--")):
                self._unknown(self.parser, word, options)
        if name is not None and name not in self._commands:
            hint = did_you_mean(name, self._commands) or ";"
            known = ", ".join(self._commands)
            self.parser.error(f"unknown command {shown(name, False)}{hint} commands: {known}")
        args, surplus = self.parser.parse_known_args(argv)
        if surplus:
            sub = self._commands[name]
            known = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", sub.format_help())
            self._unknown(sub, surplus[0], dict.fromkeys(known))
        return args

    @staticmethod
    def _unknown(parser: argparse.ArgumentParser, word: str, known: Sequence[str]) -> NoReturn:
        if not word.startswith("-"):
            parser.error(f"one argument too many: {shown(word, False)}")
        option = word.partition("=")[0]
        hint = did_you_mean(option, known) or f"; there are {', '.join(known)}"
        parser.error(f"unknown option {shown(option, False)}{hint}")


def _epilog(examples: Iterable[Sequence[str]]) -> str:
    # All of one command, or the first of each
    lists = list(examples)
    lines = lists[0] if len(lists) == 1 else [each[0] for each in lists]
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def shape(text: str) -> tuple[int, ...]:
    """The value of --shape."""
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f"lengths of axes with x between them, as 8x16x7x7, are expected, "
            f"got {shown(text, False)}"
        )
    lengths = tuple(map(int, text.split("x")))
    if not 1 <= prod(lengths) <= MAX_ITEMS:
        raise argparse.ArgumentTypeError(
            f"an input of 1 to {MAX_ITEMS:,} items is expected, got {shown(text, False)}"
        )
    return lengths


def excuse(text: str) -> tuple[str, str]:
    """The value of --excuse."""
    check, _, reason = text.partition("=")
    return check, reason or "excused on the command line"


def setting(text: str) -> tuple[str, Any]:
    """The value of --set: a number, true, false or null as JSON has it, else a text."""
    option, equals, value = text.partition("=")
    if not equals or not option.isidentifier():
        raise argparse.ArgumentTypeError(
            f"an option and its value, as num_features=64, are expected, got {shown(text, False)}"
        )
    try:
        return option, json.loads(value)
    except (ValueError, RecursionError):
        return option, value
