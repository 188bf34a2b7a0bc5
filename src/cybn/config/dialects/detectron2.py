"""detectron2 and fvcore: the value of ``NORM`` in a YAML config, a name without options.

"LN" averages over the channels of (N, C, H, W), with eps 1e-6, and "GN" has 32 groups.
"""

from __future__ import annotations

from . import torch
from .names import TORCH as TORCH_STATE
from .table import Dialect, Norm
from .words import As

_LN = {"eps": As("eps", default=1e-6), "num_features": As("num_features")}
_GN = {**torch.GROUP, "num_groups": As("num_groups", default=32)}

NORMS = (
    Norm(("BN",), "BatchNorm2d", torch.BATCH),
    Norm(("SyncBN", "nnSyncBN", "naiveSyncBN"), "BatchNorm2d", torch.SYNC, synchronized=True),
    Norm(("naiveSyncBN_N",), "BatchNorm2d", torch.SYNC, synchronized=True),
    Norm(("FrozenBN",), "FrozenBatchNorm2d", torch.FROZEN),
    Norm(("GN",), "GroupNorm", _GN),
    Norm(("LN",), "LayerNorm", _LN, {"channel_axis": 1}),
)

DIALECT = Dialect(
    "detectron2",
    "detectron2, fvcore",
    ("https://github.com/facebookresearch/detectron2/blob/main/detectron2/layers/batch_norm.py",),
    NORMS,
    packages=("detectron2", "fvcore"),
    state=TORCH_STATE,
)
