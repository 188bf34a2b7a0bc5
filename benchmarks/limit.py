"""How fast this machine moves the bytes of a case: the limit that a kernel is held against.

The limit of a forward or an evaluation is the fastest of these on the same arrays:

    copy-plain      np.copyto: what the C library's memcpy makes of it, one thread
    copy-streaming  cybn's evaluation kernel on the input seen as one channel of mean 0, variance 1,
                    into an existing array, told to use streaming stores: y = x on all threads

and that of a backward pass, in bytes per second, the fastest of copy-streaming and

    add-plain       np.add into an existing array: reads two, writes one, one thread
    add-streaming   cybn's gradient kernel in evaluation, told likewise, on all threads: reads x and
                    dy, writes dx = dy. The input is seen as many channels, so that the second look
                    that the kernel takes at each finds it in a cache

They are contenders like any other: interleaved, on the same rotating arrays, and checked. Measured
in bytes that must move; the lines an ordinary store reads first are not counted. cybn's own kernels
give the streaming stores since NumPy has none and a compiler should not be needed; they are a limit
only if their arithmetic is hidden, and the plain ones stand beside them in case it is not.

This is the one place that calls the compiled entry points directly.
"""

from __future__ import annotations

import math

import numpy as np

from cybn.functional.gates import OPEN
from cybn.kernels import gradient, normalize_inference

from .contenders import Contender, Run, Settings
from .data import Data
from .shapes import Case

CACHE = 1 << 20  # bytes that the kernels may count on to find again
STRIP = 8192


def _flat(arrays: list[np.ndarray], channels: int = 1) -> list[np.ndarray]:
    return [a.reshape(1, channels, -1) for a in arrays]


def _identity(dtype: str, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """stats for mean 0 and variance 1, and the parameters 0 and 1."""
    stats = np.array([[0.0], [1.0], [1.0]]).repeat(channels, 1)
    return stats, np.zeros(channels, dtype), np.ones(channels, dtype)


def _strips(size: int) -> int:
    """A number of channels, a power of two, that leaves each STRIP items or more."""
    strips = math.gcd(size, 1 << 20)
    while strips > 1 and size // strips < STRIP:
        strips //= 2
    return strips


class Limit(Contender):
    """Base: every operation and layout."""

    modes: tuple[str, ...] = ()

    def can(self, case: Case) -> bool:
        return case.mode in self.modes


class CopyPlain(Limit):
    name, streams, modes = "copy-plain", 2, ("forward", "evaluation")

    def prepare(self, case: Case, data: Data) -> Run:
        x, out, copyto = _flat(data.x), _flat(data.out), np.copyto
        return Run(
            lambda i: copyto(out[i], x[i]), lambda i, _: {"y": out[i]}, lambda i: {"y": x[i]}
        )


class CopyStreaming(Limit):
    name, streams, modes = "copy-streaming", 2, ("forward", "evaluation", "backward")

    def prepare(self, case: Case, data: Data) -> Run:
        x, out, threads = _flat(data.x), _flat(data.out), self.threads
        stats, zero, one = _identity(case.dtype, 1)
        kernel = normalize_inference[np.dtype(case.dtype).char * 2]
        return Run(
            lambda i: kernel(
                out[i], stats, x[i], None, zero, one, one, zero, 0.0, *OPEN, threads, CACHE, True
            ),
            lambda i, _: {"y": out[i]},
            lambda i: {"y": x[i]},
        )


class AddPlain(Limit):
    name, streams, modes = "add-plain", 3, ("backward",)

    def prepare(self, case: Case, data: Data) -> Run:
        x, dy, out, add = _flat(data.x), _flat(data.dy), _flat(data.out), np.add
        return Run(
            lambda i: add(x[i], dy[i], out[i]),
            lambda i, _: {"dx": out[i]},
            lambda i: {"dx": x[i] + dy[i]},
        )


class AddStreaming(Limit):
    name, streams, modes = "add-streaming", 3, ("backward",)

    def prepare(self, case: Case, data: Data) -> Run:
        strips, threads = _strips(case.size), self.threads
        x, dy, out = (_flat(arrays, strips) for arrays in (data.x, data.dy, data.out))
        stats, _, one = _identity(case.dtype, strips)
        kernel = gradient[np.dtype(case.dtype).char * 2]
        return Run(
            lambda i: kernel(
                out[i], None, None, None, dy[i], x[i], None, stats, one, False, *OPEN,
                threads, CACHE, True,
            ),
            lambda i, _: {"dx": out[i]},
            lambda i: {"dx": dy[i]},
        )


LIMITS: dict[str, type[Limit]] = {
    cls.name: cls for cls in (CopyPlain, CopyStreaming, AddPlain, AddStreaming)
}


def limits(settings: Settings) -> list[Contender]:
    return [cls(settings) for cls in LIMITS.values()]
