"""Fitting: the moments of any amount of data, read once, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from math import prod
from typing import Any, Literal, Self

import numpy as np

from ...arrays.validation import as_plain_array, check_axis, check_updatable, whole
from ...exchange.connect import link_of
from ...exchange.moments import bounded, merged
from ...functional import Moments
from ...options import Bounds
from ..base.layer import Layer
from .progress import with_progress

__all__ = ["Fitted"]

CHUNK = 64 << 20  # bytes of the data that are read at a time
_NEAR = 2.0**-20  # of std: what mean lacks and does not tell in the std of what is added later
_FEW = 8  # channels that an error names


class Fitted(Layer):
    """Base of Normalize: a mean and a std that come from data."""

    @classmethod
    def fit(
        cls,
        data: Any,
        *,
        channel_axis: Literal[1, -1] = 1,
        unbiased: bool = False,
        batch_size: int | None = None,
        progress: bool | None = None,
        comm: Any = None,
    ) -> Self:
        """Make a Normalize with the mean and std of `data`, read once, in bounded memory.

        Sums are in float64, whatever the dtype, as `cybn.functional.Moments` merges them.

        Parameters
        ----------
        data
            An array, a memory-mapped file or anything that gives arrays by slices (HDF5, zarr), of
            any real dtype; or an iterable of such batches.
        channel_axis
            The axis of the channels.
        unbiased
            Whether std has the divisor m - 1 in the place of m.
        batch_size
            Items of axis 0 to read at a time; by default as many as make 64 MiB.
        progress
            Whether there is a progress bar; None shows one on a terminal if tqdm is there, for what
            takes long.
        comm
            The processes that the data is split over, as `SyncBatchNorm` takes them: each calls
            this with its part, which may have no batches, and gets the layer of the whole, to the
            bit the same. The bar is that of rank 0. None is this process alone.

        Returns
        -------
        Normalize
            The layer.

        Raises
        ------
        TypeError
            For what holds no real numbers.
        ValueError
            For no data, data that is not finite and batches of different widths.
        SyncError
            If another process fails, or does not come.

        Examples
        --------
        >>> import numpy as np
        >>> import cybn
        >>> layer = cybn.Normalize.fit(np.array([[1, 5], [3, 5]]))
        >>> layer.mean, layer.std, layer.count
        (array([2., 5.]), array([1., 0.]), array(2))
        """
        moments = _moments_of(data, channel_axis, batch_size, progress, comm)
        layer = cls(num_features=len(moments.mean), unbiased=unbiased, channel_axis=channel_axis)
        return layer._take(moments)

    def partial_fit(self, x: np.ndarray) -> Self:
        """Take x into mean and std as if it had come with all before.

        Statistics that were given, not fitted, weigh nothing: the first batch replaces them. Errors
        are those of `fit`, and leave the layer as it was.

        Parameters
        ----------
        x
            The data, of any real dtype.

        Returns
        -------
        Normalize
            The layer itself.
        """
        x = as_plain_array("Normalize", "x", x)
        self._check_width(x)
        return self._take(Moments(x.shape[self.channel_axis]).add(x, self.channel_axis))

    def merge(self, other: Fitted) -> Self:
        """Take in what another one was fitted to, as if this one had been fitted to both.

        Parameters
        ----------
        other
            The other one; one whose mean and std were given adds nothing.

        Returns
        -------
        Normalize
            The layer itself.

        Raises
        ------
        TypeError
            For another class.
        ValueError
            For another number of channels.
        """
        if not isinstance(other, Fitted):
            raise TypeError(f"Normalize merges with another Normalize, got {type(other).__name__}")
        if other.num_features != self.num_features and not (self._any_width or other._any_width):
            raise ValueError(
                f"Normalize of {self.num_features} channels cannot merge with one of "
                f"{other.num_features}"
            )
        return self._take(other._moments())

    def _moments(self) -> Moments:
        # As they were before they were rounded to mean and std, if those are still the same and
        # the rounding mattered. It hardly ever does: a layer that was loaded goes on as this one.
        count, exact = int(self.count), vars(self).get("_exact")
        if (
            exact is not None
            and exact.count == count
            and np.array_equal((self.mean, self.std), (exact.mean, self._std_of(exact)))
        ):
            return copy(exact)
        return Moments.of(count, self.mean, self.std**2 * max(count - self.unbiased, 1))

    def _std_of(self, moments: Moments) -> np.ndarray:
        return np.sqrt(moments.var(ddof=int(self.unbiased)))

    def _take(self, new: Moments) -> Self:
        if new.count:
            known = self._moments()  # of a width that does not count where nothing is known
            moments = _check_finite(known.merge(new) if known.count else new)
            check_updatable("Normalize", dict(self.named_buffers()))
            std = self._std_of(moments)
            near = np.abs(moments.rest) <= _NEAR * std
            if self._any_width:  # it is of the width of the data from here on
                self._any_width = False
                self.settle_option("num_features", len(std))
                self.register_buffer("mean", np.empty(self.num_features))
                self.register_buffer("std", np.empty(self.num_features), holds=Bounds(ge=0))
            self.mean[...], self.std[...], self.count[...] = moments.mean, std, moments.count
            vars(self)["_exact"] = None if near.all() else moments
        return self


def _moments_of(
    data: Any, channel_axis: int, batch_size: int | None, progress: bool | None, comm: Any
) -> Moments:
    """The moments of what Normalize.fit is given; its errors are raised here."""
    if comm is None:
        moments = _moments_here(data, channel_axis, batch_size, progress)
    else:
        link, what = link_of(comm), "Normalize.fit"
        with bounded(link, what):
            shown = progress if link.rank == 0 else False
            moments = _moments_here(data, channel_axis, batch_size, shown)
        moments = merged(link, what, [moments])[0]
    if moments is None or not moments.count:
        raise ValueError("Normalize.fit got no data; pass an array or batches with values")
    return moments


def _moments_here(
    data: Any, channel_axis: int, batch_size: int | None, progress: bool | None
) -> Moments | None:
    sliced = hasattr(data, "shape") and hasattr(data, "__getitem__")
    chunks, total = _chunks(data, batch_size) if sliced else (data, None)
    moments = None
    for chunk in with_progress(chunks, "fit", total, progress):
        chunk = as_plain_array("Normalize.fit", "data", chunk)
        _, channels = check_axis("Normalize.fit", chunk, channel_axis)
        moments = moments or Moments(channels)
        _check_finite(moments.add(chunk, channel_axis))
    return moments


def _check_finite(moments: Moments) -> Moments:
    bad = np.flatnonzero(~(np.isfinite(moments.mean) & np.isfinite(moments.squares)))
    if bad.size:
        raise ValueError(
            f"Normalize got data that is not finite, or too large to square, in channel "
            f"{', '.join(map(str, bad[:_FEW]))}; leave out or fill in such values first"
        )
    return moments


def _chunks(data: Any, batch_size: int | None) -> tuple[Iterable[Any], int]:
    # Slices along axis 0, and how many
    n = len(data)
    if batch_size is None:
        itemsize = getattr(getattr(data, "dtype", None), "itemsize", 8)
        size = max(1, CHUNK // max(1, itemsize * prod(data.shape[1:])))
    else:
        size = whole(batch_size) or 0
    if size < 1:
        raise ValueError(f"Normalize.fit needs a batch_size >= 1, got {batch_size!r}")

    def slices() -> Iterator[Any]:
        for start in range(0, n, size):
            yield data[start : start + size]

    return slices(), -(-n // size)
