"""The modules under `torch.compile`: their calls as operators, in a graph without a break.

Each function here is what `_calls` is in eager mode: it gives the output, or None where it is
PyTorch's to compute. What is asked is known while tracing: types, shapes, devices.
`torch.export` gets PyTorch's own operators, so that what is exported runs without cybn.
"""

from __future__ import annotations

import torch
from torch import Tensor, compiler

from .formulas import followed
from .operators import OPS
from .tensors import DATA, SIXTEEN, stays_last


def takes(x: Tensor, *values: Tensor | None, n: int | None = None) -> bool:
    """Does the CPU's operator take x, and what lies on channels, of n values each?"""
    # The flag itself: to the compiler of PyTorch 2.11 is_exporting() is always True.
    if compiler._is_exporting_flag or not (
        x.device.type == "cpu" and x.layout is torch.strided and x.dtype in DATA and x.numel() > 0
    ):
        return False
    there = [a for a in values if a is not None]
    return all(a.numel() == n and a.dtype is there[0].dtype for a in there) and (
        not there
        or there[0].dtype is x.dtype
        or (there[0].dtype is torch.float32 and x.dtype in SIXTEEN)
    )


def batch_norm(module, x: Tensor, residual: Tensor | None, ranks: tuple[int, ...]) -> Tensor | None:
    weight, bias, training = module.weight, module.bias, module.training
    mean, var = module.running_mean, module.running_var
    tracked = training and module.track_running_stats
    of_batch = training or (mean is None and var is None)
    if (
        x.dim() not in ranks
        or not takes(x, weight, bias, mean, var, n=x.shape[1])
        or (residual is not None and (residual.shape != x.shape or residual.dtype is not x.dtype))
        or (mean is None) is not (var is None)
        or module.eps <= 0
        or (of_batch and x.numel() <= x.shape[1])
        or (module.momentum is not None and not 0 <= module.momentum <= 1)
        or (tracked and mean is not None and module.num_batches_tracked is None)
    ):
        return None
    y, stats = OPS.batch_norm(
        x, weight, bias, None if of_batch else mean, None if of_batch else var, residual,
        of_batch, module.eps, *followed(module),
    )  # fmt: skip
    if tracked and mean is not None:
        m = x.numel() // x.shape[1]
        OPS.move_running(mean, var, module.num_batches_tracked, stats, m, module.momentum)
    return y


def layer_norm(module, x: Tensor, centred: bool) -> Tensor | None:
    sizes, eps = module.normalized_shape, module.eps
    bias = module.bias if centred else None
    n = 1
    for size in sizes:
        n *= size
    if not sizes or x.shape[-len(sizes) :] != sizes or not takes(x, module.weight, bias, n=n):
        return None
    if eps is None:
        eps = torch.finfo(torch.float64 if x.dtype is torch.float64 else torch.float32).eps
    if eps <= 0:
        return None
    norm = OPS.layer_norm if centred else OPS.rms_norm
    return norm(x, list(sizes), module.weight, bias, eps)[0]


def instance_norm(module, x: Tensor) -> Tensor | None:
    weight, bias, eps, momentum = module.weight, module.bias, module.eps, module.momentum
    mean, var = module.running_mean, module.running_var
    of_samples = module.training or not module.track_running_stats
    if (
        x.dim() not in (3, 4, 5)
        or not takes(x, weight, bias, mean, var, n=x.shape[1])
        or (mean is None) is not (var is None)
        or eps <= 0
        or (mean is None and not of_samples)
        or (of_samples and x.numel() <= x.shape[0] * x.shape[1])
        or (momentum is not None and not 0 <= momentum <= 1)
    ):
        return None
    if not of_samples:
        return OPS.batch_norm(x.contiguous(), weight, bias, mean, var, None, False, eps)[0]
    y, stats = OPS.group_norm(x, x.shape[1], weight, bias, eps)
    if mean is not None and momentum is not None:
        m = x.numel() // (x.shape[0] * x.shape[1])
        OPS.move_running(mean, var, None, stats, m, momentum)
    return y


def group_norm(module, x: Tensor, groups: int) -> Tensor | None:
    if x.dim() < 2 or not takes(x, module.weight, module.bias, n=x.shape[1]) or module.eps <= 0:
        return None
    if not x.is_contiguous() and stays_last(x):
        return None
    if x.shape[1] % groups != 0 or x.numel() <= x.shape[0] * groups:
        return None
    return OPS.group_norm(x, groups, module.weight, module.bias, module.eps)[0]


def local_response_norm(x: Tensor, *options) -> Tensor | None:
    if x.dim() < 3 or not takes(x) or (x.dtype in SIXTEEN and torch.is_autocast_enabled("cpu")):
        return None
    return OPS.local_response_norm(x, *options)
