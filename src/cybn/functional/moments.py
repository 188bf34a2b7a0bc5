r"""Moments: mean and variance of each channel over more data than fits in memory.

Two parts with m and n values, means a and b, and sums of squared deviations A and B merge into

    mean    = a + (b - a) * n/(m+n)
    squares = A + B + (b - a)² * m*n/(m+n)

which is exact but for a few roundings, however unequal the parts are (Chan, Golub and LeVeque,
Algorithms for Computing the Sample Variance, 1983). Means are kept as their distance from the first
value of the channel, so that what is large in all values alike costs no digits. Numbers that
float64 cannot hold, integers of 64 bits and long doubles, come as two float64 each, and the first
value is taken from both before they are added up.

Rejected: averages of the parts' averages, which are wrong for the variance and for ragged parts;
Σx and Σx², which cancel at large means; the statistics a layer's forward has at hand, which for
float32 input are summed in part in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np

from ..arrays.dtypes import is_bfloat16
from ..arrays.validation import as_plain_array, check_axis
from .stats import batch_norm_stats

__all__ = ["Moments"]

BLOCK = 1 << 16  # items converted to float64 and summed at a time: 512 KiB, which a cache holds


class Moments:
    """Count, mean and sum of squared deviations of each channel over all that was added.

    Everything is float64, whatever is added; of integers, however large, the exact differences are
    what is rounded. A constant channel has exactly its value as mean and a variance of exactly 0.
    What is not finite in a channel stays in that channel.

    Parameters
    ----------
    channels
        C, the number of channels.

    Attributes
    ----------
    count : int
        The values per channel.
    mean : (C,)
        The mean of each channel.
    squares : (C,)
        The sum of squared deviations from the mean.
    rest : (C,)
        What `mean`, which is rounded, lacks.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn.functional import Moments
    >>> moments = Moments(1).add(np.array([[1e9], [1e9 + 1]])).add(np.array([[1e9 + 5]]))
    >>> moments.count, moments.mean - 1e9, moments.var().round(6)
    (3, array([2.]), array([4.666667]))
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.squares = np.zeros(channels)
        self._first = np.zeros(channels)  # mean is _first + _away
        self._away = np.zeros(channels)

    @classmethod
    def of(cls, count: int, mean: np.ndarray, squares: np.ndarray) -> Self:
        """Those of data whose moments are known.

        Parameters
        ----------
        count
            The values per channel.
        mean, squares
            The mean of each channel and the sum of squared deviations from it, (C,).

        Returns
        -------
        Moments
            The moments, which more may be added to.
        """
        self = cls(len(mean))
        if count:
            self.count, self._first, self.squares = count, mean.astype(float), squares.astype(float)
        return self

    @property
    def mean(self) -> np.ndarray:
        """The mean of each channel, (C,)."""
        return self._first + self._away

    @property
    def rest(self) -> np.ndarray:
        """What `mean`, which is rounded, lacks, (C,)."""
        return (self._first - self.mean) + self._away

    def var(self, ddof: int = 0) -> np.ndarray:
        """Divide the squares by count - ddof.

        Parameters
        ----------
        ddof
            Taken off the count: 1 for the unbiased variance.

        Returns
        -------
        ndarray
            The variance of each channel, (C,); 0 for no more values than `ddof`.
        """
        return self.squares / max(self.count - ddof, 1)

    def add(self, x: np.ndarray, channel_axis: int = 1) -> Self:
        """Take in an array of real numbers.

        Memory is bounded whatever the size of x, which may be a memory-mapped file.

        Parameters
        ----------
        x
            The array, of any dtype of real numbers and any strides.
        channel_axis
            The axis of its channels.

        Returns
        -------
        Moments
            The same object.

        Raises
        ------
        TypeError
            For complex numbers and for what is no number; nothing is changed then.
        ValueError
            For another number of channels; nothing is changed then.
        """
        x = as_plain_array("Moments", "x", x)
        if x.dtype.kind not in "biuf" and not is_bfloat16(x.dtype):
            raise TypeError(f"moments are taken of real numbers, got {x.dtype}")
        channel_axis, channels = check_axis("Moments", x, channel_axis)
        if channels != len(self._first):
            raise ValueError(
                f"moments of {len(self._first)} channels got {channels} on axis {channel_axis} "
                f"in {x.shape}"
            )
        if not x.size:
            return self
        axis = channel_axis % x.ndim
        whole, scratch = Moments(channels), np.empty(min(x.size, max(BLOCK, channels)))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is seen later
            first, rest = _in_two(np.moveaxis(x, axis, -1)[(0,) * (x.ndim - 1)])
            first = np.where(np.isfinite(first), first, 0).astype(np.float64)
            rest = np.zeros(channels) if rest is None else np.where(np.isfinite(rest), rest, 0)
            beside = [-1 if i == axis else 1 for i in range(x.ndim)]
            for block in _blocks(x, axis):
                away = scratch[: block.size].reshape(block.shape)
                high, low = _in_two(block)
                np.subtract(high, first.reshape(beside), out=away)
                if low is not None:
                    away += low - rest.reshape(beside)
                whole.merge(_moments(*_rounded_first(first, rest), away, axis))
        return self.merge(whole)

    def merge(self, other: Moments) -> Self:
        """Take in what another has seen; one that has seen nothing changes nothing.

        Parameters
        ----------
        other
            The other one, of as many channels.

        Returns
        -------
        Moments
            The same object.
        """
        m, n = self.count, other.count
        if not m:
            vars(self).update(vars(other))
        elif n:
            with np.errstate(over="ignore", invalid="ignore"):
                apart = (other._first - self._first) + (other._away - self._away)
                self._away = self._away + apart * (n / (m + n))
                self.squares = self.squares + other.squares + apart**2 * (m * (n / (m + n)))
            self.count = m + n
        return self


def _in_two(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    # x, exactly, as the sum of two arrays that float64 holds; None where one is enough. The
    # difference of two values is that of the first parts, which is exact where they are near or
    # integers, and that of the rest.
    if x.dtype.kind in "iu" and x.dtype.itemsize > 4:
        # by halves of the word, so that no difference of two integers overflows
        high = (x >> 32).astype(np.float64) * 2.0**32
        return high, (x & 0xFFFFFFFF).astype(np.float64)
    if x.dtype.itemsize > 8:
        high = x.astype(np.float64)
        return high, (x - high).astype(np.float64)
    return x, None


def _rounded_first(first: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # The same sum, first rounded to float64; exact, as |rest| is not above |first| or first is 0
    near = first + rest
    return near, rest - (near - first)


def _moments(
    first: np.ndarray, rest: np.ndarray, away: np.ndarray, channel_axis: int
) -> Moments:
    # Of the block first + rest + away, by the kernels
    result = Moments(len(first))
    result.count = away.size // len(first)
    if result.count == 1:
        mean, var = away.ravel().copy(), np.where(np.isfinite(away.ravel()), 0.0, np.nan)
    else:
        mean, var, _ = batch_norm_stats(away, channel_axis=channel_axis)
    result._first, result._away, result.squares = first, rest + mean, var * result.count
    return result


def _blocks(x: np.ndarray, channel_axis: int, axis: int = 0) -> Iterator[np.ndarray]:
    # x in views of at most BLOCK items, as far as it can be cut without cutting channels apart
    if x.size <= BLOCK or axis == x.ndim:
        yield x
    elif axis == channel_axis:
        yield from _blocks(x, channel_axis, axis + 1)
    else:
        n = x.shape[axis]
        step = max(1, BLOCK * n // x.size)
        for start in range(0, n, step):
            part = x[(slice(None),) * axis + (slice(start, start + step),)]
            yield from _blocks(part, channel_axis, axis + 1)
