"""Whether what an entry point points to can be a layer: imported, and looked at."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from ..layers.base.layer import Layer
from ..terms.messages import one_line, shown
from ..terms.signature import json_schema, options_of
from .entrypoints import Plugin

__all__ = ["Wrong", "check_class", "imported", "reason_of"]


class Wrong(Exception):  # noqa: N818
    """What is wrong with a plugin's class, in words."""


def imported(plugin: Plugin) -> Any:
    """What the entry point points to."""
    found: Any = import_module(plugin.module)
    for attribute in plugin.attribute.split("."):
        if not hasattr(found, attribute):
            raise Wrong(f"its entry point points nowhere: {plugin.target} does not exist")
        found = getattr(found, attribute)
    return found


def check_class(cls: Any) -> None:
    """Wrong unless what create, describe and schema will say of the class is true."""
    if not isinstance(cls, type):
        raise Wrong(f"its entry point is to point to a class, got {shown(cls)}")
    owner = f"{cls.__module__}.{cls.__qualname__}"
    if not issubclass(cls, Layer):
        raise Wrong(f"{owner} is no subclass of cybn.Layer")
    if owner.startswith("cybn."):
        raise Wrong(f"{owner} is a part of cybn; the entry point is to name a class of the plugin")
    options = options_of(cls)
    width = cls.num_features_option
    if width not in (None, "num_features", *options):
        raise Wrong(f"num_features_option is {width!r}, and there is no such option")
    for option in options.values():
        if not option.required:
            option.kind.check(option.default, f"the default of {option.name}")
    json.dumps(json_schema(cls), default=repr)


def reason_of(plugin: Plugin, error: BaseException) -> str:
    """Why the import failed, in words."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{plugin.module}.".startswith(f"{missing}."):
        return f"its entry point points nowhere: there is no module {missing!r}"
    return f"importing {plugin.module} raised {type(error).__name__}: {one_line(error)}"
