"""A dialect: a table of the norms of a library, of their options, and where it was read.

A table is data, so that the docs print it, a test reads all of it, and an error tells whose word a
key is. Nothing in it imports the library that it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...terms.messages import folded, shown
from .names import StateNames
from .words import Refusal, Word

__all__ = ["Dialect", "Form", "Norm"]

_NONE = ("", "none", "null", "identity")  # what says that there is to be no norm


@dataclass(frozen=True)
class Norm:
    """One norm of a dialect.

    Parameters
    ----------
    names
        What it is called there.
    layer
        What it is called here. `{}` in it stands for the rank, which is 2 unless the spec or
        `spatial_dims` says another.
    words
        Its options: by their name, what each means here.
    always
        Options of ours that it always has.
    refused
        Why it is not built, where it is not.
    ranked
        The rank is known by `spatial_dims` alone.
    synchronized
        Over several processes the statistics are those of all.
    """

    names: tuple[str, ...]
    layer: str = ""
    words: Mapping[str, Word] = field(default_factory=dict)
    always: Mapping[str, Any] = field(default_factory=dict)
    refused: Refusal | None = None
    ranked: bool = False
    synchronized: bool = False


@dataclass(frozen=True)
class Form:
    """A way to write a spec as a table.

    Parameters
    ----------
    name
        The key of the norm's name.
    options
        The key of a table with its options; None where they stand beside the name.
    beside
        Other keys beside the name are somebody else's, and mean nothing here.
    """

    name: str
    options: str | None = None
    beside: bool = False


TYPE = Form("type")
TARGET = Form("_target_")  # hydra
CLASS_PATH = Form("class_path", "init_args")  # Lightning's and jsonargparse's
HYDRA = ("_partial_", "_convert_", "_recursive_")  # how hydra is to build: nothing of the norm


@dataclass(frozen=True)
class Dialect:
    """The norms of a library as its config files write them.

    Parameters
    ----------
    name
        What `dialect=` says.
    title
        Whose it is, for people.
    sources
        Where the names, defaults and meanings were read: public addresses.
    norms
        The table.
    packages
        With what a dotted name of the library begins. It is taken by its last part, and nothing is
        imported. Names of other packages are nobody's.
    forms
        Ways to write a spec as a table, beside "type", "_target_" and "class_path".
    pairs
        A list of a name and a table of options is a spec, too.
    parse
        Reads a table that is in none of these forms: to a name and options, or to None where it is
        no spec.
    adjust
        The name of the norm that is meant, by the name and the options.
    state
        The names of arrays, for `load_state_dict`.
    unknown
        What is said of a name that is in no table, in place of names that are near: for a library
        where a near name may be another norm.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    norms: tuple[Norm, ...]
    packages: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ()
    pairs: bool = False
    parse: Callable[[Mapping[str, Any]], tuple[Any, Mapping[str, Any]] | None] | None = None
    adjust: Callable[[Any, Mapping[str, Any]], Any] | None = None
    state: StateNames = field(default_factory=StateNames)
    unknown: str = ""
    _by_name: dict[str, Norm] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for norm in self.norms:
            for name in norm.names:
                if self._by_name.setdefault(folded(name), norm) is not norm:
                    raise ValueError(f"{self.name}: two norms are called {name!r}; name each once")

    def known(self, name: str) -> Norm | None:
        """Look up a norm.

        Parameters
        ----------
        name
            Its name; a dotted one has to be of a package of the dialect.

        Returns
        -------
        Norm or None
            The norm, None where there is none.
        """
        space, _, last = name.rpartition(".")
        if space and space.partition(".")[0] not in self.packages:
            return None
        return self._by_name.get(folded(last))

    def names(self) -> Iterable[str]:
        """List the names of all norms.

        Returns
        -------
        iterable of str
            The names.
        """
        return (name for norm in self.norms for name in norm.names)

    def is_nothing(self, name: Any) -> bool:
        """Tell whether a name says that there is to be no norm.

        Parameters
        ----------
        name
            The name, or None.

        Returns
        -------
        bool
            Whether it does.
        """
        if name is None:
            return True
        return isinstance(name, str) and folded(name.rpartition(".")[2]) in _NONE

    def parts(self, spec: Any) -> tuple[Any, dict[Any, Any]] | None:
        """Take a spec apart.

        Parameters
        ----------
        spec
            A name, or a table or pair in one of the forms.

        Returns
        -------
        tuple or None
            The name that it gives, and a dict of options; None for what is no spec.
        """
        if spec is None or isinstance(spec, str):
            return spec, {}
        if self.pairs and isinstance(spec, (list, tuple)) and len(spec) == 2:
            name, options = spec
            if isinstance(name, str) and isinstance(options, Mapping):
                return name, dict(options)
        if not isinstance(spec, Mapping):
            return None
        read = self.parse(spec) if self.parse else None
        if read is not None:
            return read[0], dict(read[1])
        form = next((form for form in self._forms() if form.name in spec), None)
        if form is None:
            return None
        rest = {key: value for key, value in spec.items() if key != form.name}
        if form is TARGET:
            rest = {key: value for key, value in rest.items() if key not in HYDRA}
        inner = rest.pop(form.options, None) if form.options else None
        if inner is not None and not isinstance(inner, Mapping):
            raise ValueError(f"{form.options} is a table of options, got {shown(inner)}")
        return spec[form.name], {**({} if form.beside else rest), **(inner or {})}

    def _forms(self) -> tuple[Form, ...]:
        return (*self.forms, TYPE, TARGET, CLASS_PATH)
