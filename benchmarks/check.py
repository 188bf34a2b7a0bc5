"""What every contender must have computed, in float64: `formulas`, held against `cybn.reference` by
the tests, and for the norms from papers `composed`, held against the layers of cybn.

The tolerance is for catching another computation (a biased variance for an unbiased one, a missing
term, a wrong layout), not for judging accuracy, which the tests do: plain NumPy adds float32 in a
row and must pass. Where a ReLU follows, a value that is 0 but for that tolerance may fall on either
side, so the gradients may lack or have what it contributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from .cases import Case
from .data import Data
from .formulas import Formulas
from .torchpeers import Torch, imported

TOLERANCE = {"float32": 2e-4, "float64": 1e-10, "float16": 4e-3, "bfloat16": 3e-2}
Expected = dict[str, tuple[np.ndarray, Any]]  # name -> the array, and what may come on top of it


def expected(case: Case, data: Data, i: int) -> Expected:
    """y, or the gradients, for the i-th input."""
    names = ["x"] + ["dy"] * (case.mode == "backward") + ["z"] * (case.does.extra is not None)
    data = data.in_float64(i, names)
    if case.norm == "research":
        torch = Torch(imported("torch").get_num_threads())
        run = torch.prepare(replace(case, dtype="float64"), data)
        return {name: (a, 0.0) for name, a in run.read(0, run.call(0)).items()}
    norm, arrays, x = Formulas(case), list(data.arrays.values()), data.x[0]
    norm.activated = False  # the slope needs what goes into the ReLU
    y, moments, _ = norm.forward(x, *arrays, data.z[0] if case.does.extra else None)
    norm.activated = case.norm == "fused"
    if case.mode != "backward":
        return {"y": (np.maximum(y, 0) if norm.activated else y, 0.0)}
    dy = data.dy[0]
    slack = _unsure(case, norm, x, dy, y, moments) if norm.activated else {}
    grads = norm.backward(dy, x, arrays[0], y, moments)
    return {name: (a, slack.get(name, 0.0)) for name, a in grads.items()}


def _unsure(case: Case, norm: Formulas, x, dy, y, moments) -> dict[str, np.ndarray]:
    """What the part of dy that a ReLU may let through or not may add to each gradient."""
    xhat = np.abs(x - moments[0]) * moments[1]
    g = np.abs(dy) * (np.abs(y) <= TOLERANCE[case.dtype] * (1 + xhat))
    dbias, dweight = (a.sum(norm.over, keepdims=True) for a in (g, g * xhat))
    dx = 2 * moments[1] * (g + (dbias + xhat * dweight) / norm.m)  # weights are below 2
    return {"dx": dx, "dz": g, "dweight": dweight.ravel(), "dbias": dbias.ravel()}


def problem(case: Case, want: Expected, got: Mapping[str, np.ndarray | None]) -> str | None:
    """What is wrong with the outputs, or None. An output that is None is not looked at."""
    if missing := want.keys() - got.keys():
        return f"{', '.join(sorted(missing))} missing"
    for name, (value, slack) in want.items():
        if (a := got[name]) is None:
            continue
        if a.shape != value.shape:
            return f"{name}: its shape is {a.shape}, not {value.shape}"
        # The order of what was added up: a sum of m terms of either sign is near sqrt(m).
        scale = max(value.max(), -value.min()) + (prod(case.shape) / a.size) ** 0.5
        distance = np.subtract(a, value, dtype=np.float64)
        np.abs(distance, out=distance)
        away = (distance - slack if np.any(slack) else distance).max() / scale
        if not away <= TOLERANCE[case.dtype]:  # NaN is not
            return f"{name} is off by {away:.2g}, more than {TOLERANCE[case.dtype]:g}"
    return None
