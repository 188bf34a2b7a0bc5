"""ChannelNorm: the arrays of batch and instance norm, one value for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from ...arrays.dtypes import PARAMETERS
from ...arrays.validation import check_count, check_per_channel, check_updatable
from ...functional.running import CUMULATIVE, Step
from .layer import Layer


class ChannelArrays(NamedTuple):
    """What lies on the channels of a batch norm, each (C,) but the count; None where not there."""

    weight: np.ndarray | None
    bias: np.ndarray | None
    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    num_batches_tracked: np.ndarray | None


class ChannelNorm(Layer):
    """Base of a layer with weight, bias and running statistics for each of `num_features` channels.

    A subclass has the options `num_features` and `dtype`, and declares the arrays in its __init__.
    """

    unbiased = True  # of subclasses without that option

    def _declare_channels(
        self, affine: bool, bias: bool, tracked: bool, weight: bool = True
    ) -> None:
        """The arrays under PyTorch's names, as in a new layer; None where they are not wanted."""
        channels, dtype = self.num_features, self.dtype
        self.register_parameter("weight", np.ones(channels, dtype) if affine and weight else None)
        self.register_parameter("bias", np.zeros(channels, dtype) if affine and bias else None)
        self.register_buffer("running_mean", np.zeros(channels, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(channels, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.array(0) if tracked else None)

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the variance to 1 and the count to 0, as in a new layer."""
        self._fill(self._buffers, {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0})

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0 and running statistics as in a new layer."""
        self.reset_running_stats()
        self._fill(self._parameters, {"weight": 1, "bias": 0})

    def channel_arrays(self, prefix: str = "") -> ChannelArrays:
        """Take the arrays whose names begin with `prefix`, fit for the kernels.

        Parameters
        ----------
        prefix
            What the names of the arrays begin with.

        Returns
        -------
        ChannelArrays
            The arrays.
        """
        checked = self._checked
        found = None if checked is None else checked.get(prefix)
        return self.check_arrays(prefix) if found is None else found

    def check_arrays(self, prefix: str = "") -> ChannelArrays:
        """Take the same arrays as `channel_arrays`, looked at again.

        Parameters
        ----------
        prefix
            What the names of the arrays begin with.

        Returns
        -------
        ChannelArrays
            The arrays.

        Raises
        ------
        TypeError
            For a dtype.
        ValueError
            For another array that is not in order.
        """
        who = type(self).__name__
        own = {**self._parameters, **self._buffers}
        arrays = ChannelArrays(*(own.get(prefix + name) for name in ChannelArrays._fields))
        named = {prefix + name: a for name, a in arrays._asdict().items()}
        *floats, count = named
        check_per_channel(who, {n: named[n] for n in floats}, self.num_features, self._dtype())
        check_count(who, named[count])
        if self.training:
            check_updatable(who, {name: a for name, a in named.items() if name in self._buffers})
        self._checked = {**(self._checked or {}), prefix: arrays}
        return arrays

    def check_values(self, loaded: Mapping[str, np.ndarray]) -> None:
        """What is not finite in the data makes a mean not finite and its variance NaN, no less."""
        for name, mean in loaded.items():
            prefix, _, last = name.rpartition("running_mean")
            if last == "" and prefix + "running_var" in loaded:
                var = loaded[prefix + "running_var"]
                for which, a, bad in (
                    (name, mean, ~np.isfinite(mean) & ~np.isnan(var)),
                    (prefix + "running_var", var, np.isinf(var)),
                ):
                    if bad.any():
                        raise ValueError(
                            f"{type(self).__name__}: {which} must be finite, got {a[bad][0]}"
                        )

    def running_arrays(self) -> tuple[np.ndarray | None, ...]:
        """Take the running statistics and their count, fit for the kernels.

        Returns
        -------
        tuple
            The running_mean, running_var and num_batches_tracked, each None where there is none.
        """
        return self.channel_arrays()[2:]

    def step(self, running: Iterable[np.ndarray | None], stats: np.ndarray, x: np.ndarray) -> Step:
        """Tell how the running statistics move by x.

        Parameters
        ----------
        running
            What `running_arrays` returns.
        stats
            The statistics of x.
        x
            The input.

        Returns
        -------
        Step
            The step, which has not been taken.
        """
        mean, var, count = running
        return Step(mean, var, count, stats, self._values(x), self.step_size(count))

    def _values(self, x: np.ndarray) -> int:
        """How many values a channel has in x; 0 if its variance is to be followed as it is."""
        return x.size // self.num_features if self.unbiased else 0

    def step_size(self, count: np.ndarray | None) -> float:
        """Take momentum as kernels do.

        Parameters
        ----------
        count
            The count of batches, or None.

        Returns
        -------
        float
            The weight of a batch.
        """
        if self.momentum is not None:
            return self.momentum
        return CUMULATIVE if count is not None else 0.0

    def _dtype(self) -> np.dtype:
        return PARAMETERS[self.dtype]

    @staticmethod
    def _fill(store: dict[str, np.ndarray | None], values: dict[str, float]) -> None:
        """Fill the arrays of these names, whatever stands before a dot in them."""
        for name, a in store.items():
            if a is not None:
                a[...] = values[name.rpartition(".")[2]]
