"""Layers as they come: one, or lists, tuples and dicts of them, as load_config gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..layers.base.layer import Layer
from ..terms.messages import shown

__all__ = ["mapped", "named", "walked"]


def mapped(tree: Any, change: Callable[[str, Layer], Any], who: str, hint: str = "") -> Any:
    """The same tree with change(place, layer) for each layer; None stays. TypeError for others.

    A layer that is in several places is changed once, and all of them get the same result. `hint`
    ends the error.

    >>> mapped({"a": [None]}, lambda place, layer: place, "test")
    {'a': [None]}
    """
    done: dict[int, Any] = {}

    def walk(tree: Any, place: str) -> Any:
        if tree is None:
            return None
        if isinstance(tree, Layer):
            if id(tree) not in done:
                done[id(tree)] = change(place, tree)
            return done[id(tree)]
        if isinstance(tree, Mapping):
            return {key: walk(each, f"{place}[{key!r}]") for key, each in tree.items()}
        if isinstance(tree, (list, tuple)):
            parts = [walk(each, f"{place}[{i}]") for i, each in enumerate(tree)]
            named = getattr(type(tree), "_make", tuple)  # of a NamedTuple
            return named(parts) if isinstance(tree, tuple) else parts
        raise TypeError(
            f"{who} takes layers, or lists and dicts of them, got {shown(tree)} at {place}{hint}"
        )

    return walk(tree, "layers")


def walked(tree: Any, who: str, hint: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer of a tree with its place in it; one that is there twice comes once."""
    found: list[tuple[str, Layer]] = []
    mapped(tree, lambda place, layer: found.append((place, layer)), who, hint)
    return iter(found)


def named(tree: Any, who: str) -> Iterator[tuple[str, Layer]]:
    """Every place of a tree that has a layer: what PyTorch's names of its arrays begin with.

    >>> [place for place, _ in named({"stem": None, "blocks": [Layer(), Layer()]}, "test")]
    ['blocks.0.', 'blocks.1.']
    """

    def walk(tree: Any, place: str) -> Iterator[tuple[str, Layer]]:
        if isinstance(tree, Layer):
            yield place, tree
        elif isinstance(tree, Mapping):
            for key, each in tree.items():
                yield from walk(each, f"{place}{key}.")
        elif isinstance(tree, (list, tuple)):
            for i, each in enumerate(tree):
                yield from walk(each, f"{place}{i}.")
        elif tree is not None:
            at = f" at {place.removesuffix('.')!r}" if place else ""
            raise TypeError(
                f"{who} takes layers, or lists and dicts of them, got {shown(tree)}{at}"
            )

    return walk(tree, "")
