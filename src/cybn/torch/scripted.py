"""What `torch.jit.script` is given of a module: PyTorch's own, over the same parameters.

TorchScript compiles the source of `forward`, and knows no calls of compiled Python. A batch norm
with an activation, which no class of PyTorch's is, is written out for it.
"""

from __future__ import annotations

import copy
from typing import Optional

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .formulas import ACTIVATIONS


def as_pytorchs(module: nn.Module, theirs: type[nn.Module]) -> nn.Module:
    """The module as one of PyTorch's class, with the same parameters and buffers."""
    if getattr(module, "activation", None) is not None:
        return _Fused(module, theirs)
    same = copy.copy(module)
    same.__class__ = theirs
    return same


class _Fused(nn.Module):
    """y = activation(norm(x) + residual), with the state dict of the norm."""

    __constants__ = ("activation", "slope", "momentum", "eps", "track_running_stats")

    def __init__(self, module: nn.Module, theirs: type[nn.Module]):
        super().__init__()
        for name in ("weight", "bias"):
            self.register_parameter(name, getattr(module, name))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(module, name))
        self.activation = list(ACTIVATIONS).index(module.activation)
        of_elu = module.activation == "elu"
        self.slope = float(module.alpha if of_elu else module.negative_slope)
        self.momentum = module.momentum
        self.eps, self.track_running_stats = module.eps, module.track_running_stats
        self.train(module.training)

    def forward(self, input: Tensor, residual: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        kept = not self.training or self.track_running_stats
        y = F.batch_norm(
            input,
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            momentum,
            self.eps,
        )
        if residual is not None:
            y = y + residual
        if self.activation == 1:
            return torch.relu(y)
        if self.activation == 2:
            return F.relu6(y)
        if self.activation == 3:
            return F.leaky_relu(y, self.slope)
        if self.activation == 4:
            return F.silu(y)
        if self.activation == 5:
            return F.gelu(y)
        if self.activation == 6:
            return F.gelu(y, approximate="tanh")
        if self.activation == 7:
            return F.hardswish(y)
        if self.activation == 8:
            return F.elu(y, self.slope)
        if self.activation == 9:
            return F.mish(y)
        return y
