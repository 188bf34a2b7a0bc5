"""Every input as one view: (N, C, L), moments over N and L for each C.

    channels first   (N, C, H, W)   ->  (N, C, H*W)
    channels last    (N, H, W, C)   ->  (N*H*W, C, 1)
    any other order of the axes in memory: the axes that vary slower than the channel become N, the
    faster ones L, in the order of memory; Fortran order costs no copy either.

Kernels want C and L close together and N at any stride. What does not fit (a slice in the inner
axes, a broadcast axis, memory that is not aligned) is copied once. Order within N and L does not
matter to the moments; it is kept, so that equal arrays give equal bits.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

# Rows shorter than this are only worth walking where they follow each other without a gap.
SHORT_ROW = 512


class Arrangement(NamedTuple):
    """How the axes of an array become (N, C, L)."""

    order: tuple[int, ...] | None  # the axes as they are to stand; None where they stand so
    shape: tuple[int, int, int]

    def view(self, a: np.ndarray) -> np.ndarray | None:
        """`a` as (N, C, L) without a copy, or None where its memory does not allow it."""
        if self.order is None:
            if a.flags.carray or (a.flags.c_contiguous and a.flags.aligned):
                return a.reshape(self.shape)
            turned = a
        else:
            turned = a.transpose(self.order)
        ncl = turned.reshape(self.shape)
        return ncl if _fits(ncl) and np.may_share_memory(ncl, a) else None

    def gather(self, a: np.ndarray) -> np.ndarray:
        """`a` as (N, C, L), copied where it has to be."""
        ncl = self.view(a)
        if ncl is not None:
            return ncl
        turned = a if self.order is None else a.transpose(self.order)
        return np.array(turned, order="C").reshape(self.shape)

    def scatter(self, ncl: np.ndarray, a: np.ndarray) -> None:
        """Write (N, C, L) into `a`."""
        turned = a if self.order is None else a.transpose(self.order)
        turned[...] = ncl.reshape(turned.shape)


def arrange(x: np.ndarray, channel_axis: int) -> tuple[np.ndarray, np.ndarray, Arrangement]:
    """x, copied in its own memory order if it has to be; its (N, C, L) view; and how to get it."""
    if x.flags.carray or (x.flags.c_contiguous and x.flags.aligned):
        arrangement = _in_order(x.shape, channel_axis)
        return x, x.reshape(arrangement.shape), arrangement
    arrangement = _arrangement(x, channel_axis)
    ncl = arrangement.view(x)
    if ncl is None:
        x = x.copy(order="K")
        arrangement = _arrangement(x, channel_axis)
        ncl = arrangement.gather(x)
    return x, ncl, arrangement


@lru_cache(maxsize=1024)
def _in_order(shape: tuple[int, ...], channel_axis: int) -> Arrangement:
    """For an array whose axes lie in memory as they stand."""
    axis = channel_axis % len(shape)
    return Arrangement(None, (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])))


def _arrangement(x: np.ndarray, channel_axis: int) -> Arrangement:
    shape = x.shape
    axis = channel_axis % x.ndim
    if x.flags.c_contiguous:
        return _in_order(shape, channel_axis)
    step = [abs(stride) for stride in x.strides]
    others = sorted((i for i in range(x.ndim) if i != axis), key=lambda i: -step[i])
    # An axis of one item lies nowhere: its stride means nothing.
    outer = [i for i in others if step[i] > step[axis] or shape[i] == 1]
    if shape[axis] == 1:
        outer = [i for i in others if i < axis]
    inner = [i for i in others if i not in outer]
    order = (*outer, axis, *inner)
    ncl = (prod(shape[i] for i in outer), shape[axis], prod(shape[i] for i in inner))
    return Arrangement(None if order == tuple(range(x.ndim)) else order, ncl)


def _fits(ncl: np.ndarray) -> bool:
    n, c, length = ncl.shape
    row, channel, item = ncl.strides
    size = ncl.itemsize
    return (
        ncl.flags.aligned
        and (length == 1 or item == size)
        and (c == 1 or channel == length * size)
        and (n == 1 or row == c * length * size or (c * length >= SHORT_ROW and row % size == 0))
    )
