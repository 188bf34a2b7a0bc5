"""A process that runs the cases on one number of threads: `run` starts it, `main` is it.

Some libraries read the number of threads from the environment, once, when they are loaded. So each
number gets a process of its own, whose environment says it to all of them. The plan goes to the
process as JSON on its standard input; what came of it comes back in a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .contenders import Settings, find
from .data import Data, last_level_cache
from .limit import limits
from .shapes import Case
from .timing import Timing, measure

ROOT = Path(__file__).parents[1]
#: NPROC is what the CPU runtime of JAX goes by
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC", "PJRT_NPROC",
)  # fmt: skip


class WorkerError(RuntimeError):
    """The process ended without a result."""


@dataclass(frozen=True)
class Plan:
    """What one process is to do."""

    cases: list[Case]
    contenders: list[str]
    threads: int
    repeats: int
    seed: int
    onednn: str | None = None


def environment(threads: int) -> dict[str, str]:
    """This process's environment, saying to every library how many threads it has."""
    path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }


def run(plan: Plan) -> dict[str, Any]:
    """Carry out a plan in a new process. Raises WorkerError."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.worker", str(answer)],
            input=json.dumps(asdict(plan)),
            text=True,
            env=environment(plan.threads),
        )
        if done.returncode or not answer.exists():
            raise WorkerError(
                f"the process for {plan.threads} threads ended with status {done.returncode}"
            )
        return json.loads(answer.read_text())


def carry_out(plan: Plan) -> dict[str, Any]:
    """Carry out a plan in this process."""
    settings = Settings(plan.threads, plan.onednn)
    contenders, left_out = find(plan.contenders, settings)
    contenders += limits(settings)
    rows, problems = [], []
    with _progress(plan) as advance:
        for cases in _by_data(plan.cases):
            data = Data(cases[0], plan.seed)
            for case in cases:
                for timing in measure(case, contenders, data, plan.repeats):
                    if timing.problem is None:
                        rows.append(_row(case, plan.threads, timing))
                    else:
                        name = timing.contender.name
                        problems.append(
                            f"{name}, {case.key}, {_threads(plan.threads)}: {timing.problem}"
                        )
                advance(case)
    return {
        "rows": rows,
        "problems": problems,
        "left_out": left_out,
        "cache": last_level_cache(),
        "versions": _versions(),
        "notes": {c.name: c.note for c in contenders if c.note},
    }


def _by_data(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases of the same shape, layout and dtype share their data."""
    together: dict[Any, list[Case]] = {}
    for case in cases:
        together.setdefault((case.label, case.dtype), []).append(case)
    return list(together.values())


def _row(case: Case, threads: int, timing: Timing) -> dict[str, Any]:
    streams = timing.contender.streams
    return {
        **asdict(case),
        "threads": threads,
        "contender": timing.contender.name,
        "samples": timing.samples,
        "bytes": case.nbytes * streams if streams else case.traffic,
    }


def _threads(n: int) -> str:
    return f"{n} thread" if n == 1 else f"{n} threads"


@contextmanager
def _progress(plan: Plan) -> Iterator[Any]:
    """A bar on a terminal; nothing elsewhere, and nothing without tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda case: None
        return
    with tqdm(total=len(plan.cases), desc=_threads(plan.threads), disable=None) as bar:

        def advance(case: Case) -> None:
            bar.set_postfix_str(f"{case.operation} {case.label} {case.mode}", refresh=False)
            bar.update()

        yield advance


def _versions() -> dict[str, str]:
    names = ("cybn", "numpy", "torch", "jax", "onnxruntime")
    loaded = ((name, getattr(sys.modules.get(name), "__version__", None)) for name in names)
    return {name: str(version) for name, version in loaded if version}


def main(path: str) -> None:
    plan = json.load(sys.stdin)
    plan["cases"] = [Case(**{**case, "shape": tuple(case["shape"])}) for case in plan["cases"]]
    np.seterr(all="ignore")  # warnings of plain NumPy would tear the progress bar
    answer = carry_out(Plan(**plan))
    Path(path).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
