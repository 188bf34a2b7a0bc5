"""Batch norm over parts of a batch: what GhostBatchNorm, SplitBatchNorm and their kin share.

A batch is cut along N, and each part is normalized as BatchNorm does it, as a view of x and of the
output: nothing is copied. A subclass says by `_parts` where it is cut; the one loop over parts is
here, in Python; a part costs a few microseconds beside its work. All parts are looked at before the
first is written, and the running statistics of all move when the last is through.

The arrays of a part are the layer's own, or further ones that it keeps under a dotted prefix, as
`aux_bn.0.weight`, which are the names in PyTorch checkpoints. Layers within layers were rejected:
modes, options, copies and errors would all have to be handed down, and are one here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...arrays.outputs import empty_like
from ...arrays.validation import check_input, check_separate
from ...functional.gates import check_residual
from ...functional.masks import check_mask
from ...functional.running import follow
from ..base.channelnorm import ChannelArrays
from .batches import looked_at
from .batchnorm import BatchNorm

MEMBERS = 65_536  # the most that a layer has


class Part(NamedTuple):
    """Where a part of the batch lies along N, and the arrays that normalize it."""

    place: slice
    prefix: str
    arrays: ChannelArrays


class SavedPart(NamedTuple):
    """What the pullback of a part needs."""

    place: slice
    prefix: str
    saved: BatchNorm.Saved


class PartedBatchNorm(BatchNorm):
    """A batch norm that normalizes the parts of a batch by themselves."""

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        parts: tuple[SavedPart, ...]

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute the gradients of BatchNorm, through the moments of each part.

        The gradients of parameters that no part went through are zero.
        """
        dy = self.resume(saved, dy, out)
        if out is not None:
            for part in saved.parts:
                check_separate(type(self).__name__, "out", out, y=part.saved.y)
        dx = empty_like(saved.x) if out is None else out
        dz = None
        sums = {name: np.zeros(a.shape) for name, a in self.named_parameters()}
        for place, prefix, of_part in saved.parts:
            _, dweight, dbias, dz_of_part = self._pulled_back(of_part, dy[place], dx[place])
            if dz_of_part is not None:
                dz = empty_like(saved.x) if dz is None else dz
                dz[place] = dz_of_part
            for name, grad in (("weight", dweight), ("bias", dbias)):
                if prefix + name in sums:
                    sums[prefix + name] += grad
        return dx, self.gradients(**sums, residual=dz)

    def _declare_further(self, prefixes: tuple[str, ...], keep: bool) -> None:
        """Declare each array of the layer again under every prefix; `keep` its own as well."""
        stores = (
            (self.register_parameter, self._parameters),
            (self.register_buffer, self._buffers),
        )
        for register, store in stores:
            plain = dict(store)
            if not keep:
                store.clear()
                for name in plain:
                    del vars(self)[name]
            for prefix in prefixes:
                for name, a in plain.items():
                    register(prefix + name, None if a is None else a.copy())

    def _parts(self, x: np.ndarray) -> list[Part]:
        """Where x is cut; x is checked. A subclass may take what else its apply takes."""
        raise NotImplementedError

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        **which: Any,
    ) -> tuple[np.ndarray, Any]:
        """Normalize x part by part. See the class."""
        who = type(self).__name__
        x = check_input(who, x, self.ranks, self.num_features, self.channel_axis)
        parts = self._parts(x, **which)
        if residual is not None:
            residual = check_residual(who, residual, x)
        if mask is not None:
            mask = check_mask(who, mask, x, self.channel_axis)
        kept = self.begin(x, out, residual=residual)
        batches = []
        for place, _, arrays in parts:
            way = self._way_with(arrays)
            batches.append(looked_at(self, kept, residual, mask, way, place))
        y = empty_like(x) if out is None else out
        saved, steps = [], []
        try:
            for (place, prefix, _), batch in zip(parts, batches, strict=True):
                _, of_part, step = self._normalize(batch, kept[place], y[place], last=False)
                saved.append(SavedPart(place, prefix, of_part))
                steps.append(step)
        except BaseException:
            self.undo(x, kept, out)
            raise
        follow(step for step in steps if step is not None)
        return y, self.Saved(kept, tuple(saved))
