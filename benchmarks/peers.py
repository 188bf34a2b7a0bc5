"""Peers from package indexes: PyTorch, JAX, ONNX Runtime. Each is imported when it is asked for.

Each is called as its users call it: PyTorch's backward through autograd, with the graph kept. Where
there is a choice, it is the one that suits the peer: JAX's backward has the saved statistics handed
to it, so that nothing is computed twice; ONNX Runtime keeps its own values in and out.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from .contenders import Arrays, Contender, Run, Settings, UnavailableError
from .data import EPS, MOMENTUM, Data
from .shapes import Case

_GRADIENTS = ("dx", "dweight", "dbias")


def imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if getattr(error, "name", None) == name.partition(".")[0]:
            raise UnavailableError(f"{name} is not installed") from None
        raise UnavailableError(f"{name} cannot be imported: {error}") from error


class Torch(Contender):
    """PyTorch, eager: torch.nn.BatchNorm1d, 2d or 3d, and autograd for the backward."""

    name = "torch"

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.torch = imported("torch")
        self.torch.set_num_threads(settings.threads)

    def prepare(self, case: Case, data: Data) -> Run:
        original = self._module(case, data)
        module = self._ready(original)
        x = [self._tensor(case, a) for a in data.x]
        if case.mode != "backward":
            return Run(lambda i: module(x[i]), self._reader(case))
        dy = [self._tensor(case, a) for a in data.dy]
        for each in x:
            each.requires_grad_()
        y = [module(each) for each in x]
        grad, weight, bias = self.torch.autograd.grad, original.weight, original.bias
        return Run(
            lambda i: grad(y[i], (x[i], weight, bias), dy[i], retain_graph=True),
            self._reader(case),
        )

    def _ready(self, module: Any) -> Any:
        """The module as it is called."""
        return module

    def _module(self, case: Case, data: Data) -> Any:
        torch = self.torch
        cls = getattr(torch.nn, case.layer)
        module = cls(case.channels, eps=EPS, momentum=MOMENTUM, dtype=getattr(torch, case.dtype))
        arrays = (data.weight, data.bias, data.mean, data.var)
        with torch.no_grad():
            for tensor, a in zip(self._parameters(module), arrays, strict=True):
                tensor.copy_(torch.from_numpy(a))
        if case.mode == "evaluation":
            return module.eval().requires_grad_(False)  # nothing is kept for a backward
        return module.train()

    @staticmethod
    def _parameters(module: Any) -> tuple[Any, ...]:
        return (
            module.weight.detach(), module.bias.detach(), module.running_mean, module.running_var
        )  # fmt: skip

    def _tensor(self, case: Case, a: np.ndarray) -> Any:
        """`a` without a copy, its channels on axis 1 wherever they lie in memory."""
        tensor = self.torch.from_numpy(a)
        return tensor.movedim(-1, 1) if case.layout == "last" else tensor

    def _reader(self, case: Case):
        def array(tensor: Any) -> np.ndarray:
            if case.layout == "last" and tensor.ndim > 1:
                tensor = tensor.movedim(1, -1)
            return tensor.detach().numpy()

        def read(i: int, got: Any) -> Arrays:
            if case.mode == "backward":
                return dict(zip(_GRADIENTS, map(array, got), strict=True))
            return {"y": array(got)}

        return read


class TorchCompiled(Torch):
    """The same module through torch.compile."""

    name = "torch-compiled"

    def _ready(self, module: Any) -> Any:
        torch = self.torch
        torch._dynamo.reset()  # else the number of compiled shapes is limited
        torch._functorch.config.donated_buffer = False  # a backward may be asked for again
        return torch.compile(module, dynamic=False)


class Jax(Contender):
    """JAX under jit, on the CPU. Its threads were set by the environment of this process."""

    name = "jax"

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.jax = imported("jax")
        self.jax.config.update("jax_platforms", "cpu")
        self.jax.config.update("jax_enable_x64", True)

    def prepare(self, case: Case, data: Data) -> Run:
        put, jit = self.jax.device_put, self.jax.jit
        norm = _JaxBatchNorm(self.jax.numpy, case)
        weight, bias, *running = map(put, (data.weight, data.bias, data.mean, data.var))
        x = [put(a) for a in data.x]
        if case.mode == "evaluation":
            evaluate = jit(norm.evaluate)
            return Run(
                lambda i: evaluate(x[i], weight, bias, *running).block_until_ready(),
                lambda i, y: {"y": np.asarray(y)},
            )
        forward, wait = jit(norm.forward), self.jax.block_until_ready
        if case.mode == "forward":
            return Run(
                lambda i: wait(forward(x[i], weight, bias, *running)),
                lambda i, got: {"y": np.asarray(got[0])},
            )
        dy = [put(a) for a in data.dy]
        saved = [wait(forward(each, weight, bias, *running))[1:3] for each in x]
        backward = jit(norm.backward)
        return Run(
            lambda i: wait(backward(dy[i], x[i], weight, *saved[i])),
            lambda i, got: dict(zip(_GRADIENTS, map(np.asarray, got), strict=True)),
        )


class _JaxBatchNorm:
    """The formulas; XLA fuses them."""

    def __init__(self, numpy: Any, case: Case):
        rank = len(case.shape)
        axis = case.channel_axis % rank
        self.np, self.m = numpy, case.size // case.channels
        self.axes = tuple(i for i in range(rank) if i != axis)
        self.along = tuple(-1 if i == axis else 1 for i in range(rank))

    def forward(self, x, weight, bias, running_mean, running_var):
        mean = x.mean(self.axes)
        var = self.np.square(x - mean.reshape(self.along)).mean(self.axes)
        rstd = 1 / self.np.sqrt(var + EPS)
        y = self._affine(x, mean, weight * rstd, bias)
        running_mean = running_mean + MOMENTUM * (mean - running_mean)
        unbiased = var * (self.m / (self.m - 1))
        return y, mean, rstd, running_mean, running_var + MOMENTUM * (unbiased - running_var)

    def evaluate(self, x, weight, bias, mean, var):
        return self._affine(x, mean, weight / self.np.sqrt(var + EPS), bias)

    def backward(self, dy, x, weight, mean, rstd):
        xhat = (x - mean.reshape(self.along)) * rstd.reshape(self.along)
        dbias, dweight = dy.sum(self.axes), (dy * xhat).sum(self.axes)
        centred = dy - (dbias / self.m).reshape(self.along)
        dx = centred - xhat * (dweight / self.m).reshape(self.along)
        return (weight * rstd).reshape(self.along) * dx, dweight, dbias

    def _affine(self, x, mean, scale, bias):
        away = x - mean.reshape(self.along)
        return away * scale.reshape(self.along) + bias.reshape(self.along)


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
