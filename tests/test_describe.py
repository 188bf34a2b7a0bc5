"""What is known about layers without building them: available, describe, schema."""

import json

import fakelayers
import pytest
from fakelayers import BATCH_NORM_OPTIONS, BATCH_NORMS

import cybn
from cybn.terms.registry import UnknownName


def test_available_names_are_canonical(fakes):
    names = cybn.available()
    assert {*BATCH_NORMS, "FakeGroup", "FakePlain"} <= set(names)
    assert "BN" not in names
    assert names == sorted(names, key=str.casefold)


def test_describe_is_plain(fakes):
    unexplained = {"type": "int", "required": True, "default": None, "description": None}
    assert cybn.describe("fg") == {
        "name": "FakeGroup",
        "aliases": ["FG"],
        "origin": fakelayers.__name__,
        "distribution": None,
        "version": None,
        "module": fakelayers.__name__,
        "summary": "A group norm, as far as its options go.",
        "explanation": "",
        "options": dict.fromkeys(("num_groups", "num_channels"), unexplained),
    }


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_describe_a_built_in(name):
    layer = cybn.describe(name)
    assert layer["origin"] == "built-in"
    assert layer["module"].startswith("cybn.layers.")
    assert layer["summary"]
    assert ", ".join(layer["options"]).startswith(BATCH_NORM_OPTIONS)
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
    assert schema["properties"]["type"]["anyOf"][0]["enum"][0] == "BatchNorm1d"
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
