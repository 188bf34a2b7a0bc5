"""What every other rule builds on: calls that come back with arrays of the right kind.

A mistake here breaks most of the others as well, so they are not tested then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from ...terms.messages import shown
from .._compare import Bits, array_bits, bits, changed
from .._rules import broken, expect, rule
from .._subject import Case, writes_pair

DTYPES = (np.float32, np.float64)


@rule(
    "runs",
    "Let apply(x, *, out=None) return y, self.Saved(x, ...), where Saved is a NamedTuple that the "
    "class declares and whose first field is x, and pullback(saved, dy, *, out=None) return "
    "dx, self.gradients(weight=...); begin them with x = self.begin(x, out) and "
    "dy = self.resume(saved, dy, out).",
    root=True,
)
def runs(case: Case) -> None:
    """For an ordinary input apply returns an array and what it saves, by name, and pullback for
    that and dy an array and a dict; so do forward and backward with arrays alone."""
    layer, x, dy = case.layer(warm=False), case.x(), case.x(seed=2)
    inputs = case.inputs(layer, x)
    if writes_pair(layer):
        got = _called("apply", lambda: layer.apply(x, **inputs))
        pair = type(got) is tuple and len(got) == 2 and isinstance(got[0], np.ndarray)
        expect(pair, f"apply returns {_kind(got)}, no pair of y and what it saves")
        _expect_saved(layer, got[1], x)
        got = _called("pullback", lambda: layer.pullback(got[1], dy))
        pair = type(got) is tuple and len(got) == 2 and isinstance(got[0], np.ndarray)
        expect(pair, f"pullback returns {_kind(got)}, no pair of dx and the gradients")
        expect(isinstance(got[1], dict), f"pullback gives {_kind(got[1])} of gradients, no dict")
    y = _called("forward", lambda: case.call(layer, x))
    expect(isinstance(y, np.ndarray), f"forward returns {_kind(y)}, no array")
    dx = _called(f"backward{_left(layer, x)}", lambda: layer.backward(dy))
    expect(isinstance(dx, np.ndarray), f"backward returns {_kind(dx)}, no array")


def _called(name: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        broken(f"{name} raises {type(error).__name__}: {error}")


def _expect_saved(layer: Layer, saved: Any, x: np.ndarray) -> None:
    fields = getattr(type(saved), "_fields", ())
    named = isinstance(saved, tuple) and fields
    expect(named, f"apply saves {_kind(saved)}, no NamedTuple that begins with x")
    declared = getattr(layer, "Saved", None)
    expect(
        isinstance(declared, type) and isinstance(saved, declared),
        f"apply saves a {type(saved).__name__}, and Saved of the class is {_kind(declared)}",
    )
    first = saved[0]
    alike = isinstance(first, np.ndarray) and (first.shape, first.dtype) == (x.shape, x.dtype)
    expect(alike, f"apply saves {_kind(first)} first, as {fields[0]}, and nothing like x")


def _left(layer: Layer, x: np.ndarray) -> str:
    """What a forward that the layer writes itself has left, where it is not like what apply saves:
    a mistake that other errors come of."""
    saved = layer._saved
    first = saved[0] if isinstance(saved, tuple) and saved else None
    if writes_pair(layer) or np.shape(first) == x.shape:
        return ""
    return (
        f" after a forward that leaves {_kind(saved)} in self._saved, no tuple that begins with x,"
    )


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return shown(value)


def _pairs(case: Case) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, what came out, the input it must be like) for both dtypes."""
    for dtype in DTYPES:
        layer, x, dy = case.layer(), case.x(dtype), case.x(dtype, seed=2)
        y, dx = case.run(layer, x, dy)
        yield f"the output for {x.dtype} x", y, x
        yield f"dx for {x.dtype} dy", dx, dy


@rule(
    "output-type",
    "Return a plain ndarray from apply and from pullback; np.asarray makes one.",
    root=True,
)
def output_type(case: Case) -> None:
    """The output and dx are plain ndarrays."""
    for name, a, _ in _pairs(case):
        expect(type(a) is np.ndarray, f"{name} is of type {type(a).__name__}")


@rule(
    "output-shape",
    "Return an output of x's shape and a dx of dy's shape; keepdims=True keeps the axes that a "
    "mean takes away, and a ValueError refuses a rank that the layer is not for.",
    root=True,
)
def output_shape(case: Case) -> None:
    """The output and dx have the shape of the input."""
    for name, a, like in _pairs(case):
        expect(np.shape(a) == like.shape, f"{name} has shape {np.shape(a)}, not {like.shape}")


@rule(
    "output-dtype",
    "Return the input's dtype: compute in float64 where that is wanted, and end with "
    "y.astype(x.dtype, copy=False), or give the last ufunc dtype=x.dtype.",
    root=True,
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
    root=True,
)
def output_finite(case: Case) -> None:
    """Ordinary numbers give finite results."""
    for name, a, _ in _pairs(case):
        wrong = np.argwhere(~np.isfinite(a))
        if len(wrong):
            at = tuple(map(int, wrong[0]))
            broken(f"{name} is {a[at]} at {at}, and not finite in {len(wrong)} of {a.size} places")


@rule(
    "grads-names",
    "Let pullback return, beside dx, a dict with the name of every registered parameter, as it was "
    "given to register_parameter, and no other; {} where there are none. "
    "self.gradients(weight=..., bias=...) makes one.",
    root=True,
)
def grads_names(case: Case) -> None:
    """After backward, grads is a dict with exactly the names of the parameters."""
    layer = case.layer()
    case.run(layer, case.x(), case.x(seed=2))
    expect(isinstance(layer.grads, dict), f"grads is {type(layer.grads).__name__}, no dict")
    expected = [name for name, _ in layer.named_parameters()]
    expect(set(layer.grads) == set(expected), f"grads has {list(layer.grads)}, expected {expected}")


def arrays_in(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays among further inputs."""
    return {name: a for name, a in inputs.items() if isinstance(a, np.ndarray)}


@rule(
    "input-unchanged",
    "Never write to x, dy or a further input: write x = x - mean, not x -= mean, and work on a "
    "copy where a step needs to be in place.",
    root=True,
)
def input_unchanged(case: Case) -> None:
    """Forward and backward leave their inputs as they are."""
    x, dy = case.x(), case.x(seed=2)
    layer = case.layer()
    inputs = case.inputs(layer, x)
    given = {"x": x, "dy": dy, **arrays_in(inputs)}
    before = {name: bits(a) for name, a in given.items()}
    for step, call in (
        ("forward", lambda: layer(x, **inputs)),
        ("backward", lambda: layer.backward(dy)),
    ):
        call()
        names = changed(before, {name: bits(a) for name, a in given.items()})
        expect(not names, f"{step} has changed {', '.join(names)}")


def step_of(case: Case, layer: Layer) -> dict[str, Any]:
    """What a forward and a backward give, in bits; of an error its class."""
    try:
        y, dx = case.run(layer, case.x(seed=3), case.x(seed=2))
    except Exception as error:
        return {"error": type(error).__name__}
    return {"output": bits(y), "dx": bits(dx), **{k: bits(a) for k, a in layer.grads.items()}}


def results_of(case: Case, x: np.ndarray, dy: np.ndarray) -> dict[str, Bits | None]:
    """The bits of all that a step of a new layer gives and changes."""
    layer = case.layer()
    y, dx = case.run(layer, x, dy)
    grads = {f"grads[{name!r}]": bits(a) for name, a in layer.grads.items()}
    return {"output": bits(y), "dx": bits(dx), **grads, **array_bits(layer)}


@rule(
    "determinism-repeat",
    "Take nothing from chance, the clock, addresses or the order of a set; a layer that needs "
    "random numbers keeps a seed and a counter in its state.",
    root=True,
)
def determinism_repeat(case: Case) -> None:
    """Equal layers and equal inputs give equal bits."""
    x, dy = case.x(), case.x(seed=2)
    names = changed(results_of(case, x, dy), results_of(case, x, dy))
    expect(not names, f"the same call of two equal layers gives another {', '.join(names)}")
