"""MONAI."""

from . import rows

M = "Project-MONAI/MONAI:"
DIMS = "give spatial_dims=1, 2 or 3"


def of(rank):
    return {"num_features": 64, "spatial_dims": rank}


ROWS = [
    *rows(
        f"{M}monai/networks/layers/factories.py",
        ("instance", DIMS),
        ("batch", DIMS),
        ("instance", {"type": "InstanceNorm1d", "num_features": 64}, of(1)),
        ("instance", {"type": "InstanceNorm3d", "num_features": 64}, of(3)),
        ("batch", {"type": "BatchNorm2d", "num_features": 64}, of(2)),
        ("batch", {"type": "BatchNorm3d", "num_features": 64}, of(3)),
        ("syncbatch", {"type": "BatchNorm3d", "num_features": 64}, of(3)),
        ("instance_nvfuser", {"type": "InstanceNorm3d", "num_features": 64}, of(3)),
        ("group", "needs num_groups"),
        ("layer", {"type": "LayerNorm", "normalized_shape": 64}),
    ),
    *rows(
        f"{M}monai/networks/layers/utils.py",
        (
            ["group", {"num_groups": 1}],
            {"type": "GroupNorm", "num_groups": 1, "num_channels": 64},
        ),
        ("", None),
    ),
    *rows(
        f"{M}tests/test_adn.py",
        ("BATCH", {"type": "BatchNorm2d", "num_features": 64}, of(2)),
        ("INSTANCE", {"type": "InstanceNorm3d", "num_features": 64}, of(3)),
        (
            ["GROUP", {"num_groups": 1, "affine": False}],
            {"type": "GroupNorm", "num_groups": 1, "num_channels": 64, "affine": False},
            of(2),
        ),
        (["localresponse", {"size": 4}], {"type": "LocalResponseNorm", "size": 4}, of(2)),
        (
            ["layer", {"normalized_shape": [48, 80]}],
            {"type": "LayerNorm", "normalized_shape": [48, 80]},
            of(3),
        ),
    ),
    *rows(
        f"{M}tests/test_segresnet_block.py",
        ("batch", {"type": "BatchNorm3d", "num_features": 64}, of(3)),
        ("norm", "monai has no norm 'norm'", of(3)),
    ),
    *rows(
        f"{M}tests/test_dynunet.py",
        (
            "batch",
            {"type": "BatchNorm2d", "num_features": 64, "activation": "leaky_relu",
             "negative_slope": 0.2},
            {**of(2), "act": ["leakyrelu", {"inplace": True, "negative_slope": 0.2}]},
        ),
        (
            ["INSTANCE", {"affine": True}],
            {"type": "InstanceNorm3d", "num_features": 64, "affine": True}, of(3),
        ),
        (
            ["group", {"num_groups": 16}],
            {"type": "GroupNorm", "num_groups": 16, "num_channels": 64}, of(2),
        ),
        *(
            (
                [name, {"eps": 1e-4, "momentum": 0.01, "affine": True}],
                {"type": "InstanceNorm3d", "num_features": 64, "eps": 1e-4, "momentum": 0.01,
                 "affine": True},
                of(3),
            )
            for name in ("instance", "instance_nvfuser")
        ),
    ),
    *rows(
        f"{M}monai/networks/nets/segresnet.py",
        (
            ["GROUP", {"num_groups": 8}],
            {"type": "GroupNorm", "num_groups": 8, "num_channels": 64, "activation": "relu"},
            {**of(3), "act": ["RELU", {"inplace": True}]},
        ),
    ),
    *rows(
        f"{M}tests/test_unet.py",
        (
            ["batch", {"track_running_stats": False}],
            {"type": "BatchNorm2d", "num_features": 64, "track_running_stats": False}, of(2),
        ),
        (
            "INSTANCE",
            {"type": "InstanceNorm3d", "num_features": 64, "activation": "leaky_relu",
             "negative_slope": 0.2},
            {**of(3), "act": ["LEAKYRELU", {"negative_slope": 0.2}]},
        ),
    ),
    *rows(
        f"{M}tests/test_adn.py act",
        ("BATCH", {"type": "BatchNorm2d", "num_features": 64}, {**of(2), "act": None}),
        ("BATCH", "'prelu': the activations of a norm here are", {**of(2), "act": "prelu"}),
    ),
]  # fmt: skip
