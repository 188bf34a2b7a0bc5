"""Any memory layout gives the same values, and the output lies in memory as the input does."""

from __future__ import annotations

import numpy as np

from .._compare import furthest
from .._layouts import DENSE, LAYOUTS
from .._rules import expect, rule
from .._subject import Case

TOLERANCE = 1e-12  # the order of summation may follow the memory


@rule(
    "layout-values",
    "Address items by index and axis, never by position in memory: no x.ravel(order='K'), no "
    "x.data, no reshape of a buffer; np.ascontiguousarray(x) is the simplest cure.",
)
def layout_values(case: Case) -> None:
    """Fortran order, channels last, negative strides, gaps: equal arrays give equal results."""
    x, dy = case.x(np.float64), case.x(np.float64, seed=2)
    plain = case.layer(precise=True)
    inputs = case.inputs(plain, x)
    y = plain(x, **inputs)
    dx = plain.backward(dy)
    for layout in LAYOUTS:
        layer = case.layer(precise=True)
        results = {"y": (layer(layout(x), **inputs), y), "dx": (layer.backward(layout(dy)), dx)}
        results.update((f"grads[{k!r}]", (layer.grads[k], g)) for k, g in plain.grads.items())
        for name, (got, expected) in results.items():
            seen = furthest(got, expected, TOLERANCE)
            expect(not seen, f"{name} for x and dy in the layout {layout.__name__}: {seen}")


@rule(
    "layout-kept",
    "Make the output with np.empty_like(x), which keeps the order of the axes in memory, or by "
    "ufuncs on x; np.empty(x.shape) does not.",
)
def layout_kept(case: Case) -> None:
    """The output has the memory order of x, and dx that of x or dy."""
    for layout in DENSE:
        x = layout(case.x())
        layer = case.layer()
        y, dx = case.run(layer, x, layout(case.x(seed=2)))
        for name, a in (("the output", y), ("dx", dx)):
            expect(
                a.strides == x.strides,
                f"{name} for the layout {layout.__name__} has strides {a.strides}, "
                f"the input {x.strides}",
            )
