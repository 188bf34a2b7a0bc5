"""The command line: `python -m benchmarks`, `--help` for the options; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cybn

from . import footprint, report
from .arguments import Parser, positive
from .contenders import CONTENDERS, ON_REQUEST
from .norms import MODES, NORMS
from .plot import PlotError, plot
from .results import Results, machine
from .shapes import DTYPES, LAYOUTS, Case, grid
from .worker import Plan, WorkerError, run

PROGRAM = "python -m benchmarks"
QUICK_REPEATS, REPEATS = 3, 7


def parser() -> Parser:
    p = Parser(
        prog=PROGRAM,
        description="How fast cybn is beside its peers, and beside the memory of this machine.",
    )
    which = p.add_argument_group("what to run")
    which.add_argument("--quick", action="store_true", help="few shapes, few repeats")
    which.add_argument("--norms", nargs="+", choices=NORMS, default=NORMS, metavar="NORM",
                       help=f"{', '.join(NORMS)}; else all")
    which.add_argument("--shapes", nargs="+", default=(), metavar="NAME",
                       help="groups, operations or shapes (32x64x56x56, 32x*); any shape will do")
    which.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS,
                       help="where the channels lie")
    which.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    which.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES[:1])
    which.add_argument("--contenders", nargs="+", choices=tuple(CONTENDERS), metavar="NAME",
                       help="; ".join(CONTENDERS))
    which.add_argument("--compiled", action="store_true",
                       help="also torch.compile, which compiles for half a minute a case")
    which.add_argument("--onednn", metavar="PATH", help="the library of oneDNN, libdnnl.so")
    how = p.add_argument_group("how")
    how.add_argument("--threads", nargs="+", type=positive, metavar="N",
                     help="numbers of threads, the same for all contenders (1 2)")
    how.add_argument("--repeats", type=positive, metavar="N",
                     help=f"samples of each contender ({REPEATS}; with --quick {QUICK_REPEATS})")
    how.add_argument("--seed", type=int, metavar="N", help="of the data; else fresh")
    how.add_argument("--no-footprint", action="store_true", help="no import time, no memory")
    how.add_argument("--build", action="store_true", help="also build the wheel")
    what = p.add_argument_group("what to do with it")
    what.add_argument("--json", type=Path, metavar="FILE", help="keep everything measured")
    what.add_argument("--plot", type=Path, metavar="FILE",
                      help="a picture: fraction of the limit by shape and contender")
    what.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"),
                      help="two files of --json: what moved; runs nothing")
    what.add_argument("--show", type=Path, metavar="FILE",
                      help="a file of --json: its tables, and --plot; runs nothing")
    what.add_argument("--list", action="store_true", help="cases and contenders; runs nothing")
    return p  # fmt: skip


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
        if options.show:
            results = Results.load(options.show)
        else:
            cases, results = choose(options)
            if options.list:
                listing(cases, results, options)
                return 0
            measure(cases, results, options)
        if options.json:
            results.save(options.json)
        show(results)
        if options.plot:
            plot(results, options.plot)
            print(f"\n{options.plot} written")
    except (ValueError, PlotError, OSError, WorkerError, footprint.FootprintError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 1 if results.problems else 0


def choose(options: argparse.Namespace) -> tuple[list[Case], Results]:
    """The cases that can be run, and what is known before they are."""
    cases = grid(
        quick=options.quick,
        norms=options.norms,
        patterns=options.shapes,
        layouts=options.layouts,
        modes=options.modes,
        dtypes=options.dtypes,
    )
    results = Results(machine=machine())
    there = cybn.available()
    for operation in dict.fromkeys(case.operation for case in cases):
        layers = {case.layer for case in cases if case.operation == operation}
        if not layers & set(there):
            results.left_out[operation] = f"cybn has no {' or '.join(map(str, layers))}"
    cases = [case for case in cases if case.operation not in results.left_out]
    if not cases:
        raise ValueError("; ".join(f"{k}: {v}" for k, v in results.left_out.items()))
    return cases, results


def names(options: argparse.Namespace) -> list[str]:
    if options.contenders:
        return list(dict.fromkeys(options.contenders))
    return [name for name in CONTENDERS if options.compiled or name not in ON_REQUEST]


def listing(cases: list[Case], results: Results, options: argparse.Namespace) -> None:
    print("contenders:", ", ".join(names(options)))
    for name, reason in results.left_out.items():
        print(f"left out: {name}: {reason}")
    for case in cases:
        print(f"{case.group:12} {case.key}")


def measure(cases: list[Case], results: Results, options: argparse.Namespace) -> None:
    """Run everything that is asked for."""
    cpus = results.machine["cpus"]
    threads = options.threads or [n for n in (1, 2) if n <= cpus]
    repeats = options.repeats or (QUICK_REPEATS if options.quick else REPEATS)
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    if seed < 0:
        raise ValueError("--seed must not be negative")
    results.options = {"repeats": repeats, "seed": seed, "quick": options.quick}
    # What can fail for want of a tool comes first, before the long part.
    if options.build:
        results.footprint |= footprint.build()
    if not options.no_footprint:
        results.footprint |= footprint.measure(names(options))
    for n in sorted(set(threads)):
        if n > cpus:
            print(f"{report.threads_text(n)} on {cpus} CPUs: the figures mean little")
        results.add(run(Plan(cases, names(options), n, repeats, seed, options.onednn)))


def show(results: Results) -> None:
    """Everything, on standard output."""
    known = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    notes = "; ".join(f"{name}: {note}" for name, note in known["notes"].items())
    head = [
        f"{known['processor']}, {known['cpus']} CPUs, {known['system']}, "
        f"last-level cache {known['cache'] / 2**20:.0f} MiB",
        f"Python {known['python']}, {versions}",
        notes,
        ", ".join(f"{name} {value}" for name, value in results.options.items()),
        *(f"left out: {name}: {reason}" for name, reason in results.left_out.items()),
    ]
    legend = (
        "GB/s of useful traffic: x and y, or x, dy and dx; with a residual (+ z) x, z and y, or x, "
        "y, dy, dx and dz.\nA star: channels last. MiB: the input."
    )
    parts = ["\n".join(filter(None, head)), legend, report.speeds(results)]
    parts += filter(None, (report.smallest(results), report.footprint(results)))
    parts.append(
        f"The goals, from {len(results.cases)} cases ({len(grid())} in the whole grid): "
        f"geometric mean of the ratios, and the lowest.\n\n{report.goals(results)}"
    )
    if results.problems:
        parts.append("\n".join(f"PROBLEM: {problem}" for problem in results.problems))
    print("\n\n".join(part for part in parts if part))


if __name__ == "__main__":
    try:
        status = main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
