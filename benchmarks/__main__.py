"""The command line: `python -m benchmarks`, `--help` for the options; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from . import company, footprint, report
from .cases import DTYPES, LAYOUTS, MODES, NORMS, Case
from .contenders import CONTENDERS
from .grid import grid
from .plot import check_installed, plot
from .results import Results, machine, threads_text
from .runner import apart, run

PROGRAM = "python -m benchmarks"
QUICK_REPEATS, REPEATS = 3, 7


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 1 to 1024")
    return value


def parser() -> Parser:
    p = Parser(prog=PROGRAM, description="How fast cybn is beside its peers and this machine.")
    add = p.add_argument_group("what to run").add_argument
    add("--quick", action="store_true", help="few shapes, few repeats")
    add(
        "--norms",
        nargs="+",
        choices=NORMS,
        default=NORMS,
        metavar="NORM",
        help=f"{', '.join(NORMS)}; else all",
    )
    add(
        "--shapes",
        nargs="+",
        default=(),
        metavar="NAME",
        help="groups, operations or shapes (32x64x56x56, 32x*); any shape will do",
    )
    add("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS, help="where the channels lie")
    add("--modes", nargs="+", choices=MODES, default=MODES)
    add(
        "--dtypes",
        nargs="+",
        choices=tuple(DTYPES),
        default=(),
        help="for all shapes; else float32, and sixteen bits for a few",
    )
    add(
        "--contenders",
        nargs="+",
        choices=tuple(CONTENDERS),
        default=CONTENDERS,
        metavar="NAME",
        help="; ".join(CONTENDERS),
    )
    add("--onednn", metavar="PATH", help="the library of oneDNN, libdnnl.so")
    add = p.add_argument_group("how").add_argument
    add(
        "--threads",
        nargs="+",
        type=positive,
        metavar="N",
        help="numbers of threads, the same for all contenders (1 2)",
    )
    add(
        "--repeats",
        type=positive,
        metavar="N",
        help=f"samples of each contender ({REPEATS}; with --quick {QUICK_REPEATS})",
    )
    add("--seed", type=int, metavar="N", help="of the data; else fresh")
    add("--no-footprint", action="store_true", help="no import time, no memory")
    add(
        "--no-company",
        action="store_true",
        help="no calls in turn with PyTorch's, none beside busy processes",
    )
    add("--build", action="store_true", help="also build the wheel")
    add = p.add_argument_group("what to do with it").add_argument
    add("--json", type=Path, metavar="FILE", help="keep everything measured")
    add("--plot", type=Path, metavar="FILE", help="a picture: fraction of the limit, a few shapes")
    add(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("OLD", "NEW"),
        help="two files of --json: what moved; runs nothing",
    )
    add(
        "--show",
        type=Path,
        metavar="FILE",
        help="a file of --json: its tables, and --plot; runs nothing",
    )
    add("--list", action="store_true", help="cases and contenders; runs nothing")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0; 1 where a contender failed or computed something else; 2 for bad usage."""
    options = parser().parse_args(arguments)
    try:
        if options.compare:
            print(report.comparison(*options.compare))
            return 0
        for path in filter(None, (options.json, options.plot)):
            if not path.parent.is_dir() or path.is_dir():
                raise ValueError(f"{path}: no file can be written there")
        if options.plot:
            check_installed()
        if options.show:
            results = Results.load(options.show)
        else:
            cases = grid(
                quick=options.quick, norms=options.norms, patterns=options.shapes,
                layouts=options.layouts, modes=options.modes, dtypes=options.dtypes,
            )  # fmt: skip
            if options.list:
                print("contenders:", ", ".join(options.contenders))
                print(*(f"{case.group:12} {case}" for case in cases), sep="\n")
                return 0
            results = measure(cases, options)
        if options.json:
            results.save(options.json)
        print(report.whole(results))
        if options.plot:
            plot(results, options.plot)
            print(f"\n{options.plot} written")
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        raise
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 1 if results.problems else 0


def measure(cases: list[Case], options: argparse.Namespace) -> Results:
    """Run everything that is asked for."""
    results, names = Results(machine=machine()), list(dict.fromkeys(options.contenders))
    cpus = results.machine["cpus"]
    repeats = options.repeats or (QUICK_REPEATS if options.quick else REPEATS)
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    if seed < 0:
        raise ValueError("--seed must not be negative")
    results.options = {"repeats": repeats, "seed": seed, "quick": options.quick}
    # What can fail for want of a tool comes first, before the long part.
    if options.build:
        results.footprint |= footprint.build()
    if not options.no_footprint:
        results.footprint |= footprint.measure(names)
    if "bfloat16" in {case.dtype for case in cases} and find_spec("ml_dtypes") is None:
        results.left_out["bfloat16"] = "ml_dtypes is not installed"
        cases = [case for case in cases if case.dtype != "bfloat16"]
    threads = sorted(set(options.threads or [n for n in (1, 2) if n <= cpus]))
    for n in threads:
        if n > cpus:
            print(f"{threads_text(n)} on {cpus} CPUs: the figures mean little")
        results.add(apart(run, cases, names, n, repeats, seed, options.onednn, threads=n))
    if not options.no_company:
        sizes = company.QUICK if options.quick else company.MEGABYTES
        results.company = apart(company.run, n, cpus, seed, sizes, threads=n)
    return results


if __name__ == "__main__":
    try:
        status = main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
