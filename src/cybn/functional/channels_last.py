"""Group and instance norm of channels last, without a copy: a sample is a batch of its positions.

What is normalized together lies in no row there, and to copy it into rows and back takes several
times what the norm does. So the kernels of batch norm give the moments of each channel over a
sample, those of a group follow in float64, and what writes is told them channel by channel. Data of
at most 32 bits, whose squares float64 holds; what is left goes by rows (_checked.pyx).

Small samples go by maps (maps.py), all in one call, as does every backward: in double, so that no
sum is doubtful. Sums are about the first item of a channel, and where that is far from the mean
they are taken again about the mean. Rejected: maps for forward whatever the size, where they take
up to 1.5 times as long; the sums of batch norm for backward, which leave dy to be looked at again
where it has a large mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays.layout import Rows, as_words
from ..arrays.outputs import empty_like
from ..kernels import of
from ..kernels.policy import plan
from ._maps import channel_moments, group_line, group_moments, group_pull
from .gates import OPEN, Gate
from .maps import Maps, Point, maps_of

__all__ = ["gradient_channels_last", "moments_by_maps", "normalize_channels_last"]

BY_BATCHES = 16_384  # items of a sample, from which on calls of its own do not matter


class Samples(NamedTuple):
    """An array with channels last, sample by sample."""

    order: tuple[int, ...]  # of its axes in memory
    count: int
    channels: int
    groups: int

    def of(self, a: np.ndarray) -> list[np.ndarray]:
        """A view of each sample as the kernels of batch norm take it."""
        turned = as_words(a).transpose(self.order)
        return list(turned.reshape(self.count, -1, self.channels, 1))

    def spread(self, a: np.ndarray) -> np.ndarray:
        """(..., G) values to each channel of a group."""
        return np.repeat(a, self.channels // self.groups, -1)


def _samples_of(x: np.ndarray, rows: Rows, *others: np.ndarray | None) -> Samples | None:
    """None where an array does not lie so, or has too many bits."""
    (order, (_, count, _)), run, _, _ = rows
    if order is None or run < 2 or x.itemsize > 4 or not x.size:
        return None
    last = (order[0], *order[2:], order[1])
    for a in (x, *others):
        if a is not None and not (a.transpose(last).flags.c_contiguous and a.flags.aligned):
            return None
    return Samples(last, len(x), x.shape[order[1]], count // len(x))


def normalize_channels_last(
    x: np.ndarray,
    rows: Rows,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    out: np.ndarray | None,
    residual: np.ndarray | None,
    gate: Gate,
) -> tuple[np.ndarray, np.ndarray] | None:
    """y and stats, (3, N*G); None where x is to go by rows."""
    samples = _samples_of(x, rows, out, residual)
    if samples is None:
        return None
    if x.size < BY_BATCHES * len(x):
        plain = gate is OPEN and residual is None
        return _normalize_maps(x, samples, weight, bias, eps, out) if plain else None
    batch, threads, cache, stream = of[x.dtype], *plan(x.size // len(x), x.itemsize)
    parts, moments = samples.of(x), np.empty((samples.count, 3, samples.channels))
    for part, each in zip(parts, moments, strict=True):
        batch.batch_forward(
            None, each, None, None, None, part, None, None, None, eps, 0.0, *OPEN, True, threads,
            cache, False,
        )  # fmt: skip
    mean, var = (np.ascontiguousarray(moments[:, i]) for i in (0, 1))
    stats = group_moments(mean, var, samples.groups, eps)
    y = empty_like(x) if out is None else out
    added = [None] * len(parts) if residual is None else samples.of(residual)
    each = samples.spread(stats.transpose(1, 0, 2))
    for to, part, z, known in zip(samples.of(y), parts, added, each, strict=True):
        batch.batch_output(
            to, known, part, z, weight, bias, 1, *gate, threads, cache, stream
        )  # fmt: skip
    return y, stats.reshape(3, -1)


def _normalize_maps(
    x: np.ndarray,
    samples: Samples,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The same in double, all samples in one call."""
    maps = maps_of(x, samples.order[-1])
    stats = moments_by_maps(maps, x, samples.groups, eps)
    line = group_line(stats, weight, bias, samples.channels)
    return maps.output(x, Point.LINEAR, *line, out=out), stats.reshape(3, -1)


def moments_by_maps(maps: Maps, x: np.ndarray, groups: int, eps: float) -> np.ndarray:
    """mean, var and rstd of groups of channels, (3, N, groups)."""
    first = maps.first(x)
    mean, var = channel_moments(maps.about(x, first), first, maps.positions)
    if var is None:
        with np.errstate(all="ignore"):
            mean, var = maps.moments(x)
    return group_moments(mean, var, groups, eps)


def gradient_channels_last(
    dy: np.ndarray,
    x: np.ndarray,
    rows: Rows,
    stats: np.ndarray,
    weight: np.ndarray | None,
    out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """dx, and dweight and dbias in float64; None where x is to go by rows."""
    samples = _samples_of(x, rows, dy, out)
    if samples is None:
        return None
    maps = maps_of(x, samples.order[-1])
    stats = stats.reshape(3, samples.count, samples.groups)
    (a, m, k, c), dweight, dbias = group_pull(maps.sums(dy, x), stats, weight, maps.positions)
    return maps.gradient(dy, x, a=a, m=m, k=k, c=c, out=out), dweight, dbias
