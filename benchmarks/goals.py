"""The goals: a table, and what a run says about each of its lines.

A goal is about the cases of a norm, mode and layout. Its figure is in each case how many times
faster `ours` is than `theirs`, the higher the better; beside LIMIT that is the fraction of what the
machine attains for the bytes that the layout forces (`Case.forced`). Wanted of the figures are a
geometric mean and a lowest. All are ratios inside one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .cases import SMALLEST, Case
from .results import LIMIT, Results, geometric_mean

LARGE = "above the cache"  # of `Goal.cases`: those larger than the last-level cache
#: of its fraction of the limit on one thread, what a pass keeps on more; the rest is noise
KEPT = 0.95


class Goal(NamedTuple):
    norm: str
    mode: str
    layout: str  # "" for both
    cases: str  # LARGE, SMALLEST, or "" for all but the smallest
    ours: str
    theirs: str
    mean: float
    lowest: float | None = None

    @property
    def what(self) -> str:
        beside = "of the limit" if self.theirs == LIMIT else f"x {self.theirs}"
        layout = f"channels {self.layout}" if self.layout else ""
        return ", ".join(filter(None, (f"{self.norm} {self.mode}", layout, self.cases, beside)))

    @property
    def wanted(self) -> str:
        return f">= {self.mean:g}" + (f", nowhere < {self.lowest:g}" if self.lowest else "")

    def covers(self, case: Case, cache: int) -> bool:
        small = case.group == SMALLEST
        return (
            (case.norm, case.mode) == (self.norm, self.mode)
            and self.layout in ("", case.layout)
            and small == (self.cases == SMALLEST)
            and (self.cases != LARGE or case.nbytes > cache)
        )


#: norms: mode, layout, the mean wanted against PyTorch; nowhere is cybn to be slower
_TORCH = {
    ("batch", "fused", "ghost"): [("forward", "first", 6), ("backward", "first", 2.5)],
    ("batch",): [("forward", "last", 2), ("backward", "last", 1.7), ("evaluation", "", 2)],
    ("layer", "group", "instance"): [("forward", "", 2), ("backward", "", 2)],
    ("rms",): [("forward", "", 5), ("backward", "", 5)],
}
_LIMIT = {"forward": 0.85, "backward": 0.85, "evaluation": 0.95}
GOALS = [
    *(Goal("batch", mode, layout, LARGE, "cybn-out", LIMIT, mean)
      for mode, mean in _LIMIT.items() for layout in ("first", "last")),
    *(Goal(norm, mode, layout, "", "cybn", "torch", mean, 1)
      for norms, wanted in _TORCH.items() for norm in norms for mode, layout, mean in wanted),
    Goal("batch", "forward", "first", "", "cybn-out", "onednn-blocked", 1.5, 0.9),
    Goal("batch", "backward", "first", "", "cybn-out", "onednn-blocked", 1.3, 0.9),
    Goal("fused", "forward", "", "", "cybn", "cybn-unfused", 1, 1),
    Goal("fused", "backward", "", "", "cybn", "cybn-unfused", 1, 1),
    Goal("batch", "forward", "", SMALLEST, "cybn", "torch", 8),
    Goal("batch", "evaluation", "", SMALLEST, "cybn", "torch", 5),
    Goal("batch", "backward", "", SMALLEST, "cybn", "torch-op", 2.5),
    Goal("layer", "forward", "", SMALLEST, "cybn", "torch", 2.5),
]  # fmt: skip
#: what does not depend on threads: what, figure, the most of it, unit
FOOTPRINT = [
    ("import beyond NumPy", "import_ms", 30.0, "ms"),
    ("wheel", "wheel_mb", 1.5, "MB"),
    ("wheel built", "build_s", 60.0, "s"),
]


class Verdict(NamedTuple):
    what: str
    wanted: str
    mean: float | None = None  # None where nothing was measured
    lowest_first: Sequence[tuple[str, float]] = ()  # the cases and their figures
    met: bool = False


def figures(goal: Goal, results: Results, threads: int) -> dict[Case, float]:
    """The figure of each case that has one."""
    cases = (case for case in results.cases if goal.covers(case, results.cache))
    found = {case: results.ratio(case, threads, goal.ours, goal.theirs) for case in cases}
    return {case: value for case, value in found.items() if value is not None}


def verdicts(results: Results, threads: int) -> list[Verdict]:
    """One for each goal, and one for what the threads keep, in the order of the table."""
    found, kept = [], {}
    for goal in GOALS:
        got = figures(goal, results, threads)
        found.append(_judge(goal.what, goal.wanted, got, goal.mean, goal.lowest or 0))
        if goal.theirs == LIMIT and threads > 1:
            one = figures(goal, results, 1)
            kept |= {case: got[case] / one[case] for case in got if case in one}
    what = "batch, kept of the fraction on one thread"
    return [*found, _judge(what, f">= {KEPT}", kept, KEPT, 0)]


def _judge(what: str, wanted: str, got: dict[Case, float], mean: float, lowest: float) -> Verdict:
    reached = geometric_mean(got.values())
    if reached is None:
        return Verdict(what, wanted)
    order = sorted(((str(case), value) for case, value in got.items()), key=lambda item: item[1])
    return Verdict(what, wanted, reached, order, reached >= mean and order[0][1] >= lowest)
