"""Trees of layers: what in a list, a dict or a file is a spec, and what is built in its place.

A tree comes back in its own shape. What stands beside the layers of a file is somebody else's: the
whole of it is no tree, and the error says which part may be one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..layers.base.layer import Layer
from ..terms.messages import did_you_mean, folded, listed, place, printable, shown
from ..terms.registry import UnknownName, UnknownOption, registry
from ..terms.signature import options_of
from .budget import Budget
from .dialects.marks import is_foreign
from .dialects.reading import is_spec
from .dialects.shelf import find
from .dialects.table import Dialect
from .plugins import PluginError
from .prepared import prepare
from .sections import part_of, parts_with

__all__ = ["MAX_DEPTH", "MAX_ENTRIES", "Checked", "Trees"]

MAX_DEPTH = 32  # levels of tables and lists around an entry of a config
MAX_ENTRIES = 10_000  # of a file: a YAML file of a page can spell billions
_FEW = 3  # sections that a message names
_EXPECTED = "expected a layer"  # how the error of an entry begins that does not look like one


@dataclass(frozen=True)
class Checked:
    """An entry of a config file: the repr of what it builds, or the error."""

    entry: str
    builds: str | None
    error: Exception | None = None


class Trees:
    """How the trees of one call are built."""

    def __init__(
        self,
        defaults: dict[str, Any],
        dialect: str | Dialect | None,
        path: Any = None,
        section: str | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.dialect = None if dialect is None else find(dialect)
        self.defaults, self.path, self.section, self.budget = defaults, path, section, budget
        self.used: set[str] = set()
        self.layers: list[type[Layer]] = []  # their classes

    def built(self, tree: Any) -> Any:
        hint = ""

        def build(entry: str, spec: Any) -> Layer | None:
            try:
                return self._layer(spec)
            except Exception as error:  # whatever a layer's __init__ raises, say where
                other = type(error)(f"{error}{hint}") if hint and _is_other(error) else error
                raise _located(other, self.path, entry) from error

        part = self._part(tree)
        if self.path is not None and self.section is None:
            hint = _pointer(tree, self.dialect)
        built = _mapped(part, build, **self._where())
        self._check_used()
        return built

    def report(self, tree: Any) -> list[Checked]:
        report: list[Checked] = []

        def build(entry: str, spec: Any) -> None:
            try:
                report.append(Checked(entry, repr(self._layer(spec))))
            except Exception as error:
                report.append(Checked(entry, None, error))

        part = self._part(tree)
        _mapped(part, build, **self._where())
        if not any(row.error for row in report):
            self._check_used()
        hint = _pointer(tree, self.dialect) if self.section is None else ""
        return _without_others(report, hint) if hint else report

    def _part(self, tree: Any) -> Any:
        try:
            return tree if self.section is None else part_of(tree, self.section)
        except ValueError as error:
            raise _located(error, self.path) from error

    def _where(self) -> dict[str, Any]:
        return {"dialect": self.dialect, "path": self.path, "section": self.section or ""}

    def _layer(self, spec: Any) -> Layer | None:
        if not _as_layer(spec) or (self.path is not None and isinstance(spec, type)):
            raise _no_layer(spec)
        try:
            prepared = prepare(spec, {}, self.defaults, self.dialect)
        except TypeError as error:
            if isinstance(error, UnknownOption) or "needs num_" not in str(error):
                raise
            raise TypeError(
                f"{error}; for all layers give num_features=64 (--set on the command line)"
            ) from error
        if prepared is None:
            return None
        self.used |= prepared.used
        self.layers.append(prepared.cls)
        if self.budget is not None:
            self.budget.spend(prepared.cls, prepared.options)
        return prepared.cls(**prepared.options)

    def _check_used(self) -> None:
        unused = [name for name in self.defaults if name not in self.used]
        if unused and self.layers:
            known = dict.fromkeys(name for cls in self.layers for name in options_of(cls))
            hint = did_you_mean(unused[0], known) or "."
            error = UnknownOption(
                f"no layer has the option {shown(unused[0], False)}{hint} "
                f"Options: {', '.join(known)}"
            )
            raise _located(error, self.path, self.section or "")


def _without_others(report: list[Checked], hint: str) -> list[Checked]:
    # One line for each part of a file that has no layers
    parts: dict[str, list[Checked]] = {}
    for row in report:
        parts.setdefault(row.entry.partition(".")[0].partition("[")[0], []).append(row)
    kept = []
    for part, rows in parts.items():
        if all(row.error is not None and _is_other(row.error) for row in rows):
            text = "no layer is in this part of the file" if part else str(rows[0].error)
            rows = [Checked(part, None, ValueError(f"{text}{hint}"))]
        kept += rows
    return kept


def _mapped(
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
            raise _located(ValueError(f"more than {MAX_ENTRIES:,} entries; split the file"), path)
        if depth > MAX_DEPTH:
            raise _located(ValueError(f"nested more than {MAX_DEPTH} deep"), path, entry)
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


def _pointer(tree: Any, dialect: Dialect | None) -> str:
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


def _no_layer(spec: Any) -> ValueError:
    """The error of an entry that is none."""
    return ValueError(
        f"{_EXPECTED}, which is a name, a table with 'type', or null, got {shown(spec)}; "
        f"if this is an option, its table lacks 'type'"
    )


def _is_other(error: Exception) -> bool:
    """Does an error tell that an entry is rather no layer than one with a mistake?"""
    if isinstance(error, UnknownName) and not isinstance(error, UnknownOption):
        return not any(mark in str(error) for mark in ("did you mean", "dotted path", "dialect="))
    return str(error).startswith(_EXPECTED)


def _located(error: Exception, path: Any, entry: str = "") -> Exception:
    """The same error with its place; one of another class than create raises turns RuntimeError."""
    where = entry if path is None else place(path, entry)
    where = f"{where}: " if where else ""
    for cls in (UnknownOption, UnknownName, TypeError, ValueError, PluginError, ImportError):
        if isinstance(error, cls):
            return cls(f"{where}{error}")
    return RuntimeError(f"{where}{type(error).__name__}: {error}")


def _as_layer(spec: Any) -> bool:
    """Can this be handed to create?"""
    return spec is None or isinstance(spec, (str, type, Mapping, Layer, list, tuple))
