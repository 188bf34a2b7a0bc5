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

from math import prod

import torch
from torch import Tensor, nn

from ..functional.gates import OPEN, gate_of
from .batch import How, batch_norm
from .formulas import after
from .ready import fit, is_data, is_watched
from .response import local_response_norm
from .rows import grouped, row_norm, trailing


class _BatchNorm:
    activation: str | None = None
    negative_slope: float = 0.01
    _ranks: tuple[int, ...] = ()

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        weight, bias = self.weight, self.bias
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        training, momentum = self.training, self.momentum
        of_batch = training or (mean is None and var is None)
        if not (training and self.track_running_stats):
            count = None
            if training:
                mean = var = None
        if momentum is None:
            momentum = 0.0 if count is None else -1.0
        if not (
            is_data(input)
            and input.dim() in self._ranks
            and fit(input, weight, bias, mean, var, values=input.shape[1])
            and (residual is None or _is_like(residual, input))
            and (of_batch or (mean is not None and var is not None))
            and (input.numel() > input.shape[1] or not of_batch)
            and (momentum == -1.0 or 0 <= momentum <= 1)
            and self.eps > 0
            and not is_watched()
        ):
            y = super().forward(input)
            return after(y, residual, self.activation, self.negative_slope)
        activation = self.activation
        gate = OPEN
        if activation is not None:
            gate = gate_of(type(self).__name__, activation, self.negative_slope)
        return batch_norm(
            input, weight, bias, residual, mean, var, count, How(of_batch, momentum, self.eps, gate)
        )


def _is_like(residual: Tensor, x: Tensor) -> bool:
    return is_data(residual) and residual.shape == x.shape and residual.dtype is x.dtype


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    _ranks = (4,)


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    _ranks = (5,)


class _InstanceNorm:
    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        if self.running_mean is not None or self.running_var is not None or not (
            is_data(input)
            and fit(input, self.weight, self.bias, values=input.shape[1])
            and input.numel() > input.shape[0] * input.shape[1]
            and self.eps > 0
            and not is_watched()
        ):
            return super()._apply_instance_norm(input)
        return row_norm(
            input, self.weight, self.bias, self.eps, grouped(input, input.shape[1])
        )


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d): ...


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d): ...


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d): ...


class LayerNorm(nn.LayerNorm):
    def forward(self, input: Tensor) -> Tensor:
        shape = self.normalized_shape
        if not (
            is_data(input)
            and input.shape[-len(shape) :] == shape
            and fit(input, self.weight, self.bias, values=prod(shape))
            and self.eps > 0
            and not is_watched()
        ):
            return super().forward(input)
        return row_norm(input, self.weight, self.bias, self.eps, trailing(input, shape, True))


class RMSNorm(nn.RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        shape = self.normalized_shape
        eps = self.eps
        if not (
            is_data(x)
            and x.shape[-len(shape) :] == shape
            and fit(x, self.weight, values=prod(shape))
            and (eps is None or eps > 0)
            and not is_watched()
        ):
            return super().forward(x)
        if eps is None:
            eps = torch.finfo(x.dtype).eps
        return row_norm(x, self.weight, None, eps, trailing(x, shape, False))


class GroupNorm(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        groups = self.num_groups
        if not (
            is_data(input)
            and input.dim() >= 2
            and input.shape[1] == self.num_channels
            and self.num_channels % groups == 0
            and fit(input, self.weight, self.bias, values=self.num_channels)
            and input.numel() > input.shape[0] * groups
            and self.eps > 0
            and not is_watched()
        ):
            return super().forward(input)
        return row_norm(input, self.weight, self.bias, self.eps, grouped(input, groups))


class LocalResponseNorm(nn.LocalResponseNorm):
    def forward(self, input: Tensor) -> Tensor:
        if not (is_data(input) and input.dim() >= 3 and not is_watched()):
            return super().forward(input)
        return local_response_norm(input, (self.size, self.alpha, self.beta, self.k))


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
