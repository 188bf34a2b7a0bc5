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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..layers.base.layer import Layer
from ..spec.kinds import Kind
from ..spec.messages import did_you_mean, shown
from ..spec.registry import UnknownName, UnknownOption, register, registry
from ..spec.signature import bind, check, options_of
from .budget import Budget
from .catalogue import ANY_WIDTH, available, describe, schema
from .dialects.marks import check_momentum, foreign, is_foreign
from .dialects.reading import Read, read
from .dialects.shelf import find
from .dialects.table import Dialect
from .files import read_config
from .sections import part_of
from .trees import MAX_DEPTH, MAX_ENTRIES, as_layer, is_other, located, mapped, no_layer, pointer

__all__ = [
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "available",
    "build",
    "check_config",
    "create",
    "describe",
    "load_config",
    "register",
    "schema",
]


def create(
    spec: Any, /, *, dialect: str | Dialect | None = None, **options: Any
) -> Layer | None:
    """Build the layer that `spec` describes.

    Parameters
    ----------
    spec
        A name or alias, a dict with "type", a Layer class, or None, which gives None. It is never
        modified.
    dialect
        The library whose config it is, such as "mmengine", "timm" or "keras": names and options
        then mean what they mean there. See docs/dialects.md, and `cybn.dialects.available`.
    **options
        Options that override what the spec says. `num_features` is understood by every layer: it
        sets the option that means the width there, unless that option is given itself, and is
        dropped where there is none, once it is known to be a width. With a dialect they may be
        options of the library, too, and `spatial_dims` says the rank where its norm has none.

    Returns
    -------
    Layer or None
        A new layer.

    Raises
    ------
    UnknownName
        For an unknown layer or dialect.
    UnknownOption
        For an unknown option.
    TypeError
        For a missing option or a value of the wrong type.
    ValueError
        For a value out of range or a rule between options that is broken; for a norm of a dialect
        that no layer here can be, with what to write instead.

    Examples
    --------
    >>> import cybn
    >>> norm = {"type": "BN1d", "eps": 1e-3}
    >>> cybn.create(norm, num_features=16)
    BatchNorm1d(16, eps=0.001, momentum=0.1, affine=True, track_running_stats=True)
    >>> cybn.create("layer_norm", dialect="timm", num_features=16)
    LayerNorm((16,), eps=1e-06, elementwise_affine=True, bias=True)
    """
    prepared = _prepare(spec, options, {}, None if dialect is None else find(dialect))
    return None if prepared is None else prepared.cls(**prepared.options)


def build(tree: Any, /, *, dialect: str | Dialect | None = None, **defaults: Any) -> Any:
    """Build the layers of a tree of specs, in its shape.

    What `create` takes is a layer. A list is a list of what is in it, and a dict without "type" a
    dict.

    Parameters
    ----------
    tree
        The specs. They are never modified.
    dialect
        As for `create`.
    **defaults
        Options, such as `num_features` and `dtype`, of all layers that have them and do not say
        them themselves.

    Returns
    -------
    Layer, list, dict or None
        The layers.

    Raises
    ------
    UnknownOption
        For a default that no layer of the tree has.
    TypeError, ValueError, UnknownName
        As `create`, with the place in the tree.

    Examples
    --------
    >>> import cybn
    >>> net = cybn.build({"stem": "BN2d", "head": {"type": "LN", "eps": 1e-6}}, num_features=8)
    >>> net["head"]
    LayerNorm((8,), eps=1e-06, elementwise_affine=True, bias=True)
    """
    return _Trees(defaults, dialect).built(tree)


def load_config(
    path: str | os.PathLike[str],
    section: str | None = None,
    *,
    dialect: str | Dialect | None = None,
    **defaults: Any,
) -> Any:
    """Build the layers of a .toml, .json, .yaml or .yml file, in the shape of the file.

    A table with `type` is a layer, and so are a name and null (None); a list is a list of entries;
    a table without `type` is a dict of entries.

    Parameters
    ----------
    path
        The file.
    section
        The part of the file that has the layers, as "model.norm_cfg" or "stages[0]"; the rest is
        left alone. None takes the whole file.
    dialect
        As for `create`.
    **defaults
        As for `build`.

    Returns
    -------
    Layer, list, dict or None
        The layers.

    Raises
    ------
    FileNotFoundError
        For a file that there is not.
    ImportError
        For YAML without PyYAML.
    ValueError
        For a file that is malformed, of the wrong shape or too large, and for a section that it
        has not. What is wrong with an entry has the class that `create` raises and begins with
        the file and the entry.
    """
    tree = read_config(path)
    return _Trees(defaults, dialect, path, section, Budget()).built(tree)


@dataclass(frozen=True)
class Checked:
    """An entry of a config file: the repr of what it builds, or the error."""

    entry: str
    builds: str | None
    error: Exception | None = None


def check_config(path: str | os.PathLike[str]) -> list[Checked]:
    """Build and drop every entry of a config file, and report on each; raises for the file only."""
    return check_entries(path, read_config(path))


def check_entries(
    path: str | os.PathLike[str],
    tree: Any,
    section: str | None = None,
    dialect: str | None = None,
    **defaults: Any,
) -> list[Checked]:
    """As check_config for what a file holds, read already."""
    return _Trees(defaults, dialect, path, section, Budget()).report(tree)


class _Trees:
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
                other = type(error)(f"{error}{hint}") if hint and is_other(error) else error
                raise located(other, self.path, entry) from error

        part = self._part(tree)
        if self.path is not None and self.section is None:
            hint = pointer(tree, self.dialect)
        built = mapped(part, build, **self._where())
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
        mapped(part, build, **self._where())
        if not any(row.error for row in report):
            self._check_used()
        hint = pointer(tree, self.dialect) if self.section is None else ""
        return _without_others(report, hint) if hint else report

    def _part(self, tree: Any) -> Any:
        try:
            return tree if self.section is None else part_of(tree, self.section)
        except ValueError as error:
            raise located(error, self.path) from error

    def _where(self) -> dict[str, Any]:
        return {"dialect": self.dialect, "path": self.path, "section": self.section or ""}

    def _layer(self, spec: Any) -> Layer | None:
        if not as_layer(spec) or (self.path is not None and isinstance(spec, type)):
            raise no_layer(spec)
        try:
            prepared = _prepare(spec, {}, self.defaults, self.dialect)
        except TypeError as error:
            if isinstance(error, UnknownOption) or "needs num_" not in str(error):
                raise
            raise TypeError(f"{error}; for all layers give num_features=64 (--set on the command line)") from error
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
                f"no layer has the option {shown(unused[0], False)}{hint} Options: {', '.join(known)}"
            )
            raise located(error, self.path, self.section or "")


def _without_others(report: list[Checked], hint: str) -> list[Checked]:
    # One line for each part of a file that has no layers
    parts: dict[str, list[Checked]] = {}
    for row in report:
        parts.setdefault(row.entry.partition(".")[0].partition("[")[0], []).append(row)
    kept = []
    for part, rows in parts.items():
        if all(row.error is not None and is_other(row.error) for row in rows):
            text = f"no layer is in this part of the file{hint}" if part else f"{rows[0].error}{hint}"
            rows = [Checked(part, None, ValueError(text))]
        kept += rows
    return kept


@dataclass(frozen=True)
class _Prepared:
    """A layer that is about to be built: a checked value for each of its options."""

    cls: type[Layer]
    options: dict[str, Any]
    used: set[str]  # of the defaults


def _prepare(
    spec: Any, options: Mapping[str, Any], defaults: Mapping[str, Any], dialect: Dialect | None
) -> _Prepared | None:
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
    except (UnknownName, ValueError) as error:
        strange = isinstance(error, UnknownName) or (isinstance(spec, Mapping) and is_foreign(spec))
        better = foreign(spec, options, error, _prepared_read) if strange else None
        if better is None:
            raise
        raise better from error
    if "momentum" not in options:
        check_momentum(cls.__name__, spec)
    return _Prepared(cls, checked, used)


def _prepared_read(found: Read) -> _Prepared:
    cls = registry.find(found.type)
    return _Prepared(cls, _checked(cls, found.options), found.used)


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
