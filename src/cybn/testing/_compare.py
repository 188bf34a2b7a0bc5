"""What is compared: bits of arrays, the state of a layer, and distances with a scale.

Digests, not arrays: a snapshot is then small and hashable, and a report on megabytes that differ is
one line.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from ..layers.base.layer import Layer

Bits = tuple[tuple[int, ...], str, str]


def bits(a: Any) -> Bits | None:
    """What tells an array from another: shape, dtype and a digest of its bytes; None as it is.

    Which NaN a NaN is does not count.

    >>> bits([1.0, 2.0]) == bits(np.array([1.0, 2.0])) != bits([1.0, 3.0])
    True
    """
    if a is None:
        return None
    a = np.asarray(a)
    if a.dtype.kind == "f":
        a = np.where(np.isnan(a), np.array(np.nan, a.dtype), a)
    return a.shape, a.dtype.str, blake2b(a.tobytes(), digest_size=16).hexdigest()


def array_bits(layer: Layer) -> dict[str, Bits | None]:
    """Every parameter and buffer of a layer."""
    arrays = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    return {name: bits(a) for name, a in arrays.items()}


def state_bits(layer: Layer) -> tuple:
    """Everything that a failing call must leave alone: arrays, grads, mode, options, counters."""
    plain = {k: v for k, v in vars(layer).items() if isinstance(v, (bool, int, float, str))}
    grads = {name: bits(a) for name, a in layer.grads.items()}
    return plain, array_bits(layer), grads


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names whose values differ, or that only one of them has."""
    names = dict.fromkeys((*before, *after))
    return [name for name in names if before.get(name) != after.get(name)]


def furthest(got: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    """The worst item in words where the arrays are further apart than that; else an empty text.

    The tolerance is relative to the largest expected value, or 1. NaN equals NaN.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return f"shape {got.shape} instead of {expected.shape}"
    if got.size == 0:
        return ""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(all="ignore"):
        apart = np.where(same, 0, np.abs(got - expected))
        apart = np.where(np.isnan(apart), np.inf, apart)
        finite = np.abs(expected[np.isfinite(expected)])
    allowed = tolerance * max(1.0, finite.max(initial=0.0))
    worst = np.unravel_index(apart.argmax(), apart.shape)
    if apart[worst] <= allowed:
        return ""
    place = ", ".join(map(str, worst))
    return f"item [{place}] is {got[worst]:.9g} instead of {expected[worst]:.9g}"
