"""Activations by the names of other libraries: each is theirs, or refused with the reason."""

import numpy as np
import pytest

import cybn

X = np.random.default_rng(0).normal(0, 3, (4, 3, 5, 5)).astype(np.float32)
MM = {"type": "BN"}


def act(layer):
    """What a layer ends in."""
    slope = layer.negative_slope if layer.activation == "leaky_relu" else None
    alpha = layer.alpha if layer.activation == "elu" else None
    return layer.activation, slope or alpha


GIVEN = [
    ("mmengine", MM, {"act_cfg": None}, (None, None)),
    ("mmengine", MM, {"act_cfg": {"type": "ReLU", "inplace": True}}, ("relu", None)),
    ("mmengine", MM, {"act_cfg": {"type": "Swish"}}, ("silu", None)),
    ("mmengine", MM, {"act_cfg": {"type": "HSwish"}}, ("hardswish", None)),
    ("mmengine", MM, {"act_cfg": {"type": "ELU", "alpha": 0.5}}, ("elu", 0.5)),
    ("mmengine", MM, {"act_cfg": {"type": "LeakyReLU"}}, ("leaky_relu", 0.01)),
    ("mmengine", MM, {"act_cfg": {"type": "LeakyReLU", "negative_slope": 0.2}},
     ("leaky_relu", 0.2)),
    ("mmengine", MM, {"act_cfg": {"type": "nn.GELU", "approximate": "tanh"}}, ("gelu_tanh", None)),
    ("timm", "BatchNormAct2d", {}, ("relu", None)),
    ("timm", "BatchNormAct2d", {"act_layer": ""}, (None, None)),
    ("timm", "BatchNormAct2d", {"act_layer": "swish"}, ("silu", None)),
    ("timm", "BatchNormAct2d", {"act_layer": "gelu", "act_kwargs": {"approximate": "tanh"}},
     ("gelu_tanh", None)),
    ("timm", "BatchNormAct2d", {"act_layer": "elu", "act_kwargs": {"alpha": 2.0}}, ("elu", 2.0)),
    ("timm", "BatchNormAct2d", {"act_layer": "elu", "apply_act": False}, (None, None)),
    ("keras", "BatchNormalization", {"activation": "swish"}, ("silu", None)),
    ("keras", "BatchNormalization", {"activation": "linear"}, (None, None)),
    ("keras", "BatchNormalization", {"activation": "hard_silu"}, ("hardswish", None)),
    ("keras", "BatchNormalization", {"activation": "leaky_relu"}, ("leaky_relu", 0.2)),
    ("keras", "GroupNormalization", {"activation": {"class_name": "LeakyReLU", "config": {}},
                                     "groups": 1}, ("leaky_relu", 0.3)),
    ("keras", "LayerNormalization", {"activation": {"class_name": "LeakyReLU", "config": {
        "name": "act", "trainable": True, "dtype": "float32", "alpha": 0.1}}},
     ("leaky_relu", 0.1)),
    ("keras", "LayerNormalization", {"activation": {"class_name": "ReLU", "config": {
        "max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}}}, ("relu6", None)),
    ("monai", "batch", {"act": ("leakyrelu", {"inplace": True, "negative_slope": 0.1})},
     ("leaky_relu", 0.1)),
    ("monai", "instance", {"act": "RELU"}, ("relu", None)),
    ("monai", "instance", {"act": {"name": "memswish"}}, None),
    ("hf", {"model_type": "bit", "num_groups": 1, "hidden_act": "gelu_new"}, {},
     ("gelu_tanh", None)),
    ("mmengine", MM, {"act_cfg": {"type": "PReLU"}}, None),
    ("mmengine", MM, {"act_cfg": {"type": "Sigmoid"}}, None),
    ("mmengine", MM, {"act_cfg": {"type": "ReLU", "what": 1}}, None),
    ("mmengine", {"type": "GRN"}, {"act_cfg": {"type": "LeakyReLU", "negative_slope": 0.1}}, None),
    ("keras", "BatchNormalization", {"activation": {"class_name": "ReLU", "config": {
        "max_value": 5.0}}}, None),
    ("keras", "BatchNormalization", {"activation": "softmax"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "spec", "given", "means"), GIVEN)
def test_an_activation_that_is_given(dialect, spec, given, means):
    def create():
        return cybn.create(spec, dialect=dialect, num_features=3, spatial_dims=2, **given)

    if means is None:
        with pytest.raises(ValueError, match=r"activation.* and apply it to the output"):
            create()
    else:
        assert act(create()) == means


@pytest.mark.parametrize("value", [3, [], ["relu"], {"alpha": 1}, {"type": 3}, True, 1.5])
@pytest.mark.parametrize(
    ("dialect", "spec", "name"),
    [("mmengine", MM, "act_cfg"), ("timm", "BatchNormAct2d", "act_layer"),
     ("keras", "BatchNormalization", "activation")],
)  # fmt: skip
def test_what_names_no_activation(dialect, spec, name, value):
    with pytest.raises((TypeError, ValueError), match="an activation"):
        cybn.create(spec, dialect=dialect, num_features=3, **{name: value})


def test_a_norm_of_a_config_is_built_without_the_activation_beside_it(tmp_path):
    path = tmp_path / "net.json"
    path.write_text('{"norm_cfg": {"type": "BN"}, "act_cfg": {"type": "ReLU"}}', "utf-8")
    layer = cybn.load_config(path, section="norm_cfg", dialect="mmengine", num_features=3)
    assert layer.activation is None


def theirs():
    """Activations of timm and transformers by their names, where these are installed."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    transformers = pytest.importorskip(
        "transformers", reason="needs transformers: pip install transformers"
    )
    for name in transformers.activations.ACT2FN:
        yield "hf", name, transformers.activations.ACT2FN.__getitem__
    timm = pytest.importorskip("timm", reason="needs timm: pip install timm")
    for name in timm.layers.create_act._ACT_LAYER_DEFAULT:
        yield "timm", name, timm.layers.create_act_layer
    for name in ("ReLU", "LeakyReLU", "ReLU6", "ELU", "GELU", "SiLU", "Hardswish", "Mish", "CELU"):
        yield "mmengine", name, lambda name: getattr(torch.nn, name)()


def test_every_name_of_an_activation_is_theirs():
    """The layer's output is theirs of the norm's, for each that is not refused."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")

    spec = {
        "hf": lambda name: {"type": "BitGroupNormActivation", "hidden_act": name, "num_groups": 3},
        "timm": lambda name: {"type": "GroupNormAct", "act_layer": name, "num_groups": 3},
        "mmengine": lambda name: {"type": "GN", "num_groups": 3, "act_cfg": {"type": name}},
    }
    plain = cybn.GroupNorm(3, 3)(X)
    built = {"hf": set(), "timm": set(), "mmengine": set()}
    for dialect, name, make in theirs():
        try:
            layer = cybn.create(spec[dialect](name), dialect=dialect, num_features=3)
        except cybn.dialects.Refused:
            continue
        expected = make(name)(torch.from_numpy(plain.copy())).numpy()
        np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-6, err_msg=name)
        built[dialect].add(layer.activation)
    assert all({"relu", "silu", "gelu", "mish"} <= names for names in built.values())
