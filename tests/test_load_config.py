"""Layers from files; what is wrong with an entry is said precisely, and where it stands."""

import os
import sys

import pytest
from fakelayers import BATCH_NORMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cybn
from cybn.config.build import MAX_DEPTH, MAX_ENTRIES, check_config
from cybn.terms.registry import UnknownName, UnknownOption


def config(layer):
    return layer.get_config()


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


def test_paths_of_any_kind(write):
    class Here(os.PathLike):
        def __fspath__(self):
            return str(write([3]))

    with pytest.raises(ValueError, match=r"net\.json: \[0\]: expected a layer"):
        cybn.load_config(Here())


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
        ([None, {"type": "BN9d"}], UnknownName, "[1]: ", "unknown layer 'BN9d'; did you mean 'BN"),
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
    assert len(str(caught.value)) < len(str(path)) + 360
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
    with pytest.raises((TypeError, ValueError), match="aliases spell more than 1,000,000 values"):
        cybn.load_config(path)


def test_a_huge_value_from_yaml_makes_a_short_message(write):
    pytest.importorskip("yaml")
    value = "[]"
    for i in range(5):
        value = f"[&a{i} {value}{f', *a{i}' * 9}]"
    path = write(f"type: BN1d\nnum_features: {value}", "net.yaml")
    with pytest.raises(TypeError) as error:
        cybn.load_config(path)
    assert len(str(error.value)) < len(str(path)) + 200


def test_a_yaml_list_that_holds_itself(write):
    pytest.importorskip("yaml")
    with pytest.raises(ValueError, match="not valid YAML: a list or table holds itself"):
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
        "momentum": st.none() | st.floats(0, 0.875),  # from 0.9 on it may be meant otherwise
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
    assert str(bad0.error).startswith("BatchNorm1d needs num_features (int >= 1); for all layers ")
    assert (bad1.entry, type(bad1.error)) == ("bad[1]", ValueError)
    assert (worse.entry, type(worse.error)) == ("worse", UnknownName)


def test_checking_raises_for_the_file(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        check_config(tmp_path / "missing.toml")
    path = write(nested(MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="deep"):
        check_config(path)
