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
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...arrays.outputs import empty_like
from ...functional.running import Step, follow
from ..base.layer import Layer

# Items of a block: 96 KiB in float64. From 128 KiB on, the C library may get memory from the system
# for each array anew, and page by page, which takes longer than the arithmetic.
BLOCK = 12_288

# NaN, infinity and overflow in the data give NaN and infinity, without NumPy's warnings.
quiet = np.errstate(all="ignore")


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


class Fitting(SimpleNamespace):
    """What goes with an x: the axes of x, and parameters copied and in shapes that fit it.

    channel is the channel's axis; inner are those that are neither samples nor channels, with each
    items together; outer are all but channel. cut is how blocks of x are cut.
    """

    def channels(self, at: tuple[slice, ...]) -> slice:
        """The channels that a block has."""
        return at[self.channel] if len(at) > self.channel else slice(None)

    def block(self, a: np.ndarray, at: tuple[slice, ...]) -> np.ndarray:
        """A block of `a` in `dtype` and in C order: what is computed does not follow the memory."""
        return a[at].astype(self.dtype, order="C", copy=False)

    def of(self, at: tuple[slice, ...]) -> Fitting:
        """The same for a block: of the parameters, its channels."""
        if self.channels(at) == slice(None):
            return self
        index = (slice(None),) * self.channel + (self.channels(at),)
        arrays = {name: a for name, a in vars(self).items() if isinstance(a, np.ndarray)}
        own = {name: a[index] for name, a in arrays.items() if a.size > 1}
        return Fitting(**{**vars(self), **own})


class Guarded(Layer):
    """A layer whose apply is made of two halves: all that is checked, then all that is computed.

    A variant writes `_accepted`, `_computed` and `_pulled_back`. Running statistics move last, by
    the steps that `_computed` returns; where anything fails before, they and an x that was to be
    overwritten are as they were.
    """

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, NamedTuple]:
        """Compute y, in `out` where it is given, and what `pullback` needs. See the class."""
        return self._guarded(x, self._accepted(x, out), out)

    @quiet
    def pullback(
        self, saved: NamedTuple, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and the gradients of the parameters."""
        return self._pulled_back(saved, self.resume(saved, dy, out), out)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """x as it may be kept, once x, `out` and all arrays of the layer are known to be good."""
        raise NotImplementedError

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None, **inputs: Any
    ) -> tuple[np.ndarray, NamedTuple, list[Step]]:
        """y, what pullback needs, and how the running statistics are to move."""
        raise NotImplementedError

    def _pulled_back(
        self, saved: NamedTuple, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx and the gradients, of arguments that were checked."""
        raise NotImplementedError

    @quiet
    def _guarded(
        self, x: np.ndarray, kept: np.ndarray, out: np.ndarray | None, **inputs: Any
    ) -> tuple[np.ndarray, NamedTuple]:
        try:
            y, saved, steps = self._computed(kept, out, **inputs)
            follow(steps)
        except BaseException:
            self.undo(x, kept, out)
            raise
        return y, saved


class Blockwise(Guarded):
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

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        fitting: Fitting

    def learn(self, name: str, value: float | None) -> None:
        """Declare a parameter full of a value.

        Parameters
        ----------
        name
            Its name.
        value
            The value; None leaves the parameter out.
        """
        filled = None if value is None else np.full(self._size(name), value, self.dtype)
        self.register_parameter(name, filled)

    def unit(self) -> int:
        """Tell how many channels have to be in one block.

        Returns
        -------
        int
            The number.
        """
        return 1

    def forward_block(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        """Compute y of a block.

        Parameters
        ----------
        x
            The block, in the dtype that the class computes in.
        p
            The parameters and moments that fit to it.

        Returns
        -------
        ndarray
            The output.
        """
        raise NotImplementedError

    def backward_block(
        self, dy: np.ndarray, x: np.ndarray, p: Fitting
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx of a block, and what the block adds to the gradient of each parameter.

        Parameters
        ----------
        dy
            The gradient of the output of the block.
        x
            The block.
        p
            The parameters and moments that fit to it.

        Returns
        -------
        dx : ndarray
            The gradient of the block.
        grads : dict
            The sums of the parameters by name.
        """
        raise NotImplementedError

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        return self.begin(x, out, ndim=self.ranks, channels=self.num_features)

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, NamedTuple, list[Step]]:
        y, p = self._room(x, out), self._fitting(x)
        for at in blocks(x, *p.cut):
            y[at] = self.forward_block(p.block(x, at), p.of(at))
        return y, self.Saved(x, p), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, p = saved
        dx, sums = self._room(dy, out), self._sums()
        for at in blocks(x, *p.cut):
            dx[at], parts = self.backward_block(p.block(dy, at), p.block(x, at), p.of(at))
            self._add(sums, parts, p.channels(at))
        return dx, self.gradients(**sums)

    # What variants with loops of their own use, too

    @staticmethod
    def _room(a: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """An array like `a`, or `out` where it is given."""
        return empty_like(a) if out is None else out

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
        """Zeros for the gradient of each parameter that the layer may have."""
        return {name: np.zeros(self._size(name)) for name in self._parameters}

    @staticmethod
    def _add(sums: dict[str, np.ndarray], parts: dict[str, np.ndarray], channels: slice) -> None:
        """Add what a block gives to the gradients, which has these channels."""
        for name, part in parts.items():
            own = sums[name][channels] if sums[name].size > 1 else sums[name]
            own += part.reshape(-1)
