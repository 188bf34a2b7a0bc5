"""The kernels as the plans call them: tensors in, tensor out, with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as _hooks

from ...functional.gates import Gate, gate_of
from ..batch import How
from ..batch import batch_norm as _batch_norm
from ..modules import BatchNorm1d, BatchNorm2d, BatchNorm3d
from ..rows import Rows, grouped, row_norm, trailing
from ..ready import fit, is_data, is_watched
from .swapped import recipe_of

_BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


def usable(x: Any) -> bool:
    """Is x a plain tensor that kernels take, in a call that PyTorch is not looking into?"""
    return is_data(x) and not torch.compiler.is_compiling() and not is_watched()


def unhooked(module: nn.Module) -> bool:
    """Would nobody notice if the module were not called?"""
    own = module.__dict__
    return not (
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
        or _hooks._global_forward_hooks
        or _hooks._global_forward_pre_hooks
        or _hooks._global_backward_hooks
        or _hooks._global_backward_pre_hooks
    )


def rms_norm(x: Tensor, shape: tuple[int, ...], weight: Tensor | None, eps: float) -> Tensor:
    return row_norm(x, weight, None, eps, trailing(x, shape, False))


def grouped_rms_norm(x: Tensor, width: int, weight: Tensor | None, eps: float) -> Tensor:
    """Over each `width` items of the last axis; weight is that of the whole axis."""
    return row_norm(x, weight, None, eps, Rows(x.numel() // width, 1, False, (width,)))


def layer_norm(
    x: Tensor, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    return row_norm(x, weight, bias, eps, trailing(x, shape, True))


def group_norm(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    return row_norm(x, weight, bias, eps, grouped(x, groups))


def over_channels(norm: Any, x: Tensor, *arguments: Any) -> Tensor:
    """A norm of the last axis over axis 1 of (N, C, ...)."""
    return norm(x.movedim(1, -1), x.shape[1:2], *arguments).movedim(-1, 1)


def is_batch_norm(module: nn.Module) -> bool:
    """Is it a batch norm of the classes here?"""
    return type(module) in _BATCH_NORMS


def gated_batch_norm(
    module: nn.Module, x: Tensor, residual: Tensor | None, activation: tuple[str, float] | None
) -> Any:
    """A batch norm and what follows it; NotImplemented where kernels do not do it."""
    name, slope = (None, 0.01) if activation is None else activation
    if is_batch_norm(module):
        if x.dim() not in module._ranks:
            return NotImplemented
        eps = module.eps
    else:
        eps = recipe_of(module).plan.value(module, "eps")
    return batch_norm(module, x, eps, residual, gate_of("convert", name, slope))


def batch_norm(module: nn.Module, x: Tensor, eps: float, residual: Tensor | None, gate: Gate) -> Any:
    """By the arrays of a module of PyTorch's names; NotImplemented where kernels do not do it."""
    weight, bias = module.weight, module.bias
    training, momentum, count = False, 0.0, None
    mean, var = module.running_mean, module.running_var
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        training = module.training or (mean is None and var is None)
        if module.training and module.track_running_stats:
            count, momentum = module.num_batches_tracked, module.momentum
        elif module.training:
            mean = var = None
        if momentum is None:
            momentum = 0.0 if count is None else -1.0
    if not (
        fit(x, weight, bias, mean, var, values=x.shape[1])
        and (training or (mean is not None and var is not None))
        and (x.numel() > x.shape[1] or not training)
        and (momentum == -1.0 or 0 <= momentum <= 1)
        and eps > 0
    ):
        return NotImplemented
    how = How(training, momentum, eps, gate)
    return _batch_norm(x, weight, bias, residual, mean, var, count, how)
