"""Equal arrays in other memory: each function returns an array that is equal to the given one."""

from __future__ import annotations

import numpy as np


def fortran(a: np.ndarray) -> np.ndarray:
    return np.asfortranarray(a)


def channels_last(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def batch_last(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0)


def negative_first(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a[::-1])[::-1]


def negative_all(a: np.ndarray) -> np.ndarray:
    return np.flip(np.ascontiguousarray(np.flip(a)))


def every_other_sample(a: np.ndarray) -> np.ndarray:
    big = np.zeros((2 * a.shape[0], *a.shape[1:]), a.dtype)
    big[::2] = a
    return big[::2]


def every_third_everywhere(a: np.ndarray) -> np.ndarray:
    big = np.zeros([3 * n for n in a.shape], a.dtype)
    step = (slice(None, None, 3),) * a.ndim
    big[step] = a
    return big[step]


def cropped(a: np.ndarray) -> np.ndarray:
    """Padding around every axis, as a crop of a larger image has."""
    big = np.zeros([n + 2 for n in a.shape], a.dtype)
    inner = (slice(1, -1),) * a.ndim
    big[inner] = a
    return big[inner]


def misaligned(a: np.ndarray) -> np.ndarray:
    raw = np.zeros(a.nbytes + 1, np.uint8)
    b = raw[1:].view(a.dtype).reshape(a.shape)
    b[...] = a
    return b


def read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


LAYOUTS = [
    np.ascontiguousarray, fortran, channels_last, batch_last, negative_first, negative_all,
    every_other_sample, every_third_everywhere, cropped, misaligned, read_only,
]  # fmt: skip
DENSE = [fortran, channels_last, batch_last]  # without gaps: an output can have the same strides
