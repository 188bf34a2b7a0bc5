"""New arrays for outputs; large ones from memory that earlier outputs have left.

The memory kept is bounded by `set_output_cache`, or by CYBN_OUTPUT_CACHE (bytes) at import; 0
turns it off. Arrays may live as long as anybody wants them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import prod

import numpy as np

from ..terms.environment import number_from
from . import _memory
from .validation import whole

LARGE = 1 << 20  # bytes; below, NumPy's allocator finds mapped memory by itself
DEFAULT_LIMIT = 512 << 20


def empty_like(a: np.ndarray) -> np.ndarray:
    """A dense array of a's shape, dtype and order of axes in memory, without values."""
    if a.nbytes < LARGE or not _memory.limit():
        return np.empty_like(a, subok=False)
    if a.flags.c_contiguous:
        return empty(a.shape, a.dtype)
    order = sorted(range(a.ndim), key=lambda i: -abs(a.strides[i]))
    return empty([a.shape[i] for i in order], a.dtype).transpose(np.argsort(order))


def empty(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array in C order without values."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < LARGE or not _memory.limit():
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, _memory.Block(nbytes))


def set_output_cache(limit: int) -> None:
    """Keep up to `limit` bytes of memory of outputs that are gone, for those to come.

    Parameters
    ----------
    limit
        The bytes, by default 512 MiB; 0 keeps none. More than the system can address is no limit.

    Raises
    ------
    TypeError
        If `limit` is not an int.
    ValueError
        If `limit` is negative.
    """
    size = whole(limit)
    if size is None:
        raise TypeError(f"set_output_cache takes bytes as an int, got {limit!r}")
    if size < 0:
        raise ValueError(f"set_output_cache takes bytes >= 0, got {limit}")
    _memory.set_limit(min(size, sys.maxsize))


def release_output_cache() -> int:
    """Give the memory that is kept back to the system.

    Returns
    -------
    int
        How many bytes it was.
    """
    held = _memory.held()
    _memory.release()
    return held


_at_import = number_from("CYBN_OUTPUT_CACHE", "a number of bytes, as 536870912", 0, sys.maxsize)
_memory.set_limit(DEFAULT_LIMIT if _at_import is None else _at_import)
