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

from ..config.build import check_entries
from ..config.catalogue import available, describe
from ..config.files import FORMATS, MAX_BYTES, parse_config, read_config
from ..config.plugins import PluginWarning
from ..terms.messages import place
from ..terms.registry import UnknownName
from .completion import FILES, LAYERS, SHELLS, script
from .listing import FAMILIES, chosen, listed, show_layer, show_layers
from .paint import painted
from .project import KINDS, commands, write_project
from .usage import Usage, excuse, setting, shape

__all__ = ["main"]

OK, PROBLEM, INTERRUPTED = 0, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _usage().parse(sys.argv[1:] if argv is None else list(argv))
    args.code = OK
    if isinstance(sys.stdout, io.TextIOWrapper):  # a key from a file may not fit the terminal
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", PluginWarning)
            warnings.showwarning = _show_warning
            args.run(args)
        _flush()
    except BrokenPipeError:  # the reader has seen enough: what was found is as true as before
        _drop_output()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        _complain(_message(error))
        _drop_output()
        return PROBLEM
    return args.code


def _flush() -> None:
    if sys.stdout is not None:  # it may be closed
        sys.stdout.flush()


def _drop_output() -> None:
    # What is still buffered must not fail again when Python exits
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _list(args: argparse.Namespace) -> None:
    if args.names and not args.family and args.filter is None:  # no plugin is imported for its name
        print(*available(), sep="\n")
        return
    layers = chosen(listed(available()), args.family, args.filter)
    if args.names:
        print(*(each.name for each in layers), sep="\n")
        return
    broken = [each for each in layers if each.layer is None]
    if args.json:
        fields = ("name", "aliases", "origin", "summary")
        _dump({
            "layers": [{key: each.layer[key] for key in fields} for each in layers if each.layer],
            "broken": [
                {"name": each.name, "origin": each.origin.rpartition(" ")[0], "error": each.error}
                for each in broken
            ],
        })  # fmt: skip
    else:
        show_layers(layers)
        _flush()
        for each in broken:  # the list is right, so the code is 0
            _complain(each.error, "warning")


def _describe(args: argparse.Namespace) -> None:
    layer = describe(args.name)
    if args.json:
        _dump(layer)
    else:
        show_layer(layer)


def _completion(args: argparse.Namespace) -> None:
    text = script(args.parser, args.shell)
    _dump({"shell": args.shell, "script": text}) if args.json else print(text)


def _check(args: argparse.Namespace) -> None:
    report = [row for path in args.config for row in _check_file(path, args)]
    wrong = [row for row in report if row["error"]]
    args.code = PROBLEM if wrong else OK
    if args.json:
        _dump({"ok": not wrong, "entries": report})
        return
    for row in report:
        where = place(row["file"], row["entry"] or "")
        if row["error"]:
            _complain(f"{where}: {row['error']}")
        else:
            print(f"{where}: {row['builds']}")
    for path in args.config:
        if not any(row["file"] == path for row in report):
            print(f"{place(path)}: no entries")


def _check_file(path: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    try:
        if path == "-":
            tree = parse_config(_standard_input(), path, args.format)
        else:
            tree = read_config(path, args.format)
        checked = check_entries(path, tree, args.section, args.dialect, **dict(args.set or ()))
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


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _check_layer(args: argparse.Namespace) -> None:
    from ..testing import run_checks  # here, since the other commands need none of it

    report, failures = run_checks(
        args.name, args.shape, excuse=dict(args.excuse or ()), strict=args.strict
    )
    args.code = PROBLEM if failures else OK
    if args.json:
        _dump({"ok": not failures, "layer": args.name, "checks": [vars(each) for each in report]})
        return
    for result in report:
        if result.outcome != "failed":
            print(result)
    passed = len(report.named("passed"))
    print(f"{args.name}: {passed} of {len(report)} checks passed, {len(failures)} failed")
    for error in failures:
        _complain(" ".join(str(error).splitlines()))


def _info(args: argparse.Namespace) -> None:
    if args.json:
        _dump(cybn.show_config(mode="dict"))
    else:
        cybn.show_config()


def _new(args: argparse.Namespace) -> None:
    folder, *files = write_project(args.name, args.kind, args.into)
    if args.json:
        _dump({"folder": str(folder), "files": [str(path) for path in files]})
        return
    for path in files:
        print(path)
    print(f"\nIn {folder}:")
    for line in commands(folder):
        print(line)


def _usage() -> Usage:
    usage = Usage(
        "cybn",
        f"cybn {cybn.__version__}",
        "Normalization layers for NumPy: what there is, and config checks.",
    )
    command = usage.command
    sub = command("list", _list, "list the layers")
    sub.add_argument("--filter", metavar="TEXT", help="those with this in a name or the summary")
    sub.add_argument("--family", choices=FAMILIES, help="those of one family")
    sub.add_argument("--names", action="store_true", help="names alone, one a line")
    sub = command("describe", _describe, "tell what a layer is and which options it takes")
    _layer_name(sub)
    sub = command("check", _check, "tell what each entry of a config file builds, or what is wrong")
    sub.add_argument(
        "config", metavar="CONFIG", nargs="+",
        help="a .toml, .json or .yaml file, or - for standard input",
    ).complete = FILES  # type: ignore[attr-defined]  # fmt: skip
    sub.add_argument(
        "--format", choices=FORMATS, help="what the files are in, whatever they are called"
    )
    sub.add_argument("--section", metavar="PATH", help="the part of the files that has the layers")
    sub.add_argument("--dialect", metavar="NAME", help="whose configs they are, such as mmengine")
    sub.add_argument(
        "--set", metavar="OPTION=VALUE", type=setting, action="append",
        help="an option of all layers that do not say it, such as num_features=64",
    )  # fmt: skip
    sub = command("check-layer", _check_layer, "tell whether a layer keeps every promise of one")
    _layer_name(sub)
    sub.add_argument(
        "--shape", type=shape, action="append", help="an input to check with, as 8x16x7x7"
    )
    sub.add_argument(
        "--excuse", metavar="CHECK=REASON", type=excuse, action="append",
        help="a check that need not pass",
    )  # fmt: skip
    sub.add_argument("--strict", action="store_true", help="take advice as failure")
    command("info", _info, "tell how this copy of cybn is built and runs")
    sub = command("new", _new, "write a plugin of your own, ready to install")
    sub.add_argument("name", metavar="NAME", help="the layer's class, such as MyNorm")
    sub.add_argument("--kind", choices=KINDS, default="python", help="what to write it in")
    sub.add_argument("--into", metavar="DIR", default=".", help="where its folder is to be")
    sub = command("completion", _completion, "print what completes this command in a shell")
    sub.add_argument("shell", choices=SHELLS, help="for which shell")
    sub.set_defaults(parser=usage.parser)
    return usage


def _layer_name(sub: argparse.ArgumentParser) -> None:
    name = sub.add_argument("name", metavar="NAME", help="a layer's name or alias")
    name.complete = LAYERS  # type: ignore[attr-defined]


def _dump(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, default=repr))


def _complain(message: str, kind: str = "error") -> None:
    if sys.stderr is not None:
        style = "red" if kind == "error" else "yellow"
        print(f"cybn: {painted(kind, style, sys.stderr)}: {message}", file=sys.stderr)


def _show_warning(message: Any, category: type, *where: Any, **more: Any) -> None:
    # In one line, like an error: what is wrong with a plugin is not at a place in this program
    _complain(" ".join(str(message).splitlines()), "warning")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{place(error.filename)}: {error.strerror}"
    text = " ".join(str(error).splitlines())
    expected = isinstance(error, (UnknownName, TypeError, ValueError, ImportError, RuntimeError))
    return text if expected and text else f"{type(error).__name__}: {text}"
