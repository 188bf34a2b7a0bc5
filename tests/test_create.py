"""Layers from names, dicts and classes; what is wrong with them is said precisely."""

import json

import pytest
from fakelayers import BATCH_NORM_OPTIONS, BATCH_NORMS

import cybn
from cybn.terms.registry import UnknownName, UnknownOption


def config(layer):
    return layer.get_config()


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_a_layer_from_its_name_a_dict_and_its_class(name):
    cls = getattr(cybn, name)
    expected = config(cls(16, eps=0.5))
    assert config(cybn.create(name, num_features=16, eps=0.5)) == expected
    assert config(cybn.create({"type": name, "num_features": 16, "eps": 0.5})) == expected
    assert config(cybn.create({"type": cls, "num_features": 16}, eps=0.5)) == expected
    assert config(cybn.create(cls, num_features=16, eps=0.5)) == expected


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_a_config_builds_an_equal_layer(name):
    layer = cybn.create(name, num_features=3, momentum=None, dtype="float64", channel_axis=-1)
    assert type(cybn.create(config(layer))) is type(layer)
    assert config(cybn.create(config(layer))) == config(layer)
    assert config(cybn.create(json.loads(json.dumps(config(layer))))) == config(layer)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("batchnorm1d", "BatchNorm1d"),
        ("batch_norm_2d", "BatchNorm2d"),
        ("BATCH-NORM-3D", "BatchNorm3d"),
        ("BN1d", "BatchNorm1d"),
        ("bn_2d", "BatchNorm2d"),
        ("BN3d", "BatchNorm3d"),
        ("BN", "BatchNorm2d"),
        ("BatchNorm", "BatchNorm2d"),
    ],
)
def test_aliases_case_and_separators(spelling, name):
    assert type(cybn.create(spelling, num_features=2)) is getattr(cybn, name)


def test_none_gives_none():
    assert cybn.create(None) is None
    assert cybn.create(None, num_features=16) is None


def test_options_override_the_spec_which_is_not_modified():
    spec = {"type": "BN1d", "num_features": 8, "eps": 0.25}
    before = dict(spec)
    assert config(cybn.create(spec, num_features=16))["num_features"] == 16
    assert config(cybn.create(spec))["num_features"] == 8
    assert spec == before


def test_the_type_can_be_overridden_too():
    assert type(cybn.create({"type": "BN1d", "num_features": 2}, type="BN3d")) is cybn.BatchNorm3d


def test_one_norm_config_serves_layers_that_name_their_width_otherwise(fakes):
    group = cybn.create({"type": "FG", "num_groups": 4}, num_features=32)
    assert config(group) == {"type": "FakeGroup", "num_groups": 4, "num_channels": 32}
    in_the_spec = cybn.create({"type": "FG", "num_groups": 4, "num_features": 32})
    assert config(in_the_spec) == config(group)


def test_a_width_given_by_its_own_name_wins(fakes):
    group = cybn.create({"type": "FG", "num_groups": 4, "num_channels": 8}, num_features=32)
    assert config(group)["num_channels"] == 8


def test_a_width_is_dropped_where_there_is_none(fakes):
    assert config(cybn.create("FakePlain", num_features=32)) == {"type": "FakePlain", "scale": 1.0}


def test_a_class_need_not_be_registered():
    class Private(cybn.BatchNorm1d): ...

    assert type(cybn.create(Private, num_features=4)) is Private


@pytest.mark.parametrize(
    ("spec", "options", "error", "message"),
    [
        (
            "BatchNrm1d",
            {},
            UnknownName,
            "unknown layer 'BatchNrm1d'; did you mean 'BatchNorm1d'",
        ),
        (
            {"type": "torch.nn.BatchNorm1d"},
            {},
            UnknownName,
            "'torch.nn.BatchNorm1d' is a dotted path; a config names a registered layer, "
            "nothing is imported because a file says so; did you mean 'BatchNorm1d'?",
        ),
        (
            "BN1d",
            {"num_features": 4, "epsilon": 1e-3},
            UnknownOption,
            "BatchNorm1d has no option 'epsilon'; did you mean 'eps'? "
            f"Options: {BATCH_NORM_OPTIONS}",
        ),
        ("BN1d", {}, TypeError, "BatchNorm1d needs num_features (int >= 1)"),
        (
            {"type": "BN1d", "num_features": "16"},
            {},
            TypeError,
            "BatchNorm1d: num_features must be an int >= 1, got '16' (str)",
        ),
        (
            {"type": "BN1d", "num_features": 0},
            {},
            ValueError,
            "BatchNorm1d: num_features must be an int >= 1, got 0",
        ),
        (
            {"num_features": 16},
            {},
            ValueError,
            "a layer's config needs 'type', the layer's name; got {'num_features': 16}",
        ),
        ({"type": 3}, {}, TypeError, "a layer name is a str, got 3 (int)"),
        ({"type": None}, {}, TypeError, "a layer name is a str, got None"),
        (
            {"type": "BN1d", 3: 4},
            {},
            ValueError,
            "the keys of a layer's config are str, got 3 (int)",
        ),
        (
            16,
            {},
            TypeError,
            "create takes a layer's name, a dict with 'type', a Layer class or None, got 16 (int)",
        ),
        (
            ["BN1d"],
            {},
            TypeError,
            "create takes a layer's name, a dict with 'type', a Layer class or None, "
            "got ['BN1d'] (list)",
        ),
        (dict, {}, TypeError, "builtins.dict is no subclass of cybn.Layer"),
    ],
)
def test_a_wrong_spec(spec, options, error, message):
    with pytest.raises(error) as caught:
        cybn.create(spec, **options)
    assert str(caught.value).startswith(message)


def test_a_layer_is_no_spec():
    layer = cybn.create("BN1d", num_features=2)
    with pytest.raises(TypeError) as error:
        cybn.create(layer)
    assert str(error.value).startswith(
        "create takes what describes a layer, got one that is built: "
    )
    assert str(error.value).endswith("; use it as it is, or create from its get_config()")


def test_nothing_is_built_when_an_option_is_wrong(own_registry):
    built = []

    @cybn.register("Watched")
    class Watched(cybn.BatchNorm1d):
        def __init__(self, num_features: int, ratio: float = 1.0):
            built.append(num_features)

    with pytest.raises(TypeError, match="ratio must be a number"):
        cybn.create("Watched", num_features=3, ratio="x")
    assert built == []
