"""What a contender must have computed, from cybn.reference in float64.

The outputs of the last timed call are compared. Large tensors are compared in channels spread
evenly from the first to the last: computing all of it in float64 would take longer than the timing.

The tolerance is for catching another computation (a biased variance for an unbiased one, a missing
term, a wrong layout), not for judging accuracy, which the tests do: plain NumPy adds float32 in a
row and must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from cybn import reference

from .data import EPS, Data
from .shapes import Case

TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
MOST_VALUES = 1 << 21


def channels_to_check(case: Case) -> np.ndarray:
    """All channels, or as many as hold MOST_VALUES values, from the first to the last."""
    count = min(case.channels, max(2, MOST_VALUES * case.channels // case.size))
    return np.unique(np.linspace(0, case.channels - 1, count).round().astype(int))


def view(case: Case, a: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Some channels of an array that lies as the input does, as (N, C, L)."""
    if a.shape != case.memory_shape:
        raise ValueError(f"its shape is {a.shape}, not {case.memory_shape}")
    return reference.to_ncl(a, case.channel_axis)[:, channels]


class Expected(NamedTuple):
    value: np.ndarray
    scale: np.ndarray | float  # the order of what was added up to get there


def batch_norm(case: Case, data: Data, i: int, channels: np.ndarray) -> dict[str, Expected]:
    """y, or dx, dweight and dbias, of the i-th input, float64."""
    x = view(case, data.x[i], channels).astype(np.float64)
    weight, bias = data.weight[channels], data.bias[channels]
    if case.mode == "evaluation":
        mean, var = data.mean[channels], data.var[channels]
        return {"y": Expected(reference.normalize(x, mean, var, weight, bias, EPS), 1.0)}
    mean, var = reference.moments(x)
    if case.mode == "forward":
        return {"y": Expected(reference.normalize(x, mean, var, weight, bias, EPS), 1.0)}
    dy = view(case, data.dy[i], channels)
    dx, dweight, dbias = reference.backward_training(dy, x, mean, var, weight, EPS)
    terms = 1 + weight / np.sqrt(var + EPS)  # of either sign; so are the m terms of the sums
    sums = np.sqrt(case.size / case.channels)
    return {
        "dx": Expected(dx, terms[:, None]),
        "dweight": Expected(dweight, sums),
        "dbias": Expected(dbias, sums),
    }


EXPECTED: dict[str, Callable[[Case, Data, int, np.ndarray], dict[str, Expected]]] = {
    "batch_norm": batch_norm,
}


def problem(case: Case, data: Data, i: int, got: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the outputs for the i-th input, or None."""
    channels = channels_to_check(case)
    want = EXPECTED[case.operation](case, data, i, channels)
    if missing := want.keys() - got.keys():
        return f"{', '.join(sorted(missing))} missing"
    tolerance = TOLERANCE[case.dtype]
    for name, (expected, scale) in want.items():
        value = np.asarray(got[name])
        try:
            value = value[channels] if expected.ndim == 1 else view(case, value, channels)
        except (IndexError, ValueError) as error:
            return f"{name}: {error}"
        away = np.abs(value - expected) / (scale + np.abs(expected))
        if not away.max() <= tolerance:  # NaN is not
            return f"{name} is off by {away.max():.2g}, more than {tolerance:g}"
    return None
