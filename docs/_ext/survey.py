"""What layers do, found out by building and calling them: for tables and pictures of the site.

Nothing of a layer is typed here, so one that is new is in every table by itself. Which values an
output depends on is seen by changing one value of the input and looking where the output moves.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import cybn

N, C, L = 4, 8, 6  # samples, channels, places: of the inputs that are tried
ROOMS = {
    "batch": "Statistics of the batch",
    "sample": "Statistics of a sample",
    "dataset": "Statistics of a data set",
    "research": "Variants from papers",
}
_RANKED = ("1d", "2d", "3d")


class Place(NamedTuple):
    """An index into (N, C, L)."""

    n: int
    c: int
    l: int  # noqa: E741


PLACE = Place(1, 0, 3)  # what is changed


class Family(NamedTuple):
    """A norm with all of its ranks: `BatchNorm` with BatchNorm1d, BatchNorm2d and BatchNorm3d."""

    name: str
    members: tuple[str, ...]
    room: str

    @property
    def shown(self) -> str:
        ranks = [each.removeprefix(self.name) for each in self.members]
        return f"{self.name}{'/'.join(filter(None, ranks))}"

    @property
    def cls(self) -> type[cybn.Layer]:
        return getattr(cybn, self.members[0])


def room_of(cls: type) -> str:
    """Where its statistics lie, by the folder that its module is in; "" for a plugin's."""
    parts = cls.__module__.split(".")
    return parts[2] if parts[:2] == ["cybn", "layers"] and len(parts) > 3 else ""


@cache
def families() -> list[Family]:
    """Every built-in norm, by where its statistics lie."""
    found: dict[str, list[str]] = {}
    for name in cybn.available():
        if cybn.describe(name)["distribution"] is None:
            found.setdefault(name[:-2] if name.endswith(_RANKED) else name, []).append(name)
    all_of = [
        Family(name, tuple(members), room_of(getattr(cybn, members[0])))
        for name, members in found.items()
    ]
    rooms = [*ROOMS]
    return sorted(all_of, key=lambda each: (rooms.index(each.room), each.name.casefold()))


def family_of(name: str) -> Family:
    """The one that a layer is of."""
    return next(family for family in families() if name in family.members)


def build(name: str, **options: Any) -> cybn.Layer:
    """A small layer of C channels, whatever else it requires."""
    required = {"num_classes": 2, "num_domains": 2, "num_groups": 2, "size": 3, "ratio": 0.5}
    taken = cybn.describe(name)["options"]
    asked = {k: v for k, v in required.items() if taken.get(k, {}).get("required")}
    if "virtual_batch_size" in taken:
        asked["virtual_batch_size"] = N // 2
    if "tlu" in taken:
        asked["tlu"] = False  # which cuts off what there is to see
    return cybn.create(name, **{"num_features": C} | asked | options)


def input_of(layer: cybn.Layer, seed: int = 0) -> np.ndarray | None:
    """An input that the layer takes: of the first of a few layouts that it does not refuse."""
    rng = np.random.default_rng(seed)
    for shape in ((N, C, L), (N, C, 1, L), (N, C, 1, 1, L), (N, L, C), (N, C)):
        x = rng.normal(1, 2, shape)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                layer.apply(x)
        except (ValueError, TypeError):
            continue
        return x
    return None


def _as_ncl(x: np.ndarray, last: bool) -> np.ndarray:
    return np.moveaxis(x.reshape(N, L, C), -1, 1) if last else x.reshape(N, C, -1)


def channels_last(layer: cybn.Layer) -> bool:
    """Rows of features, as of layer norm: the last axis is the one that the width is of."""
    x = input_of(layer)
    return x is not None and x.ndim == 3 and x.shape[-1] == C


def reach(name: str, training: bool = True, channel: int = 0) -> np.ndarray | None:
    """Where the output may move when a value of one channel of x changes: bool, (N, C, L).

    None where the layer takes no such input. A value may be cut off or lose against another, so
    several inputs are tried.
    """
    moves = [_moves(name, training, channel, seed) for seed in range(8)]
    return None if moves[0] is None else np.logical_or.reduce(moves)


def _moves(name: str, training: bool, channel: int, seed: int) -> np.ndarray | None:
    layer = build(name)
    x = input_of(layer, seed)
    if x is None:
        return None
    last = channels_last(layer)
    for parameter in layer.parameters():  # so that a norm whose weight is 0 at first is one, too
        parameter[...] = np.linspace(0.5, 1.5, parameter.size).reshape(parameter.shape)
    layer.train()
    layer.forward(x)  # running statistics away from those of a new layer
    layer.train(training)
    state = {key: array.copy() for key, array in layer.state_dict().items()}
    y = layer.forward(x).copy()
    layer.load_state_dict(state)
    at = PLACE._replace(c=channel)
    view = (moved := x.copy()).reshape((N, L, C) if last else (N, C, -1))
    view[(at.n, at.l, at.c) if last else at] += 1.5
    return _as_ncl(layer.forward(moved) != y, last)


def over(name: str, training: bool) -> str:
    """In words, which other values an output depends on."""
    told = [_over(reach(name, training, channel), channel) for channel in (0, C - 1)]
    return "; or ".join(dict.fromkeys(told))


def _over(moves: np.ndarray | None, channel: int) -> str:
    if moves is None:
        return ""
    axes = []
    for axis, many, word in ((0, N, "samples"), (1, C, "channels"), (2, L, "places")):
        lines = moves.any(tuple({0, 1, 2} - {axis}))
        lines[PLACE._replace(c=channel)[axis]] = True
        if lines.sum() > 1:
            axes.append(word if lines.sum() == many else f"some {word}")
    return ", ".join(axes) or "nothing else"


def folds(name: str) -> bool:
    """Does `cybn.fold` take it, in evaluation?"""
    try:
        build(name).eval().fixed("fold")
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


class Row(NamedTuple):
    """A line of the table of features."""

    family: Family
    training: str
    evaluation: str
    learned: list[str]
    kept: list[str]
    inputs: list[str]
    fused: bool
    folds: bool
    frozen: str
    recalibrated: bool
    sixteen: str


@cache
def rows() -> list[Row]:
    """What each family does."""
    return [*map(_row, families())]


def _row(family: Family) -> Row:
    name, cls = family.members[0], family.cls
    layer = build(name)
    if (x := input_of(layer)) is not None:
        layer.forward(x)  # a lazy one then has its arrays
    return Row(
        family,
        over(name, training=True),
        over(name, training=False),
        [key for key, _ in layer.named_parameters()],
        [key for key, _ in layer.named_buffers()],
        further(cls),
        "activation" in cybn.describe(name)["options"],
        folds(name),
        (cls.frozen_form or "").replace("{}", ""),
        cls.running_moments,
        {"native": "in the kernels", "widened": "by float32 copies"}.get(cls.sixteen_bits, "no"),
    )


def further(cls: type[cybn.Layer]) -> list[str]:
    """What `apply` takes beside x, by name; what it hands on is for the class above to take."""
    names: list[str] = []
    for each in cls.__mro__:
        if "apply" in vars(each):
            taken = inspect.signature(vars(each)["apply"]).parameters.values()
            names += [p.name for p in taken if p.kind is p.KEYWORD_ONLY and p.name not in names]
            if not any(p.kind is p.VAR_KEYWORD for p in taken):
                break
    return [name for name in names if name != "out"]


def elsewhere(name: str) -> Iterator[tuple[str, str, list[str]]]:
    """What a layer is called in configs of other libraries: dialect, its title, the names."""
    from cybn.config.dialects.shelf import BUILT_IN, find

    for each in BUILT_IN:
        dialect = find(each)
        names = [
            alias
            for norm in dialect.norms
            if norm.refused is None
            and name in {norm.layer, *(norm.layer.format(d) for d in (1, 2, 3))}
            for alias in norm.names
        ]
        if names:
            yield dialect.name, dialect.title, list(dict.fromkeys(names))
