"""PaddlePaddle."""

from . import rows

BN = {"type": "BatchNorm2d", "num_features": 64, "unbiased": False}

ROWS = rows(
    "PaddlePaddle/PaddleSeg:paddleseg/models/layers/layer_libs.py",
    ({"type": "SyncBatchNorm", "data_format": "NCHW"}, BN),
    ({"type": "BatchNorm2D", "data_format": "NCHW"}, BN),
    ({"type": "BatchNorm2D", "data_format": "NHWC"}, {**BN, "channel_axis": -1}),
)
