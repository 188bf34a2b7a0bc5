"""State dicts: everything about one is checked before anything is assigned.

One layer and a tree of layers are loaded alike: the names of each layer begin with its place, and
all layers are looked at before the first is changed. `Names` is how another library calls arrays.
A layer of a plugin that has a `load_state_dict` of its own is asked by way of a copy whether it
takes its part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ...terms.messages import listed, shown
from .complaints import complaint, is_count, none_begins
from .values import Found, checked_values

if TYPE_CHECKING:
    from .arrays import Arrays


class StateError(LookupError, ValueError):
    """A state dict lacks names that the layer has, or has names that the layer lacks."""


class IncompatibleKeys(NamedTuple):
    """What load_state_dict found, as PyTorch's method returns it."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Names(Protocol):
    """How another library calls the arrays of its norms."""

    def spelled(self, state: Mapping[Any, Any]) -> dict[Any, tuple[Any, Any]]:
        """The names with dots, and the key and the value that each stands for."""

    def dotted(self, name: str) -> str:
        """A name, or the beginning of one, with dots."""

    def sources(self, layer: str, name: str) -> Iterable[tuple[str, ...]]:
        """What an array of ours may be called; several names are of parts to join."""


class Place(NamedTuple):
    """A layer, what its names begin with, and whether it has a `load_state_dict` of its own."""

    prefix: str
    layer: Arrays
    has_its_own: bool = False

    @property
    def who(self) -> str:
        """How an error calls it."""
        name = type(self.layer).__name__
        return f"{self.prefix.rstrip('.')}: {name}" if self.prefix else name


class Plan(NamedTuple):
    """What is there for the arrays of a layer; `like` is one with the arrays that it will have.

    `ways` are the names that each may have, after the prefix of all.
    """

    place: Place
    like: Arrays
    found: dict[str, Found | None]
    ways: dict[str, list[tuple[str, ...]]]


def load(
    places: list[Place],
    state: Mapping[Any, Any],
    strict: bool,
    prefix: str = "",
    names: Names | None = None,
) -> IncompatibleKeys:
    """Copy a state dict into the arrays of layers, once all of it is known to be good."""
    who = places[0].who if len(places) == 1 else "load_state_dict"
    if not isinstance(state, Mapping):
        raise TypeError(f"{who}: a state dict maps names to arrays, got {type(state).__name__}")
    if not isinstance(prefix, str):
        raise TypeError(f"{who}: prefix is what names begin with, got {shown(prefix)}")
    given = {key: (key, value) for key, value in state.items()}
    if names is not None:
        given, prefix = names.spelled(state), names.dotted(prefix)
    if prefix:
        given = {k: v for k, v in given.items() if isinstance(k, str) and k.startswith(prefix)}
        if not given and any(layer._arrays() for _, layer, _ in places):
            raise StateError(none_begins(who, state, prefix))
    plans = [_plan(place, given, prefix, names) for place in places]
    own = {
        prefix + plan.place.prefix + name: one for plan in plans for name, one in plan.found.items()
    }
    missing = [name for name, one in own.items() if one is None]
    used = {name for one in own.values() if one is not None for name in one.names}
    used |= {prefix + place.prefix + name for place in places for name in place.layer.passed_over}
    unexpected = [name for name in given if name not in used]
    if strict:
        missing = [name for name in missing if not is_count(name)]
        if missing or unexpected:
            plain = {name: value for name, (_, value) in given.items()}
            ways = {
                prefix + plan.place.prefix + name: way
                for plan in plans
                for name, way in plan.ways.items()
            }
            raise StateError(complaint(who, ways, plain, missing, unexpected, prefix))
    loads = [_checked(plan, strict, names is not None) for plan in plans]
    _check_ties(plans, loads)
    for (place, *_), values in zip(plans, loads, strict=True):
        if place.has_its_own:
            place.layer.load_state_dict(values, strict=strict)
        else:
            place.layer._take_state(values)
    return IncompatibleKeys(missing, [given[name][0] for name in unexpected])


def _plan(
    place: Place, given: Mapping[Any, tuple[Any, Any]], prefix: str, names: Names | None
) -> Plan:
    layer = place.layer
    if place.has_its_own:
        start = prefix + place.prefix
        ends = [key[len(start) :] for key in given if isinstance(key, str) if key.startswith(start)]
        there = {end: Found((start + end,), *zip(given[start + end])) for end in ends}
        return Plan(place, layer, there, {})
    kind = vars(type(layer)).get("registered_name", type(layer).__name__)
    found, several, ways = {}, {}, {}
    for name in (*layer._parameters, *layer._buffers):
        ends = ((name,),) if names is None else dict.fromkeys(names.sources(kind, name))
        ways[name] = [tuple(place.prefix + end for end in each) for each in ends]
        there = [tuple(prefix + end for end in each) for each in ways[name]]
        there = [each for each in there if all(part in given for part in each)]
        if there:
            found[name] = Found(there[0], *zip(*(given[part] for part in there[0]), strict=True))
        if len(there) > 1:
            several[name] = there
    shapes = {name: np.shape(one.values[0]) for name, one in found.items() if len(one.keys) == 1}
    like = layer._for_state(shapes)
    own = like._arrays()
    for name in several.keys() & own.keys():
        names = listed((" with ".join(map(repr, each)) for each in several[name]), "and")
        raise StateError(f"{place.who}: {name} is there as {names}; drop all but one of them")
    found = {name: found.get(name) for name in own}
    return Plan(place, like, found, {name: ways[name] for name in own})


def _checked(plan: Plan, strict: bool, reshape: bool) -> dict[str, Any]:
    """What is loaded into a layer: arrays in its dtypes."""
    place, like, found, _ = plan
    there = {name: one for name, one in found.items() if one is not None}
    if not place.has_its_own:
        return checked_values(place.who, place.prefix, like, there, reshape)
    values = {name: one.values[0] for name, one in there.items()}
    copy.deepcopy(place.layer).load_state_dict(values, strict=strict)
    return values


def _check_ties(plans: list[Plan], loads: list[dict[str, Any]]) -> None:
    """ValueError where an array that is in two places is to become two."""
    seen: dict[int, tuple[str, np.ndarray]] = {}
    for (place, like, *_), values in zip(plans, loads, strict=True):
        if like is not place.layer or place.has_its_own:
            continue
        for name, value in values.items():
            before, other = seen.setdefault(id(like._arrays()[name]), (place.prefix + name, value))
            if other is not value and not np.array_equal(other, value, equal_nan=True):
                raise ValueError(
                    f"{place.who}: {name} is one array with {before}, and the state dict has "
                    f"two that differ; make them alike, or drop one with strict=False"
                )
