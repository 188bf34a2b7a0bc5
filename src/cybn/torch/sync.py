"""SyncBatchNorm of tensors: the statistics of all processes, on the CPU.

PyTorch's own refuses tensors of the CPU. Here a part of the batch gives its moments and takes those
of the whole by the halves of batch norm (functional/halves.py), over what cybn.SyncBatchNorm
exchanges them (exchange/). Where nothing is to be exchanged it is a batch norm of modules.py, and
on other devices PyTorch's own.

What is kept for backward is x, weight and, past an activation, y, as in batch.py.

DistributedDataParallel refuses a model on the CPU that has a torch.nn.SyncBatchNorm, as these are.
The method of it that does so is replaced by one that lets these pass. Rejected: a class that is no
SyncBatchNorm of PyTorch's, which whatever looks for those would not find."""

from __future__ import annotations

from functools import wraps
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.autograd.graph import increment_version

from ..exchange.connect import link_of
from ..exchange.link import Link
from ..functional import (
    Moments,
    batch_norm_apply,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
    batch_norm_moments,
)
from ..functional.gates import CURVES
from ..functional.merging import added
from ..functional.running import CUMULATIVE, Step, follow
from .formulas import NOTHING, after, followed
from .modules import OURS, _BatchNorm
from .tensors import DATA, SIXTEEN, dense, ordered

_names: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()  # where modules are in a network


class SyncBatchNorm(_BatchNorm, nn.SyncBatchNorm):
    """Batch normalization of tensors on the CPU by the statistics of all processes.

    It is `torch.nn.SyncBatchNorm`, its options and state dict, on the CPU: in training over
    `torch.distributed` each process is normalized, forward and backward, as if all parts of the
    batch were one, with the same bits of the statistics on every process; parts may be uneven, and
    empty. In evaluation, and in one process, it is a batch norm, without communication.

    Parameters
    ----------
    num_features, eps, momentum, affine, track_running_stats, bias
        Those of `torch.nn.SyncBatchNorm`.
    process_group
        The process group, None for all processes; or what else `cybn.SyncBatchNorm` takes as
        `comm`.
    device, dtype
        Those of `torch.nn.SyncBatchNorm`.

    Raises
    ------
    SyncError
        In a forward or backward to which another process does not come, at which it fails, or where
        it is at another layer; on all processes, which name it.

    Notes
    -----
    `forward(x, residual=None)` adds a residual and has an `activation` as the batch norms of
    `cybn.torch`. Gradients of weight and bias are those of the part, as in PyTorch, which
    DistributedDataParallel averages. The gradient cannot be differentiated again.
    """

    _ranks = tuple(range(2, 65))

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        if isinstance(input, Tensor) and not input.is_cpu:
            y = nn.SyncBatchNorm.forward(self, input)
            return after(y, residual, *followed(self))
        link = _link(self, input) if self.training else None
        if link is None:  # nothing to exchange; PyTorch's own would refuse the CPU
            return _BatchNorm.forward(self, input, residual)
        place = f"the forward of {_named(self, link)} of {input.dtype}"
        with link.reporting(place, 3 * self.num_features):
            self._check_input_dim(input)
            if input.shape[1] != self.num_features or input.dtype not in DATA:
                raise ValueError(
                    f"SyncBatchNorm expects floats of {self.num_features} channels on axis 1, got "
                    f"{tuple(input.shape)} of {input.dtype}"
                )
            if residual is not None and not _is_like(residual, input):
                raise ValueError(
                    f"SyncBatchNorm expects a residual like its input, {tuple(input.shape)} of "
                    f"{input.dtype}, got {tuple(residual.shape)} of {residual.dtype}"
                )
            gate = dict(zip(NOTHING, followed(self), strict=True))
            how = _How(self, link, place, gate)
        return _Sync.apply(input, self.weight, self.bias, residual, how)

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Any = None) -> nn.Module:
        """Make SyncBatchNorm of all batch norms of a model, PyTorch's or cybn's, in place.

        Parameters
        ----------
        module
            The model.
        process_group
            The process group of the new modules, None for all processes.

        Returns
        -------
        Module
            The model; of a batch norm itself a new module, with the same parameters and buffers.
        """
        return cls._converted(module, process_group, "")

    @classmethod
    def _converted(cls, module: nn.Module, process_group: Any, name: str) -> nn.Module:
        made = module
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            made = cls.__new__(cls)
            vars(made).update(vars(module))  # parameters, buffers, hooks and options are the same
            made.process_group = process_group
            _names[made] = name
        for key, child in module.named_children():
            new = cls._converted(child, process_group, f"{name}.{key}" if name else key)
            if new is not child:
                setattr(made, key, new)
        return made


class _How(NamedTuple):
    """What a call goes by."""

    module: SyncBatchNorm
    link: Link
    place: str
    gate: dict[str, Any]


class _Sync(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, residual, how):
        module, link, place, gate = how
        with link.reporting(place, 3 * module.num_features):
            kept = dense(x.detach())
            a = _array(kept)
            part = batch_norm_moments(a, who="SyncBatchNorm")
        whole = Moments.of_parts(*link.exchange(place, part.count, part.sums))
        if whole.count == 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, got one in the parts of all "
                f"{link.size} processes"
            )
        stats = whole.stats(module.eps)
        y = batch_norm_apply(
            a, whole if whole.count else stats, _array(_wide(weight)), _array(_wide(bias)),
            eps=module.eps, residual=None if residual is None else _array(ordered(residual, kept)),
            **gate,
        )  # fmt: skip
        if whole.count and module.track_running_stats:
            _move(module, stats, whole.count)
        y = _tensor(y, x)
        ctx.stats, ctx.count, ctx.how, ctx.added = stats, whole.count, how, residual is not None
        bent = gate["activation"] in CURVES
        ctx.save_for_backward(
            x, weight, None if bent or gate["activation"] is None else y,
            bias if bent else None, residual if bent else None,
        )  # fmt: skip
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight, y, bias, residual = ctx.saved_tensors
        module, link, place, gate = ctx.how
        of_x, of_weight, of_bias, of_residual = ctx.needs_input_grad[:4]
        place = place.replace("the forward", "the backward", 1)
        with link.reporting(place, 2 * module.num_features):
            kept = dense(x)
            a, g = _array(kept), _array(ordered(dy, kept))
            how = {
                "y": None if y is None else _array(ordered(y, kept)),
                "bias": _array(_wide(bias)),
                "residual": None if residual is None else _array(ordered(residual, kept)),
                **gate,
            }
            w = _array(_wide(weight))
            sums = batch_norm_backward_reduce(g, a, ctx.stats, weight=w, **how)
        dx, dz = None, np.empty_like(a) if of_residual else None
        if of_x or of_residual:
            total = sums
            if ctx.count:
                total = added(link.exchange(place, 0, sums).sums)
            dx = batch_norm_backward_apply(
                g, a, ctx.stats, total, ctx.count, w, dresidual=dz, **how
            )
        dbias, dweight = torch.from_numpy(sums)
        return (
            _tensor(dx, x) if of_x else None,
            dweight.to(weight.dtype) if of_weight else None,
            dbias.to(weight.dtype) if of_bias else None,
            _tensor(dz, x) if of_residual else None,
            None,
        )


def _link(module: SyncBatchNorm, input: Tensor) -> Link | None:
    group, begun = module.process_group, dist.is_available() and dist.is_initialized()
    if not isinstance(input, Tensor) or (group is None and not begun):
        return None
    link = link_of(dist.group.WORLD if group is None else group)
    return link if link.size > 1 else None


def _named(module: SyncBatchNorm, link: Link) -> str:
    where = f" {name}" if (name := _names.get(module)) else ""
    return f"layer {link.number(module)}{where}, SyncBatchNorm({module.num_features})"


def _is_like(residual: Tensor, x: Tensor) -> bool:
    return residual.is_cpu and residual.shape == x.shape and residual.dtype is x.dtype


def _wide(a: Tensor | None) -> Tensor | None:
    """A parameter or buffer as the halves take it, float32 where it has sixteen bits."""
    return a if a is None or a.dtype not in SIXTEEN else a.float()


def _array(a: Tensor | None) -> np.ndarray | None:
    """A tensor as NumPy has it; bfloat16, which that has not, as float32."""
    if a is None:
        return None
    a = a.detach().resolve_neg()
    return (a.float() if a.dtype is torch.bfloat16 else a).numpy()


def _tensor(a: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(a).to(like.dtype)


def _move(module: SyncBatchNorm, stats: np.ndarray, count: int) -> None:
    """Let the running statistics of a module follow those of a batch of `count` values."""
    own = module.running_mean, module.running_var
    mean, var = (_wide(a) for a in own)
    batches = module.num_batches_tracked
    momentum = module.momentum
    if momentum is None:
        momentum = 0.0 if batches is None else CUMULATIVE
    follow([Step(_array(mean), _array(var), _array(batches), stats, count, momentum)])
    for a, moved in zip(own, (mean, var), strict=True):
        if a is not moved:
            a.copy_(moved)
    moved = [a for a in (*own, batches) if a is not None]
    if moved:
        increment_version(moved)


def _let_pass(refuse: Any) -> Any:
    @wraps(refuse)
    def handle(self: nn.parallel.DistributedDataParallel, module: nn.Module) -> None:
        found = [each for each in module.modules() if isinstance(each, nn.SyncBatchNorm)]
        if not all(isinstance(each, SyncBatchNorm) for each in found):
            refuse(self, module)

    return handle


_HANDLE = "_passing_sync_batchnorm_handle"
if hasattr(nn.parallel.DistributedDataParallel, _HANDLE):
    _refuse = getattr(nn.parallel.DistributedDataParallel, _HANDLE)
    setattr(nn.parallel.DistributedDataParallel, _HANDLE, _let_pass(_refuse))
SyncBatchNorm.__module__ = __package__
OURS[nn.SyncBatchNorm] = SyncBatchNorm
