"""Rows to normalize, kind and hostile ones, for the kernels of rows and of positions."""

import numpy as np
import pytest
from strategies import DTYPES

__all__ = ["ABOVE", "HOSTILE", "SANE", "both_dtypes", "centrings", "data", "values"]

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
centrings = pytest.mark.parametrize("centred", [True, False], ids=["centred", "rms"])


def values(count, dtype):
    return np.linspace(-1, 2, count).astype(dtype), np.linspace(3, -1, count).astype(dtype)


def data(shape, dtype, kinds, above=(np.asarray,)):
    """x and dy, (rows, n): a row is normal numbers, changed by one of the kinds, or of `above`."""
    rng = np.random.default_rng(sum(shape))
    x, dy = rng.normal(1, 2, (2, *shape[:2]))
    for r in range(len(x)):
        x[r] = kinds[(r + sum(shape)) % len(kinds)](x[r])
        dy[r] = above[(r + sum(shape)) % len(above)](dy[r])
    with np.errstate(under="ignore"):
        return x.astype(dtype), dy.astype(dtype)


SANE = [lambda a: a, lambda a: a + 1e4, lambda a: a * 0 + 0.1, lambda a: a * 1e-3 - 3, np.sort]
HOSTILE = [
    *SANE, lambda a: a * 1e-42, lambda a: np.where(a > 3, np.nan, a), lambda a: a * 1e30,
    lambda a: a + 1e7, lambda a: np.where(a > 1, 3e38, -3e38),
]  # fmt: skip
ABOVE = [
    lambda a: a, lambda a: a, lambda a: a + 1e5, lambda a: a * 0 + 3e37, lambda a: a * 1e-43,
    lambda a: np.clip(a * 1e38, -3e38, 3e38), lambda a: a * 0,
]  # fmt: skip
