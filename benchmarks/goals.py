"""The goals: a table, and what a run says about each of its lines.

A goal is about the cases of a norm, mode and layout. Its figure is in each case how many times
faster `ours` is than `theirs`, the higher the better; beside LIMIT that is the fraction of what the
machine attains for the bytes that the layout forces (`Case.forced`). Wanted of the figures are a
geometric mean and a lowest. All are ratios inside one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import company
from .cases import MODES, SIXTEEN, SMALLEST, Case
from .results import LIMIT, Results, geometric_mean

LARGE = "above the cache"  # of `Goal.cases`: those larger than the last-level cache
#: of its fraction of the limit on one thread, what a pass keeps on more; the rest is noise
KEPT = 0.95
#: of what it takes alone, a call beside PyTorch's threads; of its share, beside a busy process
BESIDE_TORCH, SHARE = 0.95, 0.5


class Goal(NamedTuple):
    norm: str  # "" for all
    mode: str
    layout: str  # "" for both
    cases: str  # LARGE, SMALLEST, or "" for all but the smallest
    ours: str
    theirs: str
    mean: float
    lowest: float = 0.0
    dtypes: tuple[str, ...] = ("float32", "float64")

    @property
    def what(self) -> str:
        beside = "of the limit" if self.theirs == LIMIT else f"x {self.theirs}"
        layout = f"channels {self.layout}" if self.layout else ""
        sixteen = "/".join(self.dtypes) if self.dtypes == SIXTEEN else ""
        parts = (sixteen, f"{self.norm} {self.mode}".strip(), layout, self.cases,
                 beside)  # fmt: skip
        return ", ".join(filter(None, parts))

    def covers(self, case: Case, cache: int) -> bool:
        small = case.group == SMALLEST
        return (
            self.norm in ("", case.norm)
            and case.mode == self.mode
            and case.dtype in self.dtypes
            and self.layout in ("", case.layout)
            and small == (self.cases == SMALLEST)
            and (self.cases != LARGE or (case.nbytes > cache and not case.cached))
        )


#: norms: mode, layout, the mean wanted against PyTorch; nowhere is cybn to be slower
_TORCH = {
    ("batch", "fused"): [
        ("forward", "first", 6),
        ("forward", "last", 2),
        ("evaluation", "", 2),
        ("backward", "first", 2.5),
        ("backward", "last", 1.7),
    ],
    ("ghost",): [("forward", "first", 6), ("backward", "first", 2.5)],
    ("layer", "group", "instance"): [
        ("forward", "", 2),
        ("backward", "", 2),
        ("evaluation", "", 1),
    ],
    ("rms",): [("forward", "", 5), ("backward", "", 5), ("evaluation", "", 1)],
    ("research",): [(mode, "", 1) for mode in MODES],
}
_LIMIT = {"forward": 0.85, "backward": 0.85, "evaluation": 0.95}
#: norms: the mean wanted of the smallest call, beside its rival
_SMALLEST = {
    ("batch", "forward", "torch"): 8,
    ("batch", "evaluation", "torch"): 5,
    ("batch", "backward", "torch-op"): 2.5,
    ("layer", "forward", "torch"): 2.5,
    ("layer", "backward", "torch-op"): 1,
    ("group", "backward", "torch-op"): 1,
}
GOALS = [
    *(Goal("batch", mode, layout, LARGE, "cybn-out", LIMIT, mean)
      for mode, mean in _LIMIT.items() for layout in ("first", "last")),
    *(Goal(norm, mode, layout, "", "cybn", "torch", mean, 1)
      for norms, wanted in _TORCH.items() for norm in norms for mode, layout, mean in wanted),
    Goal("batch", "forward", "first", "", "cybn-out", "onednn-blocked", 1.5, 0.9),
    Goal("batch", "backward", "first", "", "cybn-out", "onednn-blocked", 1.3, 0.9),
    *(Goal("fused", mode, "", "", "cybn", "cybn-unfused", 1, 1) for mode in MODES),
    *(Goal(norm, mode, "", SMALLEST, "cybn", rival, mean)
      for (norm, mode, rival), mean in _SMALLEST.items()),
    *(Goal("", mode, "", SMALLEST, "cybn", "torch", 1, 1) for mode in MODES),
    *(Goal("", mode, "", LARGE, ours, theirs, mean, dtypes=SIXTEEN) for mode in MODES
      for ours, theirs, mean in (("cybn-out", "cybn-float32", 1.6), ("cybn", "torch", 2))),
]  # fmt: skip
#: what does not depend on threads: what, figure, the most of it, unit
FOOTPRINT = [
    ("import beyond NumPy", "import_ms", 30.0, "ms"),
    ("wheel", "wheel_mb", 1.5, "MB"),
    ("wheel built", "build_s", 60.0, "s"),
]


class Verdict(NamedTuple):
    """What a run says of a goal, for a number of threads; the mean is None for nothing measured."""

    what: str
    wanted: float
    nowhere_below: float
    threads: int | None = None
    mean: float | None = None
    lowest_first: tuple[tuple[str, float], ...] = ()  # the cases and their figures

    @property
    def met(self) -> bool:
        return self.mean is not None and (
            self.mean >= self.wanted and self.lowest_first[0][1] >= self.nowhere_below
        )


def verdicts(results: Results) -> Iterator[list[Verdict]]:
    """For each goal, in the order of the table, those of all numbers of threads with figures."""
    kept = {}
    for goal in GOALS:
        got = {threads: figures(goal, results, threads) for threads in results.threads}
        yield _judged(goal.what, got, goal.mean, goal.lowest)
        if goal.theirs == LIMIT and 1 in got:
            for threads in results.threads[1:]:
                both = got[threads].keys() & got[1].keys()
                kept.setdefault(threads, {}).update(
                    {case: got[threads][case] / got[1][case] for case in both}
                )
    yield _judged("batch, kept of the fraction on one thread", kept, KEPT)
    beside, shared = {}, {}
    for row in results.company:
        name = f"{row['megabytes']:g} MB {row['mode']}"
        if company.TORCH in row:
            found = row[company.ALONE] / row[company.TORCH]
            beside.setdefault(row["threads"], {})[name] = found
        found = row["mean"] / row["share"] / row[company.BUSY]
        shared.setdefault(row["threads"], {})[name] = found
    what = "in turn with PyTorch's operators, of cybn alone"
    yield _judged(what, beside, BESIDE_TORCH, BESIDE_TORCH)
    yield _judged("beside busy processes, of the fair share", shared, SHARE, SHARE)


def figures(goal: Goal, results: Results, threads: int) -> dict[Case, float]:
    """The figure of each case that has one."""
    cases = (case for case in results.cases if goal.covers(case, results.cache))
    found = {case: results.ratio(case, threads, goal.ours, goal.theirs) for case in cases}
    return {case: value for case, value in found.items() if value is not None}


def _judged(
    what: str, got: Mapping[int, Mapping[Any, float]], wanted: float, nowhere_below: float = 0.0
) -> list[Verdict]:
    """Of the figures of each number of threads."""
    found = []
    for threads, of_cases in got.items():
        if of_cases:
            low = sorted(((str(case), value) for case, value in of_cases.items()), key=_figure)
            mean = geometric_mean(of_cases.values())
            found.append(Verdict(what, wanted, nowhere_below, threads, mean, tuple(low)))
    return found or [Verdict(what, wanted, nowhere_below)]


def _figure(item: tuple[str, float]) -> float:
    return item[1]
