"""Large and tiny data: float32 against the same layer in float64.

The sizes are powers of two, so that the data is the same in both, and the float64 computation is
far from its own limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from .._rules import broken, rule
from .._subject import Case

# of x and of dy, in powers of two: 2^±122 is about 1e±37
SIZES = [(0, 0), *((k, 0) for k in (-122, -90, -60, -30, 30, 60, 90, 120))]
SIZES += [(x, dy) for x in (-122, -60, 0, 60, 120) for dy in (-100, 100)]
LARGEST = float(np.finfo(np.float32).max) * 0.999
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
TOLERANCE = 2.0**-10  # relative to the largest item: what is wrong here is off by far more
ROUNDING = 2.0**-18  # of what is added, some of the 24 bits that float32 has


def _inputs(case: Case) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(in words, x, dy), float32 arrays of many sizes, and at last one of all sizes at once."""
    x, dy = case.x(), case.x(seed=2)
    for of_x, of_dy in SIZES:
        what = f"x of about {2.0**of_x:.0e} and dy of about {2.0**of_dy:.0e}"
        yield what, np.ldexp(x, of_x), np.ldexp(dy, of_dy)
    powers = np.random.default_rng(5).integers(-110, 110, x.shape)
    yield "x of items from 1e-33 to 1e33", np.ldexp(x, powers), dy


def _layer(case: Case, precise: bool) -> Layer:
    """A layer whose eps, if any, is a number: one that hangs on the dtype defines two layers."""
    layer = case.layer(precise)
    if vars(layer).get("eps", 0) is None:
        layer.eps = 2.0**-17
    return layer


def _further(case: Case, layer: Layer, x: np.ndarray) -> dict[str, Any]:
    """Further inputs of ordinary size, with float arrays in the dtype of x."""
    return {
        name: a.astype(x.dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for name, a in case.inputs(layer, case.x()).items()
    }


def _results(case: Case, x: np.ndarray, dy: np.ndarray, precise: bool) -> dict[str, np.ndarray]:
    layer = _layer(case, precise)
    y, dx = layer(x, **_further(case, layer, x)), layer.backward(dy)
    return {"the output": y, "dx": dx, **{f"grads[{k!r}]": a for k, a in layer.grads.items()}}


@rule(
    "large-and-tiny",
    "Compute statistics and coefficients in float64, and multiply what is large by what is tiny "
    "last: rstd * (rstd * sum) and not rstd**2 * sum, whose square underflows; neither x*x nor "
    "x - mean fits in float32 for large x.",
)
def large_and_tiny(case: Case) -> None:
    """What is finite in exact arithmetic comes out finite and right, for float32 data from 1e-37
    to 1e37: the output, dx and the gradients of parameters.

    They are compared with those of float64 data where these fit in float32.
    """
    for what, x, dy in _inputs(case):
        got = _results(case, x, dy, precise=False)
        wide = x.astype(np.float64), dy.astype(np.float64)
        expected = _results(case, *wide, precise=True)
        for name, a in expected.items():
            seen = _furthest(got[name], a)
            if seen and name == "dx":
                seen = _furthest(got[name], a, rounding=_size_of_terms(case, *wide))
            if seen:
                broken(f"for {what} {name} is {seen}")


def _size_of_terms(case: Case, x: np.ndarray, dy: np.ndarray) -> float:
    """How large what is added up to dx is: all of dx may be zero, as for groups of two values."""
    layers = (_layer(case, precise=True) for _ in range(2))
    up, down = (f(a, **_further(case, f, a)) for f, a in zip(layers, (x, -x), strict=True))
    slope = np.abs(up / 2 - down / 2).max() / np.abs(x).max()
    return float(slope * np.abs(dy).max())


def _furthest(got: np.ndarray, expected: np.ndarray, rounding: float = 0.0) -> str:
    """The worst item that float32 could hold, in words, or an empty text.

    `rounding` is the size of numbers whose last bits may be lost.
    """
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    fits = np.isfinite(expected) & (np.abs(expected) <= LARGEST)
    if not fits.any():
        return ""
    # what is added up to tiny results may be tiny itself, and lose its last bits
    allowed = TOLERANCE * np.abs(expected[fits]).max() + ROUNDING * rounding + 64 * SMALLEST
    apart = np.where(fits, np.abs(got - expected), 0.0)
    apart = np.where(np.isnan(apart), np.inf, apart)
    at = np.unravel_index(apart.argmax(), apart.shape)
    if apart[at] <= allowed:
        return ""
    place = ", ".join(map(str, at))
    return f"{got[at]:.6g} at [{place}] in float32, {expected[at]:.6g} in float64"
