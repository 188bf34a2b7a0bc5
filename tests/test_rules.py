"""Rules between options: in calls, for what is assigned or copied, and in subclasses."""

import copy

import jsonschema
import pytest

import cybn
from cybn.terms.signature import (
    Divides,
    GivenOne,
    Needs,
    PositiveInt,
    Rule,
    check,
    check_rules,
    json_schema,
    rules_of,
)

SINGLE = "on_single='running' needs track_running_stats=True"
BATCH_NORMS = [
    name
    for name in cybn.available()
    if any(isinstance(rule, Needs) for rule in rules_of(getattr(cybn, name, object)))
]


def test_every_relative_of_batch_norm_has_its_rule():
    assert {"BatchNorm2d", "GhostBatchNorm1d", "SplitBatchNorm3d", "LazyBatchNorm1d"} <= {
        *BATCH_NORMS
    }


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_a_rule_holds_in_every_call(name):
    options = {"num_features": 4, "on_single": "running", "track_running_stats": False}
    for build in (getattr(cybn, name), lambda **options: cybn.create(name, **options)):
        with pytest.raises(ValueError, match="needs track_running_stats") as error:
            build(**options)
        assert str(error.value) == f"{name}: {SINGLE}"
        copy.deepcopy(build(**{**options, "track_running_stats": True}))


class Base:
    rules = (Divides("part", "whole"),)

    def __init__(self, part: PositiveInt, whole: PositiveInt | None = 6): ...


class Child(Base):
    rules = (Needs("whole", None, "mode", "free"), GivenOne(("whole", "mode")))

    def __init__(
        self, part: PositiveInt, whole: PositiveInt | None = 6, mode: str | None = "own"
    ): ...


class Other(Base):
    def __init__(self, whole: PositiveInt): ...


def test_rules_of_bases_hold_and_those_about_other_options_do_not():
    assert rules_of(Child) == (*Child.rules, *Base.rules)
    assert rules_of(Other) == ()
    check(Other, {"whole": 7})
    with pytest.raises(
        ValueError, match=r"^Child: whole \(6\) must be divisible by part \(4\), as by 2$"
    ):
        check(Child, {"part": 4, "whole": 6, "mode": None})
    with pytest.raises(ValueError, match=r"^Child: whole=None needs mode='free'$"):
        check(Child, {"part": 4, "whole": None, "mode": "own"})
    some = type("Some", (Other,), {"rules": (GivenOne(("whole",), "; or none"),)})
    with pytest.raises(TypeError, match=r"^Some: whole is needed; or none$"):
        check_rules(some, {"whole": None})
    check(Child, {"part": 4, "whole": None, "mode": "free"})


@pytest.mark.parametrize(
    ("config", "valid"),
    [
        ({}, True),
        ({"whole": None}, False),  # mode is "own" where it is not given
        ({"whole": None, "mode": "free"}, True),
        ({"whole": None, "mode": None}, False),
        ({"mode": None}, True),
        ({"whole": 7}, True),  # which JSON Schema cannot know
    ],
)
def test_the_schema_knows_of_defaults(config, valid):
    schema = json_schema(Child, ["Child"])
    jsonschema.Draft202012Validator.check_schema(schema)
    is_valid = jsonschema.Draft202012Validator(schema).is_valid
    assert is_valid({"type": "Child", "part": 2, **config}) is valid


def test_a_rule_of_ones_own():
    class Even(Rule):
        options = ("whole",)

        def broken(self, options):
            return f"whole is odd: {options['whole']}" if options["whole"] % 2 else None

    cls = type("Own", (Other,), {"rules": (Even(),)})
    check(cls, {"whole": 2})
    with pytest.raises(ValueError, match=r"^Own: whole is odd: 3$"):
        check(cls, {"whole": 3})
    assert "allOf" not in json_schema(cls)
