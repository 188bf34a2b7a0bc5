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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..layers.base.layer import Layer
from ..spec.kinds import Kind
from ..spec.messages import place, printable, shown
from ..spec.registry import UnknownName, UnknownOption, register, registry
from ..spec.signature import bind, check, options_of
from .budget import Budget
from .catalogue import ANY_WIDTH, available, describe, schema
from .files import read_config
from .plugins import PluginError

__all__ = ["available", "check_config", "create", "describe", "load_config", "register", "schema"]

MAX_DEPTH = 32  # levels of tables and lists around an entry of a config file
MAX_ENTRIES = 10_000  # a YAML file of a page can spell billions


def create(spec: str | Mapping[str, Any] | type[Layer] | None, /, **options: Any) -> Layer | None:
    """Build the layer that `spec` describes.

    Parameters
    ----------
    spec
        A name or alias, a dict with "type", a Layer class, or None, which gives None. It is never
        modified.
    **options
        Options that override what the spec says. `num_features` is understood by every layer: it
        sets the option that means the width there, unless that option is given itself, and is
        dropped where there is none, once it is known to be a width.

    Returns
    -------
    Layer or None
        A new layer.

    Raises
    ------
    UnknownName
        For an unknown layer.
    UnknownOption
        For an unknown option.
    TypeError
        For a missing option or a value of the wrong type.
    ValueError
        For a value out of range or a rule between options that is broken.

    Examples
    --------
    >>> import cybn
    >>> norm = {"type": "BN1d", "eps": 1e-3}
    >>> cybn.create(norm, num_features=16)
    BatchNorm1d(16, eps=0.001, momentum=0.1, affine=True, track_running_stats=True)
    """
    if spec is None:
        return None
    cls, checked = _prepared(spec, options)
    return cls(**checked)


def load_config(path: str | os.PathLike[str]) -> Any:
    """Build the layers of a .toml, .json, .yaml or .yml file, in the shape of the file.

    A table with `type` is a layer, and so are a name and null (None); a list is a list of entries;
    a table without `type` is a dict of entries.

    Parameters
    ----------
    path
        The file.

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
        For a file that is malformed, of the wrong shape or too large. What is wrong with an entry
        has the class that `create` raises and begins with the file and the entry.
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
    return ANY_WIDTH if option is None else option.kind


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
