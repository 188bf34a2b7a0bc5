"""Data of sixteen bits: its dtypes, and what is right for it in float64."""

import ml_dtypes
import numpy as np

FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
SIXTEEN = (FLOAT16, BFLOAT16)
finfo = ml_dtypes.finfo  # of any float


def half_ulp(values, dtype):
    """Half the distance of two numbers of the dtype at values; half its least number near 0."""
    info = finfo(dtype)
    size = np.maximum(np.abs(np.asarray(values, np.float64)), float(info.tiny))
    return np.exp2(np.floor(np.log2(size))) * float(info.eps) / 2


def words(a):
    """Data as kernels take it."""
    a = np.asarray(a)
    return a.view(np.uint16) if a.dtype in SIXTEEN else a
