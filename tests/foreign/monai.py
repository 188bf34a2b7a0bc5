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
]
