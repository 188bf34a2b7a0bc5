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
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"{who} takes a mask of bool, True where there is data, got {mask.dtype}")
    axis = channel_axis % x.ndim
    places = x.shape[:axis] + x.shape[axis + 1 :]
    if mask.ndim == x.ndim and mask.shape[axis] == 1:
        mask = np.squeeze(mask, axis)
    if not 1 <= mask.ndim <= len(places) or mask.shape != places[: mask.ndim]:
        raise ValueError(
            f"{who} expects a mask of shape {places}, the input's {x.shape} without the channels, "
            f"or of its first axes, got {mask.shape}"
        )
    missing = len(places) - mask.ndim
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * missing), places)


def pick(a: np.ndarray, mask: np.ndarray, channel_axis: int) -> np.ndarray:
    """The valid positions of `a` as a new (M, C)."""
    return np.moveaxis(a, channel_axis, -1)[mask]


def put(values: np.ndarray, mask: np.ndarray, a: np.ndarray, channel_axis: int) -> np.ndarray:
    """`a` with 0 in the padding and `values`, (M, C), at the valid positions."""
    a[...] = 0
    np.moveaxis(a, channel_axis, -1)[mask] = values
    return a
