"""What variants in NumPy share: blocks that stay in cache, checks, sums in float64.

A variant whose statistics lie within a sample is written as the mathematics of one block of it,
forward and backward; `Blockwise` does the rest. A block is some samples, or some channels or some
positions of a large one. It is small enough to stay in cache, so that its intermediate arrays cost
arithmetic but no memory traffic, though by one thread. Rejected: a kernel for each, several times
as fast and as long; NumPy on whole arrays, where every operation goes through memory; NumPy's sums
in float32, which are wrong on long axes.

Blocks are cut by the shape alone, and one thread adds in one order, so the number of threads
changes no bit. Matrix products of BLAS, whose order may depend on it, are not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from threading import Lock
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from ...kernels.outputs import empty_like
from ...validation import check_input, check_per_channel, keep_input
from ..base import Layer

# Items of a block: 96 KiB in float64. From 128 KiB on, the C library may get memory from the system
# for each array anew, and page by page, which takes longer than the arithmetic.
BLOCK = 12_288

# NaN, infinity and overflow in the data give NaN and infinity, without NumPy's warnings.
quiet = np.errstate(all="ignore")

_following = Lock()


def blocks(x: np.ndarray, axis: int = 0, unit: int = 1) -> Iterator[tuple[slice, ...]]:
    """Indices of blocks of x that hold about BLOCK items each; none of an empty x.

    They cut the first axis, and samples larger than a block along `axis`, in whole `unit`s.
    """
    if x.size == 0:
        return
    sample = prod(x.shape[1:])
    if sample <= BLOCK or axis == 0:
        each = max(1, BLOCK // sample)
        yield from ((slice(i, i + each),) for i in range(0, len(x), each))
        return
    each = max(1, BLOCK * x.shape[axis] // (sample * unit)) * unit
    between = (slice(None),) * (axis - 1)
    for n in range(len(x)):
        for i in range(0, x.shape[axis], each):
            yield slice(n, n + 1), *between, slice(i, i + each)


def dot(a: np.ndarray, b: np.ndarray, over: tuple[int, ...]) -> np.ndarray:
    """Σ a·b over these axes, which stay with length 1, in float64."""
    every = list(range(a.ndim))
    kept = [i for i in every if i not in over]
    return np.expand_dims(np.einsum(a, every, b, every, kept, dtype=np.float64), over)


def total(a: np.ndarray, over: tuple[int, ...]) -> np.ndarray:
    """Σ a over these axes, which stay with length 1, in float64."""
    return np.add.reduce(a, axis=over, dtype=np.float64, keepdims=True)


def moments(x: np.ndarray, over: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance over these axes, which stay with length 1, of a float64 x.

    In two passes. What the mean has lost to rounding is added to it, and taken off the variance.
    """
    m = prod(x.shape[i] for i in over)
    mean = total(x, over) / m
    away = x - mean
    left = total(away, over) / m
    return mean + left, np.maximum(dot(away, away, over) / m - left * left, 0)


def follow(
    running: np.ndarray, value: np.ndarray, momentum: float, count: np.ndarray | None = None
) -> None:
    """running += momentum·(value - running), count += 1; no update of another thread is lost."""
    with _following:
        running += momentum * (value - running)
        if count is not None:
            count += 1


class Fitting(SimpleNamespace):
    """What goes with an x: the axes of x, and parameters copied and in shapes that fit it.

    channel is the channel's axis; inner are those that are neither samples nor channels, with each
    items together; outer are all but channel. cut is how blocks of x are cut.
    """

    def channels(self, at: tuple[slice, ...]) -> slice:
        """The channels that a block has."""
        return at[self.channel] if len(at) > self.channel else slice(None)

    def of(self, at: tuple[slice, ...]) -> Fitting:
        """The same for a block: of the parameters, its channels."""
        if self.channels(at) == slice(None):
            return self
        index = (slice(None),) * self.channel + (self.channels(at),)
        arrays = {name: a for name, a in vars(self).items() if isinstance(a, np.ndarray)}
        own = {name: a[index] for name, a in arrays.items() if a.size > 1}
        return Fitting(**{**vars(self), **own})


class Blockwise(Layer):
    """A layer whose output is computed block by block.

    A variant has the options `num_features`, `dtype` and `channel_axis`, declares its parameters
    with `learn`, and writes `forward_block` and `backward_block`.
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    #: parameters of one value; the others have one for each channel
    scalars: ClassVar[tuple[str, ...]] = ()
    #: statistics stay within a channel, so that a block may have some channels of a sample; else
    #: they stay within a position, and it may have some positions
    by_channel: ClassVar[bool] = True
    #: blocks come in float64, and the output is rounded once; else in the dtype of x
    wide: ClassVar[bool] = True

    num_features: int
    dtype: str
    channel_axis: int

    def learn(self, name: str, value: float | None) -> None:
        """Declare a parameter full of `value`; None leaves it out."""
        filled = None if value is None else np.full(self._size(name), value, self.dtype)
        self.register_parameter(name, filled)

    def unit(self) -> int:
        """How many channels have to be in one block."""
        return 1

    def forward_block(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        """y of a block."""
        raise NotImplementedError

    def backward_block(
        self, dy: np.ndarray, x: np.ndarray, p: Fitting
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx of a block, and what the block adds to the gradient of each parameter."""
        raise NotImplementedError

    @quiet
    def forward(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """y, in `out` where it is given. See the class."""
        x, y, p = self._begin(x, out)
        for at in blocks(x, *p.cut):
            y[at] = self.forward_block(x[at].astype(p.dtype, copy=False), p.of(at))
        vars(self)["_saved"] = x, p
        return y

    @quiet
    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward, in `out` where it is given; sets `grads`."""
        dy, dx, (x, p) = self._resume(dy, out)
        sums = self._sums()
        for at in blocks(x, *p.cut):
            upstream, block = (a[at].astype(p.dtype, copy=False) for a in (dy, x))
            dx[at], parts = self.backward_block(upstream, block, p.of(at))
            self._add(sums, parts, p.channels(at))
        self._set_grads(sums)
        return dx

    # The frame of a forward and of a backward, also for variants with loops of their own

    def _begin(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, Fitting]:
        """x as it may be kept for backward, an array for y, and what goes with x."""
        who = type(self).__name__
        x = check_input(who, x, self.ranks, self.num_features, self.channel_axis)
        for name, a in self.named_parameters():
            check_per_channel(who, {name: a}, self._size(name), np.dtype(self.dtype))
        kept = keep_input(who, x, out)
        return kept, empty_like(x) if out is None else out, self._fitting(x)

    def _resume(
        self, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, tuple]:
        """dy, an array for dx, and what the forward has saved, x first."""
        dy, saved = self.checked_dy(dy, out)
        return dy, empty_like(dy) if out is None else out, saved

    def _fitting(self, x: np.ndarray) -> Fitting:
        channel = self.channel_axis % x.ndim
        inner = tuple(i for i in range(1, x.ndim) if i != channel)
        shape = [-1 if i == channel else 1 for i in range(x.ndim)]
        dtype = np.dtype(np.float64) if self.wide else x.dtype
        cut = (channel, self.unit()) if self.by_channel else inner[:1]
        return Fitting(
            cut=cut,
            channel=channel,
            inner=inner,
            outer=(0, *inner),
            each=prod(x.shape[i] for i in inner),
            dtype=dtype,
            **{name: np.array(a, dtype).reshape(shape) for name, a in self.named_parameters()},
        )

    def _size(self, name: str) -> int:
        return 1 if name in self.scalars else self.num_features

    def _sums(self) -> dict[str, np.ndarray]:
        return {name: np.zeros(a.shape) for name, a in self.named_parameters()}

    @staticmethod
    def _add(sums: dict[str, np.ndarray], parts: dict[str, np.ndarray], channels: slice) -> None:
        """Add what a block gives to the gradients, which has these channels."""
        for name, part in parts.items():
            own = sums[name][channels] if sums[name].size > 1 else sums[name]
            own += part.reshape(-1)

    def _set_grads(self, sums: dict[str, np.ndarray]) -> None:
        vars(self)["grads"] = {name: a.astype(self.dtype) for name, a in sums.items()}
