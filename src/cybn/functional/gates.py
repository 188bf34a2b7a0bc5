"""What may follow a norm in the same pass over memory: y = f(norm(x) + residual).

A gate is v above 0, slope*v below, `most` at the most: relu is (0, inf), relu6 (0, 6), leaky_relu
(negative_slope, inf), and no activation (1, inf). Past it, batch norm tells from the output alone
where it was open, so that its backward keeps nothing else. The others are curves
(kernels/curves.pxi): their backward, and every one of the norms of a sample, computes again what
went into them, from x, the statistics, weight, bias and the residual.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from ..arrays.dtypes import computed_in
from ..arrays.validation import as_float_array, check_like, is_number

#: the curves, in the order of kernels/curves.pxi; 0 is a gate
CURVES = ("silu", "gelu", "gelu_tanh", "hardswish", "elu", "mish")
GATES = ("relu", "leaky_relu", "relu6")
ACTIVATIONS = (*GATES, *CURVES)


class Gate(NamedTuple):
    slope: float  # below 0; of elu, alpha
    most: float
    curve: int = 0


OPEN = Gate(1.0, inf)


def gate_of(
    who: str, activation: str | None, negative_slope: float = 0.01, alpha: float = 1.0
) -> Gate:
    """The gate of an activation by name; ValueError for another name, slope or alpha."""
    if activation is None:
        return OPEN
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{who} knows the activations {', '.join(map(repr, ACTIVATIONS))} and None, "
            f"got {activation!r}"
        )
    if activation in CURVES:
        return Gate(_alpha(who, activation, alpha), inf, 1 + CURVES.index(activation))
    if activation != "leaky_relu":
        return Gate(0.0, 6.0 if activation == "relu6" else inf)
    if not is_number(negative_slope):
        raise TypeError(f"{who} needs a number as negative_slope, got {negative_slope!r}")
    if not 0 < negative_slope < 1:
        raise ValueError(
            f"{who} needs a negative_slope between 0 and 1, got {negative_slope!r}; 0.01 is usual"
        )
    return Gate(float(negative_slope), inf)


def _alpha(who: str, activation: str, alpha: object) -> float:
    if activation != "elu":
        return 1.0
    if not is_number(alpha):
        raise TypeError(f"{who} needs a number as alpha, got {alpha!r}")
    if not 0 < alpha < inf:
        raise ValueError(f"{who} needs an alpha of more than 0, got {alpha!r}; 1.0 is usual")
    return float(alpha)


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
