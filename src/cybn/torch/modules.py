"""PyTorch's modules over the kernels: each is a subclass of its namesake in `torch.nn`.

An instance has what PyTorch's has and nothing else: parameters, buffers and options are PyTorch's.
So a module becomes one of these, and PyTorch's own again, by an assignment to its `__class__`
(`OURS` says of which class which), and it stays the same object: whatever holds it or its
parameters, hooks and optimizers, knows it still.

A batch norm takes `residual=`, a tensor like x that is added to the norm, and has an `activation`,
which comes last, all in one pass over memory: "relu", "relu6", "leaky_relu" (`negative_slope`),
"silu", "gelu", "gelu_tanh", "hardswish", "elu" (`alpha`) or "mish". They are attributes of the
class, None, 0.01 and 1.0, so that an instance that has none is PyTorch's; one for which they are
set has them in its `__dict__`.

    y = activation(norm(x) + residual)

A call is the kernels' or PyTorch's: `_calls` says which in eager mode, `traced` under
`torch.compile`. PyTorch's own `forward` is what is then called, so that numbers and errors are its.

A class may change in the middle of a call, by another thread. So a call asks its module for nothing
that only the classes here have, and PyTorch's methods are called by name: `super()` refuses a
module that has been given its own class again.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.fx import Proxy

from . import _calls, gradients, row_operators, traced  # noqa: F401  the second and third register
from .formulas import after, followed
from .scripted import as_pytorchs

__all__ = ["OURS"]

_Instance = nn.modules.instancenorm._InstanceNorm

# PyTorch's class -> ours
OURS: dict[type[nn.Module], type[nn.Module]] = {}


class _Norm(nn.Module):
    """What all of them have: how they are seen by tracers."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        theirs = getattr(nn, cls.__name__, None)
        if theirs in cls.__bases__ and cls.__module__ == __name__:
            OURS[theirs] = cls
            cls.__module__ = __package__  # where it is found by pickle, and by people
            cls.__doc__ = f"`torch.nn.{cls.__name__}` over cybn's kernels."

    def __prepare_scriptable__(self) -> nn.Module:
        theirs = next(base for base in type(self).__mro__ if OURS.get(base) is not None)
        return as_pytorchs(self, theirs)


def _as_node(module: nn.Module, input: Any, **options: Any) -> Any:
    """A call by `torch.fx`: one node, as PyTorch's norms are; None if it is no such call."""
    if not isinstance(input, Proxy):
        return None
    target = input.tracer.path_of_module(module)
    return input.tracer.create_proxy("call_module", target, (input,), options)


class _BatchNorm(_Norm):
    activation: str | None = None
    negative_slope: float = 0.01
    alpha: float = 1.0
    _ranks: tuple[int, ...] = ()

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        norm = traced.batch_norm if is_compiling() else _calls.batch_norm
        y = norm(self, input, residual, getattr(self, "_ranks", ()))
        if y is None:
            options = {} if residual is None else {"residual": residual}
            y = _as_node(self, input, **options)
        if y is None:
            y = nn.modules.batchnorm._BatchNorm.forward(self, input)  # type: ignore[arg-type]
            y = after(y, residual, *followed(self))
        return y

    def extra_repr(self) -> str:
        more = "" if self.activation is None else f", activation={self.activation}"
        return super().extra_repr() + more


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    _ranks = (4,)


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    _ranks = (5,)


class LazyBatchNorm1d(_BatchNorm, nn.LazyBatchNorm1d):
    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_BatchNorm, nn.LazyBatchNorm2d):
    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_BatchNorm, nn.LazyBatchNorm3d):
    cls_to_become = BatchNorm3d


class _InstanceNorm(_Norm):
    def forward(self, input: Tensor) -> Tensor:
        y = _as_node(self, input)
        return _Instance.forward(self, input) if y is None else y  # type: ignore[arg-type]

    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        norm = traced.instance_norm if is_compiling() else _calls.instance_norm
        y = norm(self, input)
        if y is None:
            y = _Instance._apply_instance_norm(self, input)  # type: ignore[arg-type]
        return y


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d): ...


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d): ...


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d): ...


class LazyInstanceNorm1d(_InstanceNorm, nn.LazyInstanceNorm1d):
    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_InstanceNorm, nn.LazyInstanceNorm2d):
    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_InstanceNorm, nn.LazyInstanceNorm3d):
    cls_to_become = InstanceNorm3d


class LayerNorm(_Norm, nn.LayerNorm):
    def forward(self, input: Tensor) -> Tensor:
        norm = traced.layer_norm if is_compiling() else _calls.layer_norm
        y = norm(self, input, True)
        if y is None:
            y = _as_node(self, input)
        return nn.LayerNorm.forward(self, input) if y is None else y


class RMSNorm(_Norm, nn.RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        norm = traced.layer_norm if is_compiling() else _calls.layer_norm
        y = norm(self, x, False)
        if y is None:
            y = _as_node(self, x)
        return nn.RMSNorm.forward(self, x) if y is None else y


class GroupNorm(_Norm, nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        norm = traced.group_norm if is_compiling() else _calls.group_norm
        y = norm(self, input, self.num_groups)
        if y is None:
            y = _as_node(self, input)
        return nn.GroupNorm.forward(self, input) if y is None else y


class LocalResponseNorm(_Norm, nn.LocalResponseNorm):
    def forward(self, input: Tensor) -> Tensor:
        norm = traced.local_response_norm if is_compiling() else _calls.local_response_norm
        y = norm(input, self.size, self.alpha, self.beta, self.k)
        if y is None:
            y = _as_node(self, input)
        return nn.LocalResponseNorm.forward(self, input) if y is None else y
