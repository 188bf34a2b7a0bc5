"""Do arrays share memory, and which?"""

from __future__ import annotations

import numpy as np

_MOST_WORK = 100_000  # steps that the exact test of two views may take


def same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    """Do two arrays of one shape lie at the same place, item by item?"""
    return a is b or (
        a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Do two arrays share memory? True where it would take too long to be sure."""
    if a is b:
        return True
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=_MOST_WORK))
    except np.exceptions.TooHardError:
        return True
