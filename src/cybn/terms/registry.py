"""Names to layer classes: the one place where a config's ``type`` is looked up.

A name is looked up and never imported: a config file that says ``os.system`` or ``torch.nn.X`` gets
an error. A plain dict was rejected because it overwrites silently, answers a misspelt name with a
bare KeyError, and cannot list a class that nobody has imported yet.

- Names are compared without case, ``_`` and ``-``: ``batch_norm_1d`` is ``BatchNorm1d``.
- Two classes never share a name by accident: the second is refused, and both owners are named.
- The built-in layers register themselves when ``home``, their package, is imported: at the first
  use, so that this module stands below them, ``import cybn`` stays quick, and they come first.
- ``Registry.sources`` is the door for layers that live elsewhere (``plugins``). A source lists its
  names without importing anything and loads one class when it is first asked for; names registered
  here win. Its classes replace nobody else's, not even by force.
- The table is replaced, never edited: a failing registration changes nothing and readers need no
  lock. A source loads outside the lock, since an import may call ``register`` in its turn.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Protocol, TypeVar

from .messages import folded, shown, typos

__all__ = ["Entry", "Registry", "Source", "UnknownName", "UnknownOption", "register", "registry"]

T = TypeVar("T", bound=type)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_FEW = 12  # as many names as an error message lists in full


class UnknownName(LookupError, ValueError):  # noqa: N818
    """No layer is registered under this name."""


class UnknownOption(UnknownName, TypeError):  # noqa: N818
    """The layer exists, and has no option of this name."""


class Source(Protocol):
    """Layers that are not imported yet, such as those of an installed plugin."""

    def names(self) -> Iterable[str]:
        """The names it can load; nothing is imported to answer."""

    def aliases(self) -> Iterable[str]:
        """Further names that it can load."""

    def load(self, name: str) -> type | None:
        """Import, register and return the class; None for a name that is not known here."""

    def names_for(self, entry: Entry) -> tuple[str, ...] | None:
        """The names that one of its classes may have, perhaps none; None for any other class."""

    def hint(self, name: str) -> str:
        """The end of the message about a name that nobody knows; may be empty."""


@dataclass(frozen=True)
class Entry:
    """One registered class with its names."""

    name: str
    cls: type
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical name, then the aliases."""
        return (self.name, *self.aliases)

    @property
    def owner(self) -> str:
        """The class's full name, as error messages give it."""
        return f"{self.cls.__module__}.{self.cls.__qualname__}"

    @property
    def origin(self) -> str:
        """Who brings the class: ``"built-in"``, or the name of its top-level package."""
        package = self.cls.__module__.partition(".")[0]
        return "built-in" if package == __name__.partition(".")[0] else package


class Registry:
    """Classes by name and alias; a duplicate is an error unless it is forced."""

    def __init__(self, home: str | None = None) -> None:
        self.home = home
        self.base: type | None = None  # what every class must be a subclass of; home sets it
        self.sources: list[Source] = []
        self._entries: dict[str, Entry] = {}  # by the key of every name and alias
        self._lock = threading.Lock()

    def register(
        self, name: str, *, aliases: Iterable[str] = (), force: bool = False
    ) -> Callable[[T], T]:
        """Make a class buildable by `name` and `aliases`: a class decorator.

        Registering a class again under its own name is harmless.

        Parameters
        ----------
        name
            The canonical name: letters, digits, "_" and "-".
        aliases
            Further names.
        force
            Take the names from their present owners: a class whose own name is taken goes with all
            its aliases, one that only loses an alias stays.

        Returns
        -------
        callable
            The decorator, which returns the class.

        Raises
        ------
        ValueError
            For a name that is malformed or taken.
        TypeError
            For a name that is no str, and for a decorated object that is no class, or no subclass
            of `Layer`.
        """
        if isinstance(name, type):
            raise TypeError(f"register needs a name: @register({name.__name__!r})")
        if isinstance(aliases, str):
            raise TypeError(
                f"aliases must be a tuple of names, got {aliases!r}; use ({aliases!r},)"
            )
        names = (name, *aliases)
        for each in names:
            _check_name(each)

        def decorate(cls: T) -> T:
            if not isinstance(cls, type):
                raise TypeError(f"register({name!r}) decorates a class, got {shown(cls)}")
            self.add(Entry(name, cls, tuple(dict.fromkeys(names[1:]))), force)
            return cls

        return decorate

    def find(self, name: str) -> type:
        """The class of a name or alias; UnknownName, with the nearest names, where there is none.

        >>> shelf = Registry()
        >>> shelf.register("MyNorm", aliases=("MN",))(type("MyNorm", (), {})).registered_name
        'MyNorm'
        >>> shelf.find("my_norm") is shelf.find("mn")
        True
        """
        return self.entry(name).cls

    def entry(self, name: str) -> Entry:
        """The class of a name or alias, with all its names."""
        if not isinstance(name, str):
            raise TypeError(f"a layer name is a str, got {shown(name)}")
        entry = self.registered(name) or self._load(name)
        if entry is None:
            raise UnknownName(self._unknown(name))
        return entry

    def registered(self, name: str) -> Entry | None:
        """The class that has this name or alias now; nothing is loaded."""
        return self._table().get(folded(name))

    def entry_of(self, cls: type) -> Entry | None:
        """The entry of a registered class; nothing is loaded."""
        return next((entry for entry in self._table().values() if entry.cls is cls), None)

    def entries(self) -> list[Entry]:
        """Every registered class, in the order of registration; nothing is loaded."""
        return list(dict.fromkeys(self._table().values()))

    def forget(self, entries: Iterable[Entry]) -> None:
        """Take classes out again, as when the import that registered them has failed."""
        gone = {entry.cls for entry in entries}
        with self._lock:
            table = self._entries.items()
            self._entries = {key: entry for key, entry in table if entry.cls not in gone}

    def names(self) -> list[str]:
        """The canonical names, those of sources too, in alphabetical order."""
        table = self._table()
        names = {folded(entry.name): entry.name for entry in table.values()}
        for source in self.sources:
            for name in source.names():
                if folded(name) not in table:
                    names.setdefault(folded(name), name)
        return sorted(names.values(), key=str.casefold)

    def aliases(self, name: str) -> tuple[str, ...]:
        """The other names of a layer."""
        return self.entry(name).aliases

    def builtins(self) -> dict[str, type]:
        """The classes that are part of this library, by canonical name."""
        entries = self._table().values()
        return {entry.name: entry.cls for entry in entries if entry.origin == "built-in"}

    def _table(self) -> dict[str, Entry]:
        if self.home is not None:
            import_module(self.home)
        return self._entries

    def add(self, new: Entry, force: bool = False) -> None:
        """Register a class by an entry whose names are checked."""
        self._table()  # the built-in layers have their names before anyone else
        allowed = self._names_for(new)
        guest = allowed is not None
        if guest:
            if not allowed:
                return
            new = Entry(allowed[0], new.cls, allowed[1:])
        keys = {folded(name) for name in new.names}
        with self._lock:
            if keys.isdisjoint(self._entries) and all(
                entry.cls is not new.cls for entry in self._entries.values()
            ):  # most, and at import there are many
                self._check_base(new)
                new.cls.registered_name = new.name
                self._entries = self._entries | dict.fromkeys(map(folded, new.names), new)
                return
            kept = []
            for entry in dict.fromkeys(self._entries.values()):
                same = entry.cls is new.cls
                taken = [name for name in entry.names if folded(name) in keys]
                if same and folded(entry.name) == folded(new.name):
                    aliases = dict.fromkeys((*entry.aliases, *new.aliases))
                    new = replace(new, aliases=tuple(aliases))
                elif (same or taken) and not (force and (not guest or entry.origin == new.origin)):
                    raise ValueError(_clash(entry, new, taken, guest))
                elif not taken and not same:
                    kept.append(entry)
                elif not same and entry.name not in taken:
                    aliases = (alias for alias in entry.aliases if alias not in taken)
                    kept.append(replace(entry, aliases=tuple(aliases)))
            self._check_base(new)
            new.cls.registered_name = new.name
            self._entries = {folded(name): entry for entry in (*kept, new) for name in entry.names}

    def _check_base(self, new: Entry) -> None:
        if self.base is not None and not issubclass(new.cls, self.base):
            base = f"cybn.{self.base.__name__}"
            raise TypeError(
                f"register({new.name!r}) takes a subclass of {base}, got {new.owner}; "
                f"write class {new.cls.__name__}({base})"
            )

    def _names_for(self, new: Entry) -> tuple[str, ...] | None:
        # Those that a source admits, if the class is one of a source's
        if new.origin == "built-in":
            return None
        answers = (source.names_for(new) for source in self.sources)
        return next((names for names in answers if names is not None), None)

    def _load(self, name: str) -> Entry | None:
        loaded = filter(None, (source.load(name) for source in self.sources))
        cls = next(loaded, None)
        return None if cls is None else self.entry_of(cls)

    def _unknown(self, name: str) -> str:
        names = self.names()
        spelt = {*names, *(name for entry in self._entries.values() for name in entry.names)}
        spelt.update(*(source.aliases() for source in self.sources))
        hint = typos(name.rpartition(".")[2], spelt)
        more = "".join(source.hint(name) for source in self.sources)
        if "." in name:
            return (
                f"{shown(name, False)} is a dotted path; a config names a registered layer, "
                f"nothing is imported because a file says so{hint}{more}"
            )
        known = f"cybn.available() lists all {len(names)}"
        if len(names) <= _FEW:
            known = f"Available: {', '.join(names) or 'none'}"
        return f"unknown layer {shown(name, False)}{hint or '.'} {known}{more}"


def is_name(name: str) -> bool:
    """Can a layer be registered under this name?"""
    return _NAME.fullmatch(name) is not None


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a layer name is a str, got {shown(name)}")
    if not is_name(name):
        raise ValueError(
            f"a layer name has letters, digits, '_' and '-' and begins with a letter or digit, "
            f"got {shown(name, False)}"
        )


def _clash(old: Entry, new: Entry, taken: list[str], guest: bool) -> str:
    if old.cls is new.cls:
        return (
            f"{new.owner} is registered as {old.name!r} already; "
            f"make {new.name!r} an alias, or pass force=True to rename it"
        )
    fix = "a plugin replaces nobody else's layer" if guest else "or pass force=True to replace"
    return (
        f"{taken[0]!r} is taken by {old.owner}, so {new.owner} cannot have it; "
        f"choose another name, {fix}"
    )


registry = Registry(home="cybn.layers")
register = registry.register
