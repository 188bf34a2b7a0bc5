"""The options of a layer, read from the signature of its ``__init__``.

What a layer takes is written once, as the parameters of ``__init__``: names, defaults and
annotations. Binding, checking, ``describe`` and the JSON Schema all follow from them, so a new
layer brings no second list that could disagree with the first. Pydantic and the like were rejected:
a dependency, and a class of fields beside the class of the layer.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, TypeVar, get_type_hints

from .docstrings import explanations
from .kinds import Bounds, DType, Kind, PositiveInt, Shape, kind_of
from .messages import did_you_mean, folded, listed, shown
from .registry import UnknownOption
from .rules import Divides, GivenOne, Needs, OneLength, Rule

__all__ = [
    "AT_RUN_TIME",
    "REQUIRED",
    "Bounds",
    "DType",
    "Divides",
    "GivenOne",
    "Kind",
    "Needs",
    "OneLength",
    "Option",
    "PositiveInt",
    "Rule",
    "Shape",
    "bind",
    "check",
    "check_rules",
    "json_schema",
    "name_schema",
    "options_of",
    "rules_of",
    "run_time_of",
    "takes_options_of",
]

Init = TypeVar("Init", bound=Callable[..., None])
REQUIRED = inspect.Parameter.empty  # the default of an option that has none
#: an annotation of a parameter that is no option: the layer is built with it, and no config has it
AT_RUN_TIME = Annotated[Any, "at run time"]


@dataclass(frozen=True)
class Option:
    """One option of a layer."""

    name: str
    kind: Kind
    default: Any = REQUIRED
    keyword_only: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@cache
def options_of(cls: type) -> Mapping[str, Option]:
    """The options of a layer class by name, in the order of its ``__init__``.

    >>> class Scale:
    ...     def __init__(self, num_features: PositiveInt, init: float = 1.0): ...
    >>> [(option.name, option.kind.text) for option in options_of(Scale).values()]
    [('num_features', 'int >= 1'), ('init', 'number')]
    """
    init = inspect.unwrap(cls.__init__)
    if init is object.__init__:
        return MappingProxyType({})
    options = {}
    for parameter in list(inspect.signature(init).parameters.values())[1:]:
        name = parameter.name
        keyword_only = parameter.kind is parameter.KEYWORD_ONLY
        if not keyword_only and parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(
                f"{cls.__name__}.__init__ has the parameter {str(parameter).split(':')[0]!r}; "
                f"options are given by name, so list each as an ordinary parameter"
            )
        if name == "type":
            raise TypeError(
                f"{cls.__name__}.__init__ has an option 'type', which in a config is the layer's "
                f"name; rename it"
            )
        annotation = _resolved(init, parameter.annotation)
        if annotation is not AT_RUN_TIME:
            options[name] = Option(name, kind_of(annotation), parameter.default, keyword_only)
    return MappingProxyType(options)


@cache
def run_time_of(cls: type) -> tuple[str, ...]:
    """The parameters of ``__init__`` that are set at run time, AT_RUN_TIME, and no options."""
    init = inspect.unwrap(cls.__init__)
    names = () if init is object.__init__ else tuple(inspect.signature(init).parameters)[1:]
    return tuple(name for name in names if name not in options_of(cls))


def takes_options_of(parent: type, **defaults: Any) -> Callable[[Init], Init]:
    """Decorator of an ``__init__(self, *args, <options>, **kwargs)``: the rest are the parent's.

    The options of ``parent`` and those named here, which are keyword only, are then the options of
    the class; one that the parent has too is replaced, and ``defaults`` take the place of the
    parent's. A copy of the parent's signature was rejected: it would lack what the parent learns
    later. The docstring of the class has to explain its own options alone: what the parent's says
    of the others is put in.

    >>> class Scale:
    ...     def __init__(self, num_features: PositiveInt, init: float = 1.0): ...
    >>> class Shifted(Scale):
    ...     @takes_options_of(Scale)
    ...     def __init__(self, *args, shift: float = 0.0, **kwargs):
    ...         super().__init__(*args, **kwargs)
    >>> [(option.name, option.keyword_only) for option in options_of(Shifted).values()]
    [('num_features', False), ('init', False), ('shift', True)]
    """

    def decorate(init: Init) -> Init:
        _, *given = inspect.signature(init, eval_str=True).parameters.values()
        own = [each for each in given if each.kind is each.KEYWORD_ONLY]
        if [str(each) for each in given if each not in own] != ["*args", "**kwargs"]:
            raise TypeError(
                f"takes_options_of needs __init__(self, *args, <options>, **kwargs), got "
                f"{init.__qualname__}{inspect.signature(init)}"
            )
        names = {each.name for each in own}
        theirs = inspect.signature(parent.__init__, eval_str=True).parameters.values()
        kept = [
            each.replace(default=defaults.get(each.name, each.default))
            for each in theirs
            if each.name not in names
        ]
        plain = [each for each in kept if each.kind is not each.KEYWORD_ONLY]
        by_name = [*own, *(each for each in kept if each.kind is each.KEYWORD_ONLY)]
        by_name.sort(key=lambda each: each.annotation is AT_RUN_TIME)
        init.__signature__ = inspect.Signature([*plain, *by_name])
        init.options_of = parent
        return init

    return decorate


def bind(cls: type, args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Every option by name, as a call ``cls(*args, **kwargs)`` gives it, defaults filled in.

    TypeError for a missing or surplus option; UnknownOption, a TypeError too, for an unknown one.
    """
    options, name = options_of(cls), cls.__name__
    positional = [option.name for option in options.values() if not option.keyword_only]
    if len(args) > len(positional):
        by_name = ", ".join(each for each in options if each not in positional)
        hint = f"; give by name: {by_name}" if by_name else ""
        raise TypeError(
            f"{name} takes at most {len(positional)} options by position, got {len(args)}{hint}"
        )
    given = dict(zip(positional, args, strict=False))
    for key in kwargs:
        if key not in options:
            known = f"Options: {', '.join(options) or 'none'}"
            hint = did_you_mean(key, options) or "."
            raise UnknownOption(f"{name} has no option {shown(key, False)}{hint} {known}")
        if key in given:
            raise TypeError(
                f"{name} got {key} twice: {shown(given[key], False)} by position "
                f"and {shown(kwargs[key], False)} by name"
            )
    given.update(kwargs)
    missing = [each for each in options.values() if each.required and each.name not in given]
    if missing:
        needs = listed((f"{each.name} ({each.kind.text})" for each in missing), "and")
        raise TypeError(f"{name} needs {needs}")
    return {key: given.get(key, option.default) for key, option in options.items()}


@cache
def rules_of(cls: type) -> tuple[Rule, ...]:
    """The rules between the options of a class: its own and those of its bases.

    One that speaks of an option that the class has not is left out.
    """
    rules = dict.fromkeys(rule for each in cls.__mro__ for rule in vars(each).get("rules", ()))
    return tuple(rule for rule in rules if all(name in options_of(cls) for name in rule.options))


def check(cls: type, options: Mapping[str, Any], *, in_config: bool = False) -> dict[str, Any]:
    """The options' values made plain, each checked against its annotation, then by the rules.

    In a config 16.0 is an int, too, as it is in JSON Schema.

    TypeError for a wrong type, ValueError for a value out of range or one that a rule forbids.
    """
    known = options_of(cls)
    plain = {}
    for name, value in options.items():
        kind = known[name].kind
        take = kind.check_config if in_config else kind.check
        plain[name] = take(value, f"{cls.__name__}: {name}")
    check_rules(cls, plain)
    return plain


def check_rules(cls: type, options: Mapping[str, Any]) -> None:
    """The error of a rule that plain values break; rules about others than these are left out."""
    for rule in rules_of(cls):
        if all(name in options for name in rule.options):
            wrong = rule.broken(options)
            if wrong:
                raise rule.error(f"{cls.__name__}: {wrong}")


def json_schema(cls: type, names: Sequence[str] = ()) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a config of ``cls``; ``names`` are what ``type`` may say.

    Any spelling of a name is taken, as by the registry. Of the rules between options those are left
    out that JSON Schema cannot say.
    """
    names = list(names) or [getattr(cls, "registered_name", cls.__name__)]
    options, meaning = options_of(cls).values(), explanations(cls)
    defaults = {option.name: option.default for option in options if not option.required}
    rules = [said for rule in rules_of(cls) if (said := rule.schema(defaults))]
    return {
        "title": names[0],
        "type": "object",
        "properties": {
            "type": name_schema(names),
            **{
                option.name: {
                    **option.kind.schema(),
                    **_default(option),
                    **({"description": meaning[option.name]} if option.name in meaning else {}),
                }
                for option in options
            },
        },
        "required": ["type", *(option.name for option in options if option.required)],
        "additionalProperties": False,
        **({"allOf": rules} if rules else {}),
    }


def name_schema(names: Iterable[str]) -> dict[str, Any]:
    """JSON Schema of names in any spelling; those given are what an editor may offer."""
    names = list(names)
    spelt = "|".join(dict.fromkeys(map(_spellings, names)))
    return {"anyOf": [{"enum": names}, {"type": "string", "pattern": f"^({spelt})$(?!\\n)"}]}


def _spellings(name: str) -> str:
    # A regular expression for whatever is the same name; `$` alone lets a newline follow in Python
    letters = (
        f"[{char.upper()}{char}]" if char.isalpha() else re.escape(char) for char in folded(name)
    )
    return f"[_-]*{''.join(f'{letter}[_-]*' for letter in letters)}"


def _default(option: Option) -> dict[str, Any]:
    # {"default": ...} for a default that JSON can hold, {} for any other
    if option.required:
        return {}
    try:
        plain = option.kind.check(option.default, option.name)
        return {"default": json.loads(json.dumps(plain, allow_nan=False))}
    except (TypeError, ValueError):
        return {}


def _resolved(init: Any, annotation: Any) -> Any:
    # A string that names something out of reach, as a class inside a function may, is no annotation
    hint = SimpleNamespace(__annotations__={"it": annotation})
    try:
        names = getattr(init, "__globals__", {})
        return get_type_hints(hint, names, include_extras=True)["it"]
    except Exception:  # annotations are evaluated, so anything may go wrong
        return REQUIRED
