"""Ties: arrays that several layers share, as two norms with one weight do, stay shared."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ..layers.base.layer import Layer

__all__ = ["Ties"]

Tree = TypeVar("Tree")


class Ties:
    """What is shared among the layers of one conversion, and so is to be among the new ones.

    Two layers share an array if it is the same object. Layers that share part of an array's memory
    as views are not tied here: each of the new ones has memory of its own.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self._new: dict[int, np.ndarray] = {}  # by the id of an old one, which its layer keeps
        self._places: dict[int, str] = {}
        self._alone: dict[int, str] = {}

    def left_alone(self, place: str, layer: Layer) -> Layer:
        """A layer that stays what it is."""
        for name, a in layer._arrays().items():
            self._alone[id(a)] = f"{name} at {place}"
        return layer

    def kept(self, place: str, layer: Layer, new: Layer) -> Layer:
        """A new layer, with the arrays of others before it in place of those that were shared."""
        theirs = new._arrays()
        for name, a in layer._arrays().items():
            if name in theirs:
                shared = self._new.setdefault(id(a), theirs[name])
                self._places.setdefault(id(a), f"{name} at {place}")
                if shared is not theirs[name]:
                    setattr(new, name, shared)
        return new

    def checked(self, tree: Tree) -> Tree:
        """The tree; ValueError for an array that old and new layers would have to share."""
        for each, place in self._places.items():
            if each in self._alone:
                raise ValueError(
                    f"{self.who} would untie {place} from {self._alone[each]}, which is the same "
                    f"array and stays as it is; give one of them a copy, or convert both"
                )
        return tree
