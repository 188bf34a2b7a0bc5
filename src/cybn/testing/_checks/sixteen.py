"""Data of sixteen bits: as good as its float64 copy, to the last of its own few bits."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from ...arrays.dtypes import eps_of
from .._compare import furthest, state_bits
from .._rules import NotApplicable, broken, expect, rule
from .._subject import Case
from .basics import arrays_in

ITEMS = 4096  # enough for a sum in sixteen bits to go astray


def _dtypes() -> Iterator[np.dtype]:
    """float16, and bfloat16 where somebody has imported ml_dtypes."""
    yield np.dtype(np.float16)
    if "ml_dtypes" in sys.modules:
        yield np.dtype(sys.modules["ml_dtypes"].bfloat16)


@rule(
    "sixteen-bits",
    "Leave sixteen_bits as cybn.Layer has it: the pair is then given float32, and what it returns "
    'is rounded once. A pair that says "native" sums in float64 and rounds its output and dx once, '
    'at the end. sixteen_bits = "refused" takes no such data.',
    needs=("output-accuracy",),
)
def sixteen_bits(case: Case) -> None:
    """Data of float16, or of bfloat16 where ml_dtypes is imported, gives what its float64 copy
    gives: the output and dx, in its own dtype, the gradients and the statistics.

    With a mean of 100, which leaves few bits beside it, and over an axis long enough for a sum in
    sixteen bits to stand still. Not about 0, where an eps that is the dtype's own tells.
    """
    for dtype in _dtypes():
        if case.layer().sixteen_bits == "refused":
            _expect_refused(case, dtype)
            continue
        for mean in (10, 100):
            _expect_like_float64(case, dtype, mean)
    if case.layer().sixteen_bits == "refused":
        raise NotApplicable("it refuses data of sixteen bits, and says so")


def _expect_like_float64(case: Case, dtype: np.dtype, mean: int) -> None:
    shape = case.large_shape(ITEMS)
    x, dy = (case.x(np.float64, seed, shape) for seed in (3, 2))
    x, dy = (x + mean).astype(dtype), dy.astype(dtype)
    given = f"for {dtype} x with a mean of {mean}"
    layer, wide = case.layer(), case.layer()
    inputs = case.inputs(layer, x)
    y = layer(x, **inputs)
    dx = layer.backward(dy)
    for name, a in (("the output", y), ("dx", dx)):
        expect(a.dtype == dtype, f"{name} {given} is {a.dtype}")
    for name, a in arrays_in(inputs).items():
        inputs[name] = a.astype(np.float64) if a.dtype == dtype else a
    wide_y = wide(x.astype(np.float64), **inputs)
    wide_dx = wide.backward(dy.astype(np.float64))
    results = {"the output": (y, wide_y), "dx": (dx, wide_dx)}
    results.update((f"grads[{name!r}]", (g, wide.grads[name])) for name, g in layer.grads.items())
    for name, (got, expected) in results.items():
        if np.isfinite(expected).all():
            seen = furthest(got, expected, eps_of(dtype))
            expect(not seen, f"{name} {given}, compared to float64: {seen}")
    for (name, got), (_, expected) in zip(layer.named_buffers(), wide.named_buffers(), strict=True):
        seen = furthest(got, expected, 2.0**-14)  # float32's, whatever the data
        expect(not seen, f"{name} {given}, compared to float64: {seen}")


def _expect_refused(case: Case, dtype: np.dtype) -> None:
    layer = case.layer()
    before = state_bits(layer)
    try:
        case.call(layer, case.x(dtype))
    except TypeError:
        expect(state_bits(layer) == before, f"{dtype} x is refused, and the layer has changed")
    else:
        broken(f"sixteen_bits is 'refused' and {dtype} x is taken")
