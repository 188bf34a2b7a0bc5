"""Configs to layers: a name, a dict or a file says which layers to build, and with which options.

The registry alone decides what a name means, and the options of the class what may be set, so that
a config from anywhere is safe to load: nothing is imported or run because a file says so. Import
paths as ``type`` (hydra's ``_target_``) were rejected for that reason. Every value is checked
before a layer is built, and an error gives the file, the entry, the option, what was expected and
the nearest valid name.

One norm config serves a whole network: ``create(norm_config, num_features=width)`` reaches the
option that means the width in each layer, and None, for no norm at all, gives None.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .budget import Budget
from .configfile import read_config
from .docstrings import explanations, parts_of
from .kinds import Kind, kind_of
from .layers.base import Layer
from .messages import place, printable, shown
from .options import PositiveInt, bind, check, json_schema, name_schema, options_of
from .plugins import PluginError, PluginWarning, plugins
from .registry import Entry, UnknownName, UnknownOption, register, registry

__all__ = ["available", "check_config", "create", "describe", "load_config", "register", "schema"]

MAX_DEPTH = 32  # levels of tables and lists around an entry of a config file
MAX_ENTRIES = 10_000  # a YAML file of a page can spell billions

_ANY_WIDTH = kind_of(PositiveInt)  # num_features for a layer that has no width
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def create(spec: str | Mapping[str, Any] | type[Layer] | None, /, **options: Any) -> Layer | None:
    """Build the layer that ``spec`` describes; ``options`` override what it says.

    ``spec`` is a name or alias, a dict with ``"type"``, a Layer class, or None, which gives None;
    it is never modified. ``num_features`` is understood by every layer: it sets the option that
    means the width there, unless that option is given itself, and is dropped where there is none,
    once it is known to be a width. Errors: UnknownName for an unknown layer, UnknownOption for an
    unknown option, TypeError for a missing option or a value of the wrong type, ValueError for a
    value out of range or a rule between options that is broken.

    >>> norm = {"type": "BN1d", "eps": 1e-3}
    >>> create(norm, num_features=16)
    BatchNorm1d(16, eps=0.001, momentum=0.1, affine=True, track_running_stats=True)
    """
    if spec is None:
        return None
    cls, checked = _prepared(spec, options)
    return cls(**checked)


def load_config(path: str | os.PathLike[str]) -> Any:
    """The layers of a .toml, .json, .yaml or .yml file, in the shape of the file.

    A table with ``type`` is a layer, and so are a name and null (None); a list is a list of
    entries; a table without ``type`` is a dict of entries. Errors have the class that ``create``
    raises and begin with the file and the entry; FileNotFoundError, ImportError (no PyYAML) and
    ValueError (malformed, wrong shape, too large) tell of the file itself.
    """

    budget = Budget()

    def build(entry: str, spec: Any) -> Layer | None:
        try:
            return _build(spec, budget)
        except Exception as error:  # whatever a layer's __init__ raises, say where
            raise _located(error, path, entry) from error

    return _mapped(path, read_config(path), build)


@dataclass(frozen=True)
class Checked:
    """An entry of a config file: the repr of what it builds, or the error."""

    entry: str
    builds: str | None
    error: Exception | None = None


def check_config(path: str | os.PathLike[str]) -> list[Checked]:
    """Build and drop every entry of a config file, and report on each; raises for the file only."""
    return check_entries(path, read_config(path))


def check_entries(path: str | os.PathLike[str], tree: Any) -> list[Checked]:
    """As check_config for what a file holds, read already."""
    report, budget = [], Budget()

    def build(entry: str, spec: Any) -> None:
        try:
            report.append(Checked(entry, repr(_build(spec, budget))))
        except Exception as error:
            report.append(Checked(entry, None, error))

    _mapped(path, tree, build)
    return report


def available() -> list[str]:
    """The canonical names of all layers, those of plugins too, in alphabetical order.

    Plugins are not imported for it. PluginWarning, once, where metadata of one is malformed or two
    claim a name.
    """
    plugins.warn()
    return registry.names()


def describe(name: str) -> dict[str, Any]:
    """Tell where a layer comes from and what it takes.

    Parameters
    ----------
    name : str
        The name of the layer or an alias.

    Returns
    -------
    dict
        `name`, `aliases`, `module`; `origin`, which is "built-in" or a plugin's, with the
        `distribution` and `version` of a plugin, else None; `summary` and `explanation`, the
        beginning of the docstring; `options`, for each its `type`, `required`, `default` and
        `description`, which is None where the docstring does not say what the option means.

    Raises
    ------
    UnknownName
        If no layer is called so.
    PluginError
        If the plugin that brings it is broken.

    Examples
    --------
    >>> import cybn
    >>> bias = cybn.describe("bn1d")["options"]["bias"]
    >>> bias["type"], bias["default"], bias["description"]
    ('bool', True, 'False leaves out the bias alone.')
    """
    entry = registry.entry(name)
    plugin, doc, said = plugins.of(entry.cls), parts_of(entry.cls.__doc__), explanations(entry.cls)
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "origin": plugin.distribution if plugin else entry.origin,
        "distribution": plugin.distribution if plugin else None,
        "version": plugin.version if plugin else None,
        "module": entry.cls.__module__,
        "summary": doc.summary,
        "explanation": doc.more,
        "options": {
            option.name: {
                "type": option.kind.text,
                "required": option.required,
                "default": None if option.required else option.default,
                "description": said.get(option.name),
            }
            for option in options_of(entry.cls).values()
        },
    }


def schema(name: str | None = None) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a layer's config; without a name, of whatever create takes.

    That is the config of any layer, the name of one that needs no option, or null. Every plugin is
    imported for it, and a broken one left out with a PluginWarning.
    """
    if name is not None:
        return {"$schema": _DRAFT, **_schema(registry.entry(name))}
    layers, alone = [], []
    for each in available():
        try:
            entry = registry.entry(each)
            layers.append(_schema(entry))
        except PluginError as error:
            warnings.warn(f"{error}; left out of the schema", PluginWarning, stacklevel=2)
        else:
            alone += _names(entry) if _needs_nothing(entry.cls) else []
    bare = [name_schema(alone)] if alone else []
    return {"$schema": _DRAFT, "oneOf": [*layers, *bare, {"type": "null"}]}


def _resolve(spec: Any, options: dict[str, Any]) -> tuple[type[Layer], dict[str, Any]]:
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


def _prepared(spec: Any, options: dict[str, Any]) -> tuple[type[Layer], dict[str, Any]]:
    # The class, and a checked value for each of its options
    cls, given = _resolve(spec, options)
    known = options_of(cls)
    if "num_features" in given and "num_features" not in known:
        width = _width(cls).check_config(given.pop("num_features"), f"{cls.__name__}: num_features")
        if cls.num_features_option in known:
            given.setdefault(cls.num_features_option, width)
    return cls, check(cls, bind(cls, (), given), in_config=True)


def _width(cls: type[Layer]) -> Kind:
    # What num_features may be in a config of the class
    option = options_of(cls).get(cls.num_features_option)
    return _ANY_WIDTH if option is None else option.kind


def _build(spec: Any, budget: Budget) -> Layer | None:
    if spec is not None and not isinstance(spec, (str, dict)):
        raise ValueError(
            f"expected a layer, which is a name, a table with 'type', or null, got {shown(spec)}; "
            f"if this is an option, its table lacks 'type'"
        )
    if spec is None:
        return None
    cls, checked = _prepared(spec, {})
    budget.spend(cls, checked)
    return cls(**checked)


def _mapped(path: Any, tree: Any, build: Callable[[str, Any], Any]) -> Any:
    # The tree with build(entry, spec) in the place of each spec
    budget = iter(range(MAX_ENTRIES))

    def visit(tree: Any, entry: str, depth: int) -> Any:
        if next(budget, None) is None:
            raise _located(ValueError(f"more than {MAX_ENTRIES:,} entries; split the file"), path)
        if depth > MAX_DEPTH:
            raise _located(ValueError(f"nested more than {MAX_DEPTH} deep"), path, entry)
        if isinstance(tree, list):
            return [visit(item, f"{entry}[{i}]", depth + 1) for i, item in enumerate(tree)]
        if isinstance(tree, dict) and "type" not in tree and all(isinstance(k, str) for k in tree):
            prefix = f"{entry}." if entry else ""
            return {k: visit(v, prefix + printable(k), depth + 1) for k, v in tree.items()}
        return build(entry, tree)

    return visit(tree, "", 0)


def _located(error: Exception, path: Any, entry: str = "") -> Exception:
    # The same error with its place; one of another class than create raises turns RuntimeError
    where = place(path, entry)
    for cls in (UnknownOption, UnknownName, TypeError, ValueError, PluginError, ImportError):
        if isinstance(error, cls):
            return cls(f"{where}: {error}")
    return RuntimeError(f"{where}: {type(error).__name__}: {error}")


def _schema(entry: Entry) -> dict[str, Any]:
    # As create understands num_features everywhere, so does the schema
    result = json_schema(entry.cls, _names(entry))
    properties, required = result["properties"], result["required"]
    if "num_features" not in properties:
        width = entry.cls.num_features_option
        properties["num_features"] = properties.get(width) or _ANY_WIDTH.schema()
        if width in required:
            required.remove(width)
            result["anyOf"] = [{"required": [width]}, {"required": ["num_features"]}]
    return result


def _names(entry: Entry) -> list[str]:
    # Whatever `type` may say, without regard to spelling
    return list(dict.fromkeys([*entry.names, *plugins.long_names(entry)]))


def _needs_nothing(cls: type[Layer]) -> bool:
    try:
        check(cls, bind(cls, (), {}))
    except (TypeError, ValueError):
        return False
    return True
