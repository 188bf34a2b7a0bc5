"""Layers of installed packages, found by entry point and imported when first asked for.

A package that lists a class in the entry-point group ``cybn.layers`` is a plugin, and the class is
a layer by the name of its entry point. Finding it reads metadata only; nothing is imported before
somebody asks for that very name. Importing all plugins at start was rejected: it is slow, and one
that is broken would break every program. Import paths in configs were rejected, too: a file would
then say what code runs.

- A layer may always be called ``distribution.Name`` or ``package.Name``. The bare name is its own
  unless another has it: a name that two distributions claim belongs to neither, and one that a
  built-in layer has stays the built-in's. It never depends on who was imported first.
- A plugin that cannot be loaded is one PluginError that names the distribution and the cause; what
  it registered on the way is taken out again, and every other layer works.
- ``CYBN_PLUGINS=0``, or ``cybn.use_plugins(False)``, leaves all of them out.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module, invalidate_caches
from typing import Any

from .entrypoints import Plugin, installed
from .layers.base import Layer
from .messages import folded, listed, one_line, shown
from .options import json_schema, options_of
from .registry import Entry, Registry, UnknownName, registry

__all__ = ["PluginError", "PluginWarning", "Plugins", "plugins", "use_plugins"]

SWITCH = "CYBN_PLUGINS"


class PluginError(ImportError):
    """A plugin is broken: the message names its distribution and the cause."""


class PluginWarning(UserWarning):
    """Something is wrong with a plugin; everything else works."""


class _Wrong(Exception):  # noqa: N818
    """What is wrong with a plugin's class, in words."""


class Plugins:
    """The registry's source of layers from installed packages."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._wanted: bool | None = None  # as use_plugins said
        self._found: tuple[Plugin, ...] | None = None
        self._problems: list[str] = []
        self._warned = False
        self._broken: dict[Plugin, str] = {}
        self._loaded: list[Entry] = []  # what the imports registered
        self._now = threading.local()  # .plugin: what this thread is importing

    # What the registry asks

    def names(self) -> list[str]:
        """One name for each layer, bare where that is its own; nothing is imported."""
        return [self.name_of(plugin) for plugin in self.found()]

    def load(self, name: str) -> type | None:
        """Import, register and return the class of a name; None where no plugin has the name.

        UnknownName for a bare name that two distributions claim, PluginError for a broken plugin.
        """
        plugin = self.find(name)
        if plugin is None:
            return None
        if plugin in self._broken:
            raise PluginError(self._broken[plugin])
        before = {entry.cls for entry in self._registry.entries()}
        outer, self._now.plugin = self._loading(), plugin
        try:
            cls = _imported(plugin)
            self._admit(plugin, cls, before)
        except _Wrong as error:
            raise self._give_up(plugin, str(error)) from error
        except BaseException as error:  # a plugin that calls sys.exit() is broken, no more
            self._registry.forget(self._added(plugin, before))
            if isinstance(error, KeyboardInterrupt):
                raise
            raise self._give_up(plugin, _reason(plugin, error)) from error
        finally:
            self._now.plugin = outer
        self._loaded += self._added(plugin, before)
        return cls

    def claimed(self, entry: Entry) -> Entry | None:
        """An entry of a plugin's class under the names it may have; None for any other class.

        A name that is not free becomes the long one if an entry point announced it, and is left to
        the registry to refuse otherwise; an alias that is not free is left out with a warning.
        """
        own = [plugin for plugin in self.found() if plugin.package == entry.origin]
        if not own and (loading := self._loading()):
            own = [loading]
        if not own:
            return None
        keys = {folded(name) for name in entry.names}
        plugin = next((plugin for plugin in own if keys & plugin.keys), None)
        name, who = entry.name, plugin or own[0]
        if not self._is_free(name, who) and "." not in name:
            others = [str(each) for each in self._claimants(name) if each not in own]
            if plugin is not None:
                name = f"{who.distribution}.{name}"
            elif others:
                raise ValueError(f"{name!r} is claimed by {listed(others, 'and')}")
        aliases = dict.fromkeys((*entry.aliases, *(plugin.names if plugin else ())))
        aliases.pop(entry.name, None)
        for alias in [alias for alias in aliases if not self._is_free(alias, who)]:
            del aliases[alias]
            if plugin is None or folded(alias) not in plugin.keys:  # else `problems` tells of it
                self._problems.append(f"{who}: the alias {alias!r} of {name!r} is taken; left out")
                warnings.warn(self._problems[-1], PluginWarning, stacklevel=4)
        return replace(entry, name=name, aliases=tuple(aliases))

    def hint(self) -> str:
        """What to say where a name is unknown and plugins are left out."""
        off = self.switched_off()
        return f"; plugins are switched off by {off}" if off else ""

    # What people ask

    def found(self) -> tuple[Plugin, ...]:
        """The plugins that are installed, none where they are switched off."""
        if self._found is None:
            found, problems = ([], []) if self.switched_off() else installed()
            self._problems, self._found, self._warned = problems, tuple(found), False
        return self._found

    def problems(self) -> list[str]:
        """What is wrong with installed plugins as far as it is known, a line for each."""
        return [*self._problems, *self._clashes(), *self._broken.values()]

    def warn(self) -> None:
        """A PluginWarning for each thing that is wrong with the metadata of plugins, once."""
        self.found()
        if not self._warned:
            self._warned = True
            for problem in [*self._problems, *self._clashes()]:
                warnings.warn(problem, PluginWarning, stacklevel=3)

    def find(self, name: str) -> Plugin | None:
        """The plugin of a name, short or long; UnknownName for one that two distributions claim."""
        space, dot, last = name.rpartition(".")
        claimants = self._claimants(last)
        if dot:
            space = folded(space)
            by_distribution = [p for p in claimants if folded(p.distribution) == space]
            claimants = by_distribution or [p for p in claimants if folded(p.package) == space]
        if len(claimants) > 1:
            owners = listed(map(str, claimants), "and")
            names = listed((repr(plugin.full_name) for plugin in claimants), "or")
            raise UnknownName(f"{shown(name, False)} is claimed by {owners}; say {names}")
        return claimants[0] if claimants else None

    def name_of(self, plugin: Plugin) -> str:
        """What a plugin's layer is called, loaded or not."""
        cls = plugin.present(sys.modules)
        entry = self._registry.entry_of(cls) if isinstance(cls, type) else None
        if entry is not None and _is_called(entry, plugin.name):
            return entry.name
        return plugin.name if self._is_free(plugin.name, plugin) else plugin.full_name

    def of(self, cls: type) -> Plugin | None:
        """The plugin that brings a class; the class is imported, so nothing else need be."""
        package = str(cls.__module__).partition(".")[0]
        own = [each for each in self.found() if each.package == package != __package__]
        exact = (plugin for plugin in own if plugin.present(sys.modules) is cls)
        return next(exact, own[0] if own else None)

    def switched_off(self) -> str:
        """What switches plugins off; empty where they are on."""
        if self._wanted is not None:
            return "" if self._wanted else "cybn.use_plugins(False)"
        value = os.environ.get(SWITCH, "")
        if value not in ("", "0", "1"):
            raise ValueError(f"{SWITCH} is 0 or 1, got {value!r}; 0 leaves plugins out")
        return f"{SWITCH}=0" if value == "0" else ""

    def use(self, on: bool) -> None:
        """See use_plugins."""
        if not isinstance(on, bool):
            raise TypeError(f"use_plugins takes True or False, got {shown(on)}")
        self._wanted, self._found, self._broken = on, None, {}
        invalidate_caches()  # something may have been installed a moment ago
        if not on:
            self._registry.forget(self._loaded)

    # Inside

    def _claimants(self, name: str) -> list[Plugin]:
        key = folded(name)
        return [plugin for plugin in self.found() if key in plugin.keys]

    def _is_free(self, name: str, plugin: Plugin) -> bool:
        # May the plugin's layer have this bare name?
        entry = self._registry.registered(name)
        return all(each.distribution == plugin.distribution for each in self._claimants(name)) and (
            entry is None or entry.origin == plugin.package
        )

    def _clashes(self) -> Iterator[str]:
        # Names that entry points announce and that are another's
        claims = defaultdict(list)
        for plugin in self.found():
            for name in plugin.names:
                claims[folded(name)].append((plugin, name))
        for claimants in claims.values():
            plugin, name = claimants[0]
            entry = self._registry.registered(name)
            if entry is not None and entry.origin not in [each.package for each, _ in claimants]:
                for plugin, name in claimants:
                    full = f"{plugin.distribution}.{name}"
                    yield f"{plugin}: {name!r} is taken by {entry.owner}; it is {full!r}"
            elif len(claimants) > 1:
                owners = listed((str(each) for each, _ in claimants), "and")
                names = listed((repr(f"{p.distribution}.{n}") for p, n in claimants), "or")
                yield f"{name!r} is claimed by {owners}; say {names}"

    def _loading(self) -> Plugin | None:
        return getattr(self._now, "plugin", None)

    def _added(self, plugin: Plugin, before: set[type]) -> list[Entry]:
        # What was registered since, by this package or by a module that is gone again
        return [
            entry
            for entry in self._registry.entries()
            if entry.cls not in before
            and (entry.origin == plugin.package or entry.cls.__module__ not in sys.modules)
        ]

    def _give_up(self, plugin: Plugin, reason: str) -> PluginError:
        self._broken[plugin] = f"{plugin}: {plugin.name!r} cannot be loaded: {reason}"
        return PluginError(self._broken[plugin])

    def _admit(self, plugin: Plugin, cls: Any, before: set[type]) -> None:
        for entry in [each for each in self._loaded if each.origin == plugin.package]:
            # Taken out when plugins were switched off; the import does not run again
            gone = self._registry.entry_of(entry.cls) is None
            if gone and not any(map(self._registry.registered, entry.names)):
                self._registry.add(entry)
        try:
            _check(cls)
            entry = self._registry.entry_of(cls)
            if entry is None:
                self._registry.register(plugin.name, aliases=plugin.aliases)(cls)
            elif not _is_called(entry, plugin.name):
                raise _Wrong(f"the class registers itself as {entry.name!r}; give both one name")
        except Exception as error:
            own = isinstance(cls, type) and cls not in before and self._registry.entry_of(cls)
            self._registry.forget([own] if own else [])
            raise _Wrong(one_line(error)) from error


def _is_called(entry: Entry, name: str) -> bool:
    # Is this one of its names, short or long?
    return folded(name) in {folded(each.rpartition(".")[2]) for each in entry.names}


def _imported(plugin: Plugin) -> Any:
    found: Any = import_module(plugin.module)
    for attribute in plugin.attribute.split("."):
        if not hasattr(found, attribute):
            raise _Wrong(f"its entry point points nowhere: {plugin.target} does not exist")
        found = getattr(found, attribute)
    return found


def _check(cls: Any) -> None:
    # That what create, describe and schema will say of the class is true
    if not isinstance(cls, type):
        raise _Wrong(f"its entry point is to point to a class, got {shown(cls)}")
    owner = f"{cls.__module__}.{cls.__qualname__}"
    if not issubclass(cls, Layer):
        raise _Wrong(f"{owner} is no subclass of cybn.Layer")
    if owner.startswith(f"{__package__}."):
        raise _Wrong(f"{owner} is a part of cybn; the entry point is to name a class of the plugin")
    options = options_of(cls)
    width = cls.num_features_option
    if width not in (None, "num_features", *options):
        raise _Wrong(f"num_features_option is {width!r}, and there is no such option")
    for option in options.values():
        if not option.required:
            option.kind.check(option.default, f"the default of {option.name}")
    json.dumps(json_schema(cls), default=repr)


def _reason(plugin: Plugin, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{plugin.module}.".startswith(f"{missing}."):
        return f"its entry point points nowhere: there is no module {missing!r}"
    return f"importing {plugin.module} raised {type(error).__name__}: {one_line(error)}"


def use_plugins(on: bool = True) -> None:
    """Leave the layers of plugins out, or let them in again, whatever CYBN_PLUGINS says.

    True also looks anew for what is installed, and gives broken plugins another chance.

    >>> import cybn
    >>> cybn.use_plugins(False)
    >>> cybn.show_config("dict")["plugins"]
    []
    >>> cybn.use_plugins(True)
    """
    plugins.use(on)


plugins = Plugins(registry)
registry.sources.append(plugins)
