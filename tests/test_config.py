"""Layers from names, dicts, classes and files; what is wrong with them is said precisely."""

import json
import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cybn
from cybn.config import MAX_DEPTH, MAX_ENTRIES, check_config
from cybn.registry import UnknownName, UnknownOption, registry

BATCH_NORMS = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
OPTIONS = "num_features, eps, momentum, affine, track_running_stats, bias, dtype, channel_axis"


@pytest.fixture
def own_registry(monkeypatch):
    """What a test registers is gone when it ends."""
    monkeypatch.setattr(registry, "_entries", registry._entries)


@pytest.fixture
def fakes(own_registry):
    """Two layers: one calls its width num_channels, one has none."""

    @cybn.register("FakeGroup", aliases=("FG",))
    class FakeGroup(cybn.Layer):
        """A group norm, as far as its options go."""

        num_features_option = "num_channels"

        def __init__(self, num_groups: int, num_channels: int):
            super().__init__()

        def forward(self, x, out=None):
            return x

        def backward(self, dy, out=None):
            return dy

    @cybn.register("FakePlain")
    class FakePlain(FakeGroup):
        """A layer that knows no width."""

        num_features_option = None

        def __init__(self, scale: float = 1.0):
            cybn.Layer.__init__(self)


@pytest.fixture
def write(tmp_path):
    """Write a config file: text as it is, anything else as JSON; its path."""

    def write(content, name="net.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return write


def config(layer):
    return layer.get_config()


# create


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
            f"BatchNorm1d has no option 'epsilon'; did you mean 'eps'? Options: {OPTIONS}",
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


# load_config


def test_a_file_of_one_layer(write):
    path = write({"type": "BN1d", "num_features": 16})
    assert config(cybn.load_config(path)) == config(cybn.BatchNorm1d(16))
    assert config(cybn.load_config(str(path))) == config(cybn.BatchNorm1d(16))


def test_layers_come_in_the_shape_of_the_file(write, fakes):
    layer = {"type": "BN1d", "num_features": 16}
    net = cybn.load_config(
        write(
            {"stem": layer, "encoder": {"norms": [layer, None, "FakePlain"]}, "none": [], "no": {}}
        )
    )
    assert list(net) == ["stem", "encoder", "none", "no"]
    assert config(net["stem"]) == config(cybn.BatchNorm1d(16))
    first, second, third = net["encoder"]["norms"]
    assert config(first) == config(net["stem"])
    assert first is not net["stem"]
    assert second is None
    assert type(third).__name__ == "FakePlain"
    assert (net["none"], net["no"]) == ([], {})


def test_a_list_and_null(write):
    assert cybn.load_config(write([None, []])) == [None, []]
    assert cybn.load_config(write(None)) is None


def test_toml_and_yaml(write):
    toml = write('[stem]\ntype = "BN2d"\nnum_features = 4\neps = 1e-3\n', "net.toml")
    expected = config(cybn.BatchNorm2d(4, eps=1e-3))
    assert config(cybn.load_config(toml)["stem"]) == expected
    pytest.importorskip("yaml")
    yaml = write("stem: {type: BN2d, num_features: 4, eps: 1e-3}", "net.yaml")
    assert config(cybn.load_config(yaml)["stem"]) == expected


@pytest.mark.parametrize(
    ("content", "error", "place", "message"),
    [
        (
            {"encoder": {"norm1": {"type": "BN1d", "num_features": 4, "epsilon": 1}}},
            UnknownOption,
            "encoder.norm1: ",
            "BatchNorm1d has no option 'epsilon'; did you mean 'eps'?",
        ),
        ([None, {"type": "BN9"}], UnknownName, "[1]: ", "unknown layer 'BN9'; did you mean 'BN"),
        ({"type": "os.system"}, UnknownName, "", "'os.system' is a dotted path; "),
        ({"a": [["BN1d"]]}, TypeError, "a[0][0]: ", "BatchNorm1d needs num_features (int >= 1)"),
        (
            {"a": {"type": "BN1d", "num_features": -1}},
            ValueError,
            "a: ",
            "BatchNorm1d: num_features must be an int >= 1, got -1",
        ),
        (
            {"a": {"num_features": 16}},
            ValueError,
            "a.num_features: ",
            "expected a layer, which is a name, a table with 'type', or null, got 16 (int); "
            "if this is an option, its table lacks 'type'",
        ),
        (
            3,
            ValueError,
            "",
            "expected a layer, which is a name, a table with 'type', or null, got 3",
        ),
        (True, ValueError, "", "expected a layer, "),
        ({"a\nb": 1}, ValueError, r"'a\nb': ", "expected a layer, "),
        ({"": {"x" * 1000: 1}}, ValueError, "''.'xxx", ""),
    ],
)
def test_an_error_tells_file_and_entry(write, content, error, place, message):
    path = write(content)
    with pytest.raises(error) as caught:
        cybn.load_config(path)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"{path}: {place}{message}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250
    assert caught.value.__cause__ is not None


def test_the_entries_of_a_yaml_file_have_str_keys(write):
    pytest.importorskip("yaml")
    path = write("a: {1: {type: BN1d, num_features: 4}}", "net.yaml")
    with pytest.raises(ValueError, match="config are str") as error:
        cybn.load_config(path)
    assert str(error.value) == f"{path}: a: the keys of a layer's config are str, got 1 (int)"


def test_errors_of_the_file_itself(tmp_path, write):
    with pytest.raises(FileNotFoundError):
        cybn.load_config(tmp_path / "missing.toml")
    with pytest.raises(ValueError, match="a config is a file"):
        cybn.load_config(tmp_path)
    with pytest.raises(ValueError, match="not valid JSON"):
        cybn.load_config(write("{"))


def test_whatever_a_layer_raises_is_located(write, own_registry):
    @cybn.register("Exploding")
    class Exploding(cybn.BatchNorm1d):
        def __init__(self):
            raise KeyError("fuse")

    path = write({"a": "Exploding"})
    with pytest.raises(RuntimeError) as error:
        cybn.load_config(path)
    assert str(error.value) == f"{path}: a: KeyError: 'fuse'"


def nested(depth):
    spec = None
    for _ in range(depth):
        spec = [spec]
    return spec


def test_depth_is_bounded(write):
    cybn.load_config(write(nested(MAX_DEPTH)))
    path = write(nested(MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="nested") as error:
        cybn.load_config(path)
    assert (
        str(error.value) == f"{path}: {'[0]' * (MAX_DEPTH + 1)}: nested more than {MAX_DEPTH} deep"
    )


def test_the_number_of_entries_is_bounded(write):
    cybn.load_config(write([None] * (MAX_ENTRIES - 1)))
    path = write([None] * MAX_ENTRIES)
    with pytest.raises(ValueError, match="entries") as error:
        cybn.load_config(path)
    assert str(error.value) == f"{path}: more than 10,000 entries; split the file"


@pytest.mark.parametrize("use", ["[*a29]", "{type: BN1d, num_features: *a29}"])
def test_a_yaml_file_that_spells_billions_of_entries(write, use):
    pytest.importorskip("yaml")
    lines = ["a0: &a0 []"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    path = write("\n".join([*lines, f"last: {use}"]), "net.yaml")
    with pytest.raises((TypeError, ValueError), match=r"more than 10,000 entries|must be an int"):
        cybn.load_config(path)


def test_a_huge_value_from_yaml_makes_a_short_message(write):
    pytest.importorskip("yaml")
    value = "[]"
    for i in range(20):
        value = f"[&a{i} {value}{f', *a{i}' * 9}]"
    path = write(f"type: BN1d\nnum_features: {value}", "net.yaml")
    with pytest.raises(TypeError) as error:
        cybn.load_config(path)
    assert len(str(error.value)) < len(str(path)) + 200


def test_a_yaml_list_that_holds_itself(write):
    pytest.importorskip("yaml")
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        cybn.load_config(write("&a [*a]", "net.yaml"))


def test_loading_imports_nothing(write):
    before = set(sys.modules)
    path = write({"type": "wave.open"})
    with pytest.raises(UnknownName):
        cybn.load_config(path)
    assert "wave" not in set(sys.modules) - before


specs = st.fixed_dictionaries(
    {"type": st.sampled_from(BATCH_NORMS), "num_features": st.integers(1, 8)},
    optional={
        "eps": st.floats(1e-8, 1),
        "momentum": st.none() | st.floats(0, 1),
        "affine": st.booleans(),
        "dtype": st.sampled_from(["float32", "float64"]),
    },
)
names = st.text(min_size=1, max_size=5).filter(lambda name: name != "type")
trees = st.recursive(
    st.none() | specs,
    lambda node: st.lists(node, max_size=3) | st.dictionaries(names, node, max_size=3),
    max_leaves=8,
)


def configs(net):
    if isinstance(net, list):
        return [configs(each) for each in net]
    if isinstance(net, dict):
        return {name: configs(each) for name, each in net.items()}
    return net and net.get_config()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(trees)
def test_what_get_config_gives_loads_again(write, tree):
    net = cybn.load_config(write(tree))
    again = cybn.load_config(write(configs(net)))
    assert configs(again) == configs(net)
    assert all(each.error is None for each in check_config(write(tree)))


# check_config


def test_every_entry_is_reported(write):
    path = write(
        {
            "good": {"type": "BN1d", "num_features": 2},
            "none": None,
            "bad": [{"type": "BN1d"}, 3],
            "worse": {"type": "BatchNorm7d"},
        }
    )
    good, none, bad0, bad1, worse = check_config(path)
    assert (good.entry, good.builds, good.error) == ("good", repr(cybn.BatchNorm1d(2)), None)
    assert (none.entry, none.builds, none.error) == ("none", "None", None)
    assert (bad0.entry, bad0.builds) == ("bad[0]", None)
    assert str(bad0.error) == "BatchNorm1d needs num_features (int >= 1)"
    assert (bad1.entry, type(bad1.error)) == ("bad[1]", ValueError)
    assert (worse.entry, type(worse.error)) == ("worse", UnknownName)


def test_checking_raises_for_the_file(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        check_config(tmp_path / "missing.toml")
    path = write(nested(MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="deep"):
        check_config(path)


# available, describe, schema


def test_available_names_are_canonical(fakes):
    names = cybn.available()
    assert {*BATCH_NORMS, "FakeGroup", "FakePlain"} <= set(names)
    assert "BN" not in names
    assert names == sorted(names, key=str.casefold)


def test_describe_is_plain(fakes):
    assert cybn.describe("fg") == {
        "name": "FakeGroup",
        "aliases": ["FG"],
        "origin": __name__.partition(".")[0],
        "distribution": None,
        "version": None,
        "module": __name__,
        "summary": "A group norm, as far as its options go.",
        "options": {
            "num_groups": {"type": "int", "required": True, "default": None},
            "num_channels": {"type": "int", "required": True, "default": None},
        },
    }


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_describe_a_built_in(name):
    layer = cybn.describe(name)
    assert layer["origin"] == "built-in"
    assert layer["module"].startswith("cybn.layers.")
    assert layer["summary"]
    assert ", ".join(layer["options"]).startswith(OPTIONS)
    assert layer["options"]["eps"]["default"] == 1e-5
    assert json.loads(json.dumps(layer)) == layer


def test_describe_a_layer_without_docstring(own_registry):
    cybn.register("Mute")(type("Mute", (cybn.Layer,), {}))
    assert cybn.describe("Mute")["summary"] == ""


@pytest.mark.parametrize("function", [cybn.describe, cybn.schema])
def test_describe_and_schema_of_an_unknown_name(function):
    with pytest.raises(UnknownName, match="unknown layer 'BatchNrm2d'; did you mean 'BatchNorm2d'"):
        function("BatchNrm2d")


def test_the_schema_of_a_layer():
    schema = cybn.schema("bn1d")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "BatchNorm1d"
    assert schema["properties"]["type"]["enum"][0] == "BatchNorm1d"
    assert schema["required"] == ["type", "num_features"]
    assert schema["additionalProperties"] is False


def test_the_schema_of_any_layer_takes_what_create_takes(fakes):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(json.dumps(cybn.schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema).is_valid
    for spec in (
        None,
        {"type": "BatchNorm1d", "num_features": 4, "momentum": None},
        {"type": "BN2d", "num_features": 4, "eps": 0.5},
        {"type": "FG", "num_groups": 2, "num_channels": 4},
        {"type": "FG", "num_groups": 2, "num_features": 4},
        {"type": "FakePlain"},
        {"type": "FakePlain", "num_features": 4},
    ):
        assert valid(spec)
        cybn.create(spec)
    for spec in (
        {},
        {"type": "BatchNorm1d"},
        {"type": "BatchNorm7d", "num_features": 4},
        {"type": "BatchNorm1d", "num_features": 0},
        {"type": "BatchNorm1d", "num_features": 4, "epsilon": 1e-3},
        {"type": "BatchNorm1d", "num_features": 4, "dtype": "int8"},
        {"type": "FG", "num_groups": 2},
        {"type": "FG", "num_groups": 2, "num_features": "4"},
    ):
        assert not valid(spec)
        with pytest.raises((TypeError, ValueError)):
            cybn.create(spec)


def test_paths_of_any_kind(write):
    class Here(os.PathLike):
        def __fspath__(self):
            return str(write([3]))

    with pytest.raises(ValueError, match=r"net\.json: \[0\]: expected a layer"):
        cybn.load_config(Here())
