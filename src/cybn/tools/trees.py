"""Layers as they come: one, or lists, tuples and dicts of them, as load_config gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..layers.base import Layer
from ..layers.batch.batchnorm import BatchNorm
from ..layers.batch.conditional import ConditionalBatchNorm
from ..layers.batch.renorm import BatchRenorm
from ..messages import shown

__all__ = ["BATCH_NORMS", "mapped", "walked"]

#: layers that normalize by the batch in training, and by one running_mean and _var in evaluation
BATCH_NORMS = (BatchNorm, BatchRenorm, ConditionalBatchNorm)


def mapped(tree: Any, change: Callable[[str, Layer], Any], who: str, place: str = "layers") -> Any:
    """The same tree with change(place, layer) for each layer; None stays. TypeError for others.

    >>> mapped({"a": [None]}, lambda place, layer: place, "test")
    {'a': [None]}
    """
    if tree is None:
        return None
    if isinstance(tree, Layer):
        return change(place, tree)
    if isinstance(tree, Mapping):
        return {key: mapped(each, change, who, f"{place}[{key!r}]") for key, each in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = [mapped(each, change, who, f"{place}[{i}]") for i, each in enumerate(tree)]
        return tuple(parts) if isinstance(tree, tuple) else parts
    raise TypeError(f"{who} takes layers, or lists and dicts of them, got {shown(tree)} at {place}")


def walked(tree: Any, who: str) -> Iterator[tuple[str, Layer]]:
    """Every layer of a tree with its place in it; one that is there twice comes once."""
    found: dict[int, tuple[str, Layer]] = {}
    mapped(tree, lambda place, layer: found.setdefault(id(layer), (place, layer)), who)
    return iter(found.values())
