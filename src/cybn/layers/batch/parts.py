"""Batch norm over parts of a batch: what GhostBatchNorm, SplitBatchNorm and their kin share.

A batch is cut along N, and each part goes through the forward of a batch norm, as a view of x and
of the output: nothing is copied. `_forward_parts` is the one loop over parts, in Python; a part
costs a few microseconds beside its work.

The batch norm of a part is the layer itself, or a member of it: a plain batch norm whose arrays the
layer keeps under a dotted prefix, as `aux_bn.0.weight`, which are the names in PyTorch checkpoints.
Layers within layers were rejected: modes, options, copies and errors would all have to be handed
down, and are one here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...functional.gates import check_residual
from ...functional.masks import check_mask
from ...kernels.outputs import empty_like
from ...validation import check_out, keep_input
from .batchnorm import BatchNorm

MEMBERS = 65_536  # the most that a layer has


class Part(NamedTuple):
    """Where a part of the batch lies along N, and the member that normalizes it."""

    place: slice
    prefix: str
    member: BatchNorm


class PartedBatchNorm(BatchNorm):
    """A batch norm that normalizes the parts of a batch by themselves, by itself or by members."""

    _prefixes: tuple[str, ...] = ("",)  # of the names of the members' arrays; "" is the layer's own

    def reset_running_stats(self) -> None:
        """Running mean 0, variance 1, no batches, in every member."""
        for prefix in self._prefixes:
            BatchNorm.reset_running_stats(self._member(prefix))

    def reset_parameters(self) -> None:
        """Parameters and running statistics as in a new layer, in every member."""
        for prefix in self._prefixes:
            BatchNorm.reset_parameters(self._member(prefix))

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward, in `out` where it is given; sets `grads`.

        As in BatchNorm, through the moments of each part; `dresidual` too. The gradients of
        parameters that no part went through are zero.
        """
        dy, (x, parts, saved) = self.checked_dy(dy, out)
        dx = empty_like(x) if out is None else out
        dz = None
        sums = {name: np.zeros(a.shape) for name, a in self.named_parameters()}
        for (place, prefix, member), of_part in zip(parts, saved, strict=True):
            vars(member)["_saved"] = of_part
            BatchNorm.backward(member, dy[place], dx[place])
            for name, grad in member.grads.items():
                sums[prefix + name] += grad
            if member.dresidual is not None:
                dz = empty_like(x) if dz is None else dz
                dz[place] = member.dresidual
        vars(self)["grads"] = {name: a.astype(self.dtype) for name, a in sums.items()}
        vars(self)["dresidual"] = dz
        return dx

    def _declare_members(self, prefixes: tuple[str, ...], keep: bool) -> None:
        """Declare each array of the layer again under every prefix; `keep` its own as well."""
        stores = (
            (self.register_parameter, self._parameters),
            (self.register_buffer, self._buffers),
        )
        for register, store in stores:
            plain = dict(store)
            if not keep:
                store.clear()
            for prefix in prefixes:
                for name, a in plain.items():
                    register(prefix + name, None if a is None else a.copy())
        self._prefixes = ("", *prefixes) if keep else prefixes

    def _member(self, prefix: str) -> BatchNorm:
        """A batch norm with the options and mode of the layer and its arrays under `prefix`."""
        at = len(prefix)
        one = object.__new__(type(self))
        vars(one).update(vars(self), _saved=None, _checked=None, _prefixes=("",))
        for store in ("_parameters", "_buffers"):
            own = vars(self)[store].items()
            vars(one)[store] = {
                name[at:]: a for name, a in own if name.startswith(prefix) and "." not in name[at:]
            }
        return one

    def _forward_parts(
        self,
        x: np.ndarray,
        out: np.ndarray | None,
        residual: np.ndarray | None,
        mask: np.ndarray | None,
        parts: list[Part],
    ) -> np.ndarray:
        """Each part through its member; x is checked. No statistics move unless all parts pass."""
        who = type(self).__name__
        inputs = {}  # what else goes along, part by part
        if residual is not None:
            inputs["residual"] = check_residual(who, residual, x)
            if out is not None:
                check_out(who, out, residual)
        if mask is not None:
            inputs["mask"] = check_mask(who, mask, x, self.channel_axis)
        kept = keep_input(who, x, out)
        y = empty_like(x) if out is None else out
        members = {part.prefix: part.member for part in parts}.values()
        before = [(a, a.copy()) for member in members for a in member.buffers()]
        saved = []  # what the members keep for backward, part by part
        try:
            for place, _, member in parts:
                further = {name: a[place] for name, a in inputs.items()}
                BatchNorm.forward(member, kept[place], y[place], **further)
                saved.append(member._saved)
        except BaseException:
            for a, values in before:
                if a.flags.writeable:
                    a[...] = values
            raise
        vars(self)["_saved"] = kept, parts, saved
        return y
