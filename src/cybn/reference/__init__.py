"""The readable twin of the kernels, in NumPy: the specification, and the tests' oracle.

Formulas stand in the order of the papers, forward and backward side by side, computed in float64.
It is never a fallback: nothing in the package calls it.
"""

from .batch import (
    backward_inference,
    backward_training,
    moments,
    normalize,
    to_ncl,
    update_running,
    xhat_of,
)
from .relatives import backward_conditional, backward_renorm, conditional, correction, renorm

__all__ = [
    "backward_conditional",
    "backward_inference",
    "backward_renorm",
    "backward_training",
    "conditional",
    "correction",
    "moments",
    "normalize",
    "renorm",
    "to_ncl",
    "update_running",
    "xhat_of",
]
