"""Wrong input: the class of the error, and that the failing call has changed nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from .._compare import bits, state_bits
from .._rules import broken, expect, rule
from .._subject import Case

DTYPES = (np.int64, np.bool_, np.complex64, object)


@dataclass(frozen=True)
class BadCall:
    """A call that is wrong in one way, and the error that it must give."""

    what: str
    call: Callable[[Layer], Any]
    error: type[Exception]

    def outcome(self, layer: Layer) -> Exception | Any:
        """The error, or what was returned."""
        try:
            return self.call(layer)
        except Exception as error:
            return error

    def refused(self, layer: Layer) -> None:
        """Broken unless the call raises that error."""
        got = self.outcome(layer)
        if not isinstance(got, Exception):
            broken(f"{self.what} is accepted, {self.error.__name__} is expected")
        self.check_class(got)

    def check_class(self, got: Exception) -> None:
        """Broken unless it is that error."""
        expect(
            isinstance(got, self.error),
            f"{self.what} raises {type(got).__name__} where {self.error.__name__} is expected "
            f"({got})",
        )


def _dtypes_of_x(case: Case) -> Iterator[BadCall]:
    x = case.x()
    inputs = case.inputs(case.make(), x)
    for dtype in DTYPES:
        name = np.dtype(dtype).name
        yield BadCall(f"x of {name}", lambda f, d=dtype: f(x.astype(d), **inputs), TypeError)


def _shapes_of_x(case: Case) -> Iterator[tuple[np.ndarray, BadCall]]:
    """Other ranks, and other lengths of every axis but the first: bad for some layers."""
    x = case.x()
    inputs = case.inputs(case.make(), x)
    wrong = [x[(0,) * (x.ndim - n)] for n in range(x.ndim)]
    wrong += [x[..., None].repeat(2, -1), x[None]]
    for axis in range(1, x.ndim):
        wrong += [x.take([0], axis), np.concatenate([x, x.take([0], axis)], axis)]
    for a in map(np.asarray, wrong):
        yield a, BadCall(f"x of shape {a.shape}", lambda f, a=a: f(a, **inputs), ValueError)


def _outs(case: Case) -> Iterator[BadCall]:
    """What NumPy refuses by itself."""
    x, dy = case.x(), case.x(seed=2)
    inputs = case.inputs(case.make(), x)
    for what, out in (
        ("an out with one sample more", np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)),
        ("a read-only out", np.broadcast_to(np.float32(0), x.shape)),
    ):
        yield BadCall(f"forward with {what}", lambda f, o=out: f(x, out=o, **inputs), ValueError)
        yield BadCall(f"backward with {what}", lambda f, o=out: f.backward(dy, out=o), ValueError)


def _odd_outs(case: Case) -> Iterator[BadCall]:
    """What NumPy takes and converts or broadcasts to."""
    x, dy = case.x(), case.x(seed=2)
    inputs = case.inputs(case.make(), x)
    for what, out, error in (
        ("a float64 out for float32", np.zeros(x.shape, np.float64), TypeError),
        ("an out with one axis more", np.zeros((2, *x.shape), x.dtype), ValueError),
        ("a list as out", x.tolist(), TypeError),
    ):
        yield BadCall(f"forward with {what}", lambda f, o=out: f(x, out=o, **inputs), error)
        yield BadCall(f"backward with {what}", lambda f, o=out: f.backward(dy, out=o), error)
    # x and out are views of one array, a sample apart: rows would be written before they are read
    longer = np.concatenate([x[:1], x])
    what = "forward with an out that overlaps x in part"
    yield BadCall(what, lambda f: f(longer[1:], out=longer[:-1], **inputs), ValueError)


def _dys(case: Case) -> Iterator[BadCall]:
    dy = case.x(seed=2)
    for dtype in DTYPES:
        name = np.dtype(dtype).name
        yield BadCall(f"dy of {name}", lambda f, d=dtype: f.backward(dy.astype(d)), TypeError)
    for a in (dy[:1], dy[..., :1], dy[None], np.concatenate([dy, dy]), np.asarray(dy.sum())):
        what = f"dy of shape {a.shape} after x of shape {dy.shape}"
        yield BadCall(what, lambda f, a=a: f.backward(a), ValueError)


def _called(case: Case) -> Layer:
    layer = case.layer()
    case.call(layer, case.x())
    return layer


def _keep_state(case: Case, calls: Iterable[BadCall]) -> None:
    """Broken where one of the calls is refused and has changed something."""
    dy, layer = case.x(seed=2), None
    for bad in calls:
        if layer is None:  # the first, or one before was accepted
            layer = _called(case)
            dx = bits(layer.backward(dy))
            before = state_bits(layer)
        if not isinstance(bad.outcome(layer), Exception):
            layer = None
            continue
        expect(state_bits(layer) == before, f"{bad.what} is refused and has changed the layer")
        try:
            again = bits(layer.backward(dy))
        except Exception as error:
            seen = f"{type(error).__name__}: {error}"
            broken(f"{bad.what} is refused and backward then raises {seen}")
        expect(again == dx, f"{bad.what} is refused and has changed what backward gives")


@rule(
    "error-dtype",
    "Begin apply with x = self.begin(x, out), which refuses what is no dtype of data with a "
    "TypeError.",
)
def error_dtype(case: Case) -> None:
    """An x of another dtype than float16, bfloat16, float32 and float64 is a TypeError."""
    layer = case.layer()
    for bad in _dtypes_of_x(case):
        bad.refused(layer)


@rule(
    "error-shape",
    "Check x.ndim and the channels before anything else, and raise ValueError; "
    "x = self.begin(x, out, ndim=..., channels=...) does.",
)
def error_shape(case: Case) -> None:
    """An x that does not fit is a ValueError, or gives an output of its shape.

    Some layers take any rank and width. What none may do is to broadcast x against a parameter.
    """
    layer = case.layer()
    for x, bad in _shapes_of_x(case):
        got = bad.outcome(layer)
        if isinstance(got, Exception):
            bad.check_class(got)
        else:
            expect(
                np.shape(got) == x.shape,
                f"{bad.what} is accepted, and the output has shape {np.shape(got)}",
            )


@rule(
    "error-out",
    "Let the ValueError of NumPy through, or check `out` before it is written to, as "
    "self.begin(x, out) and self.resume(saved, dy, out) do.",
    needs=("out",),
)
def error_out(case: Case) -> None:
    """An out with another number of samples, or read-only, is a ValueError."""
    for bad in _outs(case):
        bad.refused(_called(case))


@rule(
    "error-out-odd",
    "Check the shape, dtype and memory of `out` before it is written to, as "
    "self.begin(x, out) and self.resume(saved, dy, out) do.",
    strict=True,
    needs=("out",),
)
def error_out_odd(case: Case) -> None:
    """An out of another dtype or that is no array is a TypeError; one with more axes or that
    overlaps x in part a ValueError."""
    for bad in _odd_outs(case):
        bad.refused(_called(case))
    _keep_state(case, _odd_outs(case))


@rule(
    "error-dy",
    "Begin pullback with dy = self.resume(saved, dy, out), which compares dy with the first field "
    "of saved.",
    strict=True,
)
def error_dy(case: Case) -> None:
    """A dy of another shape than x is a ValueError, one of no float dtype a TypeError."""
    for bad in _dys(case):
        bad.refused(_called(case))
    _keep_state(case, _dys(case))


@rule(
    "error-keeps-state",
    "Check everything first, as x = self.begin(x, out) does, and change statistics last, when "
    "nothing can fail any more; leave grads and the memory of a call to cybn.Layer.",
)
def error_keeps_state(case: Case) -> None:
    """A call that raises leaves parameters, buffers, grads and the last forward as they were."""
    shapes = (bad for _, bad in _shapes_of_x(case))
    _keep_state(case, (*_dtypes_of_x(case), *shapes, *_outs(case)))
