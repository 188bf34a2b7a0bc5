"""PaddlePaddle."""

from . import rows

BN = {"type": "BatchNorm2d", "num_features": 64, "unbiased": False}

GN = {"type": "GroupNorm", "num_groups": 32, "num_channels": 64}
RESNET = {"depth": 50, "variant": "d", "return_idx": [1, 2, 3], "norm_decay": 0.0}

ROWS = [
    *rows(
        "PaddlePaddle/PaddleSeg:paddleseg/models/layers/layer_libs.py",
        ({"type": "SyncBatchNorm", "data_format": "NCHW"}, BN),
        ({"type": "BatchNorm2D", "data_format": "NCHW"}, BN),
        ({"type": "BatchNorm2D", "data_format": "NHWC"}, {**BN, "channel_axis": -1}),
    ),
    *rows(
        "PaddlePaddle/PaddleDetection:ppdet/modeling/layers.py",
        ({"norm_type": "bn"}, BN),
        ({"norm_type": "sync_bn"}, BN),
        ({"norm_type": "gn"}, GN),
        ({"norm_type": "gn", "norm_groups": 16}, {**GN, "num_groups": 16}),
        ({"norm_type": "bn", "freeze_norm": True}, "{'type': 'FrozenBatchNorm2d'}"),
        ("bn", BN),
        ("sync_bn", BN),
    ),
    *rows(
        "PaddlePaddle/PaddleDetection:configs/_base_/models/ppyolo_r50vd_dcn.yml",
        ({"norm_type": "bn", **RESNET, "freeze_norm": False}, BN),
    ),
]
