"""What a norm takes from some axes of an array, for each index of the others: lines.

A line is a map to the kernel of maps, with numbers of its own, so that sums and outputs are double
and rounded once, whatever the axes. Where these do not come last, items are copied together first
and written back in the end.

The length of a line of float64 may be in range where its squares are not. Such lines are few if
any, and are computed in NumPy.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from ...arrays.layout import Arrangement
from ...functional.maps import Maps, Point

_SAFE = 1e-90, 1e90  # lengths whose cubes are in range


class Lines(NamedTuple):
    """An array as lines. Numbers of lines are (lines,), in the order of the axes that are kept."""

    maps: Maps
    kept: int  # axes before those of a line, as they are arranged

    def of(self, a: np.ndarray, few: np.ndarray) -> np.ndarray:
        """Few lines of an array, (few, n) float64."""
        return self.maps.arrangement.gather(a)[0, few].astype(np.float64)

    def put(self, values: np.ndarray, few: np.ndarray, a: np.ndarray) -> None:
        """Write a few lines to an array like x."""
        order = self.maps.arrangement.order
        turned = a if order is None else a.transpose(order)
        outer, inner = turned.shape[: self.kept], turned.shape[self.kept :]
        index = np.unravel_index(few, outer) if outer else (None,)
        turned[index] = values.reshape(-1, *inner)


def axes_of(who: str, x: np.ndarray, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes, in order, counted from the front; ValueError for one not there, or twice."""
    found = sorted(axis + x.ndim if axis < 0 else axis for axis in axes)
    if not all(0 <= axis < x.ndim for axis in found) or len({*found}) < len(found):
        given = axes[0] if len(axes) == 1 else [*axes]
        raise ValueError(
            f"{who} expects an x that has the axes {given}, each once, got {x.ndim}-D {x.shape}"
        )
    return tuple(found)


def lines_of(x: np.ndarray, axes: tuple[int, ...]) -> Lines:
    """x as lines along `axes`, which `axes_of` gives."""
    kept = [i for i in range(x.ndim) if i not in axes]
    order = (*kept, *axes)
    shape = 1, prod(x.shape[i] for i in kept), prod(x.shape[i] for i in axes)
    arrangement = Arrangement(None if order == tuple(range(x.ndim)) else order, shape)
    return Lines(Maps(arrangement, False, *shape, x.dtype), len(kept))


def lengths(lines: Lines, x: np.ndarray, p: int = 2) -> np.ndarray:
    """The p-norm of each line, (lines,), of p 1 or 2."""
    if p == 1:
        sizes = lines.maps.sums(np.sign(x), x, 1.0)[0, 0]
    else:
        sizes = np.sqrt(lines.maps.squares(x))[0]
    few = np.flatnonzero(_far(sizes) | (sizes == 0)) if x.dtype == np.float64 else ()
    if len(few):
        own = np.abs(lines.of(x, few))
        top = own.max(1, initial=0)
        unit = np.where((top > 0) & np.isfinite(top), top, 1.0)
        own /= unit[:, None]
        sizes[few] = unit * (own.sum(1) if p == 1 else np.sqrt((own * own).sum(1)))
    return sizes


def scaled(
    lines: Lines, x: np.ndarray, sizes: np.ndarray, gain: np.ndarray, out: np.ndarray | None
) -> np.ndarray:
    """x · gain/size, and 0 where the size is 0; gain is (lines,)."""
    y = lines.maps.output(x, Point.LINEAR, _over(gain, sizes), out=out)
    few = np.flatnonzero(_far(sizes))
    if len(few):
        lines.put(_over(lines.of(x, few), sizes[few, None]) * gain[few, None], few, y)
    return y


def scaled_back(
    lines: Lines,
    dy: np.ndarray,
    x: np.ndarray,
    sizes: np.ndarray,
    gain: np.ndarray,
    out: np.ndarray | None,
    p: int = 2,
    fixed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """dx, and Σ dy·x/size of each line. Where `fixed` the size hangs on nothing."""
    scale = _over(gain, sizes)
    along = _over(lines.maps.sums(dy, x, 1.0)[0, 0], sizes)
    pull = np.ones_like(sizes) if fixed is None else 1.0 - fixed
    few, values = np.flatnonzero(_far(sizes)), None
    if len(few):  # before anything is written, as out may be dy
        given, size = lines.of(dy, few), sizes[few, None]
        unit = _over(lines.of(x, few), size)
        along[few] = (given * unit).sum(1)
        slope = np.sign(unit) if p == 1 else unit
        values = given - slope * (along * pull)[few, None]
        values = _over(values, size) * gain[few, None]
    pull = -scale * along * pull
    slope, pull = (np.sign(x), pull) if p == 1 else (x, _over(pull, sizes))
    dx = lines.maps.gradient(dy, slope, scale, k=pull, out=out)
    if values is not None:
        lines.put(values, few, dx)
    return dx, along


def _over(a: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """a/size, and 0 where the size is 0."""
    sizes = np.broadcast_to(sizes, np.shape(a))
    return np.divide(a, sizes, out=np.zeros(sizes.shape), where=sizes != 0)


def _far(sizes: np.ndarray) -> np.ndarray:
    return ((sizes < _SAFE[0]) & (sizes > 0)) | (sizes > _SAFE[1])
