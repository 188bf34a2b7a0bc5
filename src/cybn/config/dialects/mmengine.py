"""OpenMMLab: ``norm_cfg`` of MMEngine, MMCV and what is built on them.

``build_norm_layer`` hands the options to PyTorch's class, eps 1e-5 where none is given. It adds
``requires_grad``: false holds weight and bias fixed, and lets running statistics move. ``act_cfg``
stands beside ``norm_cfg`` in a config; given in the call, the norm ends in that activation.
"""

from __future__ import annotations

from . import torch
from .acts import Act
from .names import TORCH as TORCH_STATE
from .table import Dialect, Norm
from .words import As, Learns, Refusal, Unused, Word

GRAD: dict[str, Word] = {
    "requires_grad": Learns(default=True),
    "_delete_": Unused("it says what of a base file is left"),
    "_scope_": Unused("it says in which registry the name is"),
    "act_cfg": Act(),  # that of the ConvModule around it
}
BATCH = {**torch.BATCH, **GRAD}
SYNC = {**torch.SYNC, **GRAD}
MM_SYNC = {
    **BATCH,
    "group": torch.SYNC["process_group"],
    "stats_mode": Unused("one process is alone"),
}
INSTANCE = {**torch.INSTANCE, **GRAD}
LAYER = {**torch.LAYER, **GRAD}
LAYER_2D = {**LAYER, "num_channels": As("num_features")}
GLOBAL_RESPONSE = {
    "in_channels": As("num_features"), "eps": As("eps", default=1e-6), **GRAD
}  # fmt: skip

NORMS = (
    Norm(("BN2d", "BN"), "BatchNorm2d", BATCH),
    Norm(("BN1d",), "BatchNorm1d", BATCH),
    Norm(("BN3d",), "BatchNorm3d", BATCH),
    Norm(("SyncBN",), "BatchNorm{}d", SYNC, synchronized=True),
    Norm(("MMSyncBN",), "BatchNorm{}d", MM_SYNC, synchronized=True),
    Norm(("naiveSyncBN2d",), "BatchNorm2d", SYNC, synchronized=True),
    Norm(("naiveSyncBN1d",), "BatchNorm1d", SYNC, synchronized=True),
    Norm(("naiveSyncBN3d",), "BatchNorm3d", SYNC, synchronized=True),
    Norm(("GN",), "GroupNorm", {**torch.GROUP, **GRAD}),
    Norm(("LN",), "LayerNorm", LAYER),
    Norm(("LN2d",), "LayerNorm", LAYER_2D, {"channel_axis": 1}),
    Norm(("IN2d", "IN"), "InstanceNorm2d", INSTANCE),
    Norm(("IN1d",), "InstanceNorm1d", INSTANCE),
    Norm(("IN3d",), "InstanceNorm3d", INSTANCE),
    Norm(("GRN",), "GlobalResponseNorm", GLOBAL_RESPONSE),
    Norm(
        ("DSIN", "AdaIN", "SPADE"),
        refused=Refusal("its scale and shift come from a further input, in a network of their own"),
    ),
    *(
        Norm(norm.names, norm.layer, {**norm.words, **GRAD}, synchronized=norm.synchronized)
        for norm in torch.NORMS
        if norm.layer and not norm.layer.startswith(("Lazy", "Frozen", "LocalResponse"))
    ),
)

DIALECT = Dialect(
    "mmengine",
    "OpenMMLab: MMEngine, MMCV, MMDetection, MMSegmentation, MMPretrain and others",
    (
        "https://github.com/open-mmlab/mmcv/blob/main/mmcv/cnn/bricks/norm.py",
        "https://github.com/open-mmlab/mmcv/blob/main/mmcv/cnn/bricks/activation.py",
        "https://github.com/open-mmlab/mmcv/blob/main/mmcv/ops/sync_bn.py",
        "https://github.com/open-mmlab/mmpretrain/blob/main/mmpretrain/models/utils/norm.py",
        "https://github.com/open-mmlab/mmdetection3d/blob/main/mmdet3d/models/layers/norm.py",
    ),
    NORMS,
    packages=(
        "mmengine", "mmcv", "torch", "nn", "mmdet", "mmdet3d", "mmseg", "mmpretrain", "mmcls",
        "mmaction", "mmpose", "mmagic", "mmedit", "mmyolo", "mmrotate", "mmselfsup",
    ),
    state=TORCH_STATE,
)  # fmt: skip
