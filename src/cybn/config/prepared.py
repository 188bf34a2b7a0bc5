"""What a spec says, looked up and checked: a class and a value for each of its options.

Nothing is built here. A spec in words of another library is read by its dialect, where one is
given; where none is, and the words are not ours, the error says whose they may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..layers.base.layer import Layer
from ..terms.kinds import Kind
from ..terms.messages import shown
from ..terms.registry import UnknownName, registry
from ..terms.signature import bind, check, options_of
from .catalogue import ANY_WIDTH
from .dialects.marks import check_momentum, foreign, is_foreign
from .dialects.reading import Read, read
from .dialects.table import Dialect

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A layer that is about to be built: a checked value for each of its options."""

    cls: type[Layer]
    options: dict[str, Any]
    used: set[str]  # of the defaults


def prepare(
    spec: Any, options: Mapping[str, Any], defaults: Mapping[str, Any], dialect: Dialect | None
) -> Prepared | None:
    """The layer of a spec; `options` override it, `defaults` fill it. None for no norm."""
    if spec is None:
        return None
    if dialect is not None:
        found = read(spec, dialect, options, defaults)
        return None if found is None else _prepared_read(found)
    try:
        cls, given = _resolve(spec, options)
        known = options_of(cls)
        used = {name for name in defaults if name in known or name == "num_features"}
        given = {**{name: defaults[name] for name in used if name not in given}, **given}
        checked = _checked(cls, given)
    except (UnknownName, TypeError, ValueError) as error:
        strange = isinstance(error, UnknownName) or isinstance(spec, (list, tuple))
        strange = strange or (isinstance(spec, Mapping) and is_foreign(spec))
        better = foreign(spec, options, error, _prepared_read) if strange else None
        if better is None:
            raise
        raise better from error
    if "momentum" not in options:
        check_momentum(cls.__name__, spec)
    return Prepared(cls, checked, used)


def _prepared_read(found: Read) -> Prepared:
    cls = registry.find(found.type)
    return Prepared(cls, _checked(cls, found.options), found.used)


def _resolve(spec: Any, options: Mapping[str, Any]) -> tuple[type[Layer], dict[str, Any]]:
    # The class, and all that is given for its options
    if isinstance(spec, Layer):
        raise TypeError(
            f"create takes what describes a layer, got one that is built: {shown(spec, False)}; "
            f"use it as it is, or create from its get_config()"
        )
    if not isinstance(spec, (str, type, Mapping)):
        raise TypeError(
            f"create takes a layer's name, a dict with 'type', a Layer class or None, "
            f"got {shown(spec)}"
        )
    given = {**(spec if isinstance(spec, Mapping) else {"type": spec}), **options}
    for key in given:
        if not isinstance(key, str):
            raise ValueError(f"the keys of a layer's config are str, got {shown(key)}")
    if "type" not in given:
        raise ValueError(
            f"a layer's config needs 'type', the layer's name; got {shown(spec, False)}"
        )
    found = given.pop("type")
    cls = found if isinstance(found, type) else registry.find(found)
    if not issubclass(cls, Layer):
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} is no subclass of cybn.Layer")
    return cls, given


def _checked(cls: type[Layer], given: Mapping[str, Any]) -> dict[str, Any]:
    # A checked value for each option
    known, given = options_of(cls), dict(given)
    if "num_features" in given and "num_features" not in known:
        width = _width(cls).check_config(given.pop("num_features"), f"{cls.__name__}: num_features")
        if cls.num_features_option in known:
            given.setdefault(cls.num_features_option, width)
    return check(cls, bind(cls, (), given), in_config=True)


def _width(cls: type[Layer]) -> Kind:
    # What num_features may be in a config of the class
    option = options_of(cls).get(cls.num_features_option)
    return ANY_WIDTH if option is None else option.kind
