"""Options: read from a signature, bound as a call binds them, checked and made plain."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybn.options import (
    REQUIRED,
    Bounds,
    DType,
    Kind,
    PositiveInt,
    bind,
    check,
    json_schema,
    options_of,
)
from cybn.registry import UnknownOption


class Norm:
    """A class with the options of a batch norm."""

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float | None, Bounds(ge=0, le=1)] = 0.1,
        affine: bool = True,
        *,
        mode: Literal["batch", "group"] = "batch",
        channel_axis: Literal[1, -1] = 1,
        dtype: DType = "float32",
    ):
        """Nothing to do."""


def taking(annotation, default=REQUIRED):
    """A class with one option ``x``."""

    class One:
        def __init__(self, x): ...

    One.__init__.__annotations__ = {"x": annotation}
    if default is not REQUIRED:
        One.__init__.__defaults__ = (default,)
    return One


def checked(annotation, value):
    return check(taking(annotation), {"x": value})["x"]


def same(a, b):
    return type(a) is type(b) and a == b


# Reading


def test_options_are_the_parameters_in_order():
    options = options_of(Norm)
    assert list(options) == [
        "num_features", "eps", "momentum", "affine", "mode", "channel_axis", "dtype",
    ]  # fmt: skip
    assert [name for name, option in options.items() if option.required] == ["num_features"]
    assert [name for name, option in options.items() if option.keyword_only] == [
        "mode", "channel_axis", "dtype",
    ]  # fmt: skip
    assert options["eps"].default == 1e-5


def test_options_are_read_once_and_cannot_be_edited():
    assert options_of(Norm) is options_of(Norm)
    with pytest.raises(TypeError):
        options_of(Norm)["x"] = None


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (float, "number"),
        (bool, "bool"),
        (str, "str"),
        (None, "None"),
        (Any, "any value"),
        (np.ndarray, "any value"),
        (PositiveInt, "int >= 1"),
        (Annotated[float, Bounds(ge=0, lt=1)], "number >= 0 and < 1"),
        (Annotated[float, "a note"], "number"),
        (Annotated[float | None, Bounds(gt=0)], "number > 0 or None"),
        (Optional[int], "int or None"),  # noqa: UP045 (the old spelling is what is tested)
        (Literal["a"], "'a'"),
        (Literal["a", "b", "c"], "'a', 'b' or 'c'"),
        (DType, "'float32' or 'float64'"),
        (list, "list of any value"),
        (list[str], "list of str"),
        (tuple[PositiveInt, ...], "list of int >= 1"),
        (Annotated[Sequence[int], Bounds(ge=1)], "list of int >= 1"),
        (tuple[int, str], "list [int, str]"),
        (int | Sequence[PositiveInt], "int or list of int >= 1"),
        (dict, "dict of str to any value"),
        (Mapping[str, float], "dict of str to number"),
    ],
)
def test_annotations_become_texts(annotation, text):
    assert options_of(taking(annotation))["x"].kind.text == text


def test_an_annotation_out_of_reach_takes_any_value():
    class Local:
        pass

    class Layer:
        def __init__(
            self, local: Local, eps: Annotated[float, Bounds(gt=0)] = 1.0, *, free=None
        ): ...

    assert [option.kind.text for option in options_of(Layer).values()] == [
        "any value", "number > 0", "any value",
    ]  # fmt: skip


def test_a_class_without_init_has_no_options():
    class Plain: ...

    assert dict(options_of(Plain)) == {}
    with pytest.raises(UnknownOption, match=r"^Plain has no option 'x'\. Options: none$"):
        bind(Plain, (), {"x": 1})


def test_options_are_inherited_with_init():
    class Child(Norm): ...

    assert dict(options_of(Child)) == dict(options_of(Norm))


@pytest.mark.parametrize("star", ["*args", "**kwargs"])
def test_star_parameters_are_an_error(star):
    scope = {}
    exec(f"class Star:\n    def __init__(self, {star}): ...", scope)
    with pytest.raises(TypeError) as error:
        options_of(scope["Star"])
    assert str(error.value) == (
        f"Star.__init__ has the parameter '{star}'; "
        "options are given by name, so list each as an ordinary parameter"
    )


def test_positional_only_parameters_are_an_error():
    class Slash:
        def __init__(self, x: int, /): ...

    with pytest.raises(TypeError, match="has the parameter 'x'; options are given by name"):
        options_of(Slash)


def test_an_option_cannot_be_called_type():
    class Typed:
        def __init__(self, type: str): ...

    with pytest.raises(TypeError) as error:
        options_of(Typed)
    assert str(error.value) == (
        "Typed.__init__ has an option 'type', which in a config is the layer's name; rename it"
    )


# Binding


def test_binding_fills_in_defaults_in_order():
    assert list(bind(Norm, (16,), {"affine": False}).items()) == [
        ("num_features", 16),
        ("eps", 1e-5),
        ("momentum", 0.1),
        ("affine", False),
        ("mode", "batch"),
        ("channel_axis", 1),
        ("dtype", "float32"),
    ]


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "message"),
    [
        ((), {}, TypeError, "Norm needs num_features (int >= 1)"),
        (
            (16, 1, 1, True, "batch"),
            {},
            TypeError,
            "Norm takes at most 4 options by position, got 5; "
            "give by name: mode, channel_axis, dtype",
        ),
        (
            (16,),
            {"num_features": 8},
            TypeError,
            "Norm got num_features twice: 16 by position and 8 by name",
        ),
        (
            (16,),
            {"epsilon": 1},
            UnknownOption,
            "Norm has no option 'epsilon'; did you mean 'eps'? "
            "Options: num_features, eps, momentum, affine, mode, channel_axis, dtype",
        ),
        (
            (16,),
            {"colour": 1},
            UnknownOption,
            "Norm has no option 'colour'. "
            "Options: num_features, eps, momentum, affine, mode, channel_axis, dtype",
        ),
    ],
)
def test_a_call_that_does_not_fit_is_an_error(args, kwargs, error, message):
    with pytest.raises(error) as caught:
        bind(Norm, args, kwargs)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)  # as a Python call has it


def test_all_missing_options_are_named_at_once():
    class Group:
        def __init__(self, num_groups: PositiveInt, num_channels: PositiveInt, free): ...

    with pytest.raises(TypeError) as error:
        bind(Group, (), {})
    assert str(error.value) == (
        "Group needs num_groups (int >= 1), num_channels (int >= 1) and free (any value)"
    )


def test_surplus_positions_without_names_left():
    with pytest.raises(TypeError, match=r"^One takes at most 1 options by position, got 2$"):
        bind(taking(int), (1, 2), {})


# Checking: what is taken, and made plain


@pytest.mark.parametrize(
    ("annotation", "value", "plain"),
    [
        (int, np.int64(3), 3),
        (int, 10**30, 10**30),
        (float, 3, 3.0),
        (float, np.float64(0.5), 0.5),
        (float, np.float32(0.5), 0.5),
        (float, np.int8(2), 2.0),
        (bool, np.True_, True),
        (str, np.str_("a"), "a"),
        (float | None, None, None),
        (bool | float, True, True),
        (float | bool, True, True),
        (int | str, "a", "a"),
        (Literal[1, -1], np.int32(-1), -1),
        (Literal["a", None], None, None),
        (DType, "float64", "float64"),
        (DType, np.float32, "float32"),
        (DType, np.double, "float64"),
        (DType, np.dtype("f4"), "float32"),
        (list[int], (1, np.int64(2)), [1, 2]),
        (tuple[int, ...], [1, np.int64(2)], (1, 2)),
        (tuple[int, ...], [], ()),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Sequence[float], [1, 2], (1.0, 2.0)),
        (int | Sequence[int], 3, 3),
        (int | Sequence[int], [3], (3,)),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Any, b"any", b"any"),
    ],
)
def test_values_are_made_plain(annotation, value, plain):
    result = checked(annotation, value)
    assert same(result, plain)
    if isinstance(plain, (list, tuple)):
        assert all(map(same, result, plain))


@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("num_features", 0, ValueError, "an int >= 1, got 0"),
        ("num_features", "16", TypeError, "an int >= 1, got '16' (str)"),
        ("num_features", True, TypeError, "an int >= 1, got True (bool)"),
        ("num_features", 16.0, TypeError, "an int >= 1, got 16.0 (float)"),
        ("num_features", None, TypeError, "an int >= 1, got None"),
        ("eps", -1.0, ValueError, "a number > 0, got -1.0"),
        ("eps", 0, ValueError, "a number > 0, got 0.0"),
        ("eps", np.float32(-0.5), ValueError, "a number > 0, got -0.5"),
        ("eps", math.nan, ValueError, "a number > 0, got nan, which is not finite"),
        ("eps", math.inf, ValueError, "a number > 0, got inf, which is not finite"),
        ("eps", 10**400, ValueError, "a number > 0, got inf, which is not finite"),
        ("eps", 1j, TypeError, "a number > 0, got 1j (complex)"),
        ("momentum", 1.5, ValueError, "a number >= 0 and <= 1 or None, got 1.5"),
        ("momentum", "None", TypeError, "a number >= 0 and <= 1 or None, got 'None' (str)"),
        ("affine", 1, TypeError, "a bool, got 1 (int)"),
        ("affine", "false", TypeError, "a bool, got 'false' (str)"),
        ("mode", "layer", ValueError, "'batch' or 'group', got 'layer'"),
        ("mode", None, TypeError, "'batch' or 'group', got None"),
        ("channel_axis", 2, ValueError, "1 or -1, got 2"),
        ("channel_axis", True, TypeError, "1 or -1, got True (bool)"),
        ("dtype", "f4", ValueError, "'float32' or 'float64', got 'f4'"),
        ("dtype", np.int32, ValueError, "'float32' or 'float64', got 'int32'"),
        ("dtype", np.dtype(">f4"), ValueError, "'float32' or 'float64', got '>f4'"),
        ("dtype", np.floating, ValueError, "'float32' or 'float64', got 'floating'"),
        ("dtype", float, TypeError, "'float32' or 'float64', got <class 'float'> (type)"),
        ("dtype", None, TypeError, "'float32' or 'float64', got None"),
    ],
)
def test_a_wrong_value_is_an_error_with_class_option_value_and_expectation(
    option, value, error, message
):
    with pytest.raises(error) as caught:
        check(Norm, {option: value})
    assert type(caught.value) is error
    assert str(caught.value) == f"Norm: {option} must be {message}"


@pytest.mark.parametrize(
    ("annotation", "value", "error", "message"),
    [
        (list[int], "12", TypeError, "x must be a list of int, got '12' (str)"),
        (list[int], [1, "2"], TypeError, "x[1] must be an int, got '2' (str)"),
        (tuple[PositiveInt, ...], [1, 0], ValueError, "x[1] must be an int >= 1, got 0"),
        (tuple[int, str], [1], ValueError, "x must be a list [int, str], got [1]"),
        (tuple[int, str], ["a", 1], TypeError, "x[0] must be an int, got 'a' (str)"),
        (list[list[int]], [[1], ["a"]], TypeError, "x[1][0] must be an int, got 'a' (str)"),
        (dict[str, int], [1], TypeError, "x must be a dict of str to int, got [1] (list)"),
        (dict[str, int], {1: 1}, TypeError, "x must be a dict of str to int, got {1: 1} (dict)"),
        (dict[str, int], {"a": "b"}, TypeError, "x['a'] must be an int, got 'b' (str)"),
        (int | list[PositiveInt], [0], ValueError, "x must be an int or list of int >= 1, got [0]"),
        (None, 0, TypeError, "x must be None, got 0 (int)"),
    ],
)
def test_an_error_points_into_the_value(annotation, value, error, message):
    with pytest.raises(error) as caught:
        checked(annotation, value)
    assert str(caught.value) == f"One: {message}"


def test_an_option_may_bring_its_own_kind():
    class Even(Kind):
        text = "even int"

        def check(self, value, where):
            if not isinstance(value, int) or value % 2:
                raise self.refusal(ValueError, value, where)
            return value

        def schema(self):
            return {"type": "integer", "multipleOf": 2}

    even = Annotated[int, Even()]
    assert checked(even, 4) == 4
    with pytest.raises(ValueError, match=r"^One: x must be an even int, got 3$"):
        checked(even, 3)
    assert json_schema(taking(even))["properties"]["x"] == {"type": "integer", "multipleOf": 2}


def test_checking_does_not_modify_the_options():
    options = {"num_features": np.int64(3), "eps": 1}
    check(Norm, options)
    assert same(options["eps"], 1)
    assert isinstance(options["num_features"], np.int64)


bounds = st.none() | st.floats(-2, 2)


@settings(max_examples=100, deadline=None)
@given(bounds, bounds, bounds, bounds, st.floats(width=32))
def test_bounds_mean_what_they_say(gt, ge, lt, le, value):
    inside = (
        math.isfinite(value)
        and (gt is None or value > gt)
        and (ge is None or value >= ge)
        and (lt is None or value < lt)
        and (le is None or value <= le)
    )
    annotation = Annotated[float, Bounds(gt, ge, lt, le)]
    if inside:
        assert checked(annotation, value) == value
    else:
        with pytest.raises(ValueError, match="must be a number"):
            checked(annotation, value)


# JSON Schema


def test_the_schema_of_a_class():
    assert json_schema(Norm, ["Norm", "N"]) == {
        "title": "Norm",
        "type": "object",
        "properties": {
            "type": {"enum": ["Norm", "N"]},
            "num_features": {"type": "integer", "minimum": 1},
            "eps": {"type": "number", "exclusiveMinimum": 0, "default": 1e-5},
            "momentum": {
                "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}],
                "default": 0.1,
            },
            "affine": {"type": "boolean", "default": True},
            "mode": {"enum": ["batch", "group"], "default": "batch"},
            "channel_axis": {"enum": [1, -1], "default": 1},
            "dtype": {"enum": ["float32", "float64"], "default": "float32"},
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
        checked(annotation, value)
    except (TypeError, ValueError):
        assert not valid
    else:
        assert valid
