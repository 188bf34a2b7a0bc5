"""What create takes and what the JSON Schema takes are the same, for every layer and option.

JSON Schema cannot compare two values. What it therefore lets pass and create refuses is named here,
and in docs/config.md: a count that has to divide another, lists that have to be of one length, and
a shape of too many items.
"""

import json
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cybn
from cybn.terms.kinds import MOST, Sizes
from cybn.terms.registry import registry
from cybn.terms.signature import Divides, OneLength, options_of, rules_of

jsonschema = pytest.importorskip("jsonschema")

ODD = [
    None, True, False, 0, -1, 1, 2, 3, 1.0, 2.0, -1.0, 0.5, 2.5, 5e-324, 1e300, -1e300, 1e-300,
    MOST + 1, 10**12, 10**400, -(10**400), float(MOST) + 1, "", "x", "1", "float32", "running",
    [], [1], [0], [1.0, 2], [2, 2.5], ["a"], [[1]], [None], [True], {}, {"a": 1},
]  # fmt: skip
UNTRACKED = {
    "type": "BN2d", "num_features": 3, "on_single": "running", "track_running_stats": False,
}  # fmt: skip
KEYS = ["epsilon", "EPS", "", "Type", "num-features", "mask", "x"]
WRONG_NAMES = [
    "BatchNorm9d", "BatchNorm2d\n", " BatchNorm2d", "BatchNorm2d.", "cybn.BatchNorm2d", "", "_",
    "2d", "Batch Norm 2d", "BatchNorm\uff12d", "AdaIN\u017f", "Normali\u017fe", "\u212ayn",
    3, None, True, [], {},
]  # fmt: skip


def values(option):
    """Values for an option, good and bad, each of which is small where it is good."""
    good = [
        *(option.kind.schema().get("enum", ())), 1, 2, 4, 0.5, 1e-5, 1.0, 8,
        [4], [2, 3], [2.0, 3.0],
        *(() if option.required else (option.default,)),
    ]  # fmt: skip
    choices = [
        value for kind in option.kind.alternatives() for value in getattr(kind, "values", ())
    ]
    return st.one_of(*[st.sampled_from(good + choices)] * 2, st.sampled_from(ODD))


@st.composite
def spellings(draw, name):
    flip = random.Random(draw(st.integers(0, 2**32)))
    text = "".join(flip.choice((char.lower(), char.upper())) for char in name)
    for _ in range(flip.randrange(3)):
        at = flip.randrange(len(text) + 1)
        text = text[:at] + flip.choice("_-") + text[at:]
    return draw(st.sampled_from([name, text]))


@st.composite
def configs(draw, name):
    entry = registry.entry(name)
    options = options_of(entry.cls)
    config = {"type": draw(st.sampled_from(entry.names).flatmap(spellings))}
    needed = [option.name for option in options.values() if option.required]
    config.update(dict.fromkeys(needed, 4))
    for rule in rules_of(entry.cls):  # what a rule speaks of is given more often
        needed += rule.options
    keys = st.sampled_from([*options, *needed, "num_features", entry.cls.num_features_option or ""])
    for key in draw(st.lists(keys, max_size=4)):
        option = options.get(key)
        if draw(st.integers(0, 9)) == 0:
            config.pop(key, None)
        else:
            config[key] = draw(values(option) if option else st.sampled_from(ODD))
    if draw(st.integers(0, 14)) == 0:
        config[draw(st.sampled_from(KEYS))] = 1
    return json.loads(json.dumps(config))


@cache
def validator(name=None):
    schema = json.loads(json.dumps(cybn.schema(name)))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def refusal(config):
    """The error with which create refuses a config; None where it builds it."""
    try:
        cybn.create(config)
    except (TypeError, ValueError) as error:
        return error
    return None


def unsaid(name, config):
    """Is it a rule that JSON Schema cannot say which forbids the config?"""
    cls = registry.find(name)
    given = {key: value for key, value in config.items() if key != "type"}
    if "num_features" not in options_of(cls):
        width = given.pop("num_features", None)
        given.setdefault(cls.num_features_option, width)
    plain, too_many = {}, False
    for option in options_of(cls).values():
        try:
            plain[option.name] = option.kind.check_config(
                given.get(option.name, option.default), option.name
            )
        except (TypeError, ValueError) as error:
            too_many = isinstance(option.kind, Sizes) and "in all more than" in str(error)
    rules = [rule for rule in rules_of(cls) if isinstance(rule, (Divides, OneLength))]
    return too_many or any(
        rule.broken(plain) for rule in rules if all(name in plain for name in rule.options)
    )


def agree(name, config):
    error, valid = refusal(config), validator(name).is_valid(config)
    if error is not None and valid:
        assert unsaid(name, config), (config, error)
    else:
        assert valid == (error is None), (config, error)


@pytest.mark.parametrize("name", sorted(registry.builtins()))
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_create_and_the_schema_of_a_layer_agree(name, data):
    agree(name, data.draw(configs(name)))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_create_and_the_schema_of_all_agree(data):
    name = data.draw(st.sampled_from(cybn.available()))
    config = data.draw(configs(name))
    spec = data.draw(st.sampled_from([config, config["type"], None]))
    error, valid = refusal(spec), validator().is_valid(spec)
    if error is None or not valid:
        assert valid == (error is None), (spec, error)
    else:
        assert isinstance(spec, dict), (spec, error)
        assert unsaid(name, spec), (spec, error)


@pytest.mark.parametrize("name", WRONG_NAMES, ids=repr)
def test_what_is_no_name_is_none_for_either(name):
    config = {"type": name, "num_features": 4}
    assert refusal(config) is not None
    assert not validator().is_valid(config)
    if not isinstance(name, (dict, type(None))):
        assert refusal(name) is not None
        assert not validator().is_valid(name)


@pytest.mark.parametrize(
    ("config", "good"),
    [
        ({"type": "bn2d", "num_features": 3}, True),
        ({"type": "batch_norm_2d", "num_features": 3}, True),
        ({"type": "BN2d", "num_features": 3.0}, True),
        ({"type": "BN2d", "num_features": 3.5}, False),
        ({"type": "BN2d", "num_features": 1e300}, False),
        ({"type": "BN2d", "num_features": 10**12}, False),
        ({"type": "BN2d", "num_features": 3, "channel_axis": -1.0}, True),
        ({"type": "BN2d", "num_features": 3, "affine": 1}, False),
        ({"type": "BN2d", "num_features": 3, "eps": 10**400}, False),
        ({"type": "BN2d", "num_features": 3, "on_single": "running"}, True),
        (UNTRACKED, False),
        ({"type": "BN2d", "num_features": 3, "track_running_stats": False}, True),
        ({"type": "LN", "normalized_shape": 16, "num_features": 8}, True),
        ({"type": "LN", "normalized_shape": 16, "num_features": "nonsense"}, False),
        ({"type": "LN", "normalized_shape": 16, "num_features": -1}, False),
        ({"type": "LN", "normalized_shape": [16.0, 2.0]}, True),
        ({"type": "LRN", "size": 5, "num_features": 64}, True),
        ({"type": "LRN", "size": 5, "num_features": {"a": 1}}, False),
        ({"type": "Normalize"}, False),
        ({"type": "Normalize", "mean": None, "std": None}, False),
        ({"type": "Normalize", "mean": []}, False),
        ({"type": "Normalize", "mean": 0.5}, True),
    ],
)  # fmt: skip
def test_they_agree_on_what_they_once_did_not(config, good):
    assert (refusal(config) is None, validator().is_valid(config)) == (good, good)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"type": "GroupNorm", "num_groups": 4, "num_channels": 10},
            "GroupNorm: num_channels (10) must be divisible by num_groups (4), as by 2",
        ),
        (
            {"type": "IterNorm", "num_features": 6, "num_groups": 4},
            "IterNorm: num_features (6) must be divisible by num_groups (4), as by 2",
        ),
        (
            {"type": "EvoNormS0", "num_features": 6, "groups": 4},
            "EvoNormS0: num_features (6) must be divisible by groups (4), as by 2",
        ),
        (
            {"type": "Normalize", "mean": [1, 2], "std": [1]},
            "Normalize: mean, std and num_features must be of one length >= 1, "
            "got 2 from mean and 1 from std",
        ),
        (
            {"type": "LayerNorm", "normalized_shape": [65536, 65536]},
            "LayerNorm: normalized_shape must be an int >= 1 or list of them, got [65536, 65536], "
            "in all more than 2,147,483,647",
        ),
    ],
)
def test_what_the_schema_cannot_say_create_does(config, message):
    assert str(refusal(config)) == message
    assert validator().is_valid(config)
    assert unsaid(config["type"], config)
