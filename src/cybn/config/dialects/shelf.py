"""The dialects there are: those of cybn, those that a program registers, those of plugins.

Each is a module of its own and imported when it is first asked for, a plugin's by the entry point
that announces it (group ``cybn.dialects``), which points to a `Dialect`. As with layers, nothing
replaces another's: a name that two have is an error that names both.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from ...terms.messages import did_you_mean, folded, one_line, shown
from ...terms.registry import UnknownName, is_name
from ..entrypoints import DIALECTS, Plugin, installed
from ..plugins import PluginError, plugins
from .table import Dialect

__all__ = ["available", "find", "register"]

BUILT_IN = (
    "mmengine",
    "timm",
    "detectron2",
    "keras",
    "flax",
    "monai",
    "hf",
    "onnx",
    "torch",
    "paddle",
)
_registered: dict[str, Dialect] = {}


def available() -> list[str]:
    """List the names that `dialect` may have; plugins are not imported for it.

    Returns
    -------
    list of str
        The names, those of cybn first.

    Examples
    --------
    >>> import cybn.dialects
    >>> cybn.dialects.available()[:3]
    ['mmengine', 'timm', 'detectron2']
    """
    announced = (name for plugin in _announced() for name in plugin.names)
    return list(dict.fromkeys([*BUILT_IN, *_registered, *announced]))


def register(dialect: Dialect) -> Dialect:
    """Let `create`, `build` and `load_config` take a dialect by its name, in this process.

    Parameters
    ----------
    dialect
        The table. The same one may be registered again.

    Returns
    -------
    Dialect
        The table itself.

    Raises
    ------
    TypeError
        For what is no `Dialect`.
    ValueError
        For a name that is malformed or taken.

    Examples
    --------
    >>> import cybn
    >>> from cybn.dialects import As, Dialect, Norm, OneMinus, register
    >>> words = {"decay": OneMinus("momentum", default=0.9), "eps": As("eps", default=1e-5)}
    >>> ours = Dialect(
    ...     "ours", "our own configs", ("https://example.org/norms",),
    ...     (Norm(("batch",), "BatchNorm{}d", words),),
    ... )
    >>> _ = register(ours)
    >>> cybn.create({"type": "batch", "decay": 0.97}, dialect="ours", num_features=8)
    BatchNorm2d(8, eps=1e-05, momentum=0.03, affine=True, track_running_stats=True)
    """
    if not isinstance(dialect, Dialect):
        raise TypeError(f"register takes a cybn.dialects.Dialect, got {shown(dialect)}")
    if not isinstance(dialect.name, str) or not is_name(dialect.name):
        raise ValueError(
            f"a dialect's name has letters, digits, '_' and '-', got {shown(dialect.name, False)}"
        )
    old = _registered.get(dialect.name)
    if dialect.name in BUILT_IN or old not in (None, dialect):
        owner = "cybn" if old is None else old.title
        raise ValueError(f"the dialect {dialect.name!r} is taken by {owner}; choose another name")
    _registered[dialect.name] = dialect
    return dialect


def find(name: Any) -> Dialect:
    """The dialect of a name; UnknownName, a ValueError too, where there is none."""
    if isinstance(name, Dialect):
        return name
    if not isinstance(name, str):
        raise TypeError(f"dialect is the name of a dialect, got {shown(name)}")
    key = _spelt(name, (*BUILT_IN, *_registered))
    if key is None:  # what is installed is read only then, which takes milliseconds
        there = available()
        key = _spelt(name, there)
        if key is None:
            hint = did_you_mean(name, there) or "."
            known = ", ".join(there)
            raise UnknownName(f"unknown dialect {shown(name, False)}{hint} Dialects: {known}")
    return _built_in(key) if key in BUILT_IN else _registered.get(key) or _loaded(key)


def every() -> list[Dialect]:
    """All dialects that can be had without importing a plugin."""
    return [*map(_built_in, BUILT_IN), *_registered.values()]


def _spelt(name: str, names: Iterable[str]) -> str | None:
    return next((each for each in names if folded(each) == folded(name)), None)


def _built_in(name: str) -> Dialect:
    return import_module(f"{__package__}.{name}").DIALECT


def _announced() -> list[Plugin]:
    return [] if plugins.switched_off() else installed(DIALECTS)[0]


def _loaded(name: str) -> Dialect:
    claimants = [plugin for plugin in _announced() if name in plugin.names]
    if len(claimants) > 1:
        owners = " and ".join(map(str, claimants))
        raise UnknownName(f"the dialect {name!r} is claimed by {owners}; uninstall one of them")
    (plugin,) = claimants
    try:
        found: Any = import_module(plugin.module)
        for attribute in plugin.attribute.split("."):
            found = getattr(found, attribute)
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise PluginError(f"{plugin}: the dialect {name!r} cannot be loaded: {reason}") from error
    if not isinstance(found, Dialect):
        raise PluginError(
            f"{plugin}: the entry point of the dialect {name!r} is to point to a "
            f"cybn.dialects.Dialect, got {shown(found)}"
        )
    return found
