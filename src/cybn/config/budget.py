"""What the layers of a config file may hold together.

A line of a file can ask for a terabyte. How much a layer is going to hold is estimated from its
options before it is built: the product of those that count something, which is what the largest of
its arrays has. A limit on each option was rejected, since it is the products that fill memory;
so was catching MemoryError, since the system may grant the memory and end the process later.
`create` knows no such limit: a program says what it wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ..layers.base.layer import Layer
from ..terms.kinds import Count, Sizes
from ..terms.messages import shown
from ..terms.signature import options_of

__all__ = ["MAX_VALUES", "Budget"]

MAX_VALUES = 2**25
_LEAST = 256  # values that take the memory of a layer's objects, however few it has


class Budget:
    """How much is left for the layers of a file."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def spend(self, cls: type[Layer], options: Mapping[str, Any]) -> None:
        """Count a layer that is about to be built; ValueError where the file has no room for it."""
        sizes = {name: options[name] for name in _sized_by(cls)}
        sizes = {name: size for name, size in sizes.items() if isinstance(size, (int, tuple))}
        least = max(1, _LEAST // _values(sizes.get(cls.num_features_option, 1)))
        names = (name for name in _sized_by(cls) if name in sizes)
        values = least * prod(_values(sizes[name]) for name in names)  # ints, which do not overflow
        if values > self.left:
            asked = ", ".join(f"{name}={shown(size, False)}" for name, size in sizes.items())
            raise ValueError(
                f"{cls.__name__}: {asked or 'one more layer'} is too much for a config file, whose "
                f"layers may have {MAX_VALUES:,} values together; build it with cybn.create"
            )
        self.left -= values


def _values(size: Any) -> int:
    return prod(size) if isinstance(size, tuple) else max(size, 1)


def _sized_by(cls: type[Layer]) -> tuple[str, ...]:
    # The options whose product is the number of values, the width first
    if cls.sized_by is not None:
        return cls.sized_by
    known = options_of(cls)
    counts = [
        name
        for name, option in known.items()
        if any(isinstance(kind, (Count, Sizes)) for kind in option.kind.alternatives())
    ]
    width = [cls.num_features_option] if cls.num_features_option in known else []
    return tuple(dict.fromkeys([*width, *counts]))
