"""Padding left out: the valid positions of a batch as a batch of their own.

A mask says which positions are data. They are picked into (M, C), normalized as any batch, and put
back; padding comes out as 0 and has no gradient. One copy, and every kernel and every bit of its
accuracy as without a mask. Kernels that skip masked items were rejected: a branch for each item,
and sums whose lanes depend on the data.
"""

from __future__ import annotations

import numpy as np


def check_mask(who: str, mask: object, x: np.ndarray, channel_axis: int) -> np.ndarray:
    """The mask as an array of x's shape without the channels: TypeError, ValueError.

    A mask may leave out trailing axes, so that (N,) marks whole samples, and may have the channel
    axis with one item.
    """
    mask = _of_bools(who, mask)
    axis = channel_axis % x.ndim
    places = x.shape[:axis] + x.shape[axis + 1 :]
    if mask.ndim == x.ndim and mask.shape[axis] == 1:
        mask = np.squeeze(mask, axis)
    if not 1 <= mask.ndim <= len(places) or mask.shape != places[: mask.ndim]:
        raise ValueError(
            f"{who} expects a mask of shape {places}, the input's {x.shape} without the channels, "
            f"or of its first axes, got {mask.shape}"
        )
    return _spread(mask, places)


def check_item_mask(who: str, mask: object, x: np.ndarray, axes: int) -> np.ndarray:
    """The mask of the items of an x that is normalized over its last `axes`: TypeError, ValueError.

    It has the shape of x or of its first axes. It comes back in the shape of what is before the
    last axes, where it says nothing of them, and else in x's.
    """
    mask = _of_bools(who, mask)
    if not 1 <= mask.ndim <= x.ndim or mask.shape != x.shape[: mask.ndim]:
        raise ValueError(
            f"{who} expects a mask of the input's shape {x.shape}, or of its first axes, got "
            f"{mask.shape}"
        )
    rows = x.ndim - axes
    return _spread(mask, x.shape[:rows] if mask.ndim <= rows else x.shape)


def _of_bools(who: str, mask: object) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"{who} takes a mask of bool, True where there is data, got {mask.dtype}")
    return mask


def _spread(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    missing = len(shape) - mask.ndim
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * missing), shape)


def even_samples(mask: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The counts of valid positions that samples have, but 0, and which samples have so many."""
    counts = mask.reshape(len(mask), -1).sum(1) if mask.size else np.zeros(len(mask), int)
    return [(int(m), np.flatnonzero(counts == m)) for m in np.unique(counts) if m]


def pick(a: np.ndarray, mask: np.ndarray, channel_axis: int) -> np.ndarray:
    """The valid positions of `a` as a new (M, C)."""
    return np.moveaxis(a, channel_axis, -1)[mask]


def put(values: np.ndarray, mask: np.ndarray, a: np.ndarray, channel_axis: int) -> np.ndarray:
    """`a` with 0 in the padding and `values`, (M, C), at the valid positions."""
    a[...] = 0
    np.moveaxis(a, channel_axis, -1)[mask] = values
    return a
