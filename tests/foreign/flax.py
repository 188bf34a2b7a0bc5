"""Flax."""

from . import rows

F = "google/flax:"
BN = {
    "type": "BatchNorm2d", "num_features": 64, "momentum": 0.01, "channel_axis": -1,
    "unbiased": False,
}  # fmt: skip
LN = {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-6}

ROWS = [
    *rows(
        f"{F}examples/imagenet/models.py",
        (
            {"_target_": "flax.linen.BatchNorm", "momentum": 0.9, "epsilon": 1e-5},
            {**BN, "momentum": 0.1},
        ),
        (
            {"type": "BatchNorm", "momentum": 0.9, "use_running_average": False},
            {**BN, "momentum": 0.1},
        ),
        ({"type": "BatchNorm", "momentum": 0.9, "use_running_average": True}, "eval() does here"),
    ),
    *rows(
        f"{F}tests/nnx/nn/normalization_test.py",
        (
            {
                "type": "BatchNorm", "num_features": 5, "use_running_average": False,
                "dtype": "float32", "param_dtype": "float32", "use_fast_variance": True,
            },
            {**BN, "num_features": 5},
            {},
        ),
        ({"type": "BatchNorm", "param_dtype": "float16"}, "dtype must be 'float32' or 'float64'"),
        ({"type": "nnx.LayerNorm", "num_features": 64, "param_dtype": "float32"}, LN, {}),
        ({"type": "LayerNorm", "use_fast_variance": False}, LN),
        ({"type": "RMSNorm"}, {"type": "RMSNorm", "normalized_shape": 64, "eps": 1e-6}),
        (
            {"type": "GroupNorm", "num_groups": 3},
            {
                "type": "GroupNorm", "num_groups": 3, "num_channels": 6, "eps": 1e-6,
                "channel_axis": -1,
            },
            {"num_features": 6},
        ),
        (
            {"type": "InstanceNorm"},
            {
                "type": "InstanceNorm2d", "num_features": 64, "eps": 1e-6, "affine": True,
                "channel_axis": -1,
            },
        ),
    ),
    *rows(
        f"{F}flax/linen/normalization.py",
        ("BatchNorm", BN),
        ("LayerNorm", LN),
        ("GroupNorm", {
            "type": "GroupNorm", "num_groups": 32, "num_channels": 64, "eps": 1e-6,
            "channel_axis": -1}),
        ({"type": "LayerNorm", "use_bias": False}, {**LN, "bias": False}),
        ({"type": "LayerNorm", "use_bias": False, "use_scale": False},
         {**LN, "elementwise_affine": False}),
        ({"type": "LayerNorm", "use_scale": False}, {**LN, "weight": False}),
        ({"type": "LayerNorm", "reduction_axes": [-2, -1]}, "averages over axis"),
        ("SpectralNorm", "normalizes the weights"),
        ("WeightNorm", "normalizes the weights"),
    ),
    *rows(
        "google-research/vision_transformer:vit_jax/models_resnet.py",
        ({"type": "GroupNorm", "name": "gn1"}, {
            "type": "GroupNorm", "num_groups": 32, "num_channels": 64, "eps": 1e-6,
            "channel_axis": -1}),
    ),
    *rows(
        f"{F}examples/imagenet/models.py",
        ({"type": "BatchNorm", "use_running_average": False, "momentum": 0.9, "epsilon": 1e-5,
          "dtype": "float32", "name": "bn_init"}, {**BN, "momentum": 0.1}),
    ),
]  # fmt: skip
