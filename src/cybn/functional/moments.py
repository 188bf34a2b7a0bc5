r"""Moments of parts: what each says of its channels, and how they become those of the whole.

Of a part of a batch, or of a population that fits no memory, is kept what the kernels sum: the
count n of values per channel, and

    total   = Σ (x - shift)
    squares = Σ (x - shift)²         with a value of the channel as the shift

so that what is large in all values alike costs no digits. Sums about another shift are

    total   + n·away
    squares + away·(2·total + n·away)          away = shift - the other one

and sums about the same shift are added up, part by part in their order. There is no division in it:
of data whose sums are exact (integers, say) any split gives the sums of the whole to the bit. Of
other data the roundings count 1 + (mean - shift)²/var times; the shift of the whole is that of the
part whose shift is nearest to its mean, which makes that a small number.

Rejected: merging by mean and squared deviations from it (Chan, Golub and LeVeque, Algorithms for
Computing the Sample Variance, 1983), as accurate, but for a division in each step that rounds what
was exact, and with a mean that, rounded to float64, is not enough for float64 data: a variance that
is merged from means loses mean/std ulps; averages of the parts' averages, which are wrong for the
variance and for ragged parts; Σx and Σx², which cancel at large means.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np

from ..arrays.dtypes import is_bfloat16
from ..arrays.validation import as_int, as_plain_array, check_axis
from ..kernels import follow_sums, merge_sums
from .blocks import BLOCK, sums_of_blocks

__all__ = ["Moments", "merge_moments"]


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
    channels : int
        C, the number of channels.
    mean : (C,)
        The mean of each channel.
    squares : (C,)
        The sum of squared deviations from the mean.
    rest : (C,)
        What `mean`, which is rounded, lacks.
    sums : (3, C)
        What to send to another process: `count` and this are all there is to know.

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
        # shift, what it lacks where float64 does not hold it, and total and squares about both
        self._sums = np.zeros((4, channels))

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
        return cls._of(len(mean), count, mean, 0, 0, squares)

    @classmethod
    def of_sums(cls, count: int, sums: np.ndarray) -> Self:
        """Those whose `count` and `sums` another process has sent.

        Parameters
        ----------
        count
            The values per channel; 0 of an empty part, whose sums mean nothing.
        sums
            The rows shift, total and squares, (3, C) float64.

        Returns
        -------
        Moments
            The moments, which have a copy.

        Raises
        ------
        TypeError
            For a count that is no int.
        ValueError
            For a count below 0 and sums of another shape or dtype.
        """
        count = as_int("Moments", "count", count)
        if count < 0:
            raise ValueError(f"Moments needs a count >= 0, the values per channel, got {count}")
        if getattr(sums, "dtype", None) != np.float64 or sums.ndim != 2 or len(sums) != 3:
            got = f"{getattr(sums, 'shape', sums)} {getattr(sums, 'dtype', '')}".strip()
            raise ValueError(
                f"Moments needs sums of shape (3, C) float64, as its attribute sums has, got {got}"
            )
        shift, total, squares = sums
        return cls._of(len(shift), count, shift, 0, total, squares)

    @classmethod
    def of_parts(cls, counts: np.ndarray, sums: np.ndarray) -> Self:
        """Those of the whole: `merge_moments` of `of_sums` of each part, for many of them at once.

        Parameters
        ----------
        counts
            The values per channel of each part, (parts,) of int64.
        sums
            Their sums, (parts, 3, C) float64.

        Returns
        -------
        Moments
            The moments.
        """
        return cls._merged(np.asarray(counts), sums)

    @classmethod
    def _merged(cls, counts: np.ndarray, sums: np.ndarray) -> Self:
        # of (parts, 3, C), or (parts, 4, C) with what the shifts lack
        self = cls(sums.shape[2])
        self.count = int(counts.sum())
        sums = np.ascontiguousarray(sums, np.float64)
        merge_sums(self._sums, counts.astype(np.float64), sums, self.count)
        return self

    @classmethod
    def _of(cls, channels, count, shift, rest, total, squares) -> Self:
        self = cls(channels)
        if count:
            self.count = count
            for row, values in zip(self._sums, (shift, rest, total, squares), strict=True):
                row[...] = values
        return self

    @property
    def channels(self) -> int:
        """C, the number of channels."""
        return self._sums.shape[1]

    def _told(self, eps: float = 1.0, ddof: int = 0) -> np.ndarray:
        # (8, C): mean, var, rstd, the three sums, squares and rest
        rows = np.empty((8, self.channels))
        follow_sums(rows, self._sums, self.count, eps, ddof)
        return rows

    @property
    def sums(self) -> np.ndarray:
        """The rows shift, total and squares, (3, C); negative squares are those of x·2**-600."""
        return self._told()[3:6]

    @property
    def mean(self) -> np.ndarray:
        """The mean of each channel, (C,)."""
        return self._told()[0]

    @property
    def rest(self) -> np.ndarray:
        """What `mean`, which is rounded, lacks, (C,)."""
        return self._told()[7]

    @property
    def squares(self) -> np.ndarray:
        """The sum of squared deviations from the mean, (C,)."""
        return self._told()[6]

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
        return self._told(ddof=ddof)[1]

    def stats(self, eps: float = 1e-5) -> np.ndarray:
        """Tell the statistics as `batch_norm_forward` returns them, to the bit if this is its x.

        Parameters
        ----------
        eps
            Added to the variance.

        Returns
        -------
        ndarray
            The rows mean, var (biased) and rstd = 1/sqrt(var + eps), (3, C); of no values 0, 0 and
            1/sqrt(eps).
        """
        return self._told(eps)[:3]

    def _with_sums(self, eps: float) -> np.ndarray:
        """`stats` and, below them, `sums`, (6, C)."""
        return self._told(eps)[:6]

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
        if channels != self.channels:
            raise ValueError(
                f"moments of {self.channels} channels got {channels} on axis {channel_axis} "
                f"in {x.shape}"
            )
        if not x.size:
            return self
        waiting, most = [self], max(2, BLOCK // channels)
        for sums in sums_of_blocks(x, channel_axis % x.ndim):
            waiting.append(Moments._of(channels, *sums))
            if len(waiting) > most:
                waiting = [merge_moments(waiting)]
        vars(self).update(vars(merge_moments(waiting)))
        return self

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
        vars(self).update(vars(merge_moments([self, other])))
        return self


def merge_moments(parts: Iterable[Moments]) -> Moments:
    """Merge the moments of parts into those of the whole.

    The parts may be uneven, and empty: a part without values changes nothing. They are added up in
    their order, so the same parts in the same order give the same bits.

    Parameters
    ----------
    parts
        The moments, one or more, of as many channels.

    Returns
    -------
    Moments
        New ones; the parts are as they were.

    Raises
    ------
    TypeError
        For what are no Moments.
    ValueError
        For no parts at all, and for parts of different numbers of channels.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> parts = [functional.batch_norm_moments(part) for part in (x[:1], x[1:1], x[1:])]
    >>> whole = functional.merge_moments(parts)
    >>> whole.count, whole.mean, whole.var()
    (4, array([3.]), array([3.5]))
    """
    parts = list(parts)
    for part in parts:
        if not isinstance(part, Moments):
            raise TypeError(f"merge_moments takes Moments, got {type(part).__name__}")
    widths = [part.channels for part in parts]
    if len(set(widths)) != 1:
        got = f"parts of {' and '.join(map(str, sorted(set(widths))))} channels"
        raise ValueError(
            f"merge_moments needs parts of one number of channels, got {got if parts else 'none'}"
        )
    counts = np.array([part.count for part in parts])
    return Moments._merged(counts, np.stack([part._sums for part in parts]))
