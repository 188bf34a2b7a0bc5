"""Peers from package indexes: PyTorch, JAX, ONNX Runtime. Each is imported when it is asked for.

Each is called as its users call it: PyTorch's backward through autograd, with the graph kept; of
small calls the bare operator as well, which is the least that PyTorch can take. Where there is a
choice, it is the one that suits the peer: PyTorch adds and clips in place what follows a batch
norm, as torchvision does; JAX's backward has the saved statistics handed to it, so that nothing is
computed twice; ONNX Runtime keeps its own values in and out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from .cases import GROUPS, Case, virtual_batch_size
from .contenders import Contender, NumPy, Run, UnavailableError
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
    """PyTorch, eager: the module of torch.nn and what follows it, and autograd for the backward."""

    name = "torch"

    def start(self) -> None:
        self.torch = imported("torch")
        self.torch.set_num_threads(self.threads)

    def prepare(self, case: Case, data: Data) -> Run:
        module = self._module(case, data)
        forward = self._ready(self._forward(case, module))
        given = (data.x, data.z) if case.does.residual else (data.x,)
        inputs = [
            tuple(self._tensor(case, a) for a in arrays) for arrays in zip(*given, strict=True)
        ]
        if case.mode != "backward":
            return Run(lambda i: forward(*inputs[i]), self._reader(case, ("y",)))
        dy = [self._tensor(case, a) for a in data.dy]
        for tensor in (tensor for tensors in inputs for tensor in tensors):
            tensor.requires_grad_()
        y = [forward(*tensors) for tensors in inputs]
        grad, parameters = self.torch.autograd.grad, dict(module.named_parameters())
        names = ("dx", "dz")[: len(given)] + tuple(f"d{name}" for name in parameters)
        wanted = [(*tensors, *parameters.values()) for tensors in inputs]
        return Run(
            lambda i: grad(y[i], wanted[i], dy[i], retain_graph=True), self._reader(case, names)
        )

    def _ready(self, forward: Any) -> Any:
        """What makes y of x, as it is called."""
        return forward

    def _module(self, case: Case, data: Data) -> Any:
        torch = self.torch
        sizes = (GROUPS, case.channels) if case.norm == "group" else (case.channels,)
        options = {"eps": EPS, "dtype": getattr(torch, case.dtype)}
        if case.norm == "instance":
            options["affine"] = True
        module = getattr(torch.nn, case.layer.removeprefix("Ghost"))(*sizes, **options)
        there = module.state_dict()  # whose tensors are the module's own
        for name in there.keys() & data.arrays.keys():
            there[name].copy_(torch.from_numpy(data.arrays[name]))
        if case.mode == "evaluation":
            return module.eval().requires_grad_(False)  # nothing is kept for a backward
        return module.train()

    def _forward(self, case: Case, module: Any) -> Any:
        torch = self.torch
        if case.norm == "fused":

            def forward(x: Any, *z: Any) -> Any:
                y = module(x)
                for each in z:
                    y += each
                return torch.nn.functional.relu_(y)

            return forward
        if case.norm == "ghost":
            size, norm = virtual_batch_size(case.shape), torch.nn.functional.batch_norm
            arrays = module.running_mean, module.running_var, module.weight, module.bias

            def forward(x: Any) -> Any:
                parts = x.split(size)
                return torch.cat([norm(a, *arrays, True, MOMENTUM, EPS) for a in parts])

            return forward
        return module

    def _tensor(self, case: Case, a: np.ndarray) -> Any:
        """`a` without a copy, its channels on axis 1 wherever they lie in memory."""
        tensor = self.torch.from_numpy(a)
        return tensor.movedim(-1, 1) if case.layout == "last" else tensor

    def _reader(self, case: Case, names: tuple[str, ...]):
        def read(i: int, got: Any) -> dict[str, np.ndarray]:
            tensors = (got,) if names == ("y",) else got
            last = case.layout == "last"
            arrays = (a.movedim(1, -1) if last and a.ndim > 1 else a for a in tensors)
            return {n: a.detach().numpy() for n, a in zip(names, arrays, strict=True)}

        return read


class TorchCompiled(Torch):
    """The same through torch.compile."""

    name = "torch-compiled"

    def _ready(self, forward: Any) -> Any:
        torch = self.torch
        torch._dynamo.reset()  # else the number of compiled shapes is limited
        torch._functorch.config.donated_buffer = False  # a backward may be asked for again
        return torch.compile(forward, dynamic=False)


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
        weight, bias, *running = map(torch.from_numpy, data.arrays.values())
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
            a, g = self._tensor(case, x), self._tensor(case, dy)
            _, *moments = forward(a, *given[case.norm])
            calls.append((g, a, *tail[:at], *moments, *tail[at + 1 :]))
        names = ("dx", "dweight", "dbias")
        return Run(lambda i: backward(*calls[i]), self._reader(case, names))


class Jax(NumPy):
    """JAX under jit, on the CPU. Its threads were set by the environment of this process."""

    name = "jax"

    def start(self) -> None:
        self.jax = imported("jax")
        self.jax.config.update("jax_platforms", "cpu")
        self.jax.config.update("jax_enable_x64", True)
        self.np, self.put = self.jax.numpy, self.jax.device_put

    def compiled(self, formula: Callable[..., Any]) -> Callable[..., Any]:
        jitted, wait = self.jax.jit(formula), self.jax.block_until_ready
        return lambda *args: wait(jitted(*args))


class OnnxRuntime(Contender):
    """ONNX Runtime: one BatchNormalization node, evaluation, channels first."""

    name = "onnxruntime"

    def start(self) -> None:
        self.onnx, self.runtime = imported("onnx"), imported("onnxruntime")

    def can(self, case: Case) -> bool:
        evaluation = case.operation == "batch_norm" and case.mode == "evaluation"
        return evaluation and case.layout == "first"

    def prepare(self, case: Case, data: Data) -> Run:
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = self.runtime.InferenceSession(
            self._model(case, data), options, providers=["CPUExecutionProvider"]
        )
        run, value = session.run_with_ort_values, self.runtime.OrtValue.ortvalue_from_numpy
        feeds = [{"x": value(a)} for a in data.x]
        return Run(lambda i: run(["y"], feeds[i])[0], lambda i, y: {"y": y.numpy()})

    def _model(self, case: Case, data: Data) -> bytes:
        helper, from_array = self.onnx.helper, self.onnx.numpy_helper.from_array
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
        x, y = (helper.make_tensor_value_info(name, kind, case.shape) for name in "xy")
        arrays = data.arrays
        node = helper.make_node("BatchNormalization", ["x", *arrays], ["y"], epsilon=EPS)
        graph = helper.make_graph(
            [node], "batch_norm", [x], [y], [from_array(a, name) for name, a in arrays.items()]
        )
        opset = helper.make_opsetid("", 15)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
