"""How far a converted model is from the original, and whether that is its own rounding.

Both take one step of training and are evaluated after it. Each array (outputs, gradients, running
statistics, parameters after the step) is held against the original's in float64, by its length, or
by a small share of that of all of its kind where it is next to nothing. What a deep model makes of
rounding can be more than any fixed bound: ReLUs open and close, and batch norms over few positions
divide by what is left of their variance. So where a difference is larger than the bound, the
original is run again with parameters that differ by a last place, and its own distance from itself
is the measure.
"""

import copy
import random
from typing import NamedTuple

import numpy as np
import torch

from cybn.torch import convert

#: how far apart an array may be, by its length
CLOSE = {torch.float64: 1e-7, torch.float32: 1e-3}
SMALL = 1e-4  # of the length of all arrays of a kind: one that is shorter counts as so long
TIMES = 3  # of the original's distance from itself
SHAKEN = 8  # times that the original is run with other rounding, at most


class NotMade(Exception):  # noqa: N818  it is no error
    """Why there is no model to convert."""


class Array(NamedTuple):
    """A tensor and what it is: "output", "gradient", "buffer" or "parameter"."""

    kind: str
    values: torch.Tensor

    def equal_bits(self, other):
        a, b = self.values, other.values
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(
            a.nan_to_num(7.0), b.nan_to_num(7.0)
        )  # fmt: skip


def tensors_of(output):
    """The tensors of floats in an output, however nested."""
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = output.values()
    elif not isinstance(output, (list, tuple)):
        return []
    return [t for each in output for t in tensors_of(each)]


def step(model, call, training):
    """Output, gradients and buffers of one call, by name; two models draw the same numbers."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  what masks of some speech models are drawn by
    random.seed(0)
    model.train().train(training).zero_grad()  # some keep tensors of evaluation until then
    outputs = tensors_of(call(model))
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (t * torch.randn(t.shape, generator=generator).to(t.dtype)).mean()
        for t in outputs
        if t.requires_grad and t.numel()
    )
    if isinstance(loss, torch.Tensor):
        loss.backward()
    found = {f"output {i}": Array("output", t.detach()) for i, t in enumerate(outputs)}
    for name, p in model.named_parameters():
        if p.grad is not None:
            found[f"gradient of {name}"] = Array("gradient", p.grad)
    for name, b in model.named_buffers():
        if b.is_floating_point():
            found[name] = Array("buffer", b.clone())
    return found


def steps(model, call, dtype):
    """A step of training, with an optimizer's, and evaluation after it."""
    model = model.to(dtype)

    def run(m):
        return call(m, dtype)

    trained = step(model, run, True)
    trained = {name: Array(kind, t.clone()) for name, (kind, t) in trained.items()}
    torch.optim.SGD(model.parameters(), 1e-3).step()
    for name, p in model.named_parameters():
        trained[f"{name} after the step"] = Array("parameter", p.detach().clone())
    return {"training": trained, "evaluation": step(model, run, False)}


def evaluated(model, call):
    """Output and gradients in evaluation, float32."""
    return step(model, lambda m: call(m, torch.float32), False)


def distances(exact, found):
    """How far each array is from what is exact, by its length; infinite for other shapes."""
    if exact.keys() != found.keys():
        return {f"not the same arrays: {sorted(exact.keys() ^ found.keys())[:3]}": float("inf")}
    totals = {}
    for kind, a in exact.values():
        totals[kind] = totals.get(kind, 1e-30) + _square(a)
    return {
        name: _distance(a.double(), found[name].values.double(), totals[kind])
        for name, (kind, a) in exact.items()
    }


def _square(a):
    return float(a.double().nan_to_num().square().sum())


def _distance(a, b, total):
    if a.shape != b.shape or not torch.equal(a.isfinite(), b.isfinite()):
        return float("inf")
    length = max(_square(a), SMALL**2 * total)
    return (_square(torch.where(a.isfinite(), a - b, 0.0)) / length) ** 0.5


def shaken(model, dtype, seed):
    """A copy of a model with parameters that differ by a last place."""
    model = copy.deepcopy(model).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.is_floating_point():
                signs = torch.randint(-1, 2, p.shape, generator=generator).double()
                p.mul_(1 + signs * torch.finfo(p.dtype).eps)
    return model


def worst(found, own, close):
    """The name and distance of the array that is furthest of those beyond their bounds, or None."""
    beyond = {n: d for n, d in found.items() if not d <= max(close, TIMES * own.get(n, 0.0))}
    name = max(beyond, key=beyond.get, default=None)
    return None if name is None else (name, found[name])


def compared(model, call):
    """What differs between a model and a converted copy, what is rounding, or ""; and the copy."""
    exact, rounding, ours = None, "", None
    for dtype, close in CLOSE.items():
        try:
            expected = steps(copy.deepcopy(model), call, dtype)
        except Exception as error:
            if dtype is torch.float32:
                raise NotMade(f"{type(error).__name__}: {error}") from error
            continue  # float64 is not for all
        exact = exact or expected
        ours = convert(copy.deepcopy(model).to(dtype))
        found = steps(ours, call, dtype)
        own = _apart(exact, expected)
        if any(d == float("inf") for each in own.values() for d in each.values()):
            exact, own = expected, _apart(expected, expected)  # how many boxes, say, are found
        far = _apart(exact, found)
        said = _beyond(far, own, close)
        for seed in range(SHAKEN if said else 0):
            again = _apart(exact, steps(shaken(model, dtype, seed), call, dtype))
            for when, each in again.items():
                own[when] |= {name: max(d, own[when].get(name, 0.0)) for name, d in each.items()}
            if not _beyond(far, own, close):
                rounding = f"{said}, {dtype}, as far as the original from itself"
                break
        else:
            if said:
                return f"{said}, {dtype}", rounding, ours
    return "", rounding, ours


def _apart(exact, found):
    return {when: distances(exact[when], found[when]) for when in exact}


def _beyond(far, own, close):
    for when in far:
        found = worst(far[when], own[when], close)
        if found is not None:
            return f"{found[0]} by {found[1]:.1e} in {when}"
    return ""
