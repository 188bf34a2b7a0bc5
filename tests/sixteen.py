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


def close(got, want, dtype, scale=1.0, roundings=64):
    """Half an ulp of the dtype, and some float32 roundings of numbers of that scale.

    The half ulp is that of rounding the result. The roundings are those of arithmetic in float32,
    which moves a result over a tie at the most: 1.001 is for the ulp of a result near a power of 2.
    """
    room = half_ulp(want, dtype) * 1.001 + roundings * 2.0**-24 * (np.abs(want) + scale)
    away = np.abs(got.astype(np.float64) - want)
    assert (away <= room).all(), (away / room).max()


def cast(a, dtype):
    """Sixteen-bit data in another dtype; anything else as it is."""
    return a.astype(dtype) if isinstance(a, np.ndarray) and a.itemsize == 2 else a


def wide(a):
    return cast(a, np.float64)


def assert_rounded(name, a, single, exact, terms=0.0):
    """What is stored in sixteen bits is what float32 arithmetic gives, rounded once: it is off by
    half an ulp, and by what float32 is off, which is measured, at its worst over an array, and
    doubled. Of float16 it is what float32 gives on the same values, to the bit. bfloat16 is summed
    in another order, in which float32 may have had less luck: it is off by a few roundings of the
    `terms` that are added up, as large as they are together.
    """
    assert (type(a), a.shape) == (np.ndarray, exact.shape)
    exact = exact.astype(np.float64)
    room = 2 * np.abs(single - exact).max(initial=0) + 2.0**-22 * np.abs(exact).max(initial=0)
    if a.dtype == np.float16:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(a, single.astype(a.dtype), name)
    room = room + 2.0**-21 * terms
    if a.dtype in SIXTEEN:
        room = room + half_ulp(exact, a.dtype) * 1.001
    away = np.abs(a.astype(np.float64) - exact)
    assert (away <= room).all(), f"{name} is off by {(away / room).max()} of what it may be"
