"""Contenders: cybn, plain NumPy, and what `torchpeers`, `onednn` and `limit` find on this machine.

A contender says which cases it can do, and turns a case and its data into a Run: `call(i)` does the
work on the i-th input, with nothing around it that the library does not need, and `read` gives what
it computed as NumPy arrays, after the clock has stopped.

Everyone gets the same memory, as zero-copy views where the library can. Outputs are fresh at every
call, allocated by the library, unless it is in INTO_OUT. A forward pass in training keeps what its
backward pass needs and moves the running statistics, if the norm has any (oneDNN keeps none); a
backward pass gives dx, and the gradients of weight, bias and residual as far as there are any.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

import cybn

from .cases import SIXTEEN, Case, virtual_batch_size
from .data import EPS, Data
from .formulas import Formulas


class UnavailableError(Exception):
    """A contender that cannot take part here; the message says why."""


class Run(NamedTuple):
    """A case, ready to be timed."""

    call: Callable[[int], Any]
    #: (i, what call(i) returned) -> y, or dx, dweight, dbias and dz, as they lie in memory, or None
    #: for what is not to be checked; in place of it None where nothing is
    read: Callable[[int, Any], Mapping[str, np.ndarray | None]] | None
    kept: Any = None  # what must live as long, such as the outputs whose backward is timed


class Contender:
    """Base."""

    name: str
    note: str | None = None  # what is to be known of it, beside its version

    def __init__(self, threads: int = 1, onednn: str | None = None):
        """`onednn` is the path of its library. Raises UnavailableError."""
        self.threads, self.onednn = threads, onednn
        self.start()

    def start(self) -> None:
        """Find the library and tell it the threads."""

    def can(self, case: Case) -> bool:
        return True

    def prepare(self, case: Case, data: Data) -> Run:
        raise NotImplementedError


class Cybn(Contender):
    """Any layer that cybn has, by its name."""

    name = "cybn"
    into_out = False

    def start(self) -> None:
        cybn.set_num_threads(self.threads)
        self.note = f"CPU level {cybn.show_config('dict')['cpu_level']}"

    def can(self, case: Case) -> bool:
        return case.norm != "research" or find_spec("torch") is not None  # to check it with

    def prepare(self, case: Case, data: Data) -> Run:
        x, every, extra = data.x, range(data.count), case.does.extra
        outs = [{"out": data.out[i]} if self.into_out else {} for i in every]
        inputs = [{extra: data.z[i]} if extra else {} for i in every]
        if case.mode != "backward":
            layer = layer_of(case, data).train(case.mode == "forward")
            given = [outs[i] | inputs[i] for i in every]
            plain = not any(given)  # as one calls it: no keywords, not even none of them
            return Run((lambda i: layer(x[i])) if plain else lambda i: layer(x[i], **given[i]), _y)
        # Backward belongs to the last forward of its layer, so each input has a layer.
        layers, dy = [layer_of(case, data) for _ in every], data.dy
        y = [layers[i](x[i], **inputs[i]) for i in every]

        def call(i: int) -> tuple[Any, ...]:
            layer = layers[i]
            dx = layer.backward(dy[i], **outs[i]) if outs[i] else layer.backward(dy[i])
            if extra:  # dz is taken away, as one that goes on to another layer
                return dx, layer.grads, vars(layer).pop(f"d{extra}")
            return dx, layer.grads

        return Run(call, _gradients, y)


class CybnOut(Cybn):
    name = "cybn-out"
    into_out = True


class CybnFloat32(CybnOut):
    """What sixteen bits are held against: as many items of float32, in the same turns."""

    name = "cybn-float32"

    def can(self, case: Case) -> bool:
        return case.dtype in SIXTEEN and super().can(case)

    def prepare(self, case: Case, data: Data) -> Run:
        wide = replace(case, dtype="float32")
        own = Data(wide, data.seed)
        run = super().prepare(wide, own)
        return Run(lambda i: run.call(i % own.count), None, run.kept)


class CybnUnfused(Cybn):
    """What a fused layer replaces: its norm by cybn, the rest by NumPy, in place where it can."""

    name = "cybn-unfused"

    def can(self, case: Case) -> bool:
        return case.norm == "fused"

    def prepare(self, case: Case, data: Data) -> Run:
        x, dy, z = data.x, data.dy, data.z if case.does.extra else None
        training = case.mode != "evaluation"
        layers = [layer_of(case, data, activation=None).train(training) for _ in x]

        def forward(layer: cybn.Layer, i: int) -> np.ndarray:
            y = layer(x[i])
            if z is not None:
                np.add(y, z[i], out=y)
            return np.maximum(y, 0, out=y)

        def backward(i: int) -> tuple[Any, ...]:
            g = dy[i] * (y[i] > 0)
            if z is not None:
                return layers[i].backward(g), layers[i].grads, g
            return layers[i].backward(g, out=g), layers[i].grads

        if case.mode != "backward":
            return Run(lambda i: forward(layers[0], i), _y)
        y = [forward(layer, i) for i, layer in enumerate(layers)]
        return Run(backward, _gradients)


def layer_of(case: Case, data: Data, **options: Any) -> cybn.Layer:
    """The layer of a case with the arrays of its data; `options` override those of the case."""
    spec: dict[str, Any] = {"type": case.layer, **case.does.options}
    if case.norm != "research":
        spec["eps"] = EPS
    if case.norm == "ghost":
        spec["virtual_batch_size"] = virtual_batch_size(case.shape)
    if case.layout == "last":
        spec["channel_axis"] = -1
    if case.dtype == "float64" and case.operation != "AdaIN":  # which has no arrays
        spec["dtype"] = case.dtype
    layer = cybn.create(spec | options, num_features=case.channels)
    if case.norm == "research":  # each has arrays of its own; these values any dtype can hold
        for a in layer.parameters():
            a[...] = np.random.default_rng(data.seed).integers(8, 25, a.shape) / 16
    else:
        layer.load_state_dict(data.arrays, strict=False)
    return layer


def _y(i: int, y: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": y}


def _gradients(i: int, got: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """Of dx, the gradients of the parameters by name and, where there is a residual, dz."""
    dx, grads, *dz = got
    named = {f"d{name}": grad for name, grad in grads.items()}
    return {"dx": dx, **named, **dict(zip(["dz"], dz, strict=False))}


class NumPy(Contender):
    """What one writes without a library: the formulas, in the dtype of the data."""

    name = "numpy"

    def can(self, case: Case) -> bool:
        return case.norm != "research" and case.dtype not in SIXTEEN

    def prepare(self, case: Case, data: Data) -> Run:
        norm, every, arrays, x = Formulas(case), range(data.count), data.arrays.values(), data.x
        z = data.z if case.does.extra else [None] * data.count
        if case.mode != "backward":
            return Run(lambda i: norm.forward(x[i], *arrays, z[i]), lambda i, got: {"y": got[0]})
        dy, weight = data.dy, data.arrays["weight"]
        saved = [norm.forward(x[i], *arrays, z[i])[:2] for i in every]
        return Run(lambda i: norm.backward(dy[i], x[i], weight, *saved[i]), lambda i, grads: grads)


#: name -> module of this package and class; in the order of the tables
CONTENDERS = {
    "cybn": "contenders.Cybn",
    "cybn-out": "contenders.CybnOut",
    "cybn-float32": "contenders.CybnFloat32",
    "cybn-unfused": "contenders.CybnUnfused",
    "torch": "torchpeers.Torch",
    "torch-op": "torchpeers.TorchOp",
    "onednn": "onednn.OneDNN",
    "onednn-blocked": "onednn.OneDNNBlocked",
    "numpy": "contenders.NumPy",
}
#: what the others are held against; the faster of them is "limit"
LIMITS = {"limit-plain": "limit.Limit", "limit-streaming": "limit.StreamingLimit"}
#: those that write into an existing array
INTO_OUT = ("cybn-out", "cybn-float32", "onednn", "onednn-blocked")


def find(
    names: Sequence[str], threads: int = 1, onednn: str | None = None
) -> tuple[list[Contender], dict[str, str]]:
    """The contenders of these names that can take part, and why the others cannot."""
    found, left_out = [], {}
    for name in names:
        module, _, cls = (CONTENDERS | LIMITS)[name].partition(".")
        contender = getattr(importlib.import_module(f".{module}", __package__), cls)
        try:
            found.append(contender(threads, onednn))
        except UnavailableError as reason:
            left_out[name] = str(reason)
    return found, left_out
