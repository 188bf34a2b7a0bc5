"""Normalize: feature scaling with fixed statistics, given or fitted in one pass over data.

It is a layer, so that a config names it, a network begins with it, and a gradient goes through it
to the input. But it learns nothing, and training changes nothing in it. Normalizing is the kernel
of batch norm in evaluation with weight 1/std, and so is its inverse, with weight std and bias mean.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ...arrays.validation import (
    as_float_array,
    check_axis,
    check_channels,
    check_out,
    check_per_channel,
    check_separate,
)
from ...functional import batch_norm_forward
from ...options import Bounds, GivenOne, OneLength, PositiveInt
from ...terms.registry import register
from ..base.fixed import Fixed
from ..base.values import COUNT
from .fitting import Fitted

_NEAR = 2.0**-20  # of std: what mean lacks and does not tell in the std of what is added later
_FEW = 8  # channels whose mean and std repr shows

Scale = Annotated[float, Bounds(ge=0)]


@register("Normalize")
class Normalize(Fitted):
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
        an x of another dtype than float16, bfloat16, float32 and float64.
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

    sixteen_bits = "native"
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
        """Normalize x: the same as calling the layer.

        Parameters
        ----------
        x
            The input.
        out
            An array like x to write to; it may be x itself.

        Returns
        -------
        ndarray
            The output.
        """
        return self.forward(x, out=out)

    def inverse(self, y: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """Compute y * std + mean, the x that `transform` made y of.

        Parameters
        ----------
        y
            The output of `transform`.
        out
            An array like y to write to; it may be y itself.

        Returns
        -------
        ndarray
            The input x.
        """
        return self._affine("y", y, out, times=self._std(), plus=self.mean)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx = dy / std, in `out` where it is given, and {}."""
        dy = self.resume(saved, dy, out)
        return self._affine("dy", dy, out, times=saved.scale), {}

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
        """Show what other layers do, but without mean and std of many channels."""
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
