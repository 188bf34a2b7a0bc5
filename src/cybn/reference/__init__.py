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
from .response import local_response_norm, local_response_norm_backward, response_scale
from .rows import (
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
    normalize_row,
    normalize_row_backward,
    rms_norm,
    rms_norm_backward,
    row_moments,
    update_running_instances,
)

__all__ = [
    "backward_conditional",
    "backward_inference",
    "backward_renorm",
    "backward_training",
    "conditional",
    "correction",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "moments",
    "normalize",
    "normalize_row",
    "normalize_row_backward",
    "renorm",
    "response_scale",
    "rms_norm",
    "rms_norm_backward",
    "row_moments",
    "to_ncl",
    "update_running",
    "update_running_instances",
    "xhat_of",
]
