"""PyTorch's own names, as hydra and nnU-Net write them."""

from . import rows

DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn."
IN = {"type": "InstanceNorm3d", "num_features": 64, "affine": True}

ROWS = [
    *rows(
        "MIC-DKFZ/nnUNet:nnunetv2/experiment_planning/experiment_planners/default_experiment_planner.py",
        (
            {
                "n_stages": 6, "conv_op": "torch.nn.modules.conv.Conv3d", "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
            },
            IN,
        ),
    ),
    *rows(
        "facebookresearch/detectron2:configs/common/models/mask_rcnn_vitdet.py",
        (
            {"_target_": "torch.nn.LayerNorm", "_partial_": True, "eps": 1e-6},
            {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-6},
        ),
    ),
    *rows(
        f"{DOCS}BatchNorm1d.html",
        ({"_target_": "torch.nn.BatchNorm1d", "num_features": 64},
         {"type": "BatchNorm1d", "num_features": 64}, {}),
        ({"class_path": "torch.nn.BatchNorm1d", "init_args": {"num_features": 4, "momentum": None}},
         {"type": "BatchNorm1d", "num_features": 4, "momentum": None}, {}),
    ),
    *rows(
        f"{DOCS}SyncBatchNorm.html",
        ({"type": "torch.nn.SyncBatchNorm", "num_features": 64, "process_group": None},
         {"type": "BatchNorm2d", "num_features": 64}, {}),
    ),
    *rows(
        f"{DOCS}RMSNorm.html",
        ({"_target_": "torch.nn.RMSNorm", "normalized_shape": [2, 3]},
         {"type": "RMSNorm", "normalized_shape": [2, 3]}, {}),
    ),
    *rows(
        f"{DOCS}GroupNorm.html",
        ({"_target_": "torch.nn.GroupNorm", "num_groups": 3, "num_channels": 6},
         {"type": "GroupNorm", "num_groups": 3, "num_channels": 6}, {}),
    ),
    *rows(
        f"{DOCS}InstanceNorm2d.html",
        ({"_target_": "torch.nn.InstanceNorm2d", "num_features": 100, "affine": True},
         {"type": "InstanceNorm2d", "num_features": 100, "affine": True}, {}),
    ),
    *rows(
        f"{DOCS}LocalResponseNorm.html",
        ({"_target_": "torch.nn.LocalResponseNorm", "size": 2},
         {"type": "LocalResponseNorm", "size": 2}, {}),
    ),
    *rows(f"{DOCS}Identity.html", ({"_target_": "torch.nn.Identity"}, None)),
    *rows(
        f"{DOCS}utils.spectral_norm.html",
        ("torch.nn.utils.spectral_norm", "normalizes the weight"),
    ),
    *rows(
        "Michedev/slot-attention-pytorch:README.md",
        (
            {
                "_target_": "torch.nn.GroupNorm",
                "num_groups": 1,
                "num_channels": 16,
                "affine": True,
                "eps": 0.001,
            },
            {"type": "GroupNorm", "num_groups": 1, "num_channels": 16, "eps": 1e-3},
            {},
        ),
    ),
]  # fmt: skip
