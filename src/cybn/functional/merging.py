"""The sums of parts as those of the whole; see moments.py for what they are and why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["BEYOND", "added", "merged"]

BEYOND = 2.0**-600  # squares that float64 does not hold are those of x·BEYOND (kernels/wide.pxi)


def added(parts: np.ndarray) -> np.ndarray:
    """The sum over the first axis, part by part in their order."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def merged(counts: Sequence[int], shift, rest, total, squares) -> np.ndarray:
    """(4, C): the sums of the whole, from those of the parts, (parts, C) each."""
    n, m = np.array(counts, np.float64)[:, None], float(sum(counts))
    own = np.where(squares < 0, BEYOND, 1.0)  # what the x of squares are multiplied by

    def about(k, k_rest, unit):
        # total and squares about k, of x·unit
        away = (shift * unit - k * unit) + (rest - k_rest) * unit
        moved = total * unit + n * away
        more = np.abs(squares) * (unit / own) * (unit / own) + away * (total * unit + moved)
        return added(moved), added(more)

    at, _ = about(shift[0], rest[0], 1.0)
    at = np.abs((shift - shift[0]) + (rest - rest[0]) - at / m).argmin(0)[None]
    k, k_rest = (np.take_along_axis(a, at, 0)[0] for a in (shift, rest))
    merged = np.stack([k, k_rest, *about(k, k_rest, 1.0)])
    large = np.isfinite(shift).all(0) & ~np.isfinite(merged[3])
    if large.any():  # about the mean, whose distance from all values is a number
        at, _ = about(shift[0], rest[0], BEYOND)
        k = (shift[0] * BEYOND + at / m) / BEYOND
        total_beyond, squares_beyond = about(k, 0.0, BEYOND)
        beyond = np.stack([k, 0 * k, total_beyond / BEYOND, -squares_beyond])
        merged[:, large] = beyond[:, large]
    return merged
