"""Peers from package indexes: PyTorch, JAX, ONNX Runtime. Each is imported when it is asked for.

Each is called as its users call it: PyTorch's backward through autograd, with the graph kept. Where
there is a choice, it is the one that suits the peer: PyTorch adds and clips in place what follows a
batch norm, as torchvision does; JAX's backward has the saved statistics handed to it, so that
nothing is computed twice; ONNX Runtime keeps its own values in and out.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from .contenders import Arrays, Contender, Run, Settings, UnavailableError
from .data import EPS, MOMENTUM, Data
from .formulas import Formulas
from .norms import GROUPS
from .shapes import Case


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

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.torch = imported("torch")
        self.torch.set_num_threads(settings.threads)

    def can(self, case: Case) -> bool:
        return True

    def prepare(self, case: Case, data: Data) -> Run:
        module = self._module(case, data)
        forward = self._ready(self._forward(case, module))
        inputs = [(self._tensor(case, a),) for a in data.x]
        if case.does.residual:
            z = (self._tensor(case, a) for a in data.z)
            inputs = [(*x, each) for x, each in zip(inputs, z, strict=True)]
        if case.mode != "backward":
            return Run(lambda i: forward(*inputs[i]), self._reader(case))
        dy = [self._tensor(case, a) for a in data.dy]
        for tensor in (tensor for tensors in inputs for tensor in tensors):
            tensor.requires_grad_()
        y = [forward(*tensors) for tensors in inputs]
        grad, parameters = self.torch.autograd.grad, dict(module.named_parameters())
        names = ("dx", "dz")[: len(inputs[0])] + tuple(f"d{name}" for name in parameters)
        wanted = [(*tensors, *parameters.values()) for tensors in inputs]
        return Run(
            lambda i: grad(y[i], wanted[i], dy[i], retain_graph=True), self._reader(case, names)
        )

    def _ready(self, forward: Any) -> Any:
        """What makes y of x, as it is called."""
        return forward

    def _module(self, case: Case, data: Data) -> Any:
        torch, channels = self.torch, case.channels
        options = {"eps": EPS, "dtype": getattr(torch, case.dtype)}
        cls = getattr(torch.nn, case.layer.removeprefix("Ghost"))
        if case.norm == "group":
            module = cls(GROUPS, channels, **options)
        elif case.norm in ("layer", "rms"):
            module = cls(channels, **options)
        else:
            module = cls(channels, momentum=MOMENTUM, affine=True, **options)
        arrays = {"weight": data.weight, "bias": data.bias}
        arrays |= {"running_mean": data.mean, "running_var": data.var}
        there = module.state_dict()
        module.load_state_dict(
            {name: torch.from_numpy(a) for name, a in arrays.items() if name in there},
            strict=False,
        )
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
            size, norm = case.virtual_batch_size, torch.nn.functional.batch_norm
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

    def _reader(self, case: Case, names: tuple[str, ...] = ("y",)):
        def array(tensor: Any) -> np.ndarray:
            if case.layout == "last" and tensor.ndim > 1:
                tensor = tensor.movedim(1, -1)
            return tensor.detach().numpy()

        def read(i: int, got: Any) -> Arrays:
            tensors = (got,) if names == ("y",) else got
            return dict(zip(names, map(array, tensors), strict=True))

        return read


class TorchCompiled(Torch):
    """The same through torch.compile."""

    name = "torch-compiled"

    def _ready(self, forward: Any) -> Any:
        torch = self.torch
        torch._dynamo.reset()  # else the number of compiled shapes is limited
        torch._functorch.config.donated_buffer = False  # a backward may be asked for again
        return torch.compile(forward, dynamic=False)


class Jax(Contender):
    """JAX under jit, on the CPU. Its threads were set by the environment of this process."""

    name = "jax"

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.jax = imported("jax")
        self.jax.config.update("jax_platforms", "cpu")
        self.jax.config.update("jax_enable_x64", True)

    def can(self, case: Case) -> bool:
        return True

    def prepare(self, case: Case, data: Data) -> Run:
        put, jit, wait = self.jax.device_put, self.jax.jit, self.jax.block_until_ready
        norm = Formulas(self.jax.numpy, case)
        weight, bias, *running = map(put, (data.weight, data.bias, data.mean, data.var))
        x = [put(a) for a in data.x]
        if case.mode == "evaluation":
            evaluate = jit(norm.evaluate)
            return Run(
                lambda i: wait(evaluate(x[i], weight, bias, *running)),
                lambda i, y: {"y": np.asarray(y)},
            )
        forward = jit(norm.forward)
        z = [(put(a),) for a in data.z] if case.does.residual else [()] * data.count
        if case.mode == "forward":
            return Run(
                lambda i: wait(forward(x[i], weight, bias, *running, *z[i])),
                lambda i, got: {"y": np.asarray(got[0])},
            )
        dy = [put(a) for a in data.dy]
        saved = [
            norm.kept(*wait(forward(a, weight, bias, *running, *b)))
            for a, b in zip(x, z, strict=True)
        ]
        backward = jit(norm.backward)
        return Run(
            lambda i: wait(backward(dy[i], x[i], weight, *saved[i])),
            lambda i, got: {name: np.asarray(a) for name, a in got.items()},
        )


class OnnxRuntime(Contender):
    """ONNX Runtime: one BatchNormalization node, evaluation, channels first."""

    name = "onnxruntime"

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.onnx, self.runtime = imported("onnx"), imported("onnxruntime")

    def can(self, case: Case) -> bool:
        return super().can(case) and case.mode == "evaluation" and case.layout == "first"

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
        arrays = {"w": data.weight, "b": data.bias, "mean": data.mean, "var": data.var}
        node = helper.make_node("BatchNormalization", ["x", *arrays], ["y"], epsilon=EPS)
        graph = helper.make_graph(
            [node], "batch_norm", [x], [y], [from_array(a, name) for name, a in arrays.items()]
        )
        opset = helper.make_opsetid("", 15)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
