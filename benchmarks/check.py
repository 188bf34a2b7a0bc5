"""What a contender must have computed, from cybn.reference in float64.

The outputs of the last timed call are compared. Of large tensors a part is compared that can be
computed without the rest, spread evenly from the first to the last: some channels of batch norm,
some groups of group norm, some rows of layer norm and the gradients of some of its weights. All of
it in float64 would take longer than the timing.

The tolerance is for catching another computation (a biased variance for an unbiased one, a missing
term, a wrong layout), not for judging accuracy, which the tests do: plain NumPy adds float32 in a
row and must pass. Where a ReLU follows, a value that is 0 but for that tolerance may fall on either
side, so the gradients may lack or have what it contributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from cybn import reference

from .data import EPS, Data
from .norms import GROUPS
from .shapes import Case

TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
MOST_VALUES = 1 << 21


class Expected(NamedTuple):
    value: np.ndarray
    scale: np.ndarray | float  # the order of what was added up to get there
    part: Callable[[np.ndarray], np.ndarray]  # takes the same part of an output
    slack: np.ndarray | float = 0.0  # what may come on top


def spread(count: int, size: int) -> np.ndarray:
    """Which of `count` parts of `size` values to check: all, or as many as hold MOST_VALUES."""
    fewer = min(count, max(2, MOST_VALUES * count // size))
    return np.unique(np.linspace(0, count - 1, fewer).round().astype(int))


def expected(case: Case, data: Data, i: int) -> dict[str, Expected]:
    """y, or the gradients, for the i-th input."""
    if case.norm in ("layer", "rms"):
        return _of_rows(case, data, i)
    if case.norm in ("group", "instance"):
        return _of_groups(case, data, i)
    return _of_channels(case, data, i)


def _of_channels(case: Case, data: Data, i: int) -> dict[str, Expected]:
    """Batch norm, plain, fused or ghost."""
    channels = spread(case.channels, case.size)

    def part(a: np.ndarray) -> np.ndarray:  # (N, C, L)
        return reference.to_ncl(a, case.channel_axis)[:, channels]

    def per_channel(a: np.ndarray) -> np.ndarray:
        return a[channels]

    x, weight, bias = part(data.x[i]), data.weight[channels], data.bias[channels]
    size = case.virtual_batch_size if case.norm == "ghost" else len(x)
    places = [slice(start, start + size) for start in range(0, len(x), size)]
    parts = [x[place].astype(np.float64) for place in places]
    if case.mode == "evaluation":
        moments = [(data.mean[channels], data.var[channels])]
    else:
        moments = [reference.moments(a) for a in parts]
    y = np.concatenate(
        [reference.normalize(a, *m, weight, bias, EPS) for a, m in zip(parts, moments, strict=True)]
    )
    if case.does.residual:
        y += part(data.z[i])
    fused = case.norm == "fused"
    if case.mode != "backward":
        return {"y": Expected(np.maximum(y, 0) if fused else y, 1.0, part)}

    dy = part(data.dy[i])
    g = dy * (y > 0) if fused else dy
    dx, dweight, dbias = zip(
        *(
            reference.backward_training(g[place], a, *m, weight, EPS)
            for place, a, m in zip(places, parts, moments, strict=True)
        ),
        strict=True,
    )
    # The terms that were added up are of either sign, and so are the m items of the sums.
    terms = 1 + weight * np.max([1 / np.sqrt(var + EPS) for _, var in moments], 0)
    sums = np.sqrt(case.size / case.channels)
    want = {
        "dx": Expected(np.concatenate(dx), terms[:, None], part),
        "dweight": Expected(np.sum(dweight, 0), sums, per_channel),
        "dbias": Expected(np.sum(dbias, 0), sums, per_channel),
    }
    if case.does.residual:
        want["dz"] = Expected(g, 1.0, part)
    if fused:
        xhat = np.abs(reference.xhat_of(x, *moments[0], EPS))
        slack = _unsure(np.abs(dy) * (np.abs(y) <= TOLERANCE[case.dtype] * (1 + xhat)), xhat)
        slack["dx"] *= terms[:, None]
        want = {name: each._replace(slack=slack[name]) for name, each in want.items()}
    return want


def _unsure(g: np.ndarray, xhat: np.ndarray) -> dict[str, np.ndarray]:
    """What g, the part of dy that a ReLU may let through or not, may add to each gradient."""
    dbias, dweight = g.sum((0, 2)), (g * xhat).sum((0, 2))
    m = g.shape[0] * g.shape[2]
    dx = g + (dbias[:, None] + xhat * dweight[:, None]) / m
    return {"dx": dx, "dz": g, "dweight": dweight, "dbias": dbias}


def _of_groups(case: Case, data: Data, i: int) -> dict[str, Expected]:
    """Group norm, and instance norm as group norm of as many groups as channels."""
    count = GROUPS if case.norm == "group" else case.channels
    groups, each = spread(count, case.size), case.channels // count
    channels = (groups[:, None] * each + np.arange(each)).ravel()

    def part(a: np.ndarray) -> np.ndarray:  # (N, C, L)
        return reference.to_ncl(a)[:, channels]

    def per_channel(a: np.ndarray) -> np.ndarray:
        return a[channels]

    x, weight, bias = part(data.x[i]), data.weight[channels], data.bias[channels]
    if case.mode == "forward":
        y = reference.group_norm(x, len(groups), weight, bias, EPS)
        return {"y": Expected(y, 1.0, part)}
    dx, *sums = reference.group_norm_backward(part(data.dy[i]), x, len(groups), weight, EPS)
    _, var = reference.row_moments(x.reshape(len(x), len(groups), -1))
    terms = 1 + weight * np.repeat(1 / np.sqrt(var + EPS), each, axis=1)  # (N, C)
    scale = np.sqrt(case.size / case.channels)
    want = {"dx": Expected(dx, terms[:, :, None], part)}
    for name, value in zip(("dweight", "dbias"), sums, strict=True):
        want[name] = Expected(value, scale, per_channel)
    return want


def _of_rows(case: Case, data: Data, i: int) -> dict[str, Expected]:
    """Layer and RMS norm: some rows of y or dx; the gradients of some weights from all rows."""
    count, features = case.shape
    centred, rows = case.norm == "layer", spread(count, case.size)

    def part(a: np.ndarray) -> np.ndarray:
        return a[rows]

    x, weight = data.x[i], data.weight
    if case.mode == "forward":
        y = reference.normalize_row(x[rows], EPS, centred) * weight
        return {"y": Expected(y + data.bias if centred else y, 1.0, part)}
    dy, chosen = data.dy[i], spread(features, case.size)

    def per_feature(a: np.ndarray) -> np.ndarray:
        return a[chosen]

    some = x[rows].astype(np.float64)
    dx = reference.normalize_row_backward(dy[rows] * weight, some, EPS, centred)
    _, var = reference.row_moments(some, centred)
    mean, rstd = _all_moments(x, centred)
    xhat = (x[:, chosen] - mean) * rstd
    sums = np.sqrt(count)
    want = {
        "dx": Expected(dx, 1 + weight / np.sqrt(var + EPS)[:, None], part),
        "dweight": Expected((dy[:, chosen] * xhat).sum(0), sums, per_feature),
    }
    if centred:
        dbias = dy[:, chosen].sum(0, dtype=np.float64)
        want["dbias"] = Expected(dbias, sums, per_feature)
    return want


def _all_moments(x: np.ndarray, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """mean and rstd of every row, (rows, 1) each."""
    blocks = np.array_split(x, -(-x.size // MOST_VALUES))
    mean, var = np.hstack([reference.row_moments(block, centred) for block in blocks])[..., None]
    return mean, 1 / np.sqrt(var + EPS)


def problem(case: Case, data: Data, i: int, got: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the outputs for the i-th input, or None."""
    want = expected(case, data, i)
    if missing := want.keys() - got.keys():
        return f"{', '.join(sorted(missing))} missing"
    return next(_wrong(case, want, got), None)


def _wrong(
    case: Case, want: Mapping[str, Expected], got: Mapping[str, np.ndarray]
) -> Iterator[str]:
    tolerance = TOLERANCE[case.dtype]
    for name, (value, scale, part, slack) in want.items():
        a = np.asarray(got[name])
        shape = (case.channels,) if name in ("dweight", "dbias") else case.memory_shape
        if a.shape != shape:
            yield f"{name}: its shape is {a.shape}, not {shape}"
            continue
        away = (np.abs(part(a) - value) - slack) / (scale + np.abs(value))
        if not away.max() <= tolerance:  # NaN is not
            yield f"{name} is off by {away.max():.2g}, more than {tolerance:g}"
