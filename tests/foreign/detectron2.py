"""detectron2: names alone."""

from . import rows

D2 = "facebookresearch/detectron2:"
BN = {"type": "BatchNorm2d", "num_features": 64}
GN = {"type": "GroupNorm", "num_groups": 32, "num_channels": 64}
FROZEN = {"type": "FrozenBatchNorm2d", "num_features": 64}

LN = {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-6, "channel_axis": 1}

ROWS = [
    *rows(
        f"{D2}detectron2/layers/batch_norm.py",
        ("BN", BN),
        ("SyncBN", BN),
        ("FrozenBN", FROZEN),
        ("GN", GN),
        ("nnSyncBN", BN),
        ("naiveSyncBN", BN),
        ("naiveSyncBN_N", BN),
        ("LN", LN),
        ("", None),
        (None, None),
    ),
    *rows(f"{D2}detectron2/config/defaults.py MODEL.RESNETS.NORM", ("FrozenBN", FROZEN)),
    *rows(f"{D2}detectron2/config/defaults.py MODEL.SEM_SEG_HEAD.NORM", ("GN", GN)),
    *rows(f"{D2}detectron2/config/defaults.py MODEL.ROI_MASK_HEAD.NORM", ("", None)),
    *rows(f"{D2}configs/Misc/mask_rcnn_R_50_FPN_3x_gn.yaml MODEL.FPN.NORM", ("GN", GN)),
    *rows(f"{D2}configs/Misc/mask_rcnn_R_50_FPN_3x_syncbn.yaml MODEL.FPN.NORM", ("SyncBN", BN)),
    *rows(f"{D2}configs/common/models/retinanet.py", ("FrozenBN", FROZEN)),
    *rows(f"{D2}configs/common/models/mask_rcnn_vitdet.py", ("LN", LN)),
    *rows(
        f"{D2}configs/Misc/panoptic_fpn_R_101_dconv_cascade_gn_3x.yaml RESNETS, FPN, ROI_MASK_HEAD",
        ("GN", GN),
    ),
    *rows(
        f"{D2}configs/Misc/mask_rcnn_R_50_FPN_3x_syncbn.yaml RESNETS, ROI_BOX_HEAD, ROI_MASK_HEAD",
        ("SyncBN", BN),
    ),
    *rows(
        f"{D2}configs/COCO-InstanceSegmentation/mask_rcnn_regnetx_4gf_dds_fpn_1x.py",
        ("FrozenBN", FROZEN),
    ),
]
