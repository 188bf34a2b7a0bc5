"""PyTorch, called as its users call it: modules, or operators in a row, and autograd with the graph
kept for the backward. Of small calls the bare operator of the backward as well, which is the least
that PyTorch can take.

Where there is a choice, it is the one that suits PyTorch: it adds and clips in place what follows a
batch norm, as torchvision does; with data of sixteen bits, parameters are float32, as under
autocast, but for RMS norm, whose operator is compiled for one dtype only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from .cases import GROUPS, SIXTEEN, Case, virtual_batch_size
from .contenders import Contender, Run, UnavailableError, layer_of
from .data import EPS, MOMENTUM, Data

SMALL = 1 << 18  # bytes of an input of which a call, not its arithmetic, may decide


def imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if getattr(error, "name", None) == name.partition(".")[0]:
            raise UnavailableError(f"{name} is not installed") from None
        raise UnavailableError(f"{name} cannot be imported: {error}") from error


class Torch(Contender):
    """Whatever PyTorch has a module for, and what is composed of its operators."""

    name = "torch"

    def start(self) -> None:
        self.torch = imported("torch")
        self.torch.set_num_threads(self.threads)

    def can(self, case: Case) -> bool:
        return case.norm != "research" or case.dtype not in SIXTEEN

    def prepare(self, case: Case, data: Data) -> Run:
        forward, parameters = self._forward(case, data)
        given = (data.x, data.z) if case.does.extra else (data.x,)
        inputs = [
            tuple(self.tensor(case, a) for a in arrays) for arrays in zip(*given, strict=True)
        ]
        if case.mode != "backward":
            return Run(lambda i: forward(*inputs[i]), self._reader(case, ("y",)))
        dy = [self.tensor(case, a) for a in data.dy]
        for tensor in (tensor for tensors in inputs for tensor in tensors):
            tensor.requires_grad_()
        y = [forward(*tensors) for tensors in inputs]
        grad = self.torch.autograd.grad
        names = ("dx", "dz")[: len(given)] + tuple(f"d{name}" for name in parameters)
        wanted = [(*tensors, *parameters.values()) for tensors in inputs]
        return Run(
            lambda i: grad(y[i], wanted[i], dy[i], retain_graph=True), self._reader(case, names)
        )

    def _forward(self, case: Case, data: Data) -> tuple[Callable[..., Any], dict[str, Any]]:
        """What makes y of x, and its parameters."""
        torch = self.torch
        if case.norm == "research":
            layer = layer_of(case, data).train(case.mode != "evaluation")
            forward, arrays = imported(f"{__package__}.composed").compose(layer, case.operation)
            return forward, {name: arrays[name] for name, _ in layer.named_parameters()}
        module = self._module(case, data)
        parameters = dict(module.named_parameters())
        if case.norm == "fused":

            def forward(x: Any, *z: Any) -> Any:
                y = module(x)
                for each in z:
                    y += each
                return torch.nn.functional.relu_(y)

            return forward, parameters
        if case.norm == "ghost":
            size, norm = virtual_batch_size(case.shape), torch.nn.functional.batch_norm
            arrays = module.running_mean, module.running_var, module.weight, module.bias

            def forward(x: Any) -> Any:
                parts = x.split(size)
                return torch.cat([norm(a, *arrays, True, MOMENTUM, EPS) for a in parts])

            return forward, parameters
        return module, parameters

    def _module(self, case: Case, data: Data) -> Any:
        torch = self.torch
        sizes = (GROUPS, case.channels) if case.norm == "group" else (case.channels,)
        wide = case.dtype in SIXTEEN and case.norm != "rms"
        options = {"eps": EPS, "dtype": getattr(torch, "float32" if wide else case.dtype)}
        if case.norm == "instance":
            options["affine"] = True
        module = getattr(torch.nn, case.layer.removeprefix("Ghost"))(*sizes, **options)
        there = module.state_dict()  # whose tensors are the module's own
        for name in there.keys() & data.arrays.keys():
            there[name].copy_(torch.from_numpy(data.arrays[name].astype(np.float64)))
        if case.mode == "evaluation":
            return module.eval().requires_grad_(False)  # nothing is kept for a backward
        return module.train()

    def tensor(self, case: Case, a: np.ndarray) -> Any:
        """`a` without a copy, its channels on axis 1 wherever they lie in memory."""
        if case.dtype == "bfloat16":  # by its words, since PyTorch does not know that of ml_dtypes
            tensor = self.torch.from_numpy(a.view(np.int16)).view(self.torch.bfloat16)
        else:
            tensor = self.torch.from_numpy(a)
        return tensor.movedim(-1, 1) if case.layout == "last" else tensor

    def _reader(self, case: Case, names: tuple[str, ...]):
        def read(i: int, got: Any) -> dict[str, np.ndarray]:
            tensors = (got,) if names == ("y",) else got
            last = case.layout == "last"
            arrays = (a.movedim(1, -1) if last and a.ndim > 1 else a for a in tensors)
            found = {n: a.detach().double().numpy() for n, a in zip(names, arrays, strict=True)}
            if case.norm == "layer" and case.dtype in SIXTEEN:
                # Added up in sixteen bits: of many rows no digit may be left.
                found |= dict.fromkeys(found.keys() & {"dweight", "dbias"})
            return found

        return read


class TorchOp(Torch):
    """The operator of a backward alone, without autograd, in small calls.

    RMS norm, instance norm and what is composed of several operators have none on the CPU.
    """

    name = "torch-op"

    def can(self, case: Case) -> bool:
        norm = case.norm in ("batch", "layer", "group")
        return norm and case.mode == "backward" and case.nbytes <= SMALL

    def prepare(self, case: Case, data: Data) -> Run:
        with self.torch.no_grad():
            return self._prepare(case, data)

    def _prepare(self, case: Case, data: Data) -> Run:
        torch, ops, (n, c, *_), size = self.torch, self.torch.ops.aten, case.shape, prod(case.shape)
        weight, bias, *running = (
            torch.from_numpy(a.astype(np.float32 if case.dtype in SIXTEEN else case.dtype))
            for a in data.arrays.values()
        )
        group, every = (n, c, size // (n * c), GROUPS), [True] * 3
        given = {  # after x
            "batch": (weight, bias, *running, True, MOMENTUM, EPS),
            "layer": ([c], weight, bias, EPS),
            "group": (weight, bias, *group, EPS),
        }
        given_back = {  # after dy and x, with mean and rstd where None stands
            "batch": (weight, *running, None, True, EPS, every),
            "layer": ([c], None, weight, bias, every),
            "group": (None, weight, *group, every),
        }
        name = f"native_{case.norm}_norm"
        forward, backward = getattr(ops, name).default, getattr(ops, f"{name}_backward").default
        tail = given_back[case.norm]
        at = tail.index(None)
        calls = []
        for x, dy in zip(data.x, data.dy, strict=True):
            a, g = self.tensor(case, x), self.tensor(case, dy)
            _, *moments = forward(a, *given[case.norm])
            calls.append((g, a, *tail[:at], *moments, *tail[at + 1 :]))
        names = ("dx", "dweight", "dbias")
        return Run(lambda i: backward(*calls[i]), self._reader(case, names))
