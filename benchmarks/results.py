"""All that a run measured: questions to it, and its JSON file."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

from .cases import OPERATIONS, Case
from .contenders import CONTENDERS, LIMITS

FORMAT = "cybn benchmarks 3"
LIMIT = "limit"  # the faster of LIMITS, by the name that questions give it
#: with fewer samples, nothing is known of the noise
FEWEST_SAMPLES = 3

Key = tuple[Case, int, str]  # the case, threads, contender


@dataclass
class Results:
    """A run: seconds of a call, sample by sample, and what is known of the rest."""

    samples: dict[Key, list[float]] = field(default_factory=dict)
    company: list[dict[str, Any]] = field(default_factory=list)  # of `company.run`
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    footprint: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def add(self, answer: dict[str, Any]) -> None:
        """Take in what `runner.run` has answered."""
        for row in answer["rows"]:
            case = Case(**{f.name: row[f.name] for f in fields(Case)} | {"shape": (*row["shape"],)})
            if len(case.shape) not in OPERATIONS[case.operation].layers:
                raise ValueError(f"{case}: no such case")
            if not row["samples"] or min(row["samples"]) <= 0:
                raise ValueError(f"{case}: a sample is a time above 0")
            self.samples[case, row["threads"], row["contender"]] = row["samples"]
        self.problems += answer["problems"]
        self.left_out |= answer["left_out"]
        self.machine["cache"] = answer["cache"]
        for name in ("versions", "notes"):
            self.machine.setdefault(name, {}).update(answer[name])

    # Questions

    @property
    def cases(self) -> list[Case]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(case for case, _, _ in self.samples))

    @property
    def threads(self) -> list[int]:
        return sorted({threads for _, threads, _ in self.samples})

    @property
    def cache(self) -> int:
        """Bytes of the last-level cache."""
        return self.machine.get("cache", 0)

    def contenders(self, cases: Iterable[Case]) -> list[str]:
        """Those that compete in these cases, in the order of the tables."""
        wanted = set(cases)
        found = {who for case, _, who in self.samples if case in wanted}
        return [name for name in CONTENDERS if name in found]

    def seconds(self, case: Case, threads: int, contender: str) -> float | None:
        """The median sample; beside nothing measured None."""
        names = LIMITS if contender == LIMIT else (contender,)
        found = (self.samples.get((case, threads, name)) for name in names)
        return min((median(samples) for samples in found if samples), default=None)

    def speed(self, case: Case, threads: int, contender: str) -> float | None:
        """GB/s of what a caller wants moved."""
        seconds = self.seconds(case, threads, contender)
        return seconds and case.useful / seconds / 1e9

    def ratio(self, case: Case, threads: int, ours: str, theirs: str) -> float | None:
        """How many times faster `ours` is; beside LIMIT that is the fraction attained."""
        mine, other = (self.seconds(case, threads, name) for name in (ours, theirs))
        return mine and other and other / mine

    # The file

    def save(self, path: Path) -> None:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["samples"] = [
            {**asdict(case), "threads": threads, "contender": who, "samples": samples}
            for (case, threads, who), samples in self.samples.items()
        ]
        path.write_text(json.dumps({"format": FORMAT, **plain}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises OSError, and ValueError for a file that is none of ours."""
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            if plain["format"] != FORMAT:
                raise ValueError(f"format {plain['format']!r}, not {FORMAT!r}")
            kept = ("footprint", "options", "company")
            results = cls(**{name: plain[name] for name in kept})
            known = plain["machine"]
            results.machine |= known
            results.add({**known, **plain, "rows": plain["samples"]})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a result of --json ({error})") from error
        return results


def spread(samples: list[float]) -> float:
    """Half the range of the middle half of the samples, as a share of the median."""
    ordered, n = sorted(samples), len(samples)
    if n < FEWEST_SAMPLES:
        return math.inf
    return (ordered[(3 * n - 1) // 4] - ordered[n // 4]) / 2 / median(samples)


def threads_text(n: int) -> str:
    return f"{n} thread" if n == 1 else f"{n} threads"


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that there are; None for none."""
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    affinity = getattr(os, "sched_getaffinity", None)  # the CPUs that this process may use
    cpuinfo = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "processor": name[1] if name else platform.processor() or "unknown",
        "cpus": len(affinity(0)) if affinity else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
