"""All that a run measured: questions to it, its JSON file, and how two of them differ."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

from .contenders import CONTENDERS
from .limit import LIMITS
from .shapes import Case

FORMAT = "cybn benchmarks 1"
#: a change below this is none, however quiet the machine was
LEAST_CHANGE = 0.03
#: with fewer, nothing is known of the noise
FEWEST_SAMPLES = 3


@dataclass(frozen=True)
class Measured:
    """One contender in one case."""

    case: Case
    threads: int
    contender: str
    samples: tuple[float, ...]  # seconds of a call
    bytes: int  # that had to move

    @property
    def seconds(self) -> float:
        return median(self.samples)

    @property
    def speed(self) -> float:
        """Bytes in a second."""
        return self.bytes / self.seconds

    @property
    def spread(self) -> float:
        """Half the range of the middle half of the samples, as a share of the median."""
        ordered, n = sorted(self.samples), len(self.samples)
        if n < FEWEST_SAMPLES:
            return math.inf
        return (ordered[(3 * n - 1) // 4] - ordered[n // 4]) / 2 / self.seconds


@dataclass
class Results:
    """A run: `rows` by (key of the case, threads, contender), and what is known of the rest."""

    rows: dict[tuple[str, int, str], Measured] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    footprint: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def add(self, answer: dict[str, Any]) -> None:
        """Take in what a worker has answered."""
        for row in answer["rows"]:
            measured = _measured(row)
            key = measured.case.key, measured.threads, measured.contender
            self.rows[key] = measured
        self.problems += answer["problems"]
        self.left_out |= answer["left_out"]
        self.machine["cache"] = answer["cache"]
        self.machine.setdefault("versions", {}).update(answer["versions"])
        self.machine.setdefault("notes", {}).update(answer["notes"])

    # Questions

    @property
    def cases(self) -> list[Case]:
        """In the order in which they were measured."""
        return list({row.case.key: row.case for row in self.rows.values()}.values())

    @property
    def threads(self) -> list[int]:
        return sorted({row.threads for row in self.rows.values()})

    @property
    def contenders(self) -> list[str]:
        """Those that compete, in the order of the tables; not the limits."""
        found = {row.contender for row in self.rows.values()}
        return [name for name in CONTENDERS if name in found]

    @property
    def cache(self) -> int:
        """Bytes of the last-level cache."""
        return self.machine.get("cache", 0)

    def get(self, case: Case, threads: int, contender: str) -> Measured | None:
        return self.rows.get((case.key, threads, contender))

    def limit(self, case: Case, threads: int) -> Measured | None:
        """The fastest of the limits of a case."""
        found = (self.get(case, threads, name) for name in LIMITS)
        return max((row for row in found if row), key=lambda row: row.speed, default=None)

    def fraction(self, case: Case, threads: int, contender: str) -> float | None:
        """Of the limit that a contender reaches."""
        row, limit = self.get(case, threads, contender), self.limit(case, threads)
        return row.speed / limit.speed if row and limit else None

    def ratio(self, case: Case, threads: int, ours: str, theirs: str) -> float | None:
        """How many times faster `ours` is."""
        mine, other = self.get(case, threads, ours), self.get(case, threads, theirs)
        return other.seconds / mine.seconds if mine and other else None

    # The file

    def save(self, path: Path) -> None:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["rows"] = [_plain(row) for row in self.rows.values()]
        path.write_text(json.dumps({"format": FORMAT, **plain}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises OSError, and ValueError for a file that is none of ours."""
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            if plain["format"] != FORMAT:
                raise ValueError(f"format {plain['format']!r}, not {FORMAT!r}")
            results = cls(**{f.name: plain[f.name] for f in fields(cls) if f.name != "rows"})
            for row in plain["rows"]:
                measured = _measured(row)
                results.rows[measured.case.key, measured.threads, measured.contender] = measured
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a result of --json ({error})") from error
        return results


def _plain(row: Measured) -> dict[str, Any]:
    return {**vars(row.case), **{k: v for k, v in vars(row).items() if k != "case"}}


def _measured(row: dict[str, Any]) -> Measured:
    row = dict(row)
    case = Case(**{f.name: row.pop(f.name) for f in fields(Case)})
    case = Case(**{**vars(case), "shape": tuple(case.shape)})
    measured = Measured(case, **{**row, "samples": tuple(row["samples"])})
    if not case.layer:
        raise ValueError(f"{case.key}: no such case")
    if not measured.samples or not all(s > 0 for s in measured.samples):
        raise ValueError(f"{case.key}: a sample is a time above 0")
    return measured


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "processor": _processor(),
        "cpus": _cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpus() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


# Statistics over cases


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


# Two runs


@dataclass(frozen=True)
class Change:
    """What became of one contender in one case."""

    old: Measured
    new: Measured

    @property
    def ratio(self) -> float:
        """How many times faster the new run was."""
        return self.old.seconds / self.new.seconds

    @property
    def noise(self) -> float:
        """What the repeats of both runs vary by, as a share."""
        return max(LEAST_CHANGE, self.old.spread + self.new.spread)

    @property
    def moved(self) -> bool:
        return abs(math.log(self.ratio)) > math.log1p(self.noise)


def changes(old: Results, new: Results) -> list[Change]:
    """What both runs measured, in the order of the new one."""
    return [Change(old.rows[key], row) for key, row in new.rows.items() if key in old.rows]
