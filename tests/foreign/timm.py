"""timm: names of its two lists."""

from . import rows

TIMM = "huggingface/pytorch-image-models:timm/"
BN = {"type": "BatchNorm2d", "num_features": 64}
GN = {"type": "GroupNorm", "num_groups": 32, "num_channels": 64}
LN = {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-6}
RMS = {"type": "RMSNorm", "normalized_shape": 64, "eps": 1e-6}
LN2 = {**LN, "channel_axis": 1}
RMS2 = {**RMS, "channel_axis": 1}
EVO = {"num_features": 64}
EVO_A = {"num_features": 64, "eps": 1e-3}
SIMPLE = {"type": "SimpleNorm", "num_features": 64}

ROWS = [
    *rows(
        f"{TIMM}layers/create_norm.py",
        ("batchnorm", BN),
        ("batch_norm", BN),
        ("batchnorm2d", BN),
        ("batchnorm1d", {**BN, "type": "BatchNorm1d"}),
        ("groupnorm", GN),
        ("groupnorm1", {**GN, "num_groups": 1}),
        ("layernorm", LN),
        ("layer_norm", LN),
        ("layernorm2d", LN2),
        ("layernormfp32", LN),
        ("layernorm2dfp32", LN2),
        ("rmsnorm", RMS),
        ("rmsnorm2d", RMS2),
        ("rmsnormfp32", RMS),
        ("rmsnorm2dfp32", RMS2),
        ("simplenorm", SIMPLE),
        ("simplenorm2d", {**SIMPLE, "channel_axis": 1}),
        ("frozenbatchnorm2d", {"type": "FrozenBatchNorm2d", "num_features": 64}),
    ),
    *rows(
        f"{TIMM}layers/create_norm_act.py",
        ("", None),
        ("evonormb0", {"type": "EvoNormB0", "num_features": 64, "eps": 1e-3}),
        ("evonormb1", {"type": "EvoNormB1", **EVO}),
        ("evonormb2", {"type": "EvoNormB2", **EVO}),
        ("evonorms0", {"type": "EvoNormS0", "num_features": 64}),
        ("evonorms0a", {"type": "EvoNormS0", **EVO_A}),
        ("evonorms1", {"type": "EvoNormS1", **EVO}),
        ("evonorms1a", {"type": "EvoNormS1", **EVO_A}),
        ("evonorms2", {"type": "EvoNormS2", **EVO}),
        ("evonorms2a", {"type": "EvoNormS2", **EVO_A}),
        ("frn", "{'type': 'FRN', 'eps': 1e-05, 'tlu': False}"),
        ("frntlu", {"type": "FilterResponseNorm", "num_features": 64, "eps": 1e-5}),
        ("inplaceabn", "'activation': 'leaky_relu'"),
        ("iabn", "'activation': 'leaky_relu'"),
        ("BatchNormAct2d", {**BN, "activation": "relu"}),
        ("GroupNormAct", {**GN, "activation": "relu"}),
        ("LayerNormAct", {**LN, "eps": 1e-5, "activation": "relu"}),
        ("LayerNormAct2d", {**LN2, "eps": 1e-5, "activation": "relu"}),
        ("RmsNormAct", {**RMS, "activation": "relu"}),
    ),
    *rows(
        f"{TIMM}models/maxxvit.py",
        ({"type": "layernorm2d", "eps": 1e-6}, LN2),
        ({"type": "layernorm", "eps": 1e-6}, LN),
        ({"type": "batchnorm2d", "eps": 1e-5}, BN),
    ),
    *rows(
        f"{TIMM}layers/evo_norm.py",
        (
            {"type": "EvoNorm2dB0", "apply_act": True, "momentum": 0.1, "eps": 1e-3},
            {"type": "EvoNormB0", "num_features": 64, "eps": 1e-3},
        ),
        ({"type": "EvoNorm2dB0", "apply_act": False}, "without its activation"),
    ),
    *rows(
        f"{TIMM}models/metaformer.py",
        ("LayerNormNoBias", {**LN, "bias": False}),
        ("LayerNorm2dNoBias", {**LN2, "bias": False}),
        ("GroupNorm1NoBias", {**GN, "num_groups": 1, "eps": 1e-6, "bias": False}),
    ),
    *rows(
        f"{TIMM}layers/grn.py",
        ("GlobalResponseNorm", {"type": "GRN", "num_features": 64, "channel_axis": -1}),
    ),
    *rows(
        f"{TIMM}models/tresnet.py",
        (
            {
                "type": "BatchNormAct2d",
                "act_layer": "LeakyReLU",
                "act_kwargs": {"negative_slope": 1e-3},
            },
            {**BN, "activation": "leaky_relu", "negative_slope": 1e-3},
        ),
    ),
]
