"""Trees of layers in memory, and parts of files."""

import pytest

import cybn
from cybn.config.build import check_entries
from cybn.terms.registry import UnknownOption


def config(layer):
    return layer.get_config()


def test_a_tree_comes_in_its_own_shape():
    tree = {"stem": "BN2d", "stages": [["LN", None], {"type": "GN", "num_groups": 2}], "no": {}}
    net = cybn.build(tree, num_features=8)
    assert config(net["stem"]) == config(cybn.BatchNorm2d(8))
    assert config(net["stages"][0][0]) == config(cybn.LayerNorm(8))
    assert net["stages"][0][1] is None
    assert config(net["stages"][1]) == config(cybn.GroupNorm(2, 8))
    assert net["no"] == {}
    assert tree["stages"][1] == {"type": "GN", "num_groups": 2}


def test_one_layer_and_none():
    assert config(cybn.build("BN", num_features=4)) == config(cybn.BatchNorm2d(4))
    assert cybn.build(None, num_features=4) is None
    assert type(cybn.build((cybn.BatchNorm1d,), num_features=4)[0]) is cybn.BatchNorm1d


def test_defaults_fill_what_an_entry_does_not_say():
    net = cybn.build(
        [{"type": "BN1d", "num_features": 3, "eps": 0.5}, {"type": "LN"}, "AdaIN"],
        num_features=8, eps=0.25, dtype="float64",
    )  # fmt: skip
    assert (net[0].num_features, net[0].eps, net[0].dtype) == (3, 0.5, "float64")
    assert (net[1].normalized_shape, net[1].eps, net[1].dtype) == ((8,), 0.25, "float64")
    assert net[2].eps == 0.25  # which has neither a width nor a dtype


def test_a_width_by_its_own_name_is_kept():
    layer = cybn.build({"type": "GN", "num_groups": 2, "num_channels": 4}, num_features=8)
    assert layer.num_channels == 4


def test_a_default_that_nobody_has_is_an_error():
    with pytest.raises(UnknownOption, match="no layer has the option 'epz'; did you mean 'eps'"):
        cybn.build({"a": "AdaIN"}, epz=1)
    assert cybn.build([None], epz=1) == [None]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": [{"type": "BN1d"}]}, r"^a\[0\]: BatchNorm1d needs num_features"),
        ({"a": 3}, r"^a: expected a layer, which is a name"),
        ([{"type": "BN1d", "num_features": 0}], r"^\[0\]: BatchNorm1d: num_features must be"),
        (3, r"^expected a layer"),
        ({1: "BN"}, r"^the keys of a layer's config are str"),
    ],
)
def test_an_error_tells_the_place(tree, message):
    with pytest.raises((TypeError, ValueError), match=message):
        cybn.build(tree)


def test_a_layer_that_is_built_is_no_spec():
    with pytest.raises(TypeError, match=r"^a: create takes what describes a layer"):
        cybn.build({"a": cybn.BatchNorm1d(3)})


def test_a_tree_that_has_itself_in_it():
    tree = []
    tree.append(tree)
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        cybn.build(tree)


def test_memory_may_have_more_than_a_file():
    assert len(cybn.build([None] * 20_000)) == 20_000


# Parts of files

FILE = {
    "name": "net",
    "model": {
        "norm_cfg": {"type": "BN1d", "eps": 0.5},
        "widths": [64, 128],
        "stages": [{"norm": None}, {"norm": "LN"}],
        "key.with.dots": {"norm": {"type": "BN1d", "num_features": 3}},
    },
}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("model.norm_cfg", cybn.BatchNorm1d(8, eps=0.5)),
        ("model.stages[1].norm", cybn.LayerNorm(8)),
        ("model.key.with.dots.norm", cybn.BatchNorm1d(3)),
    ],
)
def test_a_part_is_looked_up_and_the_rest_left_alone(write, section, expected):
    layer = cybn.load_config(write(FILE), section, num_features=8)
    assert config(layer) == config(expected)


def test_a_part_may_be_a_tree(write):
    stages = cybn.load_config(write(FILE), section="model.stages", num_features=8)
    assert stages[0] == {"norm": None}
    assert config(stages[1]["norm"]) == config(cybn.LayerNorm(8))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("model.nrm_cfg", "in 'model' there is no 'nrm_cfg'; did you mean 'norm_cfg'? Keys: norm_"),
        ("modle", "there is no 'modle'; did you mean 'model'? Keys: name, model"),
        ("model.stages[2]", r"a list of 2 has no [2]"),
        ("model.stages.norm", "in 'model.stages' there is a list of 2; say [0]"),
        ("model.widths[0].x", "in 'model.widths[0]' there is 64 (int)"),
        ("name.x", "in 'name' there is 'net' (str)"),
    ],
)
def test_a_part_that_is_not_there(write, section, message):
    path = write(FILE)
    with pytest.raises(ValueError, match="section") as error:
        cybn.load_config(path, section=section)
    assert str(error.value).startswith(f"{path}: section {section!r}: {message}")


def test_a_section_is_text(write):
    with pytest.raises(TypeError, match="section is a path in the file"):
        cybn.load_config(write(FILE), section=3)


def test_an_error_in_a_part_has_its_whole_place(write):
    path = write({"a": {"b": [{"type": "BN1d", "num_features": 0}]}})
    with pytest.raises(ValueError, match="num_features must be") as error:
        cybn.load_config(path, section="a")
    assert str(error.value).startswith(f"{path}: a.b[0]: ")


def test_the_whole_of_a_file_with_other_content_says_which_part_to_load(write):
    path = write(FILE)
    with pytest.raises(ValueError, match="unknown layer 'net'") as error:
        cybn.load_config(path, num_features=8)
    assert str(error.value).endswith(
        "; load the part with layers, as by section='model.norm_cfg', 'model.stages[1].norm' or "
        "'model.key.with.dots.norm'"
    )


def test_a_mistake_in_a_layer_has_no_such_hint(write):
    path = write({"a": {"type": "BatchNrm1d"}, "b": {"type": "BN1d", "num_features": 3}})
    with pytest.raises(ValueError, match="did you mean 'BatchNorm1d'") as error:
        cybn.load_config(path)
    assert "section" not in str(error.value)


def test_check_tells_once_of_a_part_without_layers():
    report = check_entries("net.json", FILE, num_features=8)
    assert [(row.entry, row.builds is None) for row in report][:2] == [
        ("name", True), ("model.norm_cfg", False),
    ]  # fmt: skip
    report = check_entries("net.json", {"norm": "AdaIN", "train": {"lr": [1, 2], "epochs": 3}})
    assert [row.entry for row in report] == ["norm", "train"]
    assert str(report[1].error) == (
        "no layer is in this part of the file; load the part with layers, as by section='norm'"
    )


def test_check_a_part_with_what_it_needs():
    (row,) = check_entries("net.json", FILE, "model.norm_cfg", num_features=8)
    assert (row.entry, row.error) == ("model.norm_cfg", None)
    assert row.builds == repr(cybn.BatchNorm1d(8, eps=0.5))


def test_the_bounds_of_a_file_hold_for_a_part(write):
    path = write({"a": {"b": ["AdaIN"] * 10_001}})
    with pytest.raises(ValueError, match="more than 10,000 entries"):
        cybn.load_config(path, section="a")
    path = write({"a": {"type": "BN1d"}})
    with pytest.raises(ValueError, match="too much for a config file"):
        cybn.load_config(path, section="a", num_features=2**26)
    path = write({"a": {"type": "BN"}})
    with pytest.raises(ValueError, match="too much for a config file"):
        cybn.load_config(path, section="a", dialect="mmengine", num_features=2**26)
