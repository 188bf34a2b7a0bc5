"""Sixteen-bit data for a pair that is written for float32 and float64.

The pair of a class whose `sixteen_bits` is "widened" is wrapped when the class is made: it is given
float32 copies of float16 and bfloat16 data, and what it returns is rounded once. So every layer
takes such data, those of plugins and those in NumPy too, and no sum runs in sixteen bits. Classes
over kernels that read the words themselves are "native" and are not wrapped. Rejected: a cast in
`forward`, past which the pair would take other data than the layer; asking authors to cast, who
would round several times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays.dtypes import is_sixteen, round_to, rounded, widened
from ...arrays.outputs import empty_like
from ...arrays.validation import as_float_array, check_separate, check_upstream

if TYPE_CHECKING:
    from .layer import Layer


def adapted(cls: type[Layer], *names: str) -> None:
    """Wrap the methods of a class that are its own, or all where it says itself what it takes.

    A class that takes the words has the methods that it inherits as they were before.
    """
    if cls.sixteen_bits == "native":
        for name in names:
            own = getattr(getattr(cls, name), "widened", None)
            if own is not None:
                setattr(cls, name, own)
        return
    for name in names:
        if name in vars(cls) or ("sixteen_bits" in vars(cls) and hasattr(cls, name)):
            own = getattr(cls, name)
            wrapper = _WRAPPERS[name](own)
            wrapper.widened = own
            setattr(cls, name, wrapper)


def _apply(own: Callable) -> Callable:
    @wraps(own)
    def apply(self: Layer, x: np.ndarray, *, out: np.ndarray | None = None, **inputs: Any):
        if self.sixteen_bits == "native" or not is_sixteen(x):
            return own(self, x, out=out, **inputs)
        who = type(self).__name__
        if self.sixteen_bits == "refused":
            raise TypeError(
                f"{who} takes float32 or float64 x, got {x.dtype}; "
                f"convert it with x.astype(np.float32)"
            )
        kept = self.begin(as_float_array(who, "x", x), out)
        wide = widened(kept)
        y = empty_like(kept) if out is None else out  # before anything moves
        values, saved = own(
            self, wide, out=None, **{name: widened(a) for name, a in inputs.items()}
        )
        first = kept if saved[0] is wide else rounded(saved[0], x.dtype)
        return round_to(y, values), type(saved)(first, *saved[1:])

    return apply


def _pullback(own: Callable) -> Callable:
    @wraps(own)
    def pullback(self: Layer, saved: Any, dy: np.ndarray, *, out: np.ndarray | None = None):
        first = saved[0] if isinstance(saved, tuple) and saved else None
        if self.sixteen_bits == "native" or not is_sixteen(first):
            return own(self, saved, dy, out=out)
        who = type(self).__name__
        dy = check_upstream(who, dy, first, out)
        if out is not None:
            check_separate(who, "out", out, **self._arrays())
        dx = empty_like(first) if out is None else out
        wide = type(saved)(widened(first), *saved[1:])
        values, grads = own(self, wide, widened(dy), out=None)
        further = {name: g for name, g in grads.items() if name not in self._parameters}
        for name, g in further.items():  # of inputs, which are like x
            grads[name] = rounded(g, first.dtype)
        return round_to(dx, values), grads

    return pullback


_WRAPPERS = {"apply": _apply, "pullback": _pullback}
