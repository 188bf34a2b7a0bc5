"""The gate that may follow a norm in the same pass over memory: y = gate(norm(x) + residual).

One shape serves all: v above 0, slope*v below, `most` at the most. relu is (0, inf), relu6 (0, 6),
leaky_relu (negative_slope, inf), and no activation (1, inf). Backward tells from the output alone
where the gate was open, so nothing else is kept.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from ..arrays.dtypes import computed_in
from ..arrays.validation import as_float_array, check_like, is_number

ACTIVATIONS = ("relu", "leaky_relu", "relu6")


class Gate(NamedTuple):
    slope: float  # below 0
    most: float


OPEN = Gate(1.0, inf)


def gate_of(who: str, activation: str | None, negative_slope: float = 0.01) -> Gate:
    """The gate of an activation by name; ValueError for another name or slope."""
    if activation is None:
        return OPEN
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{who} knows the activations {', '.join(map(repr, ACTIVATIONS))} and None, "
            f"got {activation!r}"
        )
    if activation != "leaky_relu":
        return Gate(0.0, 6.0 if activation == "relu6" else inf)
    if not is_number(negative_slope):
        raise TypeError(f"{who} needs a number as negative_slope, got {negative_slope!r}")
    if not 0 < negative_slope < 1:
        raise ValueError(
            f"{who} needs a negative_slope between 0 and 1, got {negative_slope!r}; 0.01 is usual"
        )
    return Gate(float(negative_slope), inf)


def gated(dy: np.ndarray, y: np.ndarray, gate: Gate) -> np.ndarray:
    """The gradient of what went into the gate, from dy and its output y; a new array."""
    g = np.multiply(dy, computed_in(dy.dtype).type(gate.slope))
    np.copyto(g, dy, where=y > 0)
    if gate.most < inf:
        g[y >= gate.most] = 0
    return g


def check_residual(who: str, residual: object, x: np.ndarray) -> np.ndarray:
    """The residual as an array of x's shape and dtype: TypeError, ValueError."""
    residual = as_float_array(who, "residual", residual)
    check_like(who, "residual", residual, x)
    return residual
