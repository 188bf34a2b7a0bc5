"""Runs cases: samples of all contenders in turn, in one process per number of threads.

A B C A B C ..., so that a slow minute of the machine falls on everyone. A sample is as many calls
as fill SAMPLE_SECONDS, at least one, each on the next of the rotating arrays; the time is that of
the mean call. Who takes long is sampled less often. What a call returns is held until the next call
has returned, as in `y = layer(x)` in a loop, so that freeing an old output is part of the time, as
allocating the new one is. The garbage collector is off. After its last sample a contender is called
once more, on an input that is the same for all, and what it computes is checked.

With more than one thread there is a pause before each sample: the idle threads of the contender
before spin for some milliseconds before they sleep, and would take the cores from the next.

Some libraries read the number of threads from the environment, once, when they are loaded. So each
number gets a process of its own, whose environment says it to all of them.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import count
from math import ceil
from multiprocessing import get_context
from operator import attrgetter
from time import perf_counter, sleep
from typing import Any, TypeVar

import numpy as np

from . import check
from .cases import Case
from .contenders import LIMITS, Contender, Run, find
from .data import Data, last_level_cache
from .results import threads_text

SAMPLE_SECONDS = 2e-3
WARM_UP_SECONDS = 2e-2
WARM_UP_CALLS = 3
ENOUGH_SECONDS = 0.5  # of samples, where there are ENOUGH, and of warming up
ENOUGH = 3
MOST_CALLS = 2000
PAUSE = 1e-2
Item = TypeVar("Item")
THREAD_VARIABLES = [f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS")]


def apart(function: Callable[..., Any], *args: Any, threads: int = 1) -> Any:
    """What a function returns in a new process, every library of which is told its threads.

    Raises what the function raises, and BrokenProcessPool where the process has died.
    """
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(function, *args).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(cases: Sequence[Case], names: Sequence[str], threads: int, repeats: int, seed: int,
        onednn: str | None = None) -> dict[str, Any]:  # fmt: skip
    """Time the contenders of these names in this process; the answer is of plain JSON."""
    np.seterr(all="ignore")  # warnings of plain NumPy would tear the progress bar
    contenders, left_out = find((*names, *LIMITS), threads, onednn)
    # Cases of the same shape, layout and dtype are done one after another and share their data.
    kind = attrgetter("shape", "layout", "dtype", "cached")
    alike: dict[Any, list[Case]] = {}
    for case in cases:
        alike.setdefault(kind(case), []).append(case)
    rows, problems = [], []
    order = [case for same in alike.values() for case in same]
    for case in progress(order, threads_text(threads)):
        if case is alike[kind(case)][0]:
            data = Data(case, seed)
        for timing in measure(case, contenders, data, repeats):
            name = timing.contender.name
            if timing.problem is None:
                measured = {"threads": threads, "contender": name, "samples": timing.samples}
                rows.append(asdict(case) | measured)
            else:
                problems.append(f"{name}, {case}, {threads_text(threads)}: {timing.problem}")
    loaded = [n for n in ("cybn", "numpy", "torch", "ml_dtypes") if n in sys.modules]
    return {
        "rows": rows, "problems": problems, "left_out": left_out, "cache": last_level_cache(),
        "versions": {name: sys.modules[name].__version__ for name in loaded},
        "notes": {each.name: each.note for each in contenders if each.note},
    }  # fmt: skip


def progress(
    items: Sequence[Item], title: str, named: Callable[[Item], str] = str
) -> Iterator[Item]:
    """The items, with a bar on a terminal where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield from items
        return
    with tqdm(items, desc=title, disable=None) as bar:
        for item in bar:
            bar.set_postfix_str(named(item))
            yield item


@dataclass
class Timing:
    """What came of one contender in one case."""

    contender: Contender
    samples: list[float] = field(default_factory=list)  # seconds of a call
    problem: str | None = None
    run: Run | None = None
    calls: int = 1  # to a sample
    held: Any = None  # what the last call returned

    def attempt(self, step: Callable[..., None], *args: Any) -> None:
        """A contender that fails is reported, and harms no other."""
        if self.problem is None:
            try:
                step(self, *args)
            except Exception as error:  # peers raise what they like
                text = " ".join(str(error).split()) or "no message"
                self.problem = f"{type(error).__name__}: {text[:200]}"

    def warm_up(self, case: Case, data: Data, indices: Iterator[int]) -> None:
        self.run = self.contender.prepare(case, data)
        fastest, begin = [], perf_counter()
        while (spent := perf_counter() - begin) < WARM_UP_SECONDS or (
            len(fastest) < WARM_UP_CALLS and spent < ENOUGH_SECONDS
        ):
            i, start = next(indices), perf_counter()
            self.held = self.run.call(i)
            fastest.append(perf_counter() - start)
        self.calls = min(max(1, ceil(SAMPLE_SECONDS / min(fastest))), MOST_CALLS)

    def sample(self, indices: Iterator[int]) -> None:
        if len(self.samples) >= ENOUGH and sum(self.samples) > ENOUGH_SECONDS:
            return
        order = [next(indices) for _ in range(self.calls)]
        call, held, self.held = self.run.call, self.held, None
        start = perf_counter()
        for i in order:
            held = call(i)
        seconds = perf_counter() - start
        self.samples.append(seconds / len(order))
        self.held = held

    def check(self, case: Case, want: Callable[[], check.Expected]) -> None:
        if self.run.read is not None:
            self.problem = check.problem(case, want(), self.run.read(0, self.run.call(0)))
        self.run = self.held = None


def measure(case: Case, contenders: Sequence[Contender], data: Data, repeats: int) -> list[Timing]:
    """Time every contender that can do the case, and check what it computes."""
    timings = [Timing(contender) for contender in contenders if contender.can(case)]
    indices = (i % data.count for i in count())
    pause = PAUSE if any(t.contender.threads > 1 for t in timings) else 0.0
    want = cache(lambda: check.expected(case, data, 0))
    enabled = gc.isenabled()
    gc.disable()
    try:
        for timing in timings:
            timing.attempt(Timing.warm_up, case, data, indices)
        for repeat in range(repeats):
            for timing in timings:
                sleep(pause)
                timing.attempt(Timing.sample, indices)
                if repeat == repeats - 1:  # before another writes to the same arrays
                    timing.attempt(Timing.check, case, want)
        return timings
    finally:
        if enabled:
            gc.enable()
