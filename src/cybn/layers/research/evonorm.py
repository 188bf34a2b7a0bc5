"""What the EvoNorms share: a normalization and an activation in one, found by search.

Each is a function of its own to the kernel of maps, with moments by map: those of a group
(evonorm_s.py), or of the batch (evonorm_b.py), are merged from these. Two walks over the data for
moments, one for what is written, and backward one for sums and one for dx.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ._common import Featured


class EvoNorm(Featured):
    """A layer of maps with a scale, a shift and, where one is learned, a slope of x."""

    ranks: ClassVar[tuple[int, ...]] = (3, 4, 5)
    sixteen_bits = "native"
    learns_slope: ClassVar[bool] = True

    def _start(self) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)
        if self.learns_slope:
            self.learn("v1", 1)

    def _of_maps(
        self, weight: np.ndarray, bias: np.ndarray, v1: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The gradients, for those of each map, (N, C)."""
        slope = {"v1": v1.sum(0)} if self.learns_slope else {}
        return self.gradients(weight=weight.sum(0), bias=bias.sum(0), **slope)
