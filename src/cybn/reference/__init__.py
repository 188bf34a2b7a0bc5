"""The readable twin of the kernels, in NumPy: the specification, and the tests' oracle.

Formulas stand in the order of the papers, forward and backward side by side, computed in float64.
It is never a fallback: nothing in the package calls it.

What the arguments of all functions are, where one does not say otherwise:

Parameters
----------
x
    The input, (N, C, L) for batch norm and its relatives.
channel_axis
    The axis of the channels.
dy
    The gradient of the output, of x's shape.
mean, var
    The moments that x is normalized with, (C,); the variance is the biased one.
running_mean, running_var
    The running statistics, (C,).
r, d
    The factor and the shift of `correction`, (C,).
m
    How many values per channel the moments are of.
momentum
    The weight of the new batch.
weight, bias
    The scale and shift, an array with the shape of what is normalized alike, or a number.
eps
    Added to the variance.
centred
    Whether the mean is subtracted.
normalized_shape
    The sizes of the last axes, which are a row; an int is one axis.
num_groups
    The number of groups of channels side by side.
size
    The channels in a window.
alpha, beta, k
    The weight of the sum of squares before it is divided by `size`, the exponent, and what is added
    to the sum.
"""

from ..terms.docstrings import complete as _complete
from .activations import activate, activate_backward
from .batch import (
    backward_apply,
    backward_inference,
    backward_reduce,
    backward_training,
    merge_moments,
    moments,
    normalize,
    part_moments,
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
    "activate",
    "activate_backward",
    "backward_apply",
    "backward_conditional",
    "backward_inference",
    "backward_reduce",
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
    "merge_moments",
    "moments",
    "normalize",
    "normalize_row",
    "normalize_row_backward",
    "part_moments",
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

for _name in __all__:
    _complete(globals()[_name], __doc__ or "")
