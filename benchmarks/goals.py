"""The goals, and what a run says about each.

Each goal is a set of figures, one per case, each the higher the better, and what their geometric
mean and the lowest of them must be. All are ratios inside one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from .norms import MODES, TRAINING
from .results import Results, geometric_mean
from .shapes import LAYOUTS, Case

Figures = Mapping[str, float]  # label of the case -> figure

SMALLEST = "smallest"
#: norm -> what the goals call it
OTHERS = {
    "layer": "LayerNorm", "rms": "RMSNorm", "group": "GroupNorm", "instance": "InstanceNorm",
}  # fmt: skip
#: noise that a fraction on two threads may lose against the fraction on one, and count as kept
KEPT = 0.95


@dataclass(frozen=True)
class Goal:
    what: str
    wanted: str
    figures: Callable[[Results, int], Figures]
    mean: float
    lowest: float | None = None


@dataclass(frozen=True)
class Verdict:
    mean: float
    lowest_first: list[tuple[str, float]]  # the cases and their figures
    met: bool

    @property
    def lowest(self) -> float:
        return self.lowest_first[0][1]


def judge(goal: Goal, results: Results, threads: int) -> Verdict | None:
    """None where the run has no figures for it."""
    figures = goal.figures(results, threads)
    if not figures:
        return None
    mean = geometric_mean(figures.values())
    lowest_first = sorted(figures.items(), key=lambda item: item[1])
    met = mean >= goal.mean and (goal.lowest is None or lowest_first[0][1] >= goal.lowest)
    return Verdict(mean, lowest_first, met)


# Figures


def _cases(results: Results, modes, layouts=LAYOUTS, norm: str = "batch") -> list[Case]:
    """The cases of the grid, the smallest call aside."""
    return [
        case
        for case in results.cases
        if case.mode in modes
        and case.layout in layouts
        and case.norm == norm
        and case.group != SMALLEST
    ]


def _figures(cases: Iterable[Case], figure: Callable[[Case], float | None]) -> Figures:
    """The figure of each case that has one, by shape, and by what else varies among them."""
    found = {case: value for case in cases if (value := figure(case)) is not None}
    varying = [
        name
        for name in ("operation", "mode", "dtype")
        if len({getattr(case, name) for case in found}) > 1
    ]
    return {
        " ".join([case.label, *(getattr(case, name) for name in varying)]): value
        for case, value in found.items()
    }


def faster(
    results: Results, threads: int, *, ours: str = "cybn", theirs: str = "torch", **which
) -> Figures:
    """How many times faster `ours` is."""
    return _figures(
        _cases(results, **which), lambda case: results.ratio(case, threads, ours, theirs)
    )


def of_limit(results: Results, threads: int, *, modes: Iterable[str]) -> Figures:
    """Fraction of the limit for tensors above the last-level cache, into an existing array."""
    return _figures(
        (case for case in _cases(results, modes) if case.nbytes > results.cache),
        lambda case: results.fraction(case, threads, "cybn-out"),
    )


def kept(results: Results, threads: int) -> Figures:
    """Fraction of the limit on these threads over that on one."""
    if threads == 1:
        return {}
    one, more = (of_limit(results, n, modes=MODES) for n in (1, threads))
    return {label: more[label] / one[label] for label in more if label in one}


def call_overhead(results: Results, threads: int, *, modes: Iterable[str]) -> Figures:
    """How many times faster the smallest call is than PyTorch's."""
    return _figures(
        (case for case in results.cases if case.group == SMALLEST and case.mode in modes),
        lambda case: results.ratio(case, threads, "cybn", "torch"),
    )


FIRST, LAST = ("first",), ("last",)
FORWARD, BACKWARD, EVALUATION = ("forward",), ("backward",), ("evaluation",)
_BLOCKED = {"ours": "cybn-out", "theirs": "onednn-blocked", "layouts": FIRST}


def _goal(what: str, wanted: str, mean: float, lowest: float | None, figures, **how) -> Goal:
    return Goal(what, wanted, partial(figures, **how), mean, lowest)


GOALS = [
    _goal("batch forward, channels first, x PyTorch", ">= 6, nowhere < 2", 6, 2,
          faster, modes=FORWARD, layouts=FIRST),
    _goal("batch forward, channels last, x PyTorch", ">= 3, nowhere < 1.5", 3, 1.5,
          faster, modes=FORWARD, layouts=LAST),
    _goal("batch backward, channels first, x PyTorch", ">= 4, nowhere < 1.5", 4, 1.5,
          faster, modes=BACKWARD, layouts=FIRST),
    _goal("batch backward, channels last, x PyTorch", ">= 3, nowhere < 1.5", 3, 1.5,
          faster, modes=BACKWARD, layouts=LAST),
    _goal("batch evaluation, x PyTorch", ">= 1.5, nowhere < 1", 1.5, 1,
          faster, modes=EVALUATION),
    _goal("batch forward, x oneDNN on blocks", ">= 1.3", 1.3, None,
          faster, modes=FORWARD, **_BLOCKED),
    _goal("batch backward, x oneDNN on blocks", ">= 1.3", 1.3, None,
          faster, modes=BACKWARD, **_BLOCKED),
    _goal("batch forward, fraction of the limit", ">= 0.75", 0.75, None, of_limit, modes=FORWARD),
    _goal("batch backward, fraction of the limit", ">= 0.75", 0.75, None, of_limit, modes=BACKWARD),
    _goal("batch evaluation, fraction of the limit", ">= 0.9", 0.9, None,
          of_limit, modes=EVALUATION),
    _goal("batch fraction kept from one thread", f">= {KEPT} of it", KEPT, None, kept),
    _goal("batch smallest call, training, x PyTorch", ">= 8", 8, None,
          call_overhead, modes=FORWARD),
    *(
        _goal(f"{name} {mode}, x PyTorch", ">= 2, nowhere < 1", 2, 1,
              faster, modes=(mode,), norm=norm)
        for norm, name in OTHERS.items() for mode in TRAINING
    ),
    _goal("fused forward, x PyTorch", ">= 6, nowhere < 2", 6, 2,
          faster, modes=FORWARD, norm="fused"),
    _goal("fused backward, x PyTorch", ">= 4, nowhere < 1.5", 4, 1.5,
          faster, modes=BACKWARD, norm="fused"),
    _goal("fused forward, x unfused here", "nowhere < 1", 1, 1,
          faster, theirs="cybn-unfused", modes=FORWARD, norm="fused"),
    _goal("fused backward, x unfused here", "nowhere < 1", 1, 1,
          faster, theirs="cybn-unfused", modes=BACKWARD, norm="fused"),
    _goal("ghost forward, x PyTorch", ">= 6, nowhere < 2", 6, 2,
          faster, modes=FORWARD, norm="ghost"),
    _goal("ghost backward, x PyTorch", ">= 4, nowhere < 1.5", 4, 1.5,
          faster, modes=BACKWARD, norm="ghost"),
]  # fmt: skip

#: these do not depend on the number of threads; in the figure's own unit, the lower the better
FOOTPRINT_GOALS = [
    ("import beyond NumPy", "<= 30 ms", "import_ms", 30.0, "ms"),
    ("wheel", "<= 1.5 MB", "wheel_mb", 1.5, "MB"),
    ("wheel built", "< 90 s", "build_s", 90.0, "s"),
]
