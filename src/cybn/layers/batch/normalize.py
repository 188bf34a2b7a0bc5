"""Normalize: feature scaling with fixed statistics, given or fitted in one pass over data.

It is a layer, so that a config names it, a network begins with it, and a gradient goes through it
to the input. But it learns nothing, and training changes nothing in it. Normalizing is the kernel
of batch norm in evaluation with weight 1/std, and so is its inverse, with weight std and bias mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from math import prod
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np

from ...functional import Moments, batch_norm_forward
from ...options import Bounds, GivenOne, OneLength, PositiveInt
from ...progress import with_progress
from ...registry import register
from ...validation import (
    as_float_array,
    as_plain_array,
    check_axis,
    check_channels,
    check_out,
    check_per_channel,
    check_separate,
    check_updatable,
    whole,
)
from ..base import Layer
from ..fixed import Fixed
from ..state import COUNT

CHUNK = 64 << 20  # bytes of the data that fit() reads at a time
_NEAR = 2.0**-20  # of std: what mean lacks and does not tell in the std of what is added later
_FEW = 8  # channels whose mean and std repr shows

Scale = Annotated[float, Bounds(ge=0)]


@register("Normalize")
class Normalize(Layer):
    r"""Feature scaling: each channel less its mean, over its standard deviation, both fixed.

    In evaluation and in training alike. Mean and standard deviation are given, or fitted to any
    amount of data by `fit` and `partial_fit`. A channel with std 0 is constant in the data that it
    was fitted to; it is only centred, as if its std were 1, so that it becomes 0 and the inverse
    holds.

    Parameters
    ----------
    mean
        A number for all channels, or a list or array with one for each; None stands for 0.
    std
        The same of the standard deviations, none of them negative; None stands for 1.
    num_features
        C, the number of channels, where `mean` and `std` do not tell. Without it two numbers serve
        any C.
    unbiased
        Whether the std of fitted data has the divisor m - 1 in the place of m.
    channel_axis
        The axis of the channels: 1, or -1 for channels last.

    Attributes
    ----------
    mean, std : (C,) float64
        What x is normalized with. They are buffers; `get_config` has their values, too.
    count : 0-D int64
        The values per channel that they were fitted to, 0 where they were given.
    grads : dict
        Empty, since nothing is learned.

    Raises
    ------
    TypeError
        For an option of another type, if none of `mean`, `std` and `num_features` is given, and for
        an x of another dtype than float32 and float64.
    ValueError
        For a negative std; for an x of less than two axes or another number of channels; for an
        `out` that cannot be written to.

    Notes
    -----
    .. math:: y = \frac{x - mean}{std}

    x is (N, C) or (N, C, ...), with any strides; y has its shape, dtype and memory order, and is
    written to `out` where it is given, which may be x. `transform` is the same as calling the
    layer, and `inverse` gives x for y.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> images = np.random.default_rng(0).random((8, 3, 32, 32), np.float32)
    >>> normalize = cybn.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    >>> y = normalize(images)
    >>> bool(np.allclose(y[:, 0], (images[:, 0] - 0.485) / 0.229, atol=1e-6))
    True
    >>> fitted = cybn.Normalize.fit(images)
    >>> bool((abs(fitted(images).std((0, 2, 3)) - 1) < 1e-6).all())
    True
    """

    rules = (
        GivenOne(("mean", "std", "num_features"), "; or use Normalize.fit"),
        OneLength(("mean", "std"), "num_features"),
    )

    def __init__(
        self,
        mean: float | list[float] | None = None,
        std: Scale | list[Scale] | None = None,
        *,
        num_features: PositiveInt | None = None,
        unbiased: bool = False,
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        lists = [values for values in (self.mean, self.std) if isinstance(values, list)]
        # Without a width there is one mean and std for however many channels there are
        self._any_width = num_features is None and not lists
        channels = num_features or len((lists or [[0]])[0])
        self.settle_option("num_features", channels)
        mean, std = 0.0 if self.mean is None else self.mean, 1.0 if self.std is None else self.std
        self.register_buffer("mean", np.full(channels, mean, np.float64))
        self.register_buffer("std", np.full(channels, std, np.float64), holds=Bounds(ge=0))
        self.register_buffer("count", np.array(0), holds=COUNT)

    class Saved(NamedTuple):
        """What pullback needs: nothing of x but its shape and dtype."""

        like: np.ndarray
        scale: np.ndarray

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """(x - mean) / std, in `out` where it is given. See the class."""
        self.begin(x)
        scale = 1 / self._std()
        y = self._affine("x", x, out, less=self.mean, times=scale)
        return y, self.Saved(np.broadcast_to(np.empty((), y.dtype), y.shape), scale)

    def transform(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """The same as calling the layer."""
        return self.forward(x, out=out)

    def inverse(self, y: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """y * std + mean, the x that `transform` made y of, in `out` where it is given."""
        return self._affine("y", y, out, times=self._std(), plus=self.mean)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx = dy / std, in `out` where it is given, and {}."""
        dy = self.resume(saved, dy, out)
        return self._affine("dy", dy, out, times=saved.scale), {}

    @classmethod
    def fit(
        cls,
        data: Any,
        *,
        channel_axis: Literal[1, -1] = 1,
        unbiased: bool = False,
        batch_size: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """A Normalize with the mean and std of `data`, read once, in bounded memory.

        data: an array, a memory-mapped file or anything that gives arrays by slices (HDF5, zarr),
        of any real dtype; or an iterable of such batches.
        batch_size: items of axis 0 to read at a time; by default as many as make 64 MiB.
        progress: None shows a bar on a terminal if tqdm is there, for what takes long; True, False.

        Sums are in float64, whatever the dtype, as `cybn.functional.Moments` merges them. Raises
        ValueError for no data, data that is not finite and batches of different widths, TypeError
        for what holds no real numbers.

        >>> import numpy as np
        >>> import cybn
        >>> layer = cybn.Normalize.fit(np.array([[1, 5], [3, 5]]))
        >>> layer.mean, layer.std, layer.count
        (array([2., 5.]), array([1., 0.]), array(2))
        """
        whole = hasattr(data, "shape") and hasattr(data, "__getitem__")
        chunks, total = _chunks(data, batch_size) if whole else (data, None)
        moments = None
        for chunk in with_progress(chunks, "fit", total, progress):
            chunk = as_plain_array("Normalize.fit", "data", chunk)
            _, channels = check_axis("Normalize.fit", chunk, channel_axis)
            moments = moments or Moments(channels)
            _check_finite(moments.add(chunk, channel_axis))
        if moments is None or not moments.count:
            raise ValueError("Normalize.fit got no data; pass an array or batches with values")
        layer = cls(num_features=channels, unbiased=unbiased, channel_axis=channel_axis)
        return layer._take(moments)

    def partial_fit(self, x: np.ndarray) -> Self:
        """Take x, any real dtype, into mean and std as if it had come with all before.

        Statistics that were given, not fitted, weigh nothing: the first batch replaces them.
        Returns the layer. Errors are those of `fit`, and leave the layer as it was.
        """
        x = as_plain_array("Normalize", "x", x)
        self._check_width(x)
        return self._take(Moments(x.shape[self.channel_axis]).add(x, self.channel_axis))

    def merge(self, other: Normalize) -> Self:
        """Take in what another one was fitted to, as if this one had been fitted to both.

        One whose mean and std were given adds nothing. Returns the layer. Raises TypeError for
        another class, ValueError for another number of channels.
        """
        if not isinstance(other, Normalize):
            raise TypeError(f"Normalize merges with another Normalize, got {type(other).__name__}")
        if other.num_features != self.num_features and not (self._any_width or other._any_width):
            raise ValueError(
                f"Normalize of {self.num_features} channels cannot merge with one of "
                f"{other.num_features}"
            )
        return self._take(other._moments())

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift, always."""
        return Fixed(self.mean, std=self.std, any_width=self._any_width)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("mean", "std") and value is None:  # as options they then stand for 0 and 1
            raise ValueError(f"Normalize needs {name}, got None; assign an array to it")
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        """A plain dict with the present mean and std; the count is in the state dict only."""
        if self._any_width:
            own = {"mean": self.mean.item(), "std": self.std.item(), "num_features": None}
        else:
            own = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return super().get_config() | own

    def extra_repr(self) -> str:
        """As other layers, but without mean and std of many channels."""
        if self.num_features <= _FEW:
            return super().extra_repr()
        config = {name: value for name, value in self.get_config().items() if name != "type"}
        rest = {"mean": None, "std": None, "unbiased": False, "channel_axis": 1}
        return ", ".join(
            f"{name}={value!r}"
            for name, value in config.items()
            if name not in ("mean", "std") and value != rest.get(name)
        )

    def keeps_finite(self, name: str) -> bool:
        """All: data that is not finite cannot be fitted to."""
        return True

    # Inside

    def _std(self) -> np.ndarray:
        # std as it divides: 1 for a constant channel
        own = {"mean": self.mean, "std": self.std}
        check_per_channel("Normalize", own, self.num_features, np.dtype(np.float64))
        if not (self.std >= 0).all():
            raise ValueError(f"Normalize needs std >= 0, got {self.std[~(self.std >= 0)][0]}")
        return np.where(self.std > 0, self.std, 1.0)

    def _affine(self, name, a, out, *, less=None, times, plus=None) -> np.ndarray:
        # (a - less)*times + plus, by the kernel of batch norm in evaluation
        a = as_float_array("Normalize", name, a)
        self._check_width(a, name)
        if out is not None:
            check_out("Normalize", out, a)
            check_separate("Normalize", "out", out, **self._arrays())
        less = np.zeros_like(times) if less is None else less
        width = a.shape[self.channel_axis]
        if len(times) != width:  # one number for all channels
            less, times = np.repeat(less, width), np.repeat(times, width)
            plus = None if plus is None else np.repeat(plus, width)
        return batch_norm_forward(
            a, times, plus, less, np.ones_like(times),
            training=False, eps=0.0, channel_axis=self.channel_axis, out=out, who="Normalize",
        )[0]  # fmt: skip

    def _check_width(self, a: np.ndarray, name: str = "x") -> None:
        check_axis("Normalize", a, self.channel_axis)
        if not self._any_width:
            build = "mean and std for {} channels"
            check_channels("Normalize", a, self.num_features, self.channel_axis, build, name=name)

    def _moments(self) -> Moments:
        # As they were before they were rounded to mean and std, if those are still the same and
        # the rounding mattered. It hardly ever does: a layer that was loaded goes on as this one.
        count, exact = int(self.count), vars(self).get("_exact")
        if exact is not None and exact.count == count and np.array_equal(
            (self.mean, self.std), (exact.mean, self._std_of(exact))
        ):
            return copy(exact)
        return Moments.of(count, self.mean, self.std**2 * max(count - self.unbiased, 1))

    def _std_of(self, moments: Moments) -> np.ndarray:
        return np.sqrt(moments.var(ddof=int(self.unbiased)))

    def _take(self, new: Moments) -> Self:
        if new.count:
            moments = _check_finite(self._moments().merge(new))
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
