"""Layers of installed packages, found by entry point and imported when first asked for.

A package that lists a class in the entry-point group ``cybn.layers`` is a plugin, and the class is
a layer by the name of its entry point. Finding it reads metadata only; nothing is imported before
somebody asks for that very name. Importing all plugins at start was rejected: it is slow, and one
that is broken would break every program. Import paths in configs were rejected, too: a file would
then say what code runs.

- A layer may always be called ``distribution.Name`` or ``package.Name``. The bare name is its own
  unless another has it: a name that two distributions claim belongs to neither, and one that a
  built-in layer has stays the built-in's. It never depends on who was imported first.
- Entry points alone give names. What a plugin's modules register besides, as aliases or as layers
  of their own, would be known to a config only if another entry had imported them before.
- A plugin that cannot be loaded is one PluginError that names the distribution and the cause; what
  it registered on the way is taken out again, and every other layer works.
- ``CYBN_PLUGINS=0``, or ``cybn.use_plugins(False)``, leaves all of them out.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from importlib import invalidate_caches
from typing import Any

from ..terms.messages import folded, listed, one_line, shown
from ..terms.registry import Entry, Registry, UnknownName, registry
from .admission import Wrong, check_class, imported, reason_of
from .entrypoints import Plugin, installed

__all__ = ["PluginError", "PluginWarning", "Plugins", "plugins", "use_plugins"]

SWITCH = "CYBN_PLUGINS"


class PluginError(ImportError):
    """A plugin is broken: the message names its distribution and the cause."""


class PluginWarning(UserWarning):
    """Something is wrong with a plugin; everything else works."""


class Plugins:
    """The registry's source of layers from installed packages."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._wanted: bool | None = None  # as use_plugins said
        self._found: tuple[Plugin, ...] | None = None
        self._problems: list[str] = []
        self._warned = False
        self._broken: dict[Plugin, str] = {}
        self._left_out: dict[str, tuple[type, str, str]] = {}  # by key: class, its name, the reason
        self._loaded: list[Entry] = []  # what the imports registered
        self._now = threading.local()  # .plugin: what this thread is importing

    # What the registry asks

    def names(self) -> list[str]:
        """One name for each layer, bare where that is its own; nothing is imported."""
        return [self.name_of(plugin) for plugin in self.found()]

    def aliases(self) -> list[str]:
        """The further names that entry points give and that are nobody else's."""
        return [
            name
            for plugin in self.found()
            for name in plugin.aliases
            if self._is_free(name, plugin)
        ]

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
            cls = imported(plugin)
            self._admit(plugin, cls, before)
        except Wrong as error:
            raise self._give_up(plugin, str(error)) from error
        except BaseException as error:  # a plugin that calls sys.exit() is broken, no more
            self._registry.forget(self._added(plugin, before))
            if isinstance(error, KeyboardInterrupt):
                raise
            raise self._give_up(plugin, reason_of(plugin, error)) from error
        finally:
            self._now.plugin = outer
        self._loaded += self._added(plugin, before)
        return cls

    def names_for(self, entry: Entry) -> tuple[str, ...] | None:
        """The names that a plugin's class may have; none of its own, None for any other class.

        They are those that its entry points announce: the bare one where it is free, else the long
        one. Others of the decorator are left out, and `hint` says so when they are asked for.
        """
        own = [plugin for plugin in self.found() if plugin.package == entry.origin]
        loading = self._loading()
        if not own and loading is None:
            return None
        keys = {folded(name) for name in entry.names}
        plugin = next((plugin for plugin in own if keys & plugin.keys), None)
        if plugin is None:
            return self._unannounced(entry, own or [loading])
        announced = dict.fromkeys((*entry.names, *plugin.names))
        for name in [name for name in announced if folded(name) not in plugin.keys]:
            del announced[name]
            self._leave_out(name, entry, plugin)
        free = [name for name in announced if self._is_free(name, plugin)]
        own_name = entry.name if entry.name in announced else plugin.name
        first = own_name if own_name in free else f"{plugin.distribution}.{own_name}"
        return tuple(dict.fromkeys([first, *free]))

    def _unannounced(self, entry: Entry, own: list[Plugin]) -> tuple[str, ...]:
        # The names of a class that no entry point speaks of: none, or one that will be refused
        others = [str(each) for each in self._claimants(entry.name)]
        if others:
            raise ValueError(f"{entry.name!r} is claimed by {listed(others, 'and')}")
        if not self._is_free(entry.name, own[0]):
            return entry.names
        for name in entry.names:
            self._leave_out(name, entry, own[0])
        return ()

    def _leave_out(self, name: str, entry: Entry, plugin: Plugin) -> None:
        if self._is_free(name, plugin):
            fix = f'{name} = "{entry.cls.__module__}:{entry.cls.__qualname__}"'
            text = f"; {plugin} registers it without an entry point, {fix}, and is to add that"
            self._left_out[folded(name)] = entry.cls, entry.name, text
        else:
            problem = f"{plugin}: the alias {name!r} of {entry.name!r} is taken; left out"
            self._problems.append(problem)
            warnings.warn(problem, PluginWarning, stacklevel=5)

    def long_names(self, entry: Entry) -> list[str]:
        """What a plugin's class may be called besides its own names, by anybody at any time."""
        own = (plugin for plugin in self.found() if plugin.present(sys.modules) is entry.cls)
        return [
            f"{space}.{name}"
            for plugin in own
            for space in dict.fromkeys((plugin.distribution, plugin.package))
            for name in plugin.names
            if self._claimants_in(space, name) == [plugin]
        ]

    def hint(self, name: str) -> str:
        """What to say of a name that is unknown since plugins, or names of them, are left out."""
        off = self.switched_off()
        _, _, reason = self._left_out.get(folded(name), (None, "", ""))
        return f"; plugins are switched off by {off}" if off else reason

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
        claimants = self._claimants_in(space, last) if dot else self._claimants(last)
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
        own = [each for each in self.found() if each.package == package != "cybn"]
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

    def _claimants_in(self, space: str, name: str) -> list[Plugin]:
        # Of one distribution or, failing that, package
        space, claimants = folded(space), self._claimants(name)
        by_distribution = [each for each in claimants if folded(each.distribution) == space]
        return by_distribution or [each for each in claimants if folded(each.package) == space]

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
            check_class(cls)
            entry = self._registry.entry_of(cls)
            left_out = next((row[1] for row in self._left_out.values() if row[0] is cls), None)
            if entry is None and left_out:
                raise Wrong(f"the class registers itself as {left_out!r}; give both one name")
            if entry is None:
                self._registry.register(plugin.name, aliases=plugin.aliases)(cls)
        except Exception as error:
            own = isinstance(cls, type) and cls not in before and self._registry.entry_of(cls)
            self._registry.forget([own] if own else [])
            raise Wrong(one_line(error)) from error


def _is_called(entry: Entry, name: str) -> bool:
    # Is this one of its names, short or long?
    return folded(name) in {folded(each.rpartition(".")[2]) for each in entry.names}


def use_plugins(on: bool = True) -> None:
    """Leave the layers of plugins out, or let them in again, whatever CYBN_PLUGINS says.

    Parameters
    ----------
    on
        Whether they are in. True also looks anew for what is installed, and gives broken plugins
        another chance.

    Examples
    --------
    >>> import cybn
    >>> cybn.use_plugins(False)
    >>> cybn.show_config("dict")["plugins"]
    []
    >>> cybn.use_plugins(True)
    """
    plugins.use(on)


plugins = Plugins(registry)
registry.sources.append(plugins)
