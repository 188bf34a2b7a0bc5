"""Values of options: what each annotation takes, makes plain, or refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signatures import Norm, checked, taking

from cybn.terms.signature import Bounds, DType, Kind, PositiveInt, check, json_schema


def same(a, b):
    return type(a) is type(b) and a == b


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
