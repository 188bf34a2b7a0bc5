"""Running statistics: the one place where they move, after all that can fail.

A step of training is computed first, output included, and its statistics are followed last. What
protects them (`fits`) is asked in between, of the batch's statistics: a running value lies between
two values of its own dtype, so it is finite where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..kernels import move_running

CUMULATIVE = -1.0  # as a momentum, to the kernels: 1/num_batches_tracked


class Step(NamedTuple):
    """What moves by a batch of m values per channel: the running arrays, each where it is not None,
    towards the mean and the unbiased variance of stats, (3, C); m = 0: the variance as it is."""

    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    num_batches_tracked: np.ndarray | None
    stats: np.ndarray
    m: int
    momentum: float  # negative: 1/num_batches_tracked


def fits(
    stats: np.ndarray, m: int, dtype: np.dtype, any_mean: bool = False, any_var: bool = False
) -> np.ndarray:
    """(C,) bool: can running statistics of that dtype hold the mean and the unbiased variance?

    Where there is no running mean or variance, any will do.
    """
    most = np.finfo(dtype).max
    with np.errstate(over="ignore", invalid="ignore"):
        mean = any_mean | (abs(stats[0]) <= most)
        return mean & (any_var | (stats[1] * (m / (m - 1) if m else 1) <= most))


def follow(steps: Iterable[Step]) -> None:
    """Move running statistics, step by step: all of them in one call, or none where one cannot."""
    if steps := list(steps):
        move_running(steps)
