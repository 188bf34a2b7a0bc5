"""OpenMMLab."""

from . import rows

MM = "open-mmlab/"
BN = {"type": "BatchNorm2d", "num_features": 64}
BN1 = {"type": "BatchNorm1d", "num_features": 64}
BN3 = {"type": "BatchNorm3d", "num_features": 64}
GN = {"type": "GroupNorm", "num_groups": 32, "num_channels": 64}
LN = {"type": "LayerNorm", "normalized_shape": 64}
LN2 = {**LN, "channel_axis": 1}
IN = {"type": "InstanceNorm2d", "num_features": 64}

YOLO = {**BN, "momentum": 0.03, "eps": 1e-3}


def with_act(name, **options):
    return {"num_features": 64, "act_cfg": {"type": name, **options}}


ROWS = [
    *rows(
        f"{MM}mmcv:mmcv/cnn/bricks/norm.py",
        ({"type": "BN"}, BN),
        ({"type": "BN1d"}, BN1),
        ({"type": "BN2d"}, BN),
        ({"type": "BN3d"}, BN3),
        ({"type": "SyncBN"}, BN),
        ({"type": "GN", "num_groups": 32}, GN),
        ({"type": "GN"}, "needs num_groups"),
        ({"type": "LN"}, LN),
        ({"type": "IN"}, IN),
        ({"type": "IN1d"}, {**IN, "type": "InstanceNorm1d"}),
        ({"type": "IN2d"}, IN),
        ({"type": "IN3d"}, {**IN, "type": "InstanceNorm3d"}),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/bisenetv2.py",
        ({"type": "SyncBN", "requires_grad": True}, BN),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/lraspp_m-v3-d8.py",
        ({"type": "SyncBN", "eps": 0.001, "requires_grad": True}, {**BN, "eps": 1e-3}),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/fast_scnn.py",
        (
            {"type": "SyncBN", "requires_grad": True, "momentum": 0.01},
            {**BN, "momentum": 0.01},
        ),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/cgnet.py",
        ({"type": "SyncBN", "eps": 1e-03, "requires_grad": True}, {**BN, "eps": 1e-3}),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/dpt_vit-b16.py",
        ({"type": "SyncBN", "requires_grad": True}, BN),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/segmenter_vit-b16_mask.py",
        ({"type": "LN", "eps": 1e-6, "requires_grad": True}, {**LN, "eps": 1e-6}),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/upernet_swin.py",
        ({"type": "BN", "requires_grad": True}, BN),
        ({"type": "LN", "requires_grad": True}, LN),
    ),
    *rows(
        f"{MM}mmdetection:configs/gn/mask-rcnn_r50_fpn_gn-all_2x_coco.py",
        ({"type": "GN", "num_groups": 32, "requires_grad": True}, GN),
    ),
    *rows(
        f"{MM}mmdetection:configs/nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py",
        ({"type": "BN", "requires_grad": True}, BN),
    ),
    *rows(
        f"{MM}mmpretrain:configs/mocov3/mocov3_resnet50_8xb512-amp-coslr-100e_in1k.py",
        ({"type": "SyncBN"}, BN),
    ),
    *rows(
        f"{MM}mmpretrain:mmpretrain/models/utils/norm.py",
        ({"type": "LN2d"}, LN2),
        ({"type": "LN2d", "eps": 1e-6}, {**LN2, "eps": 1e-6}),
        ({"type": "mmpretrain.LN2d", "eps": 1e-6}, {**LN2, "eps": 1e-6}),
        ({"type": "GRN"}, {"type": "GlobalResponseNorm", "num_features": 64, "eps": 1e-6}),
        ({"type": "GRN", "in_channels": 64}, {"type": "GRN", "num_features": 64}, {}),
    ),
    *rows(
        f"{MM}mmdetection3d:configs/_base_/models/votenet.py",
        ({"type": "BN2d"}, BN),
        ({"type": "BN1d"}, BN1),
    ),
    *rows(
        f"{MM}mmdetection3d:configs/_base_/models/centerpoint_pillar02_second_secfpn_nus.py",
        (
            {"type": "BN1d", "eps": 1e-3, "momentum": 0.01},
            {**BN1, "eps": 1e-3, "momentum": 0.01},
        ),
        ({"type": "BN", "eps": 1e-3, "momentum": 0.01}, {**BN, "eps": 1e-3, "momentum": 0.01}),
    ),
    *rows(
        f"{MM}mmagic:configs/_base_/models/base_cyclegan.py",
        ({"type": "IN"}, IN),
    ),
    *rows(
        f"{MM}mmagic:configs/_base_/models/base_pix2pix.py",
        ({"type": "BN"}, BN),
    ),
    # requires_grad=False as in the caffe-style bases, which freeze weight and bias alone
    *rows(
        f"{MM}mmdetection:configs/_base_/models/faster_rcnn_r50_caffe_c4.py",
        ({"type": "BN", "requires_grad": False}, {**BN, "trainable": False}),
    ),
    *rows(
        f"{MM}mmdetection:configs/panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py",
        ({"type": "GN", "num_groups": 32, "requires_grad": True}, GN),
    ),
    *rows(
        f"{MM}mmdetection:configs/ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py",
        ({"type": "BN", "eps": 0.001, "momentum": 0.03}, {**BN, "eps": 1e-3, "momentum": 0.03}),
    ),
    # what mmengine's Config takes out, and its registries, may stand beside
    *rows(
        f"{MM}mmengine:mmengine/config/config.py",
        ({"type": "SyncBN", "_delete_": True, "_scope_": "mmdet"}, BN),
    ),
    # with the activation that stands beside the norm
    *rows(
        f"{MM}mmdetection:configs/yolox/yolox_s_8xb8-300e_coco.py",
        ({"type": "BN", "momentum": 0.03, "eps": 0.001}, {**YOLO, "activation": "silu"},
         with_act("Swish")),
    ),
    *rows(
        f"{MM}mmyolo:configs/yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco.py",
        ({"type": "BN", "momentum": 0.03, "eps": 0.001}, YOLO),
        ({"type": "BN", "momentum": 0.03, "eps": 0.001}, {**YOLO, "activation": "silu"},
         with_act("SiLU", inplace=True)),
    ),
    *rows(
        f"{MM}mmdetection:configs/rtmdet/rtmdet_l_8xb32-300e_coco.py",
        ({"type": "SyncBN"}, {**BN, "activation": "silu"}, with_act("SiLU", inplace=True)),
    ),
    *rows(
        f"{MM}mmpose:configs/body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py",
        ({"type": "SyncBN"}, {**BN, "activation": "silu"}, with_act("SiLU")),
    ),
    *rows(
        f"{MM}mmdetection:configs/dino/dino-4scale_r50_8xb2-12e_coco.py",
        ({"type": "BN", "requires_grad": False}, {**BN, "trainable": False}),
        ({"type": "GN", "num_groups": 32}, GN, {"num_features": 64, "act_cfg": None}),
    ),
    *rows(
        f"{MM}mmdetection:configs/_base_/models/mask_rcnn_vit_base_fpn.py",
        ({"type": "MMSyncBN", "requires_grad": True}, BN),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/upernet_vit-b16_ln_mln.py",
        ({"type": "LN", "eps": 1e-6}, {**LN, "eps": 1e-6}),
        ({"type": "BN", "requires_grad": True}, BN),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/stdc.py",
        ({"type": "BN", "requires_grad": True}, {**BN, "activation": "relu"}, with_act("ReLU")),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/segformer_mit-b0.py",
        ({"type": "SyncBN", "requires_grad": True}, BN),
    ),
    *rows(
        f"{MM}mmsegmentation:configs/_base_/models/bisenetv1_r18-d32.py",
        ({"type": "SyncBN", "requires_grad": True}, BN),
    ),
]  # fmt: skip
