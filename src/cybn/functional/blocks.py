"""Data of any real dtype and size in blocks that a cache holds, each summed in float64.

Numbers that float64 cannot hold, integers of 64 bits and long doubles, come as two float64 each,
and the first value of a channel is taken from both before they are added up.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .batch_checked import sums_checked

__all__ = ["BLOCK", "sums_of_blocks"]

BLOCK = 1 << 16  # items converted to float64 and summed at a time: 512 KiB

#: a count of values per channel; a shift as the sum of two; total and squares about it (moments.py)
Sums = tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def sums_of_blocks(x: np.ndarray, axis: int) -> Iterator[Sums]:
    """The sums of x block by block, with channels on an axis >= 0; x has values."""
    channels = x.shape[axis]
    scratch = np.empty(min(x.size, max(BLOCK, channels)))
    beside = [-1 if i == axis else 1 for i in range(x.ndim)]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is seen later
        high, low = _in_two(np.moveaxis(x, axis, -1)[(0,) * (x.ndim - 1)])
        first = np.where(np.isfinite(high), high, 0).astype(np.float64)
        rest = np.zeros(channels) if low is None else np.where(np.isfinite(low), low, 0)
        near, left = _rounded_first(first, rest)
    for block in _blocks(x, axis):
        away = scratch[: block.size].reshape(block.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            high, low = _in_two(block)
            np.subtract(high, first.reshape(beside), out=away)
            if low is not None:
                away += low - rest.reshape(beside)
        shift, total, squares = sums_checked(away, axis)
        yield block.size // channels, near, left + shift, total, squares


def _in_two(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    # x, exactly, as the sum of two arrays that float64 holds; None where one is enough. The
    # difference of two values is that of the first parts, which is exact where they are near or
    # integers, and that of the rest.
    if x.dtype.kind in "iu" and x.dtype.itemsize > 4:
        # by halves of the word, so that no difference of two integers overflows
        high = (x >> 32).astype(np.float64) * 2.0**32
        return high, (x & 0xFFFFFFFF).astype(np.float64)
    if x.dtype.itemsize > 8:
        high = x.astype(np.float64)
        return high, (x - high).astype(np.float64)
    return x, None


def _rounded_first(first: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # The same sum, first rounded to float64; exact, as |rest| is not above |first| or first is 0
    near = first + rest
    return near, rest - (near - first)


def _blocks(x: np.ndarray, channel_axis: int, axis: int = 0) -> Iterator[np.ndarray]:
    # x in views of at most BLOCK items, as far as it can be cut without cutting channels apart
    if x.size <= BLOCK or axis == x.ndim:
        yield x
    elif axis == channel_axis:
        yield from _blocks(x, channel_axis, axis + 1)
    else:
        n = x.shape[axis]
        step = max(1, BLOCK * n // x.size)
        for start in range(0, n, step):
            part = x[(slice(None),) * axis + (slice(start, start + step),)]
            yield from _blocks(part, channel_axis, axis + 1)
