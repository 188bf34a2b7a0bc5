"""Empty and tiny inputs, and NaN."""

from __future__ import annotations

import numpy as np

from .._compare import array_bits, changed, state_bits
from .._rules import NotApplicable, expect, rule
from .._subject import Case


@rule(
    "empty",
    "Return an empty output early where x.size == 0, with no update of running statistics, and "
    "zeros as gradients; the mean of nothing is NaN.",
)
def empty(case: Case) -> None:
    """An empty batch gives an empty output, zero gradients, and leaves the state alone."""
    _expect_batch(case)
    layer = case.layer()
    x = case.x()[:0]
    before = array_bits(layer)
    y = case.call(layer, x)
    dx = layer.backward(x)
    for name, a in (("the output", y), ("dx", dx)):
        got = np.shape(a), np.asarray(a).dtype
        expect(got == (x.shape, x.dtype), f"{name} for shape {x.shape} is {got[0]} {got[1]}")
    names = changed(before, array_bits(layer))
    expect(not names, f"an empty batch has changed {', '.join(names)}")
    for name, grad in layer.grads.items():
        expect(not np.any(grad), f"an empty batch gives the gradient {grad} of {name}")


@rule(
    "tiny",
    "Let evaluation with running statistics take a single sample; where one value has no variance "
    "to normalize by, raise ValueError before anything changes.",
)
def tiny(case: Case) -> None:
    """A batch of one works, or is a ValueError that changes nothing where samples are normalized
    by each other, as in training."""
    _expect_batch(case)
    layer, x = case.layer(), case.x()[:1]
    before = state_bits(layer)
    try:
        y = case.call(layer, x)
    except ValueError as error:
        seen = f"one sample raises ValueError, though others do not matter to it: {error}"
        expect(_others_matter(case), seen)
        expect(state_bits(layer) == before, "a batch of one is refused and has changed the layer")
        return
    dx = layer.backward(case.x(seed=2)[:1])
    for name, a in (("the output", y), ("dx", dx)):
        expect(np.shape(a) == x.shape, f"{name} of one sample has shape {np.shape(a)}")
        expect(np.isfinite(a).all(), f"{name} of one sample is not finite")


def _expect_batch(case: Case) -> None:
    if not case.has_batch():
        raise NotApplicable(f"the layer takes {case.shape[0]} on the first axis, no other number")


def _others_matter(case: Case) -> bool:
    """Does the output for the first sample change with the other samples?"""
    x = case.x()
    first = case.call(case.layer(), x)[0]
    x[1:] *= 2
    return not np.array_equal(case.call(case.layer(), x)[0], first)


@rule(
    "nan",
    "Let NaN through: no np.nan_to_num, np.nanmean or np.fmax, and comparisons written so that "
    "NaN does not take the branch of a number.",
)
def nan(case: Case) -> None:
    """A NaN in x shows as NaN in the output, or is a ValueError: a network that diverges must not
    look well."""
    layer, x = case.layer(), case.x()
    x[tuple(n // 2 for n in x.shape)] = np.nan
    try:
        y = layer(x)
    except ValueError:
        return
    expect(np.isnan(y).any(), "one item of x is NaN, and the output has none")
