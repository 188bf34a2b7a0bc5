"""The JSON Schema of options takes what checking takes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signatures import Norm, taking

from cybn.terms.docstrings import STANDARD
from cybn.terms.signature import Bounds, DType, PositiveInt, check, json_schema


def test_the_schema_of_a_class():
    words = STANDARD.named()  # of the options that need no docstring
    said = {name: {"description": entry.text} for name, entry in words.items()}
    pattern = r"^([_-]*[Nn][_-]*[Oo][_-]*[Rr][_-]*[Mm][_-]*|[_-]*[Nn][_-]*)$(?!\n)"
    assert json_schema(Norm, ["Norm", "N"]) == {
        "title": "Norm",
        "type": "object",
        "properties": {
            "type": {
                "anyOf": [
                    {"enum": ["Norm", "N"]},
                    {"type": "string", "pattern": pattern},
                ]
            },
            "num_features": {
                "type": "integer",
                "minimum": 1,
                "maximum": 2**31 - 1,
                **said["num_features"],
            },
            "eps": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": sys.float_info.max,
                "default": 1e-5,
            },
            "momentum": {
                "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}],
                "default": 0.1,
            },
            "affine": {"type": "boolean", "default": True, **said["affine"]},
            "mode": {"enum": ["batch", "group"], "default": "batch"},
            "channel_axis": {"enum": [1, -1], "default": 1, **said["channel_axis"]},
            "dtype": {"enum": ["float32", "float64"], "default": "float32", **said["dtype"]},
        },
        "required": ["type", "num_features"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (Any, {}),
        (str, {"type": "string"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
    ],
)
def test_the_schema_of_an_annotation(annotation, schema):
    assert json_schema(taking(annotation))["properties"]["x"] == schema


@pytest.mark.parametrize("default", [np.ones(2), object(), math.nan])
def test_a_default_that_json_cannot_hold_is_left_out(default):
    assert json_schema(taking(Any, default))["properties"]["x"] == {}


def test_defaults_in_the_schema_are_plain():
    assert json_schema(taking(DType, np.float64))["properties"]["x"]["default"] == "float64"
    assert json_schema(taking(tuple[int, ...], (1, 2)))["properties"]["x"]["default"] == [1, 2]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([-0.5, 0.5, 1.5, "a", "float32"]),
    lambda items: (
        st.lists(items, max_size=3) | st.dictionaries(st.sampled_from("ab"), items, max_size=2)
    ),
    max_leaves=5,
)
annotations = st.sampled_from(
    [
        PositiveInt,
        Annotated[float | None, Bounds(gt=0, le=1)],
        bool,
        Literal["a", "b"],
        DType,
        int | Sequence[PositiveInt],
        tuple[int, str],
        dict[str, float] | None,
    ]
)


@settings(max_examples=100, deadline=None)
@given(annotations, json_values)
def test_the_schema_takes_what_check_takes(annotation, value):
    jsonschema = pytest.importorskip("jsonschema")
    config = json.loads(json.dumps({"type": "One", "x": value}))
    valid = jsonschema.Draft202012Validator(json_schema(taking(annotation), ["One"])).is_valid(
        config
    )
    try:
        check(taking(annotation), {"x": value}, in_config=True)
    except (TypeError, ValueError):
        assert not valid
    else:
        assert valid
