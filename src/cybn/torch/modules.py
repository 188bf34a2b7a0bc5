"""PyTorch's modules over the kernels: each is a subclass of its namesake in `torch.nn`.

An instance has what PyTorch's has and nothing else: parameters, buffers and options are PyTorch's.
So a module becomes one of these, and PyTorch's own again, by an assignment to its `__class__`
(`OURS` says of which class which), and it stays the same object: whatever holds it or its
parameters, hooks and optimizers, knows it still.

A batch norm takes `residual=`, a tensor like x that is added to the norm, and has an `activation`,
"relu", "relu6" or "leaky_relu" (with `negative_slope`), which comes last: all in one pass over
memory. Both are attributes of the class, None and 0.01, so that an instance that has neither is
PyTorch's; an instance for which they are set has them in its `__dict__`.

    y = activation(norm(x) + residual)
"""

from __future__ import annotations

from torch import Tensor, nn

from . import _calls, gradients  # noqa: F401  the second makes calls differentiable
from .formulas import after


class _BatchNorm:
    activation: str | None = None
    negative_slope: float = 0.01
    _ranks: tuple[int, ...] = ()

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        y = _calls.batch_norm(self, input, residual, self._ranks)
        if y is None:
            y = super().forward(input)
            y = after(y, residual, self.activation, self.negative_slope)
        return y


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    _ranks = (4,)


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    _ranks = (5,)


class _InstanceNorm:
    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        if self.running_mean is None and self.running_var is None:
            y = _calls.group_norm(self, input, 0, True)
            if y is not None:
                return y
        return super()._apply_instance_norm(input)


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d): ...


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d): ...


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d): ...


class LayerNorm(nn.LayerNorm):
    def forward(self, input: Tensor) -> Tensor:
        y = _calls.layer_norm(self, input, True)
        return super().forward(input) if y is None else y


class RMSNorm(nn.RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        y = _calls.layer_norm(self, x, False)
        return super().forward(x) if y is None else y


class GroupNorm(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        y = _calls.group_norm(self, input, self.num_groups, False)
        return super().forward(input) if y is None else y


class LocalResponseNorm(nn.LocalResponseNorm):
    def forward(self, input: Tensor) -> Tensor:
        y = _calls.local_response_norm(input, self.size, self.alpha, self.beta, self.k)
        return super().forward(input) if y is None else y


# PyTorch's class -> ours
OURS: dict[type[nn.Module], type[nn.Module]] = {
    getattr(nn, ours.__name__): ours
    for ours in (
        BatchNorm1d,
        BatchNorm2d,
        BatchNorm3d,
        InstanceNorm1d,
        InstanceNorm2d,
        InstanceNorm3d,
        LayerNorm,
        RMSNorm,
        GroupNorm,
        LocalResponseNorm,
    )
}
