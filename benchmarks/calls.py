"""What a call of a layer costs on a small input, and how much of it is Python above the kernel.

`python -m benchmarks.calls` prints microseconds of a call, the least of several rounds in which
all take turns on one input. `python -m benchmarks` rotates inputs and takes medians instead; the
question here is what the call is made of.

The kernel's part is found by calling it alone: the functions in `cybn.kernels` are replaced for one
call of the layer, by functions that note their arguments, and what was noted is then called again.
A list of each kernel's arguments here was rejected, since it would have to follow every change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from cybn import kernels

from .__main__ import Parser, positive
from .cases import NORMS, Case
from .contenders import Cybn, Run, find
from .data import Data
from .grid import grid
from .report import MODE_TITLES, NONE, number, table
from .runner import measure

SHAPE, ROUNDS = "32x64", 25
HEADER = ["microseconds", "cybn", "kernel", "Python above", "share", "torch", "x torch"]


@contextmanager
def noting() -> Iterator[list[Callable[[], Any]]]:
    """Note every call of a kernel."""
    noted: list[Callable[[], Any]] = []
    originals = {dtype: kernels.of[dtype] for dtype in map(np.dtype, kernels.levels.DTYPES[:2])}

    def note(kernel: Callable[..., Any], *args: Any) -> Any:
        noted.append(partial(kernel, *args))
        return kernel(*args)

    try:
        for dtype, functions in originals.items():
            kernels.of[dtype] = kernels.Kernels(*(partial(note, each) for each in functions))
        yield noted
    finally:
        kernels.of.update(originals)


class Kernel(Cybn):
    """The kernels that a call of the layer calls, with the same arguments."""

    name = "kernel"

    def prepare(self, case: Case, data: Data) -> Run:
        run = super().prepare(case, data)
        with noting() as noted:
            kept = run.call(0)
        alone, *more = noted
        if more:
            return Run(lambda i: [kernel() for kernel in noted], None, kept)
        return Run(lambda i: alone(), None, kept)


def row(case: Case, got: Mapping[str, float]) -> list[str]:
    """Cells of HEADER, from the microseconds of each contender that there is."""
    whole, kernel, torch = (got.get(name) for name in ("cybn", "kernel", "torch"))
    python = kernel and max(whole - kernel, 0)
    share = NONE if python is None else f"{python / whole:.0%}"
    figures = [*map(number, (whole, kernel, python)), share, number(torch)]
    return [
        f"{case.operation}, {MODE_TITLES[case.mode]}",
        *figures,
        number(torch and torch / whole),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    p = Parser(prog="python -m benchmarks.calls", description=__doc__.partition("\n")[0])
    p.add_argument("--shape", default=SHAPE, help=f"of the input ({SHAPE})")
    p.add_argument("--norms", nargs="+", choices=NORMS, default=NORMS, metavar="NORM")
    p.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"({ROUNDS})")
    options = p.parse_args(arguments)
    try:
        cases = grid(norms=options.norms, patterns=[options.shape], layouts=["first"])
    except ValueError as error:
        p.error(str(error))
    contenders, left_out = find(["cybn", "torch"])
    rows = [HEADER]
    for case in cases:
        timings = measure(case, [*contenders, Kernel()], Data(case, 0, count=1), options.rounds)
        rows.append(
            row(case, {t.contender.name: min(t.samples) * 1e6 for t in timings if t.samples})
        )
    print(f"{options.shape} float32, 1 thread; {kernels.LEVEL}")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
