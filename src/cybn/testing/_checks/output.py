"""The output: as good in float32 as in float64."""

from __future__ import annotations

import numpy as np

from .._compare import furthest
from .._rules import expect, rule
from .._subject import Case
from .basics import DTYPES


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
