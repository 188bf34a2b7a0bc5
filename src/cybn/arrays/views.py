"""Any array as (N, C, L) or as rows of features, and the way back into an array like the input.

What a norm in NumPy or Cython is written on. `layout.py` has the views of the compiled kernels,
which take N and L as they lie in memory; here they are in C order always, so that what is computed
does not follow the memory, and an index says which sample and channel it is.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..terms.docstrings import complete
from .outputs import empty, empty_like
from .overlaps import same_memory

__all__ = ["as_ncl", "as_rows", "room", "settle"]


def as_ncl(a: np.ndarray, channel_axis: int = 1, *, dtype: Any = None) -> np.ndarray:
    """View an array as (N, C, L) in C order, L being all axes but N and the channels.

    Parameters
    ----------
    a
        An array of two axes or more, the first being N.
    channel_axis
        The axis of its channels, C.
    dtype
        Another dtype, as np.float64 for arithmetic in NumPy.

    Returns
    -------
    ndarray
        The view, or a copy where memory or dtype ask for one: not to be written to.
    """
    turned = _dense(a, channel_axis, 1, dtype)
    return turned.reshape(*turned.shape[:2], prod(turned.shape[2:]))


def as_rows(a: np.ndarray, channel_axis: int = -1, *, dtype: Any = None) -> np.ndarray:
    """View an array as (M, C) in C order, a row of features for each of the M positions.

    Parameters
    ----------
    a
        An array of one axis or more.
    channel_axis
        The axis of its features, C.
    """
    turned = _dense(a, channel_axis, -1, dtype)
    return turned.reshape(prod(turned.shape[:-1]), turned.shape[-1])


def room(
    x: np.ndarray, out: np.ndarray | None, channel_axis: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Make room for an output like x, and an (N, C, L) for a compiled loop to write it to.

    Parameters
    ----------
    channel_axis
        The axis of its channels, C.

    Returns
    -------
    y : ndarray
        The output, of x's shape, dtype and memory order; `out` where it is given.
    ncl : ndarray
        An (N, C, L) in C order: the memory of y where that is in this order. `settle(ncl, x, y)` is
        to follow.
    """
    y = empty_like(x) if out is None else out
    turned = y if channel_axis == 1 else np.moveaxis(y, channel_axis, 1)
    shape = (*turned.shape[:2], prod(turned.shape[2:]))
    return y, turned.reshape(shape) if turned.flags.carray else empty(shape, y.dtype)


def settle(
    values: np.ndarray, x: np.ndarray, out: np.ndarray | None, channel_axis: int | None = None
) -> np.ndarray:
    """Write an (N, C, L), or rows of features, to an output like x.

    Parameters
    ----------
    values
        What `as_ncl` or `as_rows` of the output is to be, in any float dtype.
    x
        The input.
    out
        What the output is to be written to, or None.
    channel_axis
        The axis of the channels of x; if it is left out, what `as_ncl` or `as_rows` assumes.

    Returns
    -------
    ndarray
        The output, of x's shape, dtype and memory order; `out` where it is given.
    """
    y = empty_like(x) if out is None else out
    place = 1 if values.ndim == 3 else -1
    turned = y if channel_axis in (None, place) else np.moveaxis(y, channel_axis, place)
    values = values.reshape(turned.shape)
    if values.dtype != y.dtype or not same_memory(values, turned):
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is infinite
            turned[...] = values
    return y


complete(as_rows, as_ncl)
complete(room, settle)


def _dense(a: np.ndarray, axis: int, place: int, dtype: Any) -> np.ndarray:
    turned = a if axis % a.ndim == place % a.ndim else np.moveaxis(a, axis, place)
    return np.require(turned, dtype, ["C", "A"])
