"""The kernels as the plans call them: tensors in, tensor out, with a gradient.

Each function gives None where a call is not the kernels'.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as _hooks

from ...functional.gates import Gate
from .. import _calls


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


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor | None:
    """Over the last axis."""
    return _calls.layer_norm(_bearer(x.shape[-1:], weight, None, eps), x, False)


def layer_norm(
    x: Tensor, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor | None:
    """Over the last axes, of that shape."""
    return _calls.layer_norm(_bearer(shape, weight, bias, eps), x, True)


def over_channels(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, centred: bool, turns: bool
) -> Tensor | None:
    """A layer norm over axis 1, or not centred an RMS norm; the output lies in memory as x does.

    Or, if it turns, with channels last, which what follows in the model is quicker with: in C order
    the norm alone takes half the time, and a training step of ConvNeXt an eighth more.
    """
    y = None if turns else _calls.over_channels(x, weight, bias, eps, centred)
    if y is not None:
        return y
    rows = x.movedim(1, -1)  # which are in one piece with channels last
    bearer = _bearer(rows.shape[-1:], weight, bias, eps)
    y = _calls.layer_norm(bearer, rows, centred)
    return None if y is None else y.movedim(-1, 1)


def group_norm(module: nn.Module, x: Tensor) -> Tensor | None:
    """By the attributes of a GroupNorm."""
    return _calls.group_norm(module, x, module.num_groups)


def batch_norm(
    module: nn.Module,
    x: Tensor,
    eps: float,
    residual: Tensor | None,
    gate: Gate,
    spare: bool = False,
) -> Tensor | None:
    """By the arrays of a module of PyTorch's names, and what follows; over x if it is to spare."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        ranks = getattr(module, "_ranks", (4,))
        return _calls.batch_norm(module, x, residual, ranks, gate, spare)
    own = module.__dict__
    still = SimpleNamespace(
        _parameters=own["_parameters"],
        _buffers=own["_buffers"],
        training=False,
        track_running_stats=True,
        eps=eps,
        momentum=0.0,
    )
    return _calls.batch_norm(still, x, residual, (4,), gate, spare)


def _bearer(shape: Any, weight: Any, bias: Any, eps: float) -> SimpleNamespace:
    # What kernels are told of a module, with arrays that are not its own
    if weight is None and bias is not None:
        weight = torch.ones_like(bias)
    return SimpleNamespace(
        normalized_shape=tuple(shape),
        _parameters={"weight": weight, "bias": bias},
        _buffers={},
        eps=eps,
    )
