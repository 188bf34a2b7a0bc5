"""Normalization as functions: no state but what is passed in.

Each kernel has a function with the signature of its namesake in `torch.nn.functional`, and
underneath it a pair, forward and backward: the forward returns the statistics that the backward
needs, and nothing is kept in between. The layers are thin over these.

An input is checked here, once, and turned into the view that the kernels take.
"""

from .batch import batch_norm, batch_norm_backward, batch_norm_forward
from .moments import Moments
from .stats import batch_norm_stats

__all__ = [
    "Moments",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_stats",
]
