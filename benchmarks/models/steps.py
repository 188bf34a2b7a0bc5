"""Times of a model and of its converted copy, in turns, in one process.

A round is a step of each, the one that was second before now first; the figure of a cell is the
median over rounds of theirs/ours, so that a slow minute of the machine falls on both. A first step
of each is not counted.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

import cybn.torch

from ..results import threads_text
from . import zoo

TRAINING, INFERENCE = MODES = ("training", "inference")
FIRST, LAST = FORMATS = ("first", "last")
FEWEST = 3


@dataclass(frozen=True)
class Cell:
    """What is timed."""

    model: str
    mode: str
    batch: int
    format: str  # where the channels of images and of weights of convolutions lie; "" for text
    threads: int

    def __str__(self) -> str:
        return name_of(asdict(self))


def name_of(row: dict[str, Any]) -> str:
    layout = row["format"] and f"channels {row['format']}"
    parts = row["model"], row["mode"], f"batch {row['batch']}", layout, threads_text(row["threads"])
    return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Plan:
    """How: sizes of a sample, most rounds of a cell, and seconds after which there are no more."""

    size: zoo.Size
    rounds: int
    seconds: float
    fuse: bool = True


def cells(
    models: Sequence[str], modes: Sequence[str], batches: Sequence[int], formats: Sequence[str],
    threads: Sequence[int],
) -> list[list[Cell]]:  # fmt: skip
    """All of them, those of one model, format and number of threads together."""
    return [
        [Cell(model, mode, batch, layout, n) for batch in batches for mode in modes]
        for model in models
        for layout in (formats if zoo.takes(model) == zoo.IMAGES else ("",))
        for n in threads
    ]


def measure(cells: Sequence[Cell], plan: Plan) -> dict[str, Any]:
    """Each cell with the seconds of its rounds, [theirs, ours]; in a process of their own.

    They differ in batch and mode alone. A cell that fails is a problem, and harms no other.
    """
    first = cells[0]
    torch.set_num_threads(first.threads)
    theirs = zoo.build(first.model)
    if first.format == LAST:
        theirs = theirs.to(memory_format=torch.channels_last)
    ours = cybn.torch.convert(copy.deepcopy(theirs), fuse=plan.fuse)
    rows, problems = [], []
    for cell in cells:
        x = zoo.batch(cell.model, cell.batch, plan.size, cell.format == LAST)
        run = zoo.step_of if cell.mode == TRAINING else zoo.inference_of
        both = (run(each.train(cell.mode == TRAINING), x) for each in (theirs, ours))
        try:
            pairs = in_turns(*both, plan.rounds, plan.seconds)
        except (RuntimeError, ValueError) as error:
            problems.append(f"{cell}: {type(error).__name__}: {error}")
        else:
            rows.append({**asdict(cell), "pairs": pairs})
    return {"rows": rows, "problems": problems}


def in_turns(
    theirs: Callable[[], Any], ours: Callable[[], Any], rounds: int, seconds: float
) -> list[list[float]]:
    """Seconds of a call of each, round by round."""
    both, pairs = (theirs, ours), []
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for call in both:
            call()
        end = time.perf_counter() + seconds
        while len(pairs) < rounds and (len(pairs) < FEWEST or time.perf_counter() < end):
            pair = [0.0, 0.0]
            for which in (0, 1) if len(pairs) % 2 else (1, 0):
                begin = time.perf_counter()
                both[which]()
                pair[which] = time.perf_counter() - begin
            pairs.append(pair)
    finally:
        if enabled:
            gc.enable()
    return pairs


def ratio(row: dict[str, Any]) -> float:
    """How many times faster the converted model is."""
    return median(theirs / ours for theirs, ours in row["pairs"])


def spread(row: dict[str, Any]) -> float:
    """Half the range of the middle half of the ratios, as a share of their median."""
    ratios = sorted(theirs / ours for theirs, ours in row["pairs"])
    n = len(ratios)
    return (ratios[(3 * n - 1) // 4] - ratios[n // 4]) / 2 / median(ratios)
