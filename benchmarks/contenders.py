"""Contenders: cybn, plain NumPy, and what `peers` and `onednn` find installed.

A contender says which cases it can do, and turns a case and its data into a Run: `call(i)` does the
work on the i-th input, with nothing around it that the library does not need, and `read` gives what
it computed as NumPy arrays, after the clock has stopped.

Everyone gets the same memory, as zero-copy views where the library can. Outputs are fresh at every
call, allocated by the library, unless it is in INTO_OUT. A forward pass in training keeps what its
backward pass needs and moves the running statistics (oneDNN keeps none); a backward pass gives dx
and the gradients of weight and bias.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import cybn

from .data import EPS, MOMENTUM, Data
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
    #: (i, what call(i) returned) -> y, or dx, dweight and dbias, as they lie in memory
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
        # Backward belongs to the last forward of its layer, so each input has a layer there.
        count = data.count if case.mode == "backward" else 1
        layers = [self._layer(case, data) for _ in range(count)]
        x, dy, out = data.x, data.dy, data.out if self.into_out else None
        if case.mode == "backward":
            for i, layer in enumerate(layers):
                layer(x[i])
            if out is None:
                return Run(lambda i: (layers[i].backward(dy[i]), layers[i].grads), _gradients)
            return Run(lambda i: (layers[i].backward(dy[i], out[i]), layers[i].grads), _gradients)
        layer = layers[0].train(case.mode == "forward")
        if out is None:
            return Run(lambda i: layer(x[i]), _output)
        return Run(lambda i: layer(x[i], out[i]), _output)

    def _layer(self, case: Case, data: Data) -> cybn.Layer:
        options = {"channel_axis": -1} if case.layout == "last" else {}
        layer = cybn.create(
            {"type": case.layer, "dtype": case.dtype, **options}, num_features=case.channels
        )
        layer.load_state_dict(
            {
                "weight": data.weight,
                "bias": data.bias,
                "running_mean": data.mean,
                "running_var": data.var,
            },
            strict=False,
        )
        return layer


class CybnOut(Cybn):
    name = "cybn-out"
    into_out = True


class NumPy(Contender):
    """What one writes without a library: the formulas, in the dtype of the data."""

    name = "numpy"

    def prepare(self, case: Case, data: Data) -> Run:
        norm = PlainBatchNorm(case.channel_axis, len(case.shape), data)
        if case.mode == "forward":
            return Run(lambda i: norm.forward(data.x[i])[0], _output)
        if case.mode == "evaluation":
            return Run(lambda i: norm.evaluate(data.x[i]), _output)
        saved = [norm.forward(x)[1:] for x in data.x]
        return Run(
            lambda i: norm.backward(data.dy[i], data.x[i], *saved[i]),
            lambda i, got: dict(zip(("dx", "dweight", "dbias"), got, strict=True)),
        )


class PlainBatchNorm:
    """Batch norm in NumPy, channels on `axis`."""

    def __init__(self, axis: int, rank: int, data: Data):
        axis %= rank
        self.axes = tuple(i for i in range(rank) if i != axis)
        self.along = tuple(-1 if i == axis else 1 for i in range(rank))
        self.weight, self.bias = data.weight, data.bias
        self.running_mean, self.running_var = data.mean.copy(), data.var.copy()

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """y, mean and rstd, the latter two shaped to meet x."""
        m = x.size // self.weight.size
        mean = x.mean(self.axes, keepdims=True)
        away = x - mean
        var = np.square(away).mean(self.axes, keepdims=True)
        rstd = 1 / np.sqrt(var + EPS)
        self.running_mean += MOMENTUM * (mean.ravel() - self.running_mean)
        self.running_var += MOMENTUM * (var.ravel() * (m / (m - 1)) - self.running_var)
        return away * (self.weight.reshape(self.along) * rstd) + self._bias(), mean, rstd

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        scale = (self.weight / np.sqrt(self.running_var + EPS)).reshape(self.along)
        return (x - self.running_mean.reshape(self.along)) * scale + self._bias()

    def backward(
        self, dy: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        m = x.size // self.weight.size
        xhat = (x - mean) * rstd
        dbias = dy.sum(self.axes, keepdims=True)
        dweight = (dy * xhat).sum(self.axes, keepdims=True)
        dx = (self.weight.reshape(self.along) * rstd) * (dy - dbias / m - xhat * (dweight / m))
        return dx, dweight.ravel(), dbias.ravel()

    def _bias(self) -> np.ndarray:
        return self.bias.reshape(self.along)


def _output(i: int, y: np.ndarray) -> Arrays:
    return {"y": y}


def _gradients(i: int, got: tuple[np.ndarray, Arrays]) -> Arrays:
    dx, grads = got
    return {"dx": dx, "dweight": grads["weight"], "dbias": grads["bias"]}


#: name -> module of this package and class; in the order of the tables
CONTENDERS = {
    "cybn": ("contenders", "Cybn"),
    "cybn-out": ("contenders", "CybnOut"),
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
