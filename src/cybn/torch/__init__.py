"""PyTorch's normalization modules over cybn's kernels, on the CPU.

Each module is a subclass of its namesake in `torch.nn`, with its parameters, buffers and options;
only what computes it is another. Needs PyTorch 2.11 or newer, which `pip install "cybn[torch]"`
brings; nothing else in cybn imports it.

>>> import torch, cybn.torch
>>> norm = cybn.torch.BatchNorm2d(16)
>>> isinstance(norm, torch.nn.BatchNorm2d), norm(torch.randn(1, 16, 7, 7)).shape
(True, torch.Size([1, 16, 7, 7]))
"""

from . import version  # noqa: F401  first: it says what is needed
from .models.fold import fold
from .models.layers import from_module
from .models.making import to_module
from .models.own import (
    AdaIN,
    AdaptiveLayerNorm,
    ChannelNorm,
    FrozenBatchNorm1d,
    FrozenBatchNorm2d,
    FrozenBatchNorm3d,
    GatedRMSNorm,
)
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
    LazyBatchNorm1d,
    LazyBatchNorm2d,
    LazyBatchNorm3d,
    LazyInstanceNorm1d,
    LazyInstanceNorm2d,
    LazyInstanceNorm3d,
    LocalResponseNorm,
    RMSNorm,
)
from .sync import SyncBatchNorm

__all__ = [
    "OURS",
    "AdaIN",
    "AdaptiveLayerNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "ChannelNorm",
    "Entry",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GatedRMSNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LocalResponseNorm",
    "RMSNorm",
    "Report",
    "SyncBatchNorm",
    "convert",
    "fold",
    "from_module",
    "register",
    "report",
    "revert",
    "to_module",
]
