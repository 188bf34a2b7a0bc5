"""The range of a number: as a test, as words of a message, and as JSON Schema."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["NO_BOUNDS", "Bounds"]

_LIMITS = (  # field of Bounds, symbol, test, JSON Schema keyword
    ("gt", ">", operator.gt, "exclusiveMinimum"),
    ("ge", ">=", operator.ge, "minimum"),
    ("lt", "<", operator.lt, "exclusiveMaximum"),
    ("le", "<=", operator.le, "maximum"),
)


@dataclass(frozen=True)
class Bounds:
    """The range of a number; None leaves an end open."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def __contains__(self, number: float) -> bool:
        return all(holds(number, limit) for _, holds, _, limit in self._limits())

    def __str__(self) -> str:
        return " and ".join(f"{symbol} {limit}" for symbol, _, _, limit in self._limits())

    def schema(self) -> dict[str, float]:
        """The JSON Schema keywords of the range."""
        return {keyword: limit for _, _, keyword, limit in self._limits()}

    def _limits(self) -> list[tuple[str, Callable, str, float]]:
        limits = ((*row, getattr(self, field)) for field, *row in _LIMITS)
        return [row for row in limits if row[-1] is not None]


NO_BOUNDS = Bounds()
