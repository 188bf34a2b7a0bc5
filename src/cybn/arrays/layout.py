"""Every input as one view: (N, C, L), moments over N and L for each C.

    channels first   (N, C, H, W)   ->  (N, C, H*W)
    channels last    (N, H, W, C)   ->  (N*H*W, C, 1)
    any other order of the axes in memory: the axes that vary slower than the channel become N, the
    faster ones L, in the order of memory; Fortran order costs no copy either.

Norms that take their moments within a sample see rows, (1, rows, n):

    layer, RMS       (*, normalized_shape)  ->  (1, *, normalized_shape)
    group, instance  (N, C, H, W)           ->  (1, N*G, C/G*H*W), instance with G = C
    layer, RMS over channels  (N, H, W, C)  ->  (1, N*H*W, C), if they lie so

Where they do not, layer and RMS norm over channels see (N, C, L) again, with moments over C.

Kernels want C and L close together and N at any stride. What does not fit (a slice in the inner
axes, a broadcast axis, memory that is not aligned) is copied once. Order within N and L does not
matter to the moments; it is kept, so that equal arrays give equal bits.

Rows stand in the order of the axes, whatever the memory, so that statistics do: where samples or
channels lie otherwise, rows are copied, once. The axes within a channel are taken as they lie.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numpy import empty

from .outputs import LARGE, empty_like

# Rows shorter than this are only worth walking where they follow each other without a gap.
SHORT_ROW = 512


class Arrangement(NamedTuple):
    """How the axes of an array become (N, C, L)."""

    order: tuple[int, ...] | None  # the axes as they are to stand; None where they stand so
    shape: tuple[int, int, int]

    def view(self, a: np.ndarray) -> np.ndarray | None:
        """`a` as (N, C, L) without a copy, or None where its memory does not allow it."""
        order, shape = self
        if a.itemsize == 2:
            a = as_words(a)
        flags = a.flags
        if order is None and flags.c_contiguous and flags.aligned:
            return a.reshape(shape)
        turned = a if order is None else a.transpose(order)
        if shape[0] == 1 and not turned.flags.c_contiguous:
            return None  # which reshape would copy, to no avail
        ncl = turned.reshape(shape)
        return ncl if _fits(ncl) and np.may_share_memory(ncl, a) else None

    def gather(self, a: np.ndarray) -> np.ndarray:
        """`a` as (N, C, L), copied where it has to be."""
        ncl = self.view(a)
        if ncl is not None:
            return ncl
        a = as_words(a)
        turned = a if self.order is None else a.transpose(self.order)
        return np.array(turned, order="C").reshape(self.shape)

    def with_output(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """x as (N, C, L), copied where it has to be; an array like x, or `out`; and its view."""
        order, shape = self
        if out is None and order is None and x.flags.carray and x.itemsize > 2 and x.nbytes < LARGE:
            ncl = empty(shape, x.dtype)  # first the view, which costs less
            return x.reshape(shape), ncl.reshape(x.shape), ncl
        y = empty_like(x) if out is None else out
        return self.gather(x), y, self.view(y)

    def scatter(self, ncl: np.ndarray, a: np.ndarray) -> None:
        """Write (N, C, L) into `a`."""
        a = as_words(a)
        turned = a if self.order is None else a.transpose(self.order)
        turned[...] = ncl.reshape(turned.shape)


class Rows(NamedTuple):
    """An array as rows that are normalized one by one, and what of weight and bias lies where."""

    arrangement: Arrangement  # to (1, rows, n); if run is 0, to (N, n, L), a row to each of N*L
    run: int  # so many items side by side share a value of weight and bias
    values: int  # of weight and bias; rows take n/run each, in turns
    counted: int = 0  # the first items of a row, whose moments these are; 0: all


def as_words(a: np.ndarray) -> np.ndarray:
    """`a` as the kernels take it: float16 and bfloat16 as their words of sixteen bits.

    NumPy lends no buffer of bfloat16.
    """
    return a if a.itemsize > 2 else a.view(np.uint16)


def arrange(x: np.ndarray, channel_axis: int) -> tuple[np.ndarray, Arrangement]:
    """x, copied in its own memory order if it has to be, and how its (N, C, L) view is got."""
    if x.flags.c_contiguous:
        return x, in_order(x.shape, channel_axis)
    arrangement = _arrangement(x.shape, x.strides, channel_axis)
    if arrangement.view(x) is None:
        x = x.copy(order="K")
        arrangement = _arrangement(x.shape, x.strides, channel_axis)
    return x, arrangement


def trailing_rows(x: np.ndarray, axes: int) -> Rows:
    """A row to each index of the axes before the last `axes`."""
    return _trailing(x.shape, axes)


def channel_rows(x: np.ndarray, channel_axis: int) -> Rows:
    """A row to each index of the axes other than that of the channels, in the order of those."""
    axis = channel_axis % x.ndim
    if not x.flags.c_contiguous:
        step = [abs(stride) for stride in x.strides]
        last = all(step[i] > step[axis] or n == 1 for i, n in enumerate(x.shape) if i != axis)
        if last and x.shape[axis] > 1:
            return _channels_last(x.shape, axis)
    if x.itemsize == 2 and prod(x.shape[axis + 1 :]) > 1:
        return _channels_last(x.shape, axis)  # copied: kernels of positions are of whole floats
    return _channels(x.shape, axis)


def leading_rows(x: np.ndarray, channel_axis: int, counted: int) -> Rows:
    """As channel_rows, of moments of the first channels; rows are copied where they lie apart."""
    axis = channel_axis % x.ndim
    if axis == x.ndim - 1 or prod(x.shape[axis + 1 :]) == 1:
        rows = _channels(x.shape, axis)
    else:
        rows = _channels_last(x.shape, axis)
    return rows._replace(counted=counted)


def group_rows(x: np.ndarray, groups: int, channel_axis: int) -> Rows:
    """A row to each sample and group of channels; axis 0 is that of the samples."""
    axis = channel_axis % x.ndim
    if axis == 1 and x.flags.c_contiguous:
        return _grouped(x.shape, groups, axis, None)
    inner = [i for i in range(1, x.ndim) if i != axis]
    inner.sort(key=lambda i: -abs(x.strides[i]))
    return _grouped(x.shape, groups, axis, (0, axis, *inner))


@lru_cache(maxsize=1024)
def _trailing(shape: tuple[int, ...], axes: int) -> Rows:
    cut = len(shape) - axes
    n = prod(shape[cut:])
    return Rows(Arrangement(None, (1, prod(shape[:cut]), n)), 1, n)


@lru_cache(maxsize=1024)
def _channels(shape: tuple[int, ...], axis: int) -> Rows:
    outer, channels, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    if inner == 1:
        return Rows(Arrangement(None, (1, outer, channels)), 1, channels)
    return Rows(Arrangement(None, (outer, channels, inner)), 0, channels)


@lru_cache(maxsize=1024)
def _channels_last(shape: tuple[int, ...], axis: int) -> Rows:
    channels, others = shape[axis], tuple(i for i in range(len(shape)) if i != axis)
    rows = prod(shape[i] for i in others)
    return Rows(Arrangement((*others, axis), (1, rows, channels)), 1, channels)


@lru_cache(maxsize=1024)
def _grouped(shape: tuple[int, ...], groups: int, axis: int, order: tuple[int, ...] | None) -> Rows:
    samples, channels = shape[0], shape[axis]
    run = prod(shape[1:axis] + shape[axis + 1 :])
    ncl = (1, samples * groups, channels // max(groups, 1) * run)
    return Rows(Arrangement(order, ncl), max(run, 1), channels)  # 0 would be without rows


@lru_cache(maxsize=1024)
def in_order(shape: tuple[int, ...], channel_axis: int) -> Arrangement:
    """For an array whose axes lie in memory as they stand."""
    axis = channel_axis % len(shape)
    return Arrangement(None, (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])))


@lru_cache(maxsize=1024)
def _arrangement(
    shape: tuple[int, ...], strides: tuple[int, ...], channel_axis: int
) -> Arrangement:
    axis = channel_axis % len(shape)
    step = [abs(stride) for stride in strides]
    others = sorted((i for i in range(len(shape)) if i != axis), key=lambda i: -step[i])
    # An axis of one item lies nowhere: its stride means nothing.
    outer = [i for i in others if step[i] > step[axis] or shape[i] == 1]
    if shape[axis] == 1:
        outer = [i for i in others if i < axis]
    inner = [i for i in others if i not in outer]
    order = (*outer, axis, *inner)
    ncl = (prod(shape[i] for i in outer), shape[axis], prod(shape[i] for i in inner))
    return Arrangement(None if order == tuple(range(len(shape))) else order, ncl)


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
