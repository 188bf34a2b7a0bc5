"""The compiled kernels of the level that this CPU gets, by the dtype of the data.

`of[x.dtype].batch_forward(...)` takes float32 data where x is float32. Each dtype is a module of
its own, imported when data of it first comes. What lies on channels is float32 or float64 whatever
the data is, and taken as it is. They trust their callers: only validating code may call them (see
kernels/checks.pxi).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import levels
from ._running import follow_sums, merge_sums, move_anew, move_running

__all__ = ["LEVEL", "Kernels", "follow_sums", "merge_sums", "move_anew", "move_running", "of"]

LEVEL = levels.choose()


class Kernels(NamedTuple):
    """The functions of one module.

    See batch_norm, sample_entries, position_entries, response, maps and matrices (.pxi).
    """

    batch_forward: Callable[..., None]
    batch_output: Callable[..., None]
    batch_backward: Callable[..., None]
    batch_sums: Callable[..., None]
    batch_gradient: Callable[..., None]
    batch_given: Callable[..., None]
    rows_forward: Callable[..., None]
    rows_backward: Callable[..., None]
    response_forward: Callable[..., None]
    response_backward: Callable[..., None]
    # of float32 and float64 alone
    positions_forward: Callable[..., None] | None = None
    positions_backward: Callable[..., None] | None = None
    map_points: Callable[..., None] | None = None
    # of float32 alone, for both
    covariances: Callable[..., None] | None = None
    map_channels: Callable[..., None] | None = None
    square_products: Callable[..., None] | None = None


def kernels_in(module: Any) -> Kernels:
    there = (name for name in Kernels._fields if hasattr(module, name))
    return Kernels(**{name: getattr(module, name) for name in there})


class _Of(dict[np.dtype, Kernels]):
    def __missing__(self, dtype: np.dtype) -> Kernels:
        self[dtype] = found = kernels_in(levels.load(LEVEL, dtype.name))
        return found


of = _Of()
