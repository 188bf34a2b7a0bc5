"""Trees of layers: what in a list, a dict or a file is a spec, and what is built in its place.

A tree comes back in its own shape. What stands beside the layers of a file is somebody else's: the
whole of it is no tree, and the error says which part may be one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..layers.base.layer import Layer
from ..spec.messages import folded, listed, place, printable, shown
from ..spec.registry import UnknownName, UnknownOption, registry
from .dialects.marks import is_foreign
from .dialects.reading import is_spec
from .dialects.table import Dialect
from .plugins import PluginError
from .sections import parts_with

__all__ = ["MAX_DEPTH", "MAX_ENTRIES", "NoLayer", "located", "mapped", "pointer"]

MAX_DEPTH = 32  # levels of tables and lists around an entry of a config
MAX_ENTRIES = 10_000  # of a file: a YAML file of a page can spell billions
_FEW = 3  # sections that a message names


class NoLayer(ValueError):  # noqa: N818
    """An entry that does not even look like a layer."""


def mapped(
    tree: Any,
    build: Callable[[str, Any], Any],
    *,
    dialect: Dialect | None = None,
    path: Any = None,
    section: str = "",
) -> Any:
    """The tree with build(entry, spec) in the place of each spec; `path` is the file's, if any."""
    budget = iter(range(MAX_ENTRIES))

    def visit(tree: Any, entry: str, depth: int) -> Any:
        if path is not None and next(budget, None) is None:
            raise located(ValueError(f"more than {MAX_ENTRIES:,} entries; split the file"), path)
        if depth > MAX_DEPTH:
            raise located(ValueError(f"nested more than {MAX_DEPTH} deep"), path, entry)
        if _is_spec(tree, dialect):
            return build(entry, tree)
        if isinstance(tree, (list, tuple)):
            return [visit(item, f"{entry}[{i}]", depth + 1) for i, item in enumerate(tree)]
        if isinstance(tree, Mapping) and all(isinstance(key, str) for key in tree):
            prefix = f"{entry}." if entry else ""
            return {k: visit(v, prefix + printable(k), depth + 1) for k, v in tree.items()}
        return build(entry, tree)

    return visit(tree, section, 0)


def _is_spec(tree: Any, dialect: Dialect | None) -> bool:
    if not isinstance(tree, (Mapping, list, tuple)):
        return True
    if dialect is None:
        return isinstance(tree, Mapping) and ("type" in tree or is_foreign(tree))
    try:
        return is_spec(tree, dialect)
    except (TypeError, ValueError):  # one that is malformed: building it will say how
        return True


def pointer(tree: Any, dialect: Dialect | None) -> str:
    """The end of a message that names the parts of a file with layers; empty if there are none."""

    def is_layer(key: str, spec: Any) -> bool:
        name = spec.get("type") if isinstance(spec, dict) else spec
        if dialect is None:
            known = isinstance(name, str) and registry.registered(name) is not None
        else:
            try:
                name = (dialect.parts(spec) or (None,))[0]
            except (TypeError, ValueError):
                name = None
            known = isinstance(name, str) and (
                dialect.known(name) is not None or registry.registered(name) is not None
            )
        return known and (isinstance(spec, (dict, list)) or "norm" in folded(key))

    found = parts_with(tree, is_layer)
    parts = [repr(path) for path, _ in zip(found, range(_FEW), strict=False)]
    return f"; load the part with layers, as by section={listed(parts, 'or')}" if parts else ""


def no_layer(spec: Any) -> NoLayer:
    """The error of an entry that is none."""
    return NoLayer(
        f"expected a layer, which is a name, a table with 'type', or null, got {shown(spec)}; "
        f"if this is an option, its table lacks 'type'"
    )


def is_other(error: Exception) -> bool:
    """Does an error tell that an entry is rather no layer than one with a mistake?"""
    if isinstance(error, UnknownName) and not isinstance(error, UnknownOption):
        return not any(mark in str(error) for mark in ("did you mean", "dotted path", "dialect="))
    return isinstance(error, NoLayer)


def located(error: Exception, path: Any, entry: str = "") -> Exception:
    """The same error with its place; one of another class than create raises turns RuntimeError."""
    where = entry if path is None else place(path, entry)
    where = f"{where}: " if where else ""
    for cls in (UnknownOption, UnknownName, TypeError, ValueError, PluginError, ImportError):
        if isinstance(error, cls):
            return cls(f"{where}{error}")
    return RuntimeError(f"{where}{type(error).__name__}: {error}")


def as_layer(spec: Any) -> bool:
    """Can this be handed to create?"""
    return spec is None or isinstance(spec, (str, type, Mapping, Layer, list, tuple))
