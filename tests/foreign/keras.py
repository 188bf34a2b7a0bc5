"""Keras: layers as tests, applications and saved models have them."""

from . import rows

K = "keras-team/keras:keras/src/"
BN = {
    "type": "BatchNorm2d", "num_features": 64, "momentum": 0.01, "eps": 1e-3, "channel_axis": -1,
    "unbiased": False,
}  # fmt: skip
LN = {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-3}
GN = {"type": "GroupNorm", "num_groups": 32, "num_channels": 64, "eps": 1e-3, "channel_axis": -1}
RMS = {"type": "RMSNorm", "normalized_shape": 64, "eps": 1e-6}
PLAIN = {**GN, "affine": False}


def of(class_name, **config):
    return {"class_name": class_name, "config": config}


ROWS = [
    *rows(
        f"{K}layers/normalization/batch_normalization_test.py",
        (of("BatchNormalization", center=True, scale=True), BN),
        (of("BatchNormalization", center=False, scale=False), {**BN, "affine": False}),
        (of("BatchNormalization", center=True, scale=True, beta_regularizer="l2"), BN),
        (of("BatchNormalization", axis=-1, momentum=0), {**BN, "momentum": 1.0}),
        (
            of("BatchNormalization", axis=1, momentum=0, moving_mean_initializer="ones"),
            {**BN, "momentum": 1.0, "channel_axis": 1},
        ),
        (
            of("BatchNormalization", axis=-1, momentum=0.8, epsilon=1e-7),
            {**BN, "momentum": 0.2, "eps": 1e-7},
        ),
        (
            of("BatchNormalization", axis=-1, momentum=0.8, epsilon=1e-7, trainable=False),
            {"type": "FrozenBatchNorm2d", "num_features": 64, "eps": 1e-7, "channel_axis": -1},
        ),
        (of("BatchNormalization", momentum=0.0), {**BN, "momentum": 1.0}),
        (of("BatchNormalization", momentum=1.0), {**BN, "momentum": 0.0}),
        (of("BatchNormalization", momentum=1.5), "momentum must be"),
        (of("BatchNormalization", renorm=True), "{'type': 'BRN'}"),
        (
            of(
                "BatchNormalization",
                renorm=True,
                renorm_momentum=0.95,
                renorm_clipping={"rmax": 3.0, "rmin": 0.3, "dmax": 5.0},
            ),
            "batch renormalization is a layer of its own",
        ),
        (
            of("BatchNormalization", scale=False, center=False, synchronized=True),
            {**BN, "affine": False},
        ),
    ),
    *rows(
        f"{K}layers/normalization/group_normalization_test.py",
        (of("GroupNormalization"), GN),
        (of("GroupNormalization", groups=4), {**GN, "num_groups": 4}),
        (of("GroupNormalization", groups=5), "divisible"),
        (
            of("GroupNormalization", groups=-1, axis=-1, scale=False, center=False),
            {**PLAIN, "num_groups": 64},
        ),
        (
            of("GroupNormalization", groups=1, axis=-1, scale=False, center=False),
            {**PLAIN, "num_groups": 1},
        ),
        (
            of("GroupNormalization", groups=2, axis=1),
            {**GN, "num_groups": 2, "channel_axis": 1},
        ),
        (
            of("GroupNormalization", groups=2, axis=2, scale=False, center=False),
            {**PLAIN, "num_groups": 2},
        ),
        (
            of(
                "GroupNormalization",
                groups=2,
                axis=-1,
                scale=False,
                center=False,
                epsilon=1e-2,
                dtype="mixed_bfloat16",
            ),
            {**PLAIN, "num_groups": 2, "eps": 1e-2},
        ),
    ),
    *rows(
        f"{K}layers/normalization/layer_normalization_test.py",
        (of("LayerNormalization"), LN),
        (of("LayerNormalization", gamma_initializer="ones", beta_initializer="ones"), LN),
        (
            of("LayerNormalization", scale=False, center=False),
            {**LN, "elementwise_affine": False},
        ),
        (of("LayerNormalization", rms_scaling=True), "without centring"),
        (of("LayerNormalization", axis=[-3, -2, -1]), "normalized_shape"),
        (
            of("LayerNormalization", axis=[-3, -2, -1]),
            {**LN, "normalized_shape": [8, 8, 3]},
            {"normalized_shape": [8, 8, 3]},
        ),
        (
            of("LayerNormalization", axis=[-1, -2]),
            {**LN, "normalized_shape": [3, 4]},
            {"normalized_shape": [3, 4]},
        ),
        (of("LayerNormalization", dtype="float32"), LN),
    ),
    *rows(
        f"{K}layers/normalization/rms_normalization_test.py",
        (of("RMSNormalization"), RMS),
        (of("RMSNormalization", axis=-1), RMS),
        (of("RMSNormalization", axis=[-1, -2]), "normalized_shape"),
    ),
    *rows(
        f"{K}applications/mobilenet_v2.py",
        (
            of("BatchNormalization", axis=-1, epsilon=1e-3, momentum=0.999, name="bn_Conv1"),
            {**BN, "momentum": 0.001},
        ),
    ),
    *rows(
        f"{K}applications/resnet.py",
        (
            of("BatchNormalization", axis=3, epsilon=1.001e-5, name="conv1_bn"),
            {**BN, "eps": 1.001e-5},
        ),
        (
            of("BatchNormalization", axis=[3], epsilon=1.001e-5, trainable=True),
            {**BN, "eps": 1.001e-5},
        ),
    ),
    *rows(
        f"{K}applications/convnext.py",
        (of("LayerNormalization", epsilon=1e-6, name="head_layernorm"), {**LN, "eps": 1e-6}),
        (of("Normalization", mean=[123.675], variance=[3409.98]), "statistics are those of a data"),
    ),
    *rows(
        f"{K}applications/efficientnet.py",
        (
            of("BatchNormalization", axis=3, name="stem_bn"),
            {**BN, "activation": "silu"},
            {"num_features": 64, "activation": "swish"},
        ),
        (of("BatchNormalization", axis=1, name="top_bn"), {**BN, "channel_axis": 1}),
        (of("Normalization", axis=3), "statistics are those of a data"),
    ),
    *rows(
        f"{K}applications/inception_v3.py",
        (of("BatchNormalization", axis=3, scale=False), {**BN, "weight": False}),
        (
            of("BatchNormalization", axis=1, scale=False),
            {**BN, "weight": False, "channel_axis": 1, "activation": "relu"},
            {"num_features": 64, "activation": "relu"},
        ),
    ),
]
