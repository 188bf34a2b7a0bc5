"""Samples of one case, all contenders in turn.

A B C A B C ..., so that a slow minute of the machine falls on everyone. A sample is as many calls
as fill SAMPLE_SECONDS, at least one, each on the next of the rotating arrays; the time is that of
the mean call. What a call returns is held until the next call has returned, as in `y = layer(x)`
in a loop, so that freeing an old output is part of the time, as allocating the new one is. The
garbage collector is off.

With more than one thread there is a pause before each sample: the idle threads of the contender
before spin for some milliseconds before they sleep, and would take the cores from the next.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter, sleep
from typing import Any

import numpy as np

from . import check
from .contenders import Arrays, Contender, Run
from .data import Data
from .shapes import Case

SAMPLE_SECONDS = 2e-3
WARM_UP_SECONDS = 2e-2
WARM_UP_CALLS = 3
MOST_CALLS = 2000
PAUSE = 1e-2


@dataclass
class Timing:
    """What came of one contender in one case."""

    contender: Contender
    samples: list[float] = field(default_factory=list)  # seconds of a call
    problem: str | None = None
    _run: Run | None = None
    _calls: int = 1
    _held: Any = None


def measure(
    case: Case, contenders: Sequence[Contender], data: Data, repeats: int
) -> list[Timing]:
    """Time every contender that can do the case; check what each computed last."""
    timings = [Timing(contender) for contender in contenders if contender.can(case)]
    indices = (i % data.count for i in count())
    pause = PAUSE if any(t.contender.threads > 1 for t in timings) else 0.0
    enabled = gc.isenabled()
    gc.disable()
    try:
        for timing in timings:
            _attempt(timing, _warm_up, case, data, indices)
        for repeat in range(repeats):
            for timing in timings:
                if timing.problem is None:
                    sleep(pause)
                    _attempt(timing, _sample, indices)
                if timing.problem is None and repeat == repeats - 1:
                    _attempt(timing, _check, case, data)
        return timings
    finally:
        if enabled:
            gc.enable()


def _attempt(timing: Timing, step, *args: Any) -> None:
    """A contender that fails is reported, and harms no other."""
    try:
        step(timing, *args)
    except Exception as error:  # peers raise what they like
        text = " ".join(str(error).split()) or "no message"
        timing.problem = f"{type(error).__name__}: {text[:200]}"


def _warm_up(timing: Timing, case: Case, data: Data, indices: Iterator[int]) -> None:
    timing._run = timing.contender.prepare(case, data)
    call, fastest, calls, begin = timing._run.call, float("inf"), 0, perf_counter()
    while calls < WARM_UP_CALLS or perf_counter() - begin < WARM_UP_SECONDS:
        i = next(indices)
        start = perf_counter()
        timing._held = i, call(i)
        fastest, calls = min(fastest, perf_counter() - start), calls + 1
    timing._calls = int(np.clip(np.ceil(SAMPLE_SECONDS / max(fastest, 1e-9)), 1, MOST_CALLS))


def _sample(timing: Timing, indices: Iterator[int]) -> None:
    order = [next(indices) for _ in range(timing._calls)]
    call, (_, held) = timing._run.call, timing._held
    timing._held = None
    start = perf_counter()
    for i in order:
        held = call(i)
    seconds = perf_counter() - start
    timing.samples.append(seconds / len(order))
    timing._held = order[-1], held


def _check(timing: Timing, case: Case, data: Data) -> None:
    i, returned = timing._held
    got = timing._run.read(i, returned)
    if timing._run.exact is None:
        timing.problem = check.problem(case, data, i, got)
    elif not _equal(got, timing._run.exact(i)):
        timing.problem = "it did not copy what it was given"
    timing._held = timing._run = None


def _equal(got: Arrays, want: Arrays) -> bool:
    return got.keys() == want.keys() and all(np.array_equal(got[k], want[k]) for k in want)
