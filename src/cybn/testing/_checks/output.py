"""The output and dx: arrays like the input, finite, as good in float32 as in float64."""

from __future__ import annotations

import numpy as np

from .._compare import furthest
from .._rules import broken, expect, rule
from .._subject import Case

DTYPES = (np.float32, np.float64)


def _pairs(case: Case):
    """(name, what came out, the input it must be like) for both dtypes."""
    for dtype in DTYPES:
        layer, x, dy = case.layer(), case.x(dtype), case.x(dtype, seed=2)
        y, dx = case.run(layer, x, dy)
        yield f"the output for {x.dtype} x", y, x
        yield f"dx for {x.dtype} dy", dx, dy


@rule(
    "output-type",
    "Return a plain ndarray from apply and from pullback; np.asarray makes one.",
)
def output_type(case: Case) -> None:
    """The output and dx are plain ndarrays."""
    for name, a, _ in _pairs(case):
        expect(type(a) is np.ndarray, f"{name} is of type {type(a).__name__}")


@rule(
    "output-shape",
    "Return an output of x's shape and a dx of dy's shape; keepdims=True keeps the axes that a "
    "mean takes away, and a ValueError refuses a rank that the layer is not for.",
)
def output_shape(case: Case) -> None:
    """The output and dx have the shape of the input."""
    for name, a, like in _pairs(case):
        expect(np.shape(a) == like.shape, f"{name} has shape {np.shape(a)}, not {like.shape}")


@rule(
    "output-dtype",
    "Return the input's dtype: compute in float64 where that is wanted, and end with "
    "y.astype(x.dtype, copy=False), or give the last ufunc dtype=x.dtype.",
)
def output_dtype(case: Case) -> None:
    """Float32 gives float32 and float64 gives float64, whatever the dtype of the parameters."""
    for name, a, like in _pairs(case):
        got = np.asarray(a).dtype
        expect(got == like.dtype, f"{name} is {got}")


@rule(
    "output-finite",
    "Guard what may divide by zero or overflow, as eps does: ordinary numbers must give finite "
    "results.",
)
def output_finite(case: Case) -> None:
    """Ordinary numbers give finite results."""
    for name, a, _ in _pairs(case):
        wrong = np.argwhere(~np.isfinite(a))
        if len(wrong):
            at = tuple(map(int, wrong[0]))
            broken(f"{name} is {a[at]} at {at}, and not finite in {len(wrong)} of {a.size} places")


@rule(
    "output-accuracy",
    "Subtract the mean before squaring, never E[x^2] - mean^2, and sum in float64 "
    "(x.mean(axis, dtype=np.float64)).",
)
def output_accuracy(case: Case) -> None:
    """A float32 input gives what its float64 copy gives, even where its mean is large.

    1000 plus or minus 2 has three digits before what matters; a layer that keeps its statistics in
    float32 and centres first loses no more than those of float32's seven.
    """
    for offset in (0, 1000):
        x = case.x(np.float32, seed=3) + np.float32(offset)
        y, precise = (case.call(case.layer(), x.astype(dtype)) for dtype in DTYPES)
        if np.isfinite(precise).all():
            seen = furthest(y, precise, 2.0**-7)
            expect(not seen, f"with a mean of {offset} in float32, compared to float64, {seen}")
