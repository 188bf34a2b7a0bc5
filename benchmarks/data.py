"""The arrays of a case: fresh random data, in more arrays than the caches can hold.

Every call takes the next array, whichever contender makes it, so that an array comes round again
only after all others were used: for tensors above 1 MiB that is twice the last-level cache. A case
that is `cached` has one array of each kind, which then comes from a cache, as it does where the
layer before has just written it.

Inputs lie on a cache line each, as those libraries allocate that have an allocator of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from .cases import Case

with suppress(ImportError):
    import ml_dtypes  # noqa: F401  NumPy knows "bfloat16" from then on

EPS, MOMENTUM = 1e-5, 0.1
MOST_ARRAYS = 64
LINE = 64


def last_level_cache() -> int:
    """Bytes of the largest cache; 32 MiB where the system does not tell as Linux does."""
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    texts = [path.read_text().strip() for path in folder.glob("index*/size")]
    known = [int(text[:-1]) << 10 for text in texts if re.fullmatch("[0-9]+K", text)]
    return max(known, default=32 << 20)


def arrays_needed(case: Case) -> int:
    """How many arrays of a case's size to take in turn."""
    if case.cached:
        return 1
    return min(MOST_ARRAYS, 1 - (-2 * last_level_cache() // case.nbytes))


class Data:
    """Arrays of one shape, layout and dtype; made when first asked for, shared by all its cases."""

    def __init__(self, case: Case, seed: int, count: int = 0):
        self.case, self.seed = case, seed
        self.count = count or arrays_needed(case)
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

    def in_float64(self, i: int, names: Sequence[str]) -> Data:
        """The i-th arrays of these names alone, as float64."""
        data = Data(replace(self.case, dtype="float64"), self.seed, 1)
        data.arrays = {name: a.astype(np.float64) for name, a in self.arrays.items()}
        for name in names:
            setattr(data, name, [getattr(self, name)[i].astype(np.float64)])
        return data

    def _normal(self, mean: float = 0.0, scale: float = 1.0) -> list[np.ndarray]:
        arrays = [aligned(self.case.memory_shape, self.case.dtype) for _ in range(self.count)]
        drawn = self._rng.standard_normal(
            arrays[0].size, np.float64 if self.case.dtype == "float64" else np.float32
        )
        drawn *= scale
        drawn += mean
        for a in arrays:  # all of one draw, each turned round by some items: drawing takes its time
            start = self._rng.integers(drawn.size) if drawn.size else 0
            flat = a.reshape(-1)
            flat[: drawn.size - start], flat[drawn.size - start :] = drawn[start:], drawn[:start]
        return arrays


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An empty array that begins on a cache line."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(nbytes + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)
