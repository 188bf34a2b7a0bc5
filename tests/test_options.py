"""Options: read from a signature, and bound as a call binds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
from signatures import Norm, taking

from cybn.terms.registry import UnknownOption
from cybn.terms.signature import Bounds, DType, PositiveInt, bind, options_of

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
