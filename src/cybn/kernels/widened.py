"""float16 at a level that has no kernels of its own for it: those for float32 take it, widened.

The same bits: kernels for float16 compute in float32 and add up in the order that float32 has, and
what is rounded to the nearest once is the same number wherever that is done. It costs memory for
float32 copies of the data, and the time to make them, which a level for few may.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

GAP = 1  # items between the rows of a copy, where there was a gap: kernels order sums by that

# Which arguments are written, by place. All other data is read.
WRITTEN = {
    "batch_forward": (0,),
    "batch_output": (0,),
    "batch_backward": (0, 1),
    "batch_sums": (),
    "batch_gradient": (0, 1),
    "batch_given": (0,),
    "rows_forward": (0,),
    "rows_backward": (0, 18),
    "response_forward": (0,),
    "response_backward": (0,),
}  # fmt: skip
WRITTEN_BY_NAME = ("dresidual",)


def widened(kernels: ModuleType) -> SimpleNamespace:
    """What a module for float16 has, by the kernels for float32."""
    return SimpleNamespace(
        **{name: _widened(getattr(kernels, name), places) for name, places in WRITTEN.items()}
    )


def _widened(kernel: Callable[..., None], written: tuple[int, ...]) -> Callable[..., None]:
    def call(*args: Any, **named: Any) -> None:
        results: list[tuple[np.ndarray, np.ndarray]] = []

        def wide(argument: Any, is_written: bool) -> Any:
            if not (isinstance(argument, np.ndarray) and argument.dtype == np.uint16):
                return argument
            room = _room_like(argument)
            if is_written:
                results.append((argument.view(np.float16), room))
            else:
                room[...] = argument.view(np.float16)
            return room

        with np.errstate(all="ignore"):  # as kernels do, which warn of nothing
            wide_args = [wide(a, place in written) for place, a in enumerate(args)]
            kernel(*wide_args, **{k: wide(a, k in WRITTEN_BY_NAME) for k, a in named.items()})
            for words, room in results:
                words[...] = room

    return call


def _room_like(words: np.ndarray) -> np.ndarray:
    """Room for float32, (N, C, L), whose rows follow each other without a gap where those do."""
    count, *rest = words.shape
    row = math.prod(rest)
    if count == 1 or words.strides[0] == row * words.itemsize:
        return np.empty(words.shape, np.float32)
    return np.empty((count, row + GAP), np.float32)[:, :row].reshape(words.shape)
