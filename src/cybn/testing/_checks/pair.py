"""The pure pair: apply hands to its caller all that pullback needs, and the layer keeps nothing."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from .._compare import Bits, array_bits, bits, changed
from .._rules import NotApplicable, expect, rule
from .._subject import Case, writes_pair

WORKERS, ROUNDS = 4, 10

_PURE = (
    "Keep nothing of a call on self: put all that pullback needs into what apply returns, and take "
    "it from there; nothing but running statistics is assigned to."
)


def _layer(case: Case) -> Layer:
    layer = case.layer()
    if not writes_pair(layer):
        raise NotApplicable("the layer writes forward and backward, and no pair")
    return layer


def _pulled(layer: Layer, saved: Any, dy: np.ndarray) -> dict[str, Bits | None]:
    dx, grads = layer.pullback(saved, dy)
    return {"dx": bits(dx), **{f"the gradient of {name}": bits(a) for name, a in grads.items()}}


@rule(
    "pair-same",
    "Leave forward and backward to cybn.Layer, which calls the pair and remembers what is saved; "
    "name in `differentiated` the further inputs that pullback gives gradients of.",
)
def pair_same(case: Case) -> None:
    """The pair gives what forward and backward give, and pullback again the same for one apply."""
    layer, twin, x, dy = _layer(case), case.layer(), case.x(), case.x(seed=2)
    before = layer._saved
    y, saved = layer.apply(x, **case.inputs(layer, x))
    expect(layer._saved is before, "apply sets _saved, which is forward's")
    first = {"output": bits(y), **_pulled(layer, saved, dy)}
    expect(not layer.grads, "pullback sets grads, which is backward's")
    of_twin = {"output": bits(case.call(twin, x)), "dx": bits(twin.backward(dy))}
    of_twin |= {f"the gradient of {name}": bits(a) for name, a in twin.grads.items()}
    for name in layer.differentiated:
        a = getattr(twin, f"d{name}")
        of_twin |= {} if a is None else {f"the gradient of {name}": bits(a)}
    names = changed(first, of_twin)
    expect(not names, f"forward and backward give another {', '.join(names)} than the pair")
    names = changed(array_bits(layer), array_bits(twin))
    expect(not names, f"forward and backward leave another {', '.join(names)} than the pair")
    layer.pullback(saved, case.x(seed=3))
    names = changed({"output": first["output"], **_pulled(layer, saved, dy)}, first)
    expect(not names, f"pullback again, for the same saved and dy, gives another {names}")


@rule("pair-twice", _PURE)
def pair_twice(case: Case) -> None:
    """A layer that is used twice before its pullbacks gives what two calls one by one give."""
    layer, other = _layer(case), case.layer()
    dys = [case.x(seed=seed) for seed in (2, 3)]
    calls, expected = [], []
    for seed, dy in zip((1, 4), dys, strict=True):
        x = case.x(seed=seed)
        inputs = case.inputs(layer, x)
        calls.append(layer.apply(x, **inputs))
        y, saved = other.apply(x, **inputs)
        expected.append({"output": bits(y), **_pulled(other, saved, dy)})
    for i in (1, 0):
        y, saved = calls[i]
        names = changed({"output": bits(y), **_pulled(layer, saved, dys[i])}, expected[i])
        which = "first" if i == 0 else "second"
        expect(not names, f"of two calls before their pullbacks the {which} has another {names}")


@rule("pair-threads", _PURE)
def pair_threads(case: Case) -> None:
    """Threads that share a layer get each the gradients of its own call, in training too."""
    layer = _layer(case)
    start, seen = threading.Barrier(WORKERS), []

    def work(i: int) -> None:
        x, dy = case.x(seed=i), case.x(seed=10 + i)
        inputs = case.inputs(layer, x)
        start.wait()
        try:
            for _ in range(ROUNDS):
                _, saved = layer.apply(x, **inputs)
                done.append((saved, dy, _pulled(layer, saved, dy)))
        except Exception as error:
            seen.append(f"{type(error).__name__}: {error}")

    done: list[tuple[Any, np.ndarray, dict]] = []
    workers = [threading.Thread(target=work, args=(i,)) for i in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expect(not seen, f"{WORKERS} threads with one layer: {seen[:1]}")
    for saved, dy, pulled in done:
        names = changed(pulled, _pulled(layer, saved, dy))
        expect(not names, f"{WORKERS} threads with one layer get another {names} than one alone")
