"""Specs that bear the marks of a library, and whatever else a file may say."""

import json

import pytest

import cybn
from cybn.config.dialects.shelf import BUILT_IN, find
from cybn.terms.registry import UnknownName

TABLES = [find(name) for name in BUILT_IN]

# Marks


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"type": "BatchNorm2d", "momentum": 0.99}, "'keras', 'flax', 'onnx' or 'paddle'"),
        ({"type": "BatchNorm", "momentum": 0.9, "use_bias": False}, "'flax'"),
        ({"type": "LayerNorm", "epsilon": 1e-6}, "'flax' or 'paddle'"),
        ({"type": "LayerNormalization", "axis": -1}, "'keras'"),
        ({"type": "BN", "requires_grad": True}, "'mmengine'"),
        ({"type": "RMSNorm", "rms_norm_eps": 1e-6}, "'hf'"),
        ({"type": "BatchNorm2D", "data_format": "NCHW"}, "'paddle'"),
        ({"type": "BatchNormalization", "scale": False, "center": False}, "'keras'"),
        ({"class_name": "LayerNormalization", "config": {}}, "'keras'"),
        ({"op_type": "LayerNormalization"}, "'onnx'"),
        ({"class_path": "torch.nn.LayerNorm", "init_args": {"normalized_shape": 3}}, "'torch'"),
        ({"type": "timm.layers.LayerNorm"}, "'timm'"),
        (["instance", {}], None),
        ("naiveSyncBN", "'detectron2'"),
        ({"model_type": "bert", "layer_norm_eps": 1e-12, "hidden_size": 4}, "'hf'"),
    ],
)
def test_the_marks_of_a_dialect(spec, named):
    with pytest.raises((TypeError, ValueError)) as error:
        cybn.create(spec, num_features=3)
    if named is not None:
        assert f"dialect={named}" in str(error.value)


def test_a_heavy_momentum_beside_words_of_ours_is_meant():
    spec = {"type": "BatchNorm2d", "num_features": 3, "momentum": 0.99}
    for more in ({"affine": True}, {"track_running_stats": True}, {"channel_axis": 1}):
        assert cybn.create({**spec, **more}).momentum == 0.99
    assert cybn.create({"type": "BatchNorm2d", "num_features": 3}, momentum=0.99).momentum == 0.99
    assert cybn.create("BatchNorm2d", num_features=3, momentum=0.99).momentum == 0.99
    assert cybn.create({**spec, "momentum": 1.0}).momentum == 1.0
    assert cybn.create({**spec, "momentum": 0.89}).momentum == 0.89
    config = json.loads(json.dumps(cybn.BatchNorm2d(3, momentum=0.99).get_config()))
    assert cybn.create(config).momentum == 0.99
    assert cybn.create(spec, dialect="torch").momentum == 0.99


@pytest.mark.parametrize(
    "name",
    ["T5LayerNorm", "GemmaRMSNorm", "LlamaRMSNorm", "LayerNorm2d", "EvoNormB3",
     "XRMSNorm", "RMSNorm1p", "BatchNormalization", "LN2d", "GN8",
     "QuantLayerNorm", "ActNorm", "PixelNorm", "UnitNorm"],
)  # fmt: skip
def test_no_suggestion_builds_another_norm(name):
    with pytest.raises(UnknownName) as error:
        cybn.create(name, num_features=3)
    assert "did you mean" not in str(error.value)
    with pytest.raises(UnknownName) as error:
        cybn.describe(name)
    assert "did you mean" not in str(error.value)


# Whatever a file says

ODD = [
    None, True, False, 0, -1, 3, 2**40, -(2**40), 10**400, -(10**400), 0.5, 1e300, float("nan"),
    float("inf"), "", "x", "float32", "nn.ReLU", [], [0], [-1, -2], [[1]], [None], {}, {"a": 1},
    {"config": {"name": 3}}, {"config": 3},
]  # fmt: skip


def complaint(spec, **options):
    """What is wrong with a spec; None where nothing is."""
    try:
        cybn.create(spec, **options)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("dialect", TABLES, ids=lambda dialect: dialect.name)
def test_odd_values_are_errors_of_the_usual_kinds(dialect):
    options = {"dialect": dialect.name, "num_features": 4, "spatial_dims": 1}
    for norm in dialect.norms:
        given = {key: 1 for key in ("num_groups", "size") if key in norm.words}
        for word in norm.words:
            for value in ODD:
                spec = {"type": norm.names[0], **given, word: value}
                message = complaint(spec, **options) or ""
                assert "\n" not in message
                assert len(message) < 1000


@pytest.mark.parametrize("name", [*BUILT_IN, None])
def test_odd_tables_are_errors_of_the_usual_kinds(name):
    keys = ("type", "_target_", "class_name", "op_type", "model_type", "norm_op")
    for value in ODD if name else ODD[::4]:
        for key in keys:
            for more in ({"config": value}, {"attribute": value}, {"build_config": value}):
                for spec in ({key: value}, {key: "x", **more}, [value, more]):
                    assert "\n" not in (complaint(spec, dialect=name) or "")
