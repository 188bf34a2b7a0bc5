"""Options, config, schema and repr: all say the same about a layer, and it is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ...config.build import create
from ...layers.base.layer import Layer
from ...terms.kinds import Choice, Either, Kind, Scalar
from ...terms.registry import UnknownName, registry
from ...terms.signature import options_of
from .._compare import array_bits, bits, changed
from .._rules import TRAINING, broken, expect, rule
from .._subject import Case


def built_again(layer: Layer, config: dict[str, Any]) -> Layer:
    """create(config), with the class itself where its name is not registered, or by another."""
    try:
        known = registry.find(config["type"])
    except (UnknownName, KeyError):
        known = None
    own = vars(type(layer)).get("registered_name")
    if known is not type(layer) and own is None:
        config = {**config, "type": type(layer)}
    return create(config)


@rule(
    "config",
    "Leave get_config to cybn.Layer and the options as they were given: options are the parameters "
    "of __init__, which becomes of them goes into other attributes.",
    TRAINING,
)
def config(case: Case) -> None:
    """cybn.create(layer.get_config()) builds an equal layer."""
    layer = case.layer()
    given = layer.get_config()
    expect(isinstance(given, dict), f"get_config returns {type(given).__name__}, no dict")
    expected = {"type", *options_of(type(layer))}
    odd = expected.symmetric_difference(given)
    expect(not odd, f"config and options of __init__ differ in {', '.join(sorted(odd))}")
    twin = built_again(layer, given)
    expect(type(twin) is type(layer), f"the config builds a {type(twin).__name__}")
    names = changed(given, twin.get_config())
    expect(not names, f"the config of what the config builds has another {', '.join(names)}")
    twin.load_state_dict(layer.state_dict())
    x = case.x()
    same = bits(case.call(twin, x)) == bits(case.call(layer, x))
    expect(same, "what the config builds gives another output")
    names = changed(array_bits(layer), array_bits(twin))
    expect(not names, f"what the config builds has another {', '.join(names)} after a step")


@rule(
    "config-plain",
    "Keep options to numbers, strings, booleans, None, and lists and dicts of them, so that a file "
    "can hold them; a function is better named by a string.",
    TRAINING,
)
def config_plain(case: Case) -> None:
    """The config goes through JSON and back."""
    layer = case.make()
    given = layer.get_config()
    again = json.loads(json.dumps(given, allow_nan=False))
    twin = built_again(layer, again)
    names = changed(given, twin.get_config())
    expect(not names, f"JSON loses the option {', '.join(names)} of {given}")


@rule(
    "options",
    "Let the annotations of __init__ say what it takes, no more and no less, as "
    "Annotated[float, Bounds(gt=0)] or Literal['a', 'b'] do, and do not assign another value to "
    "an option in __init__.",
    TRAINING,
)
def options(case: Case) -> None:
    """The schema is true: what it allows for an option builds, and is in the config.

    Each option is set in turn to a few other values that its annotation takes. One may be refused
    with a ValueError where it has to fit other options: an int, and any beside given ones.
    """
    cls = case.subject.cls
    width = cls.num_features_option
    expect(
        width in (None, Layer.num_features_option, *options_of(cls)),
        f"num_features_option is {width!r}, and __init__ has no such option",
    )
    base = case.make().get_config()
    for name, value, strict in _variations(cls):
        text = f"{name}={value!r}"
        try:
            layer = case.make(**{name: value})
        except ValueError as error:
            refusable = not strict or case.subject.has_options()
            expect(refusable, f"the annotation takes {text}, __init__ refuses: {error}")
            continue
        got = layer.get_config()
        # as given, or in another form that tells it from the default
        usual = value in (options_of(cls)[name].default, base.get(name))
        told = name in got and (usual or got[name] != base.get(name))
        expect(told, f"built with {text}, the config says {got.get(name, 'nothing')!r}")
        others = changed(base, {**got, name: base.get(name)})
        expect(not others, f"built with {text}, the config has another {', '.join(others)}")
        names = changed(got, built_again(layer, got).get_config())
        expect(not names, f"built again from its config with {text}, {', '.join(names)} differ")


@rule(
    "repr",
    "Leave __repr__ to cybn.Layer, or override extra_repr with text that reads as the arguments "
    "of __init__.",
    TRAINING,
)
def representation(case: Case) -> None:
    """repr(layer) reads as the call that builds it, for options other than the default, too."""
    layers = [case.make()]
    for name, value, _ in _variations(case.subject.cls):
        with suppress(ValueError):  # the check `options` is about that
            layers.append(case.make(**{name: value}))
    for layer in layers:
        text, name = repr(layer), type(layer).__name__
        expect(text.startswith(f"{name}("), f"repr is {text!r}, which does not begin with {name}(")
        try:
            again = eval(text, {name: type(layer)})
        except Exception as error:
            broken(f"repr is {text!r}, which is no call that works: {error}")
        names = changed(layer.get_config(), again.get_config())
        expect(not names, f"the repr {text!r} builds a layer with another {', '.join(names)}")


def sample_values(cls: type[Layer], width: int) -> Iterator[tuple[str, Any]]:
    """Every option with a few values that its annotation takes, the width too."""
    yield from ((name, value) for name, value, _ in _variations(cls))
    for option in options_of(cls).values():
        if option.name == cls.num_features_option or option.required:
            yield from ((option.name, value) for value, _ in _values(option.kind, width))


def _variations(cls: type[Layer]) -> Iterator[tuple[str, Any, bool]]:
    """Option, value, and whether it has to be accepted: one change of the default at a time."""
    for option in options_of(cls).values():
        if option.name != cls.num_features_option and not option.required:
            for value, strict in _values(option.kind, option.default):
                yield option.name, value, strict


def _values(kind: Kind, default: Any) -> Iterator[tuple[Any, bool]]:
    """A few values of the kind, and whether each has to be accepted."""
    if isinstance(kind, Either):
        for each in kind.kinds:
            yield from _values(each, default)
    elif isinstance(kind, Choice):
        yield from ((value, True) for value in kind.values)
    elif isinstance(kind, Scalar) and kind.type is bool:
        yield from ((value, True) for value in (True, False))
    elif isinstance(kind, Scalar) and kind.type in (int, float):
        given = default if type(default) in (int, float) else 1
        tried = [given + 1]
        if kind.type is float:
            tried += [given / 2, kind.bounds.ge, kind.bounds.le]
        for value in tried:
            if value is not None and value in kind.bounds:
                yield kind.type(value), kind.type is float
