"""The command line: `python -m benchmarks.models`, `--help` for the options; see docs/benchmarks.md."""  # noqa: E501

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..__main__ import Parser, positive
from ..results import machine
from ..runner import apart, progress

PROGRAM = "python -m benchmarks.models"
FORMAT = "cybn models 2"
#: what --quick makes of the sizes
QUICK = {"side": 64, "words": 16, "rounds": 3, "seconds": 0.0, "batches": [1, 8]}
FULL = {"side": 224, "words": 128, "rounds": 21, "seconds": 10.0, "batches": [1, 8, 32]}
#: the largest image and the longest text by which losses and gradients are compared
AGREE = {"side": 128, "words": 128}
#: images or texts of the step whose memory is measured
MEMORY_COUNT = 8


def parser() -> argparse.ArgumentParser:
    p = Parser(prog=PROGRAM, description="Whole PyTorch models, as they are and converted.")
    add = p.add_argument_group("what to run").add_argument
    add("--quick", action="store_true", help="small images, short texts, few rounds")
    add("--models", nargs="+", metavar="NAME", help="names of zoo.py, or timm:NAME; else those all")
    add("--modes", nargs="+", choices=("training", "inference"), help="else both")
    add("--batches", nargs="+", type=positive, metavar="N", help="samples in a batch (1 8 32)")
    add("--formats", nargs="+", choices=("first", "last"), help="where channels lie; else both")
    add("--threads", nargs="+", type=positive, metavar="N", help="numbers of threads (1 2)")
    add("--side", type=positive, metavar="N", help="of an image, pixels (224)")
    add("--words", type=positive, metavar="N", help="of a text (128)")
    add("--no-times", action="store_true")
    add("--no-agreement", action="store_true", help="no losses and gradients")
    add("--no-memory", action="store_true")
    add = p.add_argument_group("how").add_argument
    add("--rounds", type=positive, metavar="N", help="of each cell, at most (21)")
    add("--seconds", type=float, metavar="S", help="of a cell, then no more rounds (10)")
    add("--no-fuse", action="store_true", help="swap the norms alone")
    add = p.add_argument_group("what to do with it").add_argument
    add("--json", type=Path, metavar="FILE", help="keep everything measured, as it comes")
    add("--markdown", action="store_true", help="tables in Markdown")
    add("--show", nargs="+", type=Path, metavar="FILE", help="files of --json as one; runs nothing")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0; 1 where a model failed; 2 for bad usage. A missed goal is no failure."""
    options = parser().parse_args(arguments)
    try:
        if find_spec("torch") is None:
            raise ValueError('PyTorch is not installed (pip install "cybn[torch]" transformers)')
        if options.json and (not options.json.parent.is_dir() or options.json.is_dir()):
            raise ValueError(f"{options.json}: no file can be written there")
        from . import report

        run = together(map(load, options.show)) if options.show else measure(options)
        save(run, options.json)
        print(report.whole(run, options.markdown))
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 1 if run["problems"] else 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything that is asked for."""
    from . import agree, steps, zoo

    sizes = {name: getattr(options, name, None) for name in FULL}
    defaults = QUICK if options.quick else FULL
    sizes = {name: defaults[name] if given is None else given for name, given in sizes.items()}
    names = list(dict.fromkeys(options.models or zoo.DEFAULT))
    for name in names:
        if name not in zoo.KINDS and not name.startswith("timm:"):
            raise ValueError(f"{name!r} is no model; {', '.join(zoo.KINDS)} and timm:NAME are")
    left_out = {name: why for name in names if (why := zoo.missing(name))}
    names = [name for name in names if name not in left_out]
    size = zoo.Size(sizes["side"], sizes["words"])
    less = zoo.Size(min(size.side, AGREE["side"]), min(size.words, AGREE["words"]))
    cpus = machine()["cpus"]
    threads = options.threads or [n for n in (1, 2) if n <= cpus]
    run: dict[str, Any] = {
        "format": FORMAT, "machine": machine(), "versions": versions(), "left_out": left_out,
        "options": {**sizes, "fuse": not options.no_fuse}, "problems": [],
        "rows": [], "agreement": {}, "memory": {},
    }  # fmt: skip
    plan = steps.Plan(size, sizes["rounds"], sizes["seconds"], not options.no_fuse)
    tasks: list[tuple] = []
    if not options.no_times:
        cells = steps.cells(names, options.modes or steps.MODES, sizes["batches"],
                            options.formats or steps.FORMATS, threads)  # fmt: skip
        tasks += [("rows", some[0], steps.measure, (some, plan), some[0].threads) for some in cells]
    most = max(threads)
    if not options.no_agreement:
        tasks += [("agreement", name, agree.agreement, (name, less), most) for name in names]
    if not options.no_memory:
        count = min(MEMORY_COUNT, max(sizes["batches"]))
        tasks += [("memory", (name, who), agree.peak, (name, who, count, size, most), most)
                  for name in names for who in ("theirs", "ours")]  # fmt: skip
    for kind, what, function, given, n in progress(tasks, "models", lambda task: str(task[1])):
        try:
            got = apart(function, *given, threads=n)
        except (RuntimeError, ValueError, BrokenProcessPool) as error:
            run["problems"].append(f"{what}: {type(error).__name__}: {error}")
            continue
        if kind == "rows":
            run["rows"] += got["rows"]
            run["problems"] += got["problems"]
        elif kind == "agreement":
            run["agreement"][what] = got
        elif got:
            run["memory"].setdefault(what[0], {})[what[1]] = got
        save(run, options.json)
    return run


def save(run: dict[str, Any], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(run, indent=1) + "\n")


def versions() -> dict[str, str]:
    return dict(_versions())


def _versions() -> Iterator[tuple[str, str]]:
    for name in ("cybn", "torch", "transformers", "timm"):
        try:
            yield name, version(name)
        except PackageNotFoundError:  # from a source tree
            if name == "cybn":
                import cybn

                yield name, cybn.__version__


def load(path: Path) -> dict[str, Any]:
    """Raises OSError, and ValueError for a file that is none of ours."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["format"] != FORMAT:
            raise ValueError(f"format {run['format']!r}, not {FORMAT!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a result of --json ({error})") from error
    return run


def together(runs: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Runs of different models as one; what describes them is the first's."""
    whole, *others = runs
    for run in others:
        for name in ("rows", "problems"):
            whole[name] += run[name]
        for name in ("agreement", "memory", "left_out"):
            whole[name] |= run[name]
    return whole


if __name__ == "__main__":
    sys.exit(main())
