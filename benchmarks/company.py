"""cybn in company: in turn with operators of PyTorch, and beside another process that is busy.

A network in PyTorch that calls cybn has two teams of threads, each with its own runtime, which wait
for work by spinning for a while: the one may take the cores from the other. So calls of a batch
norm are timed alone; each after an operator of PyTorch on all threads; and each after the same by
NumPy, which moves the same bytes through the caches with no threads at all. The last tells what of
the difference is cache, not threads.

Beside busy processes, one for each CPU, a call gets its share of the CPUs by the system's
scheduler. What is timed there is the mean, not the median: most short calls see no other process
at all, and a few wait for its whole turn.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from statistics import fmean, median
from time import perf_counter, sleep
from typing import Any

import numpy as np

from .cases import MODES, Case
from .contenders import find
from .data import Data

CHANNELS = (16, 64)  # samples and channels; the positions make the size
MEGABYTES = (0.25, 0.5, 1, 2.5, 5, 10, 25)
QUICK = (0.25, 2.5, 25)
ROUNDS, BLOCK_SECONDS, PAUSE = 9, 8e-3, 2e-2
BUSY_SECONDS = 0.4
ALONE, TORCH, NUMPY, BUSY = "alone", "torch", "numpy", "busy"
SPIN = "while True: pass"


def run(
    threads: int, cpus: int, seed: int, megabytes: Sequence[float] = MEGABYTES
) -> list[dict[str, Any]]:
    """Microseconds of calls of each size, forward and backward, in each company."""
    rows = []
    for size in megabytes:
        shape = (*CHANNELS, int(size * 1e6) // (4 * CHANNELS[0] * CHANNELS[1]))
        data = Data(Case("batch_norm", shape), seed)
        for mode in MODES[:2]:
            case = Case("batch_norm", shape, mode=mode)
            rows.append({"megabytes": size, "mode": mode, "threads": threads,
                         **measure(case, data, threads, cpus)})  # fmt: skip
    return rows


def measure(case: Case, data: Data, threads: int, cpus: int) -> dict[str, float]:
    """Microseconds of a call, by company; its mean beside busy processes and alone; their share."""
    (cybn, *torch), _ = find(["cybn", "torch"], threads)
    call, indices = cybn.prepare(case, data).call, (i % data.count for i in count())
    x, y = data.x, data.out[0]
    others: dict[str, Callable[[int], Any] | None] = {
        ALONE: None,
        NUMPY: lambda i: np.maximum(x[i], 0, out=y),
    }
    if torch:
        tensors, relu = [torch[0].tensor(case, a) for a in x], torch[0].torch.relu
        others[TORCH] = lambda i: relu(tensors[i])
    times: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(ROUNDS):
        for name, other in others.items():
            sleep(PAUSE)  # the threads of the one before go to sleep
            times[name] += list(_calls(call, other, indices, BLOCK_SECONDS))[1:]
    got = {name: median(values) * 1e6 for name, values in times.items()}
    alone = fmean(_calls(call, None, indices, BUSY_SECONDS))
    with busy(cpus):
        beside = fmean(_calls(call, None, indices, BUSY_SECONDS))
    share = min(1.0, cpus / (threads + cpus))
    return got | {"mean": alone * 1e6, BUSY: beside * 1e6, "share": share}


def _calls(
    call: Callable[[int], Any],
    other: Callable[[int], Any] | None,
    indices: Iterator[int],
    seconds: float,
) -> Iterator[float]:
    """Seconds of calls, each after a call of the other; three at least."""
    end, kept = perf_counter() + seconds, None
    for done in count():
        if done >= 3 and perf_counter() > end:
            return
        if other is not None:
            other(next(indices))
        i, start = next(indices), perf_counter()
        kept = call(i)  # until the next has returned
        yield perf_counter() - start
    del kept


@contextmanager
def busy(cpus: int) -> Iterator[None]:
    """A process for each CPU that does nothing but take it."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(cpus)]
    try:
        sleep(0.1)  # until they spin
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
