"""The inputs of a case: fresh random data, in more arrays than the caches can hold.

Every call takes the next array, whichever contender makes it, so that an array comes round again
only after all others were used: for tensors above 1 MiB that is twice the last-level cache. Smaller
ones come from the caches, as they do in a network that small.

Inputs lie on a cache line each, as those libraries allocate that have an allocator of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property

import numpy as np

from .shapes import Case

EPS, MOMENTUM = 1e-5, 0.1
MOST_ARRAYS = 64
LINE = 64


def last_level_cache() -> int:
    """Bytes of the largest cache; 32 MiB where the system does not tell."""
    for level in (4, 3, 2):
        try:
            size = os.sysconf(f"SC_LEVEL{level}_CACHE_SIZE")
        except (AttributeError, OSError, ValueError):
            continue
        if size > 0:
            return size
    return 32 << 20


def arrays_needed(nbytes: int) -> int:
    """How many arrays of that size to take in turn."""
    return min(MOST_ARRAYS, 1 - (-2 * last_level_cache() // nbytes))


class Data:
    """Arrays of one shape, layout and dtype; made when first asked for, shared by all its cases."""

    def __init__(self, case: Case, seed: int):
        self.case = case
        self.count = arrays_needed(case.nbytes)
        self._rng = np.random.default_rng([seed, *case.shape, case.channel_axis % 8])
        dtype, channels = case.dtype, case.channels
        self.weight = self._rng.uniform(0.5, 2, channels).astype(dtype)
        self.bias = self._rng.normal(size=channels).astype(dtype)
        self.mean = self._rng.normal(size=channels).astype(dtype)  # running statistics to evaluate
        self.var = self._rng.uniform(1, 4, channels).astype(dtype)

    @cached_property
    def x(self) -> list[np.ndarray]:
        return self._arrays(lambda a: _normal(self._rng, a, 0.5, 2.0))

    @cached_property
    def dy(self) -> list[np.ndarray]:
        return self._arrays(lambda a: _normal(self._rng, a, 0.0, 1.0))

    @cached_property
    def z(self) -> list[np.ndarray]:
        """Residuals."""
        return self._arrays(lambda a: _normal(self._rng, a, 0.0, 1.0))

    @cached_property
    def out(self) -> list[np.ndarray]:
        """Outputs to write into. Plain NumPy arrays, whose pages are there already."""
        return [np.full(self.case.memory_shape, np.nan, self.case.dtype) for _ in range(self.count)]

    def _arrays(self, fill: Callable[[np.ndarray], None]) -> list[np.ndarray]:
        arrays = [aligned(self.case.memory_shape, self.case.dtype) for _ in range(self.count)]
        for a in arrays:
            fill(a)
        return arrays


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An empty array that begins on a cache line."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(nbytes + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def _normal(rng: np.random.Generator, a: np.ndarray, mean: float, scale: float) -> None:
    rng.standard_normal(out=a, dtype=a.dtype)
    a *= scale
    a += mean
