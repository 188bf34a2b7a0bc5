"""takes_options_of: a class with the options of another, and its own."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest

from cybn.terms.signature import Bounds, PositiveInt, bind, check, options_of, takes_options_of


class Norm:
    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        *,
        bias: bool = True,
    ):
        self.got = num_features, eps, bias


class Part(Norm):
    @takes_options_of(Norm)
    def __init__(self, *args, parts: PositiveInt = 2, **kwargs):
        super().__init__(*args, **kwargs)
        self.parts = parts


class Late(Norm):
    """Has one option of its parent in another form."""

    @takes_options_of(Norm)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs):
        super().__init__(num_features, *args, **kwargs)


def test_options_are_the_parents_and_its_own():
    options = options_of(Part)
    assert list(options) == ["num_features", "eps", "parts", "bias"]
    assert [o.name for o in options.values() if o.keyword_only] == ["parts", "bias"]
    assert [o.name for o in options.values() if o.required] == ["num_features"]
    assert {name: o.kind.text for name, o in options.items()} == {
        "num_features": "int >= 1", "eps": "number > 0", "parts": "int >= 1", "bias": "bool",
    }  # fmt: skip
    assert {name: options[name] for name in options_of(Norm)} == options_of(Norm)


def test_an_option_that_both_have_is_the_childs():
    option = options_of(Late)["num_features"]
    assert (option.kind.text, option.default) == ("int >= 1 or None", None)
    assert option.keyword_only
    assert list(options_of(Late)) == ["eps", "num_features", "bias"]


def test_defaults_may_be_others():
    class Exact(Norm):
        @takes_options_of(Norm, eps=1e-9, bias=False)
        def __init__(self, *args, **kwargs):
            """Nothing more."""

    assert bind(Exact, (3,), {}) == {"num_features": 3, "eps": 1e-9, "bias": False}
    assert options_of(Norm)["eps"].default == 1e-5


def test_a_call_binds_as_the_signature_says():
    assert bind(Part, (3, 0.5), {"parts": 4}) == {
        "num_features": 3, "eps": 0.5, "parts": 4, "bias": True,
    }  # fmt: skip
    part = Part(3, 0.5, parts=4, bias=False)
    assert (part.got, part.parts) == ((3, 0.5, False), 4)
    assert Late(0.5).got == (None, 0.5, True)
    assert str(inspect.signature(Part)).startswith("(num_features: ")
    with pytest.raises(TypeError, match="Part takes at most 2 options by position, got 3"):
        bind(Part, (3, 0.5, 4), {})
    with pytest.raises(ValueError, match=r"Part: eps must be a number > 0, got 0\.0"):
        check(Part, {"eps": 0})


def test_other_parameters_by_position_are_refused():
    with pytest.raises(TypeError, match=r"takes_options_of needs __init__\(self, \*args, "):

        class Wrong(Norm):
            @takes_options_of(Norm)
            def __init__(self, parts, *args, **kwargs): ...
