"""Contenders: cybn, plain NumPy, and what `peers` and `onednn` find installed.

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
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import cybn

from .data import EPS, Data
from .formulas import Formulas
from .shapes import Case

Arrays = Mapping[str, np.ndarray]


class UnavailableError(Exception):
    """A contender that cannot take part here; the message says why."""


class Settings(NamedTuple):
    """What a contender may need to know to get ready."""

    threads: int = 1
    onednn: str | None = None  # path of its library


@dataclass(frozen=True)
class Run:
    """A case, ready to be timed."""

    call: Callable[[int], Any]
    #: (i, what call(i) returned) -> y, or dx, dweight, dbias and dz, as they lie in memory
    read: Callable[[int, Any], Arrays]
    #: i -> what the arrays must be to the bit; None: what `check` says
    exact: Callable[[int], Arrays] | None = None


class Contender:
    """Base: does batch norm in float32 and float64, every layout, rank and mode."""

    name: str
    streams: int | None = None  # arrays moved, where it does not do what the mode says
    note: str | None = None  # what is to be known of it, beside its version

    def __init__(self, settings: Settings):
        """Raises UnavailableError."""
        self.threads = settings.threads

    def can(self, case: Case) -> bool:
        return case.operation == "batch_norm"

    def prepare(self, case: Case, data: Data) -> Run:
        raise NotImplementedError


class Cybn(Contender):
    """Any layer that cybn has, by its name."""

    name = "cybn"
    into_out = False

    def __init__(self, settings: Settings):
        super().__init__(settings)
        cybn.set_num_threads(settings.threads)
        self.note = f"CPU level {cybn.show_config('dict')['cpu_level']}"

    def can(self, case: Case) -> bool:
        return case.layer in cybn.available()

    def prepare(self, case: Case, data: Data) -> Run:
        if case.mode == "backward":
            return self._backward(case, data)
        layer, x = layer_of(case, data).train(case.mode == "forward"), data.x
        out = data.out if self.into_out else [None] * data.count
        if case.does.residual:
            z = data.z
            return Run(lambda i: layer(x[i], out=out[i], residual=z[i]), _output)
        if self.into_out:
            return Run(lambda i: layer(x[i], out=out[i]), _output)
        return Run(lambda i: layer(x[i]), _output)

    def _backward(self, case: Case, data: Data) -> Run:
        # Backward belongs to the last forward of its layer, so each input has a layer.
        layers, dy = [layer_of(case, data) for _ in data.x], data.dy
        for i, layer in enumerate(layers):
            layer(data.x[i], **({"residual": data.z[i]} if case.does.residual else {}))
        out = data.out if self.into_out else [None] * data.count
        if case.does.residual:  # dz is taken away, as one that goes on to another layer
            return Run(
                lambda i: (
                    layers[i].backward(dy[i], out=out[i]), layers[i].grads,
                    vars(layers[i]).pop("dresidual"),
                ),
                _gradients,
            )  # fmt: skip
        if self.into_out:
            return Run(
                lambda i: (layers[i].backward(dy[i], out=out[i]), layers[i].grads), _gradients
            )
        return Run(lambda i: (layers[i].backward(dy[i]), layers[i].grads), _gradients)


class CybnOut(Cybn):
    name = "cybn-out"
    into_out = True


class CybnUnfused(Cybn):
    """What a fused layer replaces: its norm by cybn, the rest by NumPy, in place where it can."""

    name = "cybn-unfused"

    def can(self, case: Case) -> bool:
        return case.norm == "fused" and super().can(case)

    def prepare(self, case: Case, data: Data) -> Run:
        x, dy, residual = data.x, data.dy, case.does.residual
        z = data.z if residual else None

        def forward(layer: cybn.Layer, i: int) -> np.ndarray:
            y = layer(x[i])
            if residual:
                np.add(y, z[i], out=y)
            return np.maximum(y, 0, out=y)

        def backward(i: int) -> tuple[np.ndarray, ...]:
            g = dy[i] * (y[i] > 0)
            if residual:
                return layers[i].backward(g), layers[i].grads, g
            return layers[i].backward(g, out=g), layers[i].grads

        if case.mode == "forward":
            layer = layer_of(case, data, activation=None)
            return Run(lambda i: forward(layer, i), _output)
        layers = [layer_of(case, data, activation=None) for _ in x]
        y = [forward(layer, i) for i, layer in enumerate(layers)]
        return Run(backward, _gradients)


def layer_of(case: Case, data: Data, **options: Any) -> cybn.Layer:
    """The layer of a case with the arrays of its data; `options` override those of the case."""
    spec = {"type": case.layer, "eps": EPS, **case.options, **options}
    layer = cybn.create(spec, num_features=case.channels)
    arrays = {"weight": data.weight, "bias": data.bias}
    layer.load_state_dict(
        {**arrays, "running_mean": data.mean, "running_var": data.var}, strict=False
    )
    return layer


class NumPy(Contender):
    """What one writes without a library: the formulas, in the dtype of the data."""

    name = "numpy"

    def can(self, case: Case) -> bool:
        return True

    def prepare(self, case: Case, data: Data) -> Run:
        norm, weight, bias = Formulas(np, case), data.weight, data.bias
        x, running = data.x, (data.mean, data.var)
        z = data.z if case.does.residual else [None] * data.count
        if case.mode == "evaluation":
            return Run(lambda i: norm.evaluate(x[i], weight, bias, *running), _output)
        if case.mode == "forward":

            def forward(i: int) -> tuple[np.ndarray, Any]:
                nonlocal running
                y, saved, running = norm.forward(x[i], weight, bias, *running, z[i])
                return y, saved

            return Run(forward, lambda i, got: {"y": got[0]})
        saved = [
            norm.kept(*norm.forward(a, weight, bias, *running, b))
            for a, b in zip(x, z, strict=True)
        ]
        dy = data.dy
        return Run(
            lambda i: norm.backward(dy[i], x[i], weight, *saved[i]), lambda i, grads: grads
        )


def _output(i: int, y: np.ndarray) -> Arrays:
    return {"y": y}


def _gradients(i: int, got: tuple[Any, ...]) -> Arrays:
    """Of dx, the gradients of the parameters by name and, where there is a residual, dz."""
    dx, grads, *dz = got
    named = {f"d{name}": grad for name, grad in grads.items()}
    return {"dx": dx, **named, **({"dz": dz[0]} if dz else {})}


#: name -> module of this package and class; in the order of the tables
CONTENDERS = {
    "cybn": ("contenders", "Cybn"),
    "cybn-out": ("contenders", "CybnOut"),
    "cybn-unfused": ("contenders", "CybnUnfused"),
    "torch": ("peers", "Torch"),
    "torch-compiled": ("peers", "TorchCompiled"),
    "jax": ("peers", "Jax"),
    "onnxruntime": ("peers", "OnnxRuntime"),
    "onednn": ("onednn", "OneDNN"),
    "onednn-blocked": ("onednn", "OneDNNBlocked"),
    "numpy": ("contenders", "NumPy"),
}
#: compiling takes half a minute for each case
ON_REQUEST = ("torch-compiled",)
#: those that write into an existing array
INTO_OUT = ("cybn-out", "onednn", "onednn-blocked")


def find(
    names: Sequence[str], settings: Settings
) -> tuple[list[Contender], dict[str, str]]:
    """The contenders of these names that can take part, and why the others cannot."""
    found, left_out = [], {}
    for name in names:
        module, cls = CONTENDERS[name]
        try:
            found.append(getattr(importlib.import_module(f".{module}", __package__), cls)(settings))
        except UnavailableError as reason:
            left_out[name] = str(reason)
    return found, left_out
