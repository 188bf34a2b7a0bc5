"""What a layer holds beside its declared arrays: every other array that is reachable from it.

Attributes, and what is in them: lists, tuples, dicts, objects, what functions close over; and the
attributes of the class, which all layers of it share. What belongs to one call (`_saved`, `grads`)
and what is declared (parameters, buffers, options) is left out.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..layers.base.layer import Layer

DEEPEST = 8  # attributes, items and the like between a layer and an array
MOST = 10_000  # objects that are looked at
_PASSING = {
    "_saved",
    "grads",
    "_checked",
    "_known",
    "_options",
    "_parameters",
    "_buffers",
    "training",
}
_LEAVES = (str, bytes, int, float, complex, type(None), type, ModuleType, np.dtype, np.generic)
_BUFFERS = (array, bytearray, memoryview)


def arrays_of(layer: Layer) -> dict[str, np.ndarray]:
    """Every array that can be written to, by where it is: the layer's, and none declared.

    A buffer of another kind (array.array, bytearray) is seen as an array.
    """
    declared = [a for _, a in (*layer.named_parameters(), *layer.named_buffers())]
    found = {}
    for path, value in _walk(layer):
        a = value if isinstance(value, np.ndarray) else None
        if isinstance(value, _BUFFERS):
            a = np.asarray(memoryview(value))
        if a is None or not a.size or not a.flags.writeable or a.dtype.kind not in "fiucb":
            continue
        if not any(np.may_share_memory(a, own) for own in declared):
            found[path] = a
    return found


def _walk(layer: Layer) -> Iterator[tuple[str, Any]]:
    passing = {*_PASSING, *layer.get_config(), *layer._parameters, *layer._buffers}
    own = {k: v for k, v in vars(layer).items() if k not in passing}
    shared = {}
    for cls in reversed(type(layer).__mro__[: type(layer).__mro__.index(Layer)]):
        shared.update(vars(cls))
    shared = {k: v for k, v in shared.items() if not k.startswith("__") and not callable(v)}
    seen: set[int] = set()
    todo = [(path, value, 0) for path, value in {**shared, **own}.items()]
    while todo and len(seen) < MOST:
        path, value, depth = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield path, value
        if depth < DEEPEST and not isinstance(value, _LEAVES):
            todo += [(path + step, inner, depth + 1) for step, inner in _inside(value)]


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What is directly in a value, and how to get to it."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            yield from ((f".flat[{i}]", item) for i, item in enumerate(value.flat))
    elif isinstance(value, Mapping):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{i}]", item) for i, item in enumerate(value))
    elif isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
            with suppress(ValueError):  # a cell that is empty still
                yield f"({name})", cell.cell_contents
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, functools.partial):
        yield from ((f"({i})", item) for i, item in enumerate(value.args))
        yield from ((f"({name})", item) for name, item in value.keywords.items())
    elif isinstance(value, Layer):
        yield from ((f".{k}", v) for k, v in vars(value).items() if k not in _PASSING)
    else:
        yield from ((f".{name}", item) for name, item in getattr(value, "__dict__", {}).items())
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    yield f".{name}", getattr(value, name)
