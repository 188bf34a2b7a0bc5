"""The command line: what layers there are, whether a config is right, and a plugin to begin with.

Made for people and scripts alike: the answer is on stdout, as one JSON object with ``--json``;
each error is one line on stderr; the exit code is 0 when all is well, 1 for a problem found and 2
for wrong usage. There is no traceback for a wrong input, and none for Ctrl-C or a closed pipe.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import cybn

from .config import available, check_config, describe
from .messages import place
from .plugins import PluginError, PluginWarning, plugins
from .project import KINDS, write_project
from .registry import UnknownName

__all__ = ["main"]

OK, PROBLEM, INTERRUPTED = 0, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a key from a file may not fit the terminal
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", PluginWarning)
            warnings.showwarning = _show_warning
            code = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left; what is still buffered must not fail again when Python exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEM
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        _complain(_message(error))
        return PROBLEM
    return code


def _list(args: argparse.Namespace) -> int:
    layers, broken, rows = [], [], []
    for name in available():
        try:
            layers.append(layer := describe(name))
            rows.append((name, _origin(layer), layer["summary"]))
        except PluginError as error:  # harms no other, so the list is right and the code is 0
            plugin = plugins.find(name)
            broken.append({"name": name, "origin": plugin.distribution, "error": str(error)})
            rows.append((name, f"{plugin.distribution} {plugin.version}", "(broken)"))
    if args.json:
        fields = ("name", "aliases", "origin", "summary")
        layers = [{field: layer[field] for field in fields} for layer in layers]
        _dump({"layers": layers, "broken": broken})
    else:
        _columns(rows)
        sys.stdout.flush()
        for each in broken:
            _complain(each["error"], "warning")
    return OK


def _origin(layer: dict[str, Any]) -> str:
    return f"{layer['origin']} {layer['version'] or ''}".rstrip()


def _describe(args: argparse.Namespace) -> int:
    layer = describe(args.name)
    if args.json:
        _dump(layer)
        return OK
    print(" = ".join([layer["name"], *layer["aliases"]]))
    print(layer["summary"])
    print(f"{_origin(layer)}, {layer['module']}\n")
    _columns(
        [
            (name, option["type"], "required" if option["required"] else repr(option["default"]))
            for name, option in layer["options"].items()
        ]
    )
    return OK


def _check(args: argparse.Namespace) -> int:
    report = [row for path in args.config for row in _check_file(path)]
    wrong = [row for row in report if row["error"]]
    if args.json:
        _dump({"ok": not wrong, "entries": report})
        return PROBLEM if wrong else OK
    for row in report:
        where = place(row["file"], row["entry"] or "")
        if row["error"]:
            _complain(f"{where}: {row['error']}")
        else:
            print(f"{where}: {row['builds']}")
    return PROBLEM if wrong else OK


def _check_file(path: str) -> list[dict[str, Any]]:
    try:
        checked = check_config(path)
    except Exception as error:
        reason = _message(error).removeprefix(f"{place(path)}: ")
        return [{"file": path, "entry": None, "builds": None, "error": reason}]
    return [
        {
            "file": path,
            "entry": each.entry,
            "builds": each.builds,
            "error": each.error and _message(each.error),
        }
        for each in checked
    ]


def _check_layer(args: argparse.Namespace) -> int:
    from .testing import run_checks  # here, since the other commands need none of it

    report, failures = run_checks(
        args.name, args.shape, excuse=dict(args.excuse or ()), strict=args.strict
    )
    if args.json:
        _dump({"ok": not failures, "layer": args.name, "checks": [vars(each) for each in report]})
        return PROBLEM if failures else OK
    for result in report:
        if result.outcome != "failed":
            print(result)
    passed = len(report.named("passed"))
    print(f"{args.name}: {passed} of {len(report)} checks passed, {len(failures)} failed")
    for error in failures:
        _complain(" ".join(str(error).splitlines()))
    return PROBLEM if failures else OK


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(length) for length in text.split("x"))


def _excuse(text: str) -> tuple[str, str]:
    check, _, reason = text.partition("=")
    return check, reason or "excused on the command line"


def _info(args: argparse.Namespace) -> int:
    if args.json:
        _dump(cybn.show_config(mode="dict"))
    else:
        cybn.show_config()
    return OK


def _new(args: argparse.Namespace) -> int:
    folder, *files = write_project(args.name, args.kind, args.into)
    if args.json:
        _dump({"folder": str(folder), "files": [str(path) for path in files]})
        return OK
    for path in files:
        print(path)
    print(f'\nIn {folder}: pip install ".[test]" && pytest')
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cybn", description="Normalization layers for NumPy: what there is, and config checks."
    )
    parser.add_argument("--version", action="version", version=f"cybn {cybn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.set_defaults(run=run)
        return sub

    command("list", _list, "list the layers")
    sub = command("describe", _describe, "tell what a layer is and which options it takes")
    sub.add_argument("name", metavar="NAME", help="a layer's name or alias")
    sub = command("check", _check, "tell what each entry of a config file builds, or what is wrong")
    sub.add_argument("config", metavar="CONFIG", nargs="+", help="a .toml, .json or .yaml file")
    sub = command("check-layer", _check_layer, "tell whether a layer keeps every promise of one")
    sub.add_argument("name", metavar="NAME", help="a layer's name or alias")
    sub.add_argument(
        "--shape", type=_shape, action="append", help="an input to check with, as 8x16x7x7"
    )
    sub.add_argument(
        "--excuse", metavar="CHECK=REASON", type=_excuse, action="append",
        help="a check that need not pass",
    )  # fmt: skip
    sub.add_argument("--strict", action="store_true", help="take advice as failure")
    command("info", _info, "tell how this copy of cybn is built and runs")
    sub = command("new", _new, "write a plugin of your own, ready to install")
    sub.add_argument("name", metavar="NAME", help="the layer's class, such as MyNorm")
    sub.add_argument("--kind", choices=KINDS, default="python", help="what to write it in")
    sub.add_argument("--into", metavar="DIR", default=".", help="where its folder is to be")
    return parser


def _columns(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _dump(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, default=repr))


def _complain(message: str, kind: str = "error") -> None:
    print(f"cybn: {kind}: {message}", file=sys.stderr)


def _show_warning(message: Any, category: type, *where: Any, **more: Any) -> None:
    # In one line, like an error: what is wrong with a plugin is not at a place in this program
    _complain(" ".join(str(message).splitlines()), "warning")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{place(error.filename)}: {error.strerror}"
    text = " ".join(str(error).splitlines())
    expected = isinstance(error, (UnknownName, TypeError, ValueError, ImportError, RuntimeError))
    return text if expected and text else f"{type(error).__name__}: {text}"
