"""PyTorch's normalization modules over cybn's kernels, on CPU.

Needs PyTorch, which `pip install "cybn[torch]"` brings; nothing else in cybn imports it.
"""

from .models.fold import fold
from .models.layers import from_module, to_module
from .models.report import Entry, Report, report
from .models.swap import convert, revert
from .models.table import register
from .modules import (
    OURS,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)

__all__ = [
    "Entry",
    "Report",
    "convert",
    "fold",
    "from_module",
    "register",
    "report",
    "revert",
    "to_module",
    "OURS",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]
