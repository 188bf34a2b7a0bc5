"""What a call of a layer costs on a small input, and how much of it is Python above the kernel.

`python -m benchmarks.calls` calls the layers of cybn and PyTorch again and again on one small
input, as `timeit` does, and prints microseconds of a call: the least of several rounds, in which
all take turns. `python -m benchmarks` rotates inputs and takes medians instead; the question here
is what the call is made of.

The kernel's part is found by calling it alone: the tables of `cybn.kernels` are replaced for one
call of the layer, by functions that note their arguments, and what was noted is then called again.
A list of each kernel's arguments here was rejected, since it would have to follow every change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from timeit import Timer
from typing import Any

from cybn import kernels

from .arguments import Parser, positive
from .contenders import Contender, Settings, find
from .data import Data
from .norms import NORMS
from .report import MODE_TITLES, NONE, number, table
from .shapes import Case, grid

SHAPE = "32x64"
ROUNDS, SECONDS = 7, 0.02  # of each contender; a round takes about so long

Noted = list[tuple[Callable, tuple]]  # kernels and their arguments


@contextmanager
def noting() -> Iterator[Noted]:
    """Note every call of a kernel."""
    noted: Noted = []
    tables = [each for each in vars(kernels).values() if _is_table(each)]
    originals = [dict(each) for each in tables]

    def noter(kernel: Callable) -> Callable:
        def note(*args: Any) -> Any:
            noted.append((kernel, args))
            return kernel(*args)

        return note

    try:
        for each in tables:
            each.update({key: noter(kernel) for key, kernel in each.items()})
        yield noted
    finally:
        for each, original in zip(tables, originals, strict=True):
            each.update(original)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(callable, value.values()))


def kernels_of(call: Callable[[], Any]) -> Callable[[], Any] | None:
    """A call of the kernels that `call` calls, with the same arguments; None if there are none."""
    with noting() as noted:
        call()
    if len(noted) == 1:
        ((kernel, args),) = noted
        return lambda: kernel(*args)

    def replay() -> None:
        for kernel, args in noted:
            kernel(*args)

    return replay if noted else None


def least(calls: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of each call: the least mean of a round. All take turns."""
    timers = {name: Timer(call) for name, call in calls.items()}
    numbers = {name: _number(timer) for name, timer in timers.items()}
    best = dict.fromkeys(timers, float("inf"))
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds = timer.timeit(numbers[name]) / numbers[name]
            best[name] = min(best[name], seconds * 1e6)
    return best


def _number(timer: Timer) -> int:
    """How many calls fill a round."""
    timer.timeit(3)
    fastest = min(timer.timeit(1) for _ in range(5))
    return max(1, round(SECONDS / max(fastest, 1e-7)))


def measure(case: Case, contenders: Sequence[Contender], rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds by contender, and of the kernels of cybn as "kernel"."""
    data, calls = Data(case, 0), {}
    for contender in contenders:
        if contender.can(case):
            call = contender.prepare(case, data).call
            calls[contender.name] = lambda call=call: call(0)
    if alone := kernels_of(calls["cybn"]):
        calls["kernel"] = alone
    return least(calls, rounds)


def row(case: Case, got: dict[str, float]) -> list[str]:
    whole, kernel, torch = (got.get(name) for name in ("cybn", "kernel", "torch"))
    python = None if kernel is None else max(whole - kernel, 0)
    return [
        f"{case.operation}, {MODE_TITLES[case.mode]}",
        number(whole),
        number(kernel),
        number(python),
        NONE if python is None else f"{python / whole:.0%}",
        number(torch),
        number(torch and torch / whole),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    p = Parser(prog="python -m benchmarks.calls", description=__doc__.partition("\n")[0])
    p.add_argument("--shape", default=SHAPE, help=f"of the input ({SHAPE})")
    p.add_argument("--norms", nargs="+", choices=NORMS, default=NORMS, metavar="NORM")
    p.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"({ROUNDS})")
    options = p.parse_args(arguments)
    try:
        cases = [
            case
            for case in grid(norms=options.norms, patterns=[options.shape], layouts=["first"])
            if "x".join(map(str, case.shape)) == options.shape
        ]
    except ValueError as error:
        p.error(str(error))
    contenders, left_out = find(["cybn", "torch"], Settings(1))
    rows = [
        ["microseconds", "cybn", "kernel", "Python above", "share", "torch", "x torch"],
        *(row(case, measure(case, contenders, options.rounds)) for case in cases),
    ]
    print(f"{options.shape} float32, 1 thread; {Path(kernels._module.__file__).name}")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
