"""Whose memory is whose: inputs are never written to, outputs are the caller's own, `out=`."""

from __future__ import annotations

import numpy as np

from .._compare import array_bits, bits, changed, furthest
from .._rules import expect, rule
from .._subject import Case
from .basics import arrays_in


@rule(
    "input-read-only",
    "Take arrays that are not writeable, as those of np.load(mmap_mode='r') are: write to an "
    "array of the layer's own instead.",
)
def input_read_only(case: Case) -> None:
    """Read-only inputs are as good as any."""
    x, dy = case.x(), case.x(seed=2)
    layer = case.layer()
    inputs = case.inputs(layer, x)
    for a in (x, dy, *arrays_in(inputs).values()):
        a.flags.writeable = False
    layer(x, **inputs)
    layer.backward(dy)


@rule(
    "output-own-memory",
    "Return a new array: x.copy() where there is nothing to do, never x itself or a view of it.",
)
def output_own_memory(case: Case) -> None:
    """The output and dx do not share the memory of an input, a parameter or a buffer."""
    x, dy = case.x(), case.x(seed=2)
    layer = case.layer()
    inputs = case.inputs(layer, x)
    y = layer(x, **inputs)
    dx = layer.backward(dy)
    owners = {"x": x, "dy": dy, **arrays_in(inputs)}
    owners.update(layer.named_parameters())
    owners.update(layer.named_buffers())
    for name, a in (("the output", y), ("dx", dx)):
        for owner, b in owners.items():
            expect(not np.shares_memory(a, b), f"{name} keeps the memory of {owner}")
    expect(not np.shares_memory(y, dx), "dx has the memory of the output")


@rule(
    "output-stays",
    "Make a new array for every output; one that the layer keeps and fills again changes what an "
    "earlier caller holds.",
)
def output_stays(case: Case) -> None:
    """A later call does not change what an earlier one returned."""
    x, dy = case.x(), case.x(seed=2)
    layer = case.layer()
    y, dx = case.run(layer, x, dy)
    before = {"output": bits(y), "dx": bits(dx)}
    case.run(layer, case.x(seed=5), case.x(seed=6))
    names = changed(before, {"output": bits(y), "dx": bits(dx)})
    expect(not names, f"the second call has changed the {' and '.join(names)} of the first")


@rule(
    "out",
    "Write the result into `out` where it is not None, and return `out` itself; ufuncs take it as "
    "out=out, and np.copyto(out, y) does for the rest.",
)
def out(case: Case) -> None:
    """`out=` is filled with what a fresh output would hold, and returned; any strides will do."""
    x, dy = case.x(), case.x(seed=2)
    y, dx = case.run(case.layer(), x, dy)
    for order in ("C", "F"):
        layer = case.layer()
        given = np.full_like(x, 7, order=order), np.full_like(x, 7, order=order)
        returned = case.call(layer, x, given[0]), layer.backward(dy, out=given[1])
        for name, own, back, fresh in zip(
            ("forward", "backward"), given, returned, (y, dx), strict=True
        ):
            seen = furthest(own, fresh, 1e-6)
            expect(not seen, f"after {name} with an out in {order} order, {seen}")
            expect(back is own, f"{name} returns another array than out")
        if order == "C":
            same = (bits(given[0]), bits(given[1])) == (bits(y), bits(dx))
            expect(same, "out= gives other bits than a fresh output")


@rule(
    "out-in-place",
    "Let `out` be x itself: go on with what x = self.begin(x, out) returns, which is a copy then, "
    "and compute the gradients in pullback before dx is written over dy.",
    needs=("out",),
)
def out_in_place(case: Case) -> None:
    """`out=x` and `backward(dy, out=dy)` work in place, with the same results and state."""
    x, dy = case.x(), case.x(seed=2)
    fresh, inside = case.layer(), case.layer()
    y, dx = case.run(fresh, x, dy)
    expect(case.call(inside, x, x) is x, "forward with out=x returns another array")
    seen = furthest(x, y, 1e-6)
    expect(not seen, f"forward with out=x is off: {seen}")
    back = inside.backward(dy, out=dy)
    expect(back is dy, "backward with out=dy returns another array")
    seen = furthest(dy, dx, 1e-6)
    expect(not seen, f"backward after a forward with out=x is off: {seen}")
    for name, grad in fresh.grads.items():
        seen = furthest(inside.grads[name], grad, 1e-6)
        expect(not seen, f"after a forward with out=x the gradient of {name} is off: {seen}")
    names = changed(array_bits(fresh), array_bits(inside))
    expect(not names, f"working in place gives another {', '.join(names)}")
