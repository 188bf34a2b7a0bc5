"""The arrays of a case: fresh random data, in more arrays than the caches can hold.

Every call takes the next array, whichever contender makes it, so that an array comes round again
only after all others were used: for tensors above 1 MiB that is twice the last-level cache. Smaller
ones come from the caches, as they do in a network that small.

Inputs lie on a cache line each, as those libraries allocate that have an allocator of their own.
"""

from __future__ import annotations

import os
from functools import cached_property

import numpy as np

from .cases import Case

EPS, MOMENTUM = 1e-5, 0.1
MOST_ARRAYS = 64
LINE = 64


def last_level_cache() -> int:
    """Bytes of the largest cache; 32 MiB where the system does not tell."""
    names = [f"SC_LEVEL{level}_CACHE_SIZE" for level in (4, 3, 2)]
    known = getattr(os, "sysconf_names", {})
    return next((n for name in names if name in known and (n := os.sysconf(name)) > 0), 32 << 20)


def arrays_needed(nbytes: int) -> int:
    """How many arrays of that size to take in turn."""
    return min(MOST_ARRAYS, 1 - (-2 * last_level_cache() // nbytes))


class Data:
    """Arrays of one shape, layout and dtype; made when first asked for, shared by all its cases."""

    def __init__(self, case: Case, seed: int, count: int = 0):
        self.case = case
        self.count = count or arrays_needed(case.nbytes)
        rng = self._rng = np.random.default_rng([seed, *case.memory_shape])
        # Parameters, and running statistics to evaluate with, by the names that all layers use.
        arrays = {
            "weight": rng.uniform(0.5, 2, case.channels),
            "bias": rng.normal(size=case.channels),
            "running_mean": rng.normal(size=case.channels),
            "running_var": rng.uniform(1, 4, case.channels),
        }
        self.arrays = {name: a.astype(case.dtype) for name, a in arrays.items()}

    @cached_property
    def x(self) -> list[np.ndarray]:
        return self._normal(0.5, 2.0)

    @cached_property
    def dy(self) -> list[np.ndarray]:
        return self._normal()

    @cached_property
    def z(self) -> list[np.ndarray]:
        """Residuals."""
        return self._normal()

    @cached_property
    def out(self) -> list[np.ndarray]:
        """Outputs to write into. Plain NumPy arrays, whose pages are there already."""
        return [np.full(self.case.memory_shape, np.nan, self.case.dtype) for _ in range(self.count)]

    def _normal(self, mean: float = 0.0, scale: float = 1.0) -> list[np.ndarray]:
        arrays = [aligned(self.case.memory_shape, self.case.dtype) for _ in range(self.count)]
        for a in arrays:
            self._rng.standard_normal(out=a, dtype=a.dtype)
            a *= scale
            a += mean
        return arrays


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An empty array that begins on a cache line."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(nbytes + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)
