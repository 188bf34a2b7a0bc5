"""Normalization as functions: no state but what is passed in.

Each kernel has a function with the signature of its namesake in `torch.nn.functional`, and
underneath it a pair, forward and backward: the forward returns the statistics that the backward
needs, and nothing is kept in between. The layers are thin over these. Of batch norm there are the
halves of the pair, too, for batches that come in parts.

An input is checked here, once, and turned into the view that the kernels take.
"""

from ..terms.docstrings import complete
from .batch import batch_norm, batch_norm_backward, batch_norm_forward
from .groups import group_norm, group_norm_backward, group_norm_forward
from .halves import (
    batch_norm_apply,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
    batch_norm_moments,
)
from .instance import instance_norm, instance_norm_backward, instance_norm_forward
from .moments import Moments, merge_moments
from .response import (
    local_response_norm,
    local_response_norm_backward,
    local_response_norm_forward,
)
from .rms import rms_norm, rms_norm_backward, rms_norm_forward
from .rows import layer_norm, layer_norm_backward, layer_norm_forward
from .stats import batch_norm_stats, update_running

__all__ = [
    "Moments",
    "batch_norm",
    "batch_norm_apply",
    "batch_norm_backward",
    "batch_norm_backward_apply",
    "batch_norm_backward_reduce",
    "batch_norm_forward",
    "batch_norm_moments",
    "batch_norm_stats",
    "group_norm",
    "group_norm_backward",
    "group_norm_forward",
    "instance_norm",
    "instance_norm_backward",
    "instance_norm_forward",
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_forward",
    "local_response_norm",
    "local_response_norm_backward",
    "local_response_norm_forward",
    "merge_moments",
    "rms_norm",
    "rms_norm_backward",
    "rms_norm_forward",
    "update_running",
]

# What two functions take alike is explained by one of them: the first of each line is completed,
# and its parameters are put in order.
for _function, *_others in (
    (batch_norm_backward,),
    (group_norm_backward,),
    (layer_norm_backward,),
    (batch_norm, batch_norm_forward),
    (batch_norm_stats, batch_norm_forward),
    (batch_norm_moments, batch_norm_forward),
    (batch_norm_apply, batch_norm_forward),
    (batch_norm_backward_reduce, batch_norm_apply, batch_norm_backward),
    (batch_norm_backward_apply, batch_norm_backward_reduce, batch_norm_backward),
    (group_norm, group_norm_forward),
    (instance_norm_forward, group_norm_forward),
    (instance_norm_backward, group_norm_backward),
    (instance_norm, instance_norm_forward),
    (layer_norm, layer_norm_forward),
    (rms_norm_forward, layer_norm_forward),
    (rms_norm_backward, layer_norm_backward),
    (rms_norm, rms_norm_forward),
    (local_response_norm, local_response_norm_forward),
    (local_response_norm_backward, local_response_norm_forward),
):
    complete(_function, *_others)
