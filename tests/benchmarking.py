"""benchmarks/ for the tests of it, and results that were made up.

The package lies beside src/ and is not installed, so it is found only while it is imported here.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
try:
    import benchmarks.__main__
    import benchmarks.calls  # noqa: F401
    from benchmarks.results import Results
    from benchmarks.shapes import Case
finally:
    sys.path.pop(0)


def row(case, contender, seconds, threads=1, streams=None):
    """What a worker says of one contender in one case."""
    samples = [seconds] * 3 if isinstance(seconds, float) else list(seconds)
    moved = case.nbytes * streams if streams else case.traffic
    return {
        **dataclasses.asdict(case),
        "threads": threads,
        "contender": contender,
        "samples": samples,
        "bytes": moved,
    }


def results_of(*rows, cache=1 << 20, footprint=None):
    results = Results(footprint=footprint or {})
    results.machine |= {"processor": "p", "cpus": 1, "system": "s", "python": "3"}
    results.add(
        {"rows": rows, "problems": [], "left_out": {}, "cache": cache, "versions": {}, "notes": {}}
    )
    return results


BIG = Case("batch_norm", (32, 64, 56, 56), group="resnet50")
SMALL = Case("batch_norm", (4, 8, 7, 7), group="other")
