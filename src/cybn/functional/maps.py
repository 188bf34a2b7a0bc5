r"""Norms with a function of their own, one number to each map: y = a·f(x; v, s, t) + b.

A map is one channel of one sample. What a norm is made of here are sums by map and outputs item by
item, both compiled (kernels/maps.pxi); in between a norm turns sums into coefficients, a few
numbers for each map, in NumPy. Everything is float64 and rounded once, but for exponentials, which
are of the dtype of the data; sixteen bits go by way of float32.

Memory with channels last is taken as it lies, any other with channels first; what fits neither is
copied. Samples and positions are in the order of the axes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cache, lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ..arrays.dtypes import FLOAT16, computed_in, is_bfloat16
from ..arrays.layout import Arrangement
from ..kernels import of
from ..kernels.policy import plan
from ._maps import PIECE, joined, pack, room, walk

__all__ = ["PIECE", "Maps", "Point", "maps_of"]


class Point(IntEnum):
    """The functions, as in kernels/points.pxi; and what sums there are of each."""

    MOMENTS = 0  # of x - v and its square
    THRESHOLD = 1  # max(v·x + s, t): of dy times the slopes along v, s, t
    SWISH = 2  # x·sigma(v·x): of dy, dy·f, and dy times the slope along v
    SQUASH = 3  # tanh(v·x): the same
    LARGER = 4  # x / max(v·x + s, t): the same, then along s and t
    SWISHED = 5  # SWISH that is multiplied by another array; no sums
    LINEAR = 6  # v·(x - t) + s: of dy·x and dy


#: the number of sums
TERMS = {Point.MOMENTS: 2, Point.LINEAR: 2, Point.LARGER: 5}
TERMS = {point: TERMS.get(point, 3) for point in Point}


class Maps(NamedTuple):
    """An array as maps. Coefficients and sums are (N, C); shared ones may be (C,) or a number."""

    arrangement: Arrangement
    last: bool  # channels lie side by side
    samples: int
    channels: int
    positions: int
    dtype: np.dtype  # of the data

    def first(self, x: np.ndarray) -> np.ndarray:
        """The first item of each map, (N, C) float64."""
        order = self.arrangement.order
        a = (x if order is None else x.transpose(order)).reshape(self.samples, -1)
        first = a[:, : self.channels] if self.last else a[:, :: max(1, self.positions)]
        return np.ascontiguousarray(first, np.float64)

    def squares(self, x: np.ndarray) -> np.ndarray:
        """Σx² of each map."""
        return self.about(x, 0.0)[1]

    def moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and biased variance of each map, in two passes."""
        m = max(1, self.positions)
        mean = self.about(x, 0.0)[0] / m
        left, squares = self.about(x, mean) / m
        mean += left
        left *= left
        squares -= left
        return mean, np.maximum(squares, 0, out=squares)

    def output(self, x, point: Point, v, s=0.0, t=0.0, a=1.0, b=0.0, *, out=None) -> np.ndarray:
        """a·f(x; v, s, t) + b, like x, in `out` where it is given."""
        return walk(self, None, x, out, (v, s, t, a, b), point, True, 0)

    def sums(self, dy, x, v=1.0, s=0.0, t=None) -> np.ndarray:
        """(3, N, C), the sums of THRESHOLD, or (2, N, C) of LINEAR where there is no t."""
        if t is None:
            return walk(self, dy, x, None, (v, s, 0.0), Point.LINEAR, False, 2)
        return walk(self, dy, x, None, (v, s, t), Point.THRESHOLD, False, 3)

    def gradient(
        self, dy, x, v=1.0, s=0.0, t=None, a=1.0, m=0.0, k=0.0, c=0.0, *, out=None
    ) -> np.ndarray:
        """dx = dy·a·f_x + (x - m)·k + c of THRESHOLD, or of LINEAR without t, like x, in `out`
        where it is given; it may be dy."""
        if t is None:
            return walk(self, dy, x, out, (v, s, 0.0, a, m, k, c), Point.LINEAR, True, 0)
        return walk(self, dy, x, out, (v, s, t, a, m, k, c), Point.THRESHOLD, True, 0)

    def slopes(
        self, dy, x, point: Point, v, s=0.0, t=0.0, a=1.0, *, out=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """dy·a·f_x, like x, in `out` where it is given, and the sums, (terms, N, C); all but
        THRESHOLD and LINEAR."""
        return walk(self, dy, x, out, (v, s, t, a), point, True, TERMS[point])

    def product(self, dy, x, point: Point, v=1.0, a=1.0, *, out=None) -> np.ndarray:
        """dy·a·f_x of SWISH, or dy·a·f of SWISHED, like x, in `out` where it is given.

        out may be dy.
        """
        return walk(self, dy, x, out, (v, 0.0, 0.0, a, 0.0, 0.0, 0.0), point, True, 0)

    def through_moments(
        self, dy, x, point: Point, inside, a, follow, *, out=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """dx = dy·a·f_x + (x - m)·k + c, where m, k, c = follow(sums), and these sums."""
        if x.itemsize > 2:
            dx, sums = self.slopes(dy, x, point, *inside, a, out=out)
            return self.gradient(dx, x, 1.0, 0.0, None, 1.0, *follow(sums), out=dx), sums
        x, dx, target = self.arrangement.with_output(x, out)
        values = np.empty_like(x) if target is None else target
        between = np.empty(x.shape, np.float32)  # so that dx is rounded once
        sums = self._call(
            between, x, self.arrangement.gather(dy), (*inside, a), point, TERMS[point]
        )
        linear = (1.0, 0.0, 0.0, 1.0, *follow(sums))
        self._call(values, x, between, linear, Point.LINEAR, 0)
        if target is None:
            self.arrangement.scatter(values, dx)
        return dx, sums

    def arranged(self, dy, x, out, coefs, point, writing, terms):
        """The same as `walk` of any arrays."""
        y = values = target = None
        if writing:
            x, y, target = self.arrangement.with_output(x, out)
            values = np.empty_like(x) if target is None else target
        else:
            x = self.arrangement.gather(x)
        dy = None if dy is None else self.arrangement.gather(dy)
        sums = self._call(values, x, dy, coefs, point, terms)
        if writing and target is None:
            self.arrangement.scatter(values, y)
        if not terms:
            return y
        return (y, sums) if writing else sums

    def about(self, x, shift) -> np.ndarray:
        """(2, N, C): Σ(x - shift) and Σ(x - shift)² of each map."""
        return walk(self, None, x, None, (shift,), Point.MOMENTS, False, 2)

    def _call(self, out, x, dy, coefs, point, terms) -> np.ndarray | None:
        """One call of the kernel, and the sums."""
        if not x.size:
            return np.zeros((terms, self.samples, self.channels)) if terms else None
        sums = room(self, terms) if terms else None
        threads = plan(x.size, x.itemsize).threads
        kernel, words = _kernel(self.dtype)
        packed = pack(coefs, self.samples, self.channels)
        kernel(out, x, dy, packed, sums, self.last, int(point), words, threads)
        return joined(sums, self, terms) if terms else None


def maps_of(x: np.ndarray, channel_axis: int, shared: bool = False) -> Maps:
    """How x is walked.

    shared: no coefficient is a sample's own, nor is a sum; samples with channels last are one then.
    """
    last = None
    if not x.flags.c_contiguous:
        axis = channel_axis % x.ndim
        order = (*(i for i in range(x.ndim) if i != axis), axis)
        last = x.transpose(order).flags.c_contiguous
    return _maps(x.shape, x.dtype, channel_axis, shared, last)


@lru_cache(maxsize=1024)
def _maps(
    shape: tuple[int, ...], dtype: np.dtype, channel_axis: int, shared: bool, last: bool | None
) -> Maps:
    """last: whether channels lie side by side; None of an array in C order."""
    axis = channel_axis % len(shape)
    inner = [i for i in range(1, len(shape)) if i != axis]
    samples, channels, positions = shape[0], shape[axis], prod(shape[i] for i in inner)
    order = 0, *inner, axis
    if last is None:  # axes of one item lie nowhere
        last = 0 in shape or channels == 1 or all(shape[i] == 1 for i in inner if i > axis)
    if last and shared:
        samples, positions = 1, samples * positions
    view = samples, positions, channels
    if not last:
        order, view = (0, axis, *inner), (samples, channels, positions)
    arrangement = Arrangement(None if order == tuple(range(len(shape))) else order, view)
    return Maps(arrangement, last, samples, channels, positions, dtype)


@cache
def _kernel(dtype: np.dtype) -> tuple[Callable[..., None], int]:
    """The compiled walk over data of a dtype, and what its items are."""
    words = 1 if dtype == FLOAT16 else 2 if is_bfloat16(dtype) else 0
    return of[computed_in(dtype)].map_points, words
