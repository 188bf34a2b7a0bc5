"""What is known of layers without building one: names, options and their JSON Schema."""

from __future__ import annotations

import warnings
from typing import Any

from ..layers.base.layer import Layer
from ..terms.docstrings import explanations, parts_of
from ..terms.kinds import kind_of
from ..terms.registry import Entry, registry
from ..terms.signature import PositiveInt, bind, check, json_schema, name_schema, options_of
from .dialects.marks import momentum_layers, momentum_schema
from .plugins import PluginError, PluginWarning, plugins

__all__ = ["ANY_WIDTH", "available", "describe", "schema"]

ANY_WIDTH = kind_of(PositiveInt)  # num_features for a layer that has no width

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def available() -> list[str]:
    """List the canonical names of all layers, those of plugins too, in alphabetical order.

    Plugins are not imported for it.

    Returns
    -------
    list of str
        The names.

    Warns
    -----
    PluginWarning
        Once, where metadata of a plugin is malformed or two plugins claim a name.
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
    """Make a JSON Schema (draft 2020-12) of a layer's config, or of whatever `create` takes.

    That is the config of any layer, the name of one that needs no option, or null.

    Parameters
    ----------
    name
        The name of a layer; None for all. Every plugin is imported for that, and a broken one left
        out.

    Returns
    -------
    dict
        The schema, which says of each option what it means, too.

    Raises
    ------
    UnknownName
        If no layer is called so.
    PluginError
        If the plugin that brings the layer of this name is broken.

    Warns
    -----
    PluginWarning
        For a broken plugin that was left out.
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


def _schema(entry: Entry) -> dict[str, Any]:
    # As create understands num_features everywhere, so does the schema
    result = json_schema(entry.cls, _names(entry))
    properties, required = result["properties"], result["required"]
    if "num_features" not in properties:
        width = entry.cls.num_features_option
        properties["num_features"] = properties.get(width) or ANY_WIDTH.schema()
        if width in required:
            required.remove(width)
            result["anyOf"] = [{"required": [width]}, {"required": ["num_features"]}]
    if entry.origin == "built-in" and entry.name in momentum_layers():
        result.setdefault("allOf", []).append(momentum_schema())
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
