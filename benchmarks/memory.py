"""Peak memory of one forward and one backward pass: a process of its own, for one contender.

`python -m benchmarks.memory NAME SIDE SIDE ...` prints the peak in sizes of the input, or null
where the library or the figure is not to be had.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from .data import Data, aligned
from .formulas import Formulas
from .shapes import Case

Pass = Callable[[np.ndarray, np.ndarray], object]


def cybn_pass(case: Case) -> Pass:
    import cybn

    def both(x, dy):
        layer = cybn.create(case.layer, num_features=case.channels)
        return layer(x), layer.backward(dy)

    return both


def torch_pass(case: Case) -> Pass:
    import torch

    def both(x, dy):
        module = getattr(torch.nn, case.layer)(case.channels)
        y = module(torch.from_numpy(x).requires_grad_())
        y.backward(torch.from_numpy(dy))
        return y

    return both


def numpy_pass(case: Case) -> Pass:
    data = Data(case, 0)

    def both(x, dy):
        norm = Formulas(np, replace(case, shape=x.shape))
        y, moments, _ = norm.forward(x, data.weight, data.bias, data.mean, data.var)
        return y, norm.backward(dy, x, data.weight, *moments)

    return both


PASSES = {"cybn": cybn_pass, "torch": torch_pass, "numpy": numpy_pass}


def resident(which: str) -> int | None:
    """Bytes that this process has in memory (VmRSS) or has had at most (VmHWM); Linux only."""
    try:
        found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def forget_peak() -> bool:
    """Let the peak be counted from now on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak(name: str, shape: tuple[int, ...]) -> float | None:
    case = Case("batch_norm", shape)
    try:
        both = PASSES[name](case)
    except ImportError:
        return None
    small = tuple(min(side, 4) for side in shape[2:])
    tiny = np.random.default_rng(0).normal(size=(2, case.channels, *small)).astype(np.float32)
    both(tiny, tiny)  # what a library sets up once
    x, dy = aligned(shape, "float32"), aligned(shape, "float32")
    for a in (x, dy):
        np.random.default_rng(1).standard_normal(out=a, dtype=a.dtype)
    before = resident("VmRSS")
    if before is None or not forget_peak():
        return None
    both(x, dy)
    return (resident("VmHWM") - before) / case.nbytes


if __name__ == "__main__":
    print(json.dumps(peak(sys.argv[1], tuple(map(int, sys.argv[2:])))))
