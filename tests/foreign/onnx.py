"""ONNX: nodes of its own tests."""

from . import rows

NODE = "onnx/onnx:onnx/backend/test/case/node/"
FROZEN = {"type": "FrozenBatchNorm2d", "num_features": 64}
BN = {"type": "BatchNorm2d", "num_features": 64, "unbiased": False}
IN = {"type": "InstanceNorm2d", "num_features": 64, "affine": True}
GN = {"type": "GroupNorm", "num_groups": 2, "num_channels": 64}
LN = {"type": "LayerNorm", "normalized_shape": 64}
LENGTH = {"type": "LpNormalization"}
MVN = {"type": "MeanVarianceNormalization"}


def node(op_type, **attributes):
    """As protobuf writes it in JSON."""
    kinds = {int: ("i", "INT"), float: ("f", "FLOAT")}
    attribute = [
        {"name": name, kinds[type(value)][0]: value, "type": kinds[type(value)][1]}
        for name, value in attributes.items()
    ]
    return {"opType": op_type, "input": ["X", "W", "B"], "output": ["Y"], "attribute": attribute}


TRAINS = ["y", "output_mean", "output_var", "saved_mean", "saved_var"]

ROWS = [
    *rows(
        f"{NODE}batchnorm.py",
        (node("BatchNormalization"), FROZEN),
        (node("BatchNormalization", epsilon=1e-2), {**FROZEN, "eps": 1e-2}),
        (node("BatchNormalization", training_mode=1), BN),
        (node("BatchNormalization", epsilon=1e-2, training_mode=1), {**BN, "eps": 1e-2}),
        ({**node("BatchNormalization"), "output": TRAINS}, BN),
        ({"op_type": "BatchNormalization", "momentum": 0.9, "training_mode": 1}, BN),
    ),
    *rows(
        f"{NODE}instancenorm.py",
        (node("InstanceNormalization"), IN),
        (node("InstanceNormalization", epsilon=1e-2), {**IN, "eps": 1e-2}),
    ),
    *rows(
        f"{NODE}groupnormalization.py",
        (node("GroupNormalization", num_groups=2), GN),
        (node("GroupNormalization", epsilon=1e-2, num_groups=2), {**GN, "eps": 1e-2}),
        ({"op_type": "GroupNormalization", "num_groups": 2, "since_version": 18}, "of groups"),
    ),
    *rows(
        f"{NODE}layernormalization.py",
        (node("LayerNormalization"), LN),
        (node("LayerNormalization", axis=-1), LN),
        (node("LayerNormalization", axis=-2), "normalized_shape"),
        (
            node("LayerNormalization", axis=-2),
            {**LN, "normalized_shape": [4, 5]},
            {"normalized_shape": [4, 5]},
        ),
        (
            node("LayerNormalization", axis=-3, epsilon=1e-1),
            {**LN, "normalized_shape": [2, 3, 5], "eps": 0.1},
            {"normalized_shape": [2, 3, 5]},
        ),
        (node("LayerNormalization", axis=1), "averages over axis 1"),
        (
            node("LayerNormalization", axis=2),
            {**LN, "normalized_shape": [4, 5]},
            {"normalized_shape": [4, 5]},
        ),
        ({**node("LayerNormalization"), "input": ["X", "W"]}, {**LN, "bias": False}),
    ),
    *rows(
        f"{NODE}lrn.py",
        (
            node("LRN", alpha=0.0002, beta=0.5, bias=2.0, size=3),
            {"type": "LocalResponseNorm", "size": 3, "alpha": 2e-4, "beta": 0.5, "k": 2.0},
        ),
        (node("LRN", size=3), {"type": "LocalResponseNorm", "size": 3}),
        (node("LRN", size=4), "one more is after the centre"),
    ),
    *rows(
        f"{NODE}lpnormalization.py",
        (node("LpNormalization"), LENGTH),
        (node("LpNormalization", axis=1, p=1), {**LENGTH, "axis": 1, "p": 1}),
        (node("LpNormalization", p=3), "p must be 1 or 2, got 3"),
    ),
    *rows(
        f"{NODE}meanvariancenormalization.py",
        (node("MeanVarianceNormalization"), MVN),
        ({"op_type": "MeanVarianceNormalization", "axes": [2, 3]}, {**MVN, "axes": [2, 3]}),
    ),
]
