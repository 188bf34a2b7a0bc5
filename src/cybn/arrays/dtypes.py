"""What data may be of: float32, float64, and in sixteen bits float16 and bfloat16.

Data of sixteen bits is computed in float32, and each result is rounded once, to nearest even, when
it is stored. bfloat16 is ml_dtypes', known by its name: nothing here imports ml_dtypes, which is
there where such an array is.
"""

from __future__ import annotations

import numpy as np

FLOAT32, FLOAT64, FLOAT16 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16)
PARAMETERS = {"float32": FLOAT32, "float64": FLOAT64}  # of a layer, by its option
DATA = "float16, bfloat16, float32 or float64"


def is_bfloat16(dtype: np.dtype) -> bool:
    return dtype.itemsize == 2 and dtype.name == "bfloat16" and dtype.isnative


def is_data(dtype: np.dtype) -> bool:
    """Can data be of that dtype?"""
    return dtype in (FLOAT32, FLOAT64, FLOAT16) or is_bfloat16(dtype)


def computed_in(dtype: np.dtype) -> np.dtype:
    """The dtype of arithmetic on data of that dtype."""
    return FLOAT32 if dtype.itemsize == 2 else dtype


def eps_of(dtype: np.dtype) -> float:
    """The distance from 1 to the next number of a dtype of data."""
    return 2.0**-7 if is_bfloat16(dtype) else float(np.finfo(dtype).eps)


def spelled(dtype: np.dtype) -> str:
    """A dtype of data as a user writes it."""
    return f"{'ml_dtypes' if is_bfloat16(dtype) else 'np'}.{dtype}"


def is_sixteen(a: object) -> bool:
    """Is it an array of sixteen-bit data?"""
    return isinstance(a, np.ndarray) and a.itemsize == 2 and is_data(a.dtype)


def widened(a: np.ndarray) -> np.ndarray:
    """Sixteen-bit data in float32, in the order of its memory; any other array as it is."""
    with np.errstate(invalid="ignore"):  # NaN that signals
        return a.astype(FLOAT32) if is_sixteen(a) else a


def rounded(a: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`a` in another dtype, in the order of its memory."""
    return round_to(np.empty_like(a, dtype), a)


def round_to(a: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Store the values in `a`: what float16 cannot hold becomes infinity, as in IEEE."""
    with np.errstate(all="ignore"):
        a[...] = values
    return a
