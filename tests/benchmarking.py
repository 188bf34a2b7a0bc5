"""benchmarks/ for the tests of it, and results that were made up.

The package lies beside src/ and is not installed. Its folder stays on the path, since the processes
that it starts are told the path of this one.
"""

import sys
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.cases import Case
from benchmarks.results import Results

BIG = Case("batch_norm", (32, 64, 56, 56), group="resnet50")
SMALL = Case("batch_norm", (4, 8, 7, 7))
#: what a process has to say besides its rows
NOTHING = {"problems": [], "left_out": {}, "cache": 1 << 20, "versions": {}, "notes": {}}


def row(case, contender, seconds, threads=1):
    """What a process says of one contender in one case."""
    samples = [seconds] * 3 if isinstance(seconds, float) else list(seconds)
    return {**asdict(case), "threads": threads, "contender": contender, "samples": samples}


def results_of(*rows, cache=1 << 20, footprint=None):
    results = Results(footprint=footprint or {})
    results.machine |= {"processor": "p", "cpus": 1, "system": "s", "python": "3"}
    results.add({**NOTHING, "rows": rows, "cache": cache})
    return results
