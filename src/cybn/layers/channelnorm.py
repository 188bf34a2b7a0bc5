"""ChannelNorm: the arrays of batch and instance norm, one value for each channel."""

from __future__ import annotations

import numpy as np

from ..validation import check_count, check_per_channel, check_updatable
from .base import Layer


class ChannelNorm(Layer):
    """Base of a layer with weight, bias and running statistics for each of `num_features` channels.

    A subclass has the options `num_features` and `dtype`, and declares the arrays in its __init__.
    """

    def _declare_channels(self, affine: bool, bias: bool, tracked: bool) -> None:
        """The arrays under PyTorch's names, as in a new layer; None where they are not wanted."""
        channels, dtype = self.num_features, self.dtype
        self.register_parameter("weight", np.ones(channels, dtype) if affine else None)
        self.register_parameter("bias", np.zeros(channels, dtype) if affine and bias else None)
        self.register_buffer("running_mean", np.zeros(channels, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(channels, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.array(0) if tracked else None)

    def reset_running_stats(self) -> None:
        """Running mean 0, variance 1, no batches, as in a new layer."""
        for name, value in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
            if self._buffers[name] is not None:
                self._buffers[name][...] = value

    def reset_parameters(self) -> None:
        """weight 1, bias 0 and running statistics as in a new layer."""
        self.reset_running_stats()
        for name, value in (("weight", 1), ("bias", 0)):
            if self._parameters[name] is not None:
                self._parameters[name][...] = value

    def _check_arrays(self, training: bool) -> tuple[np.ndarray | None, ...]:
        """weight, bias, running_mean, running_var and num_batches_tracked, fit for the kernels."""
        who = type(self).__name__
        weight, bias, mean, var, count = *self._parameters.values(), *self._buffers.values()
        moving = {"running_mean": mean, "running_var": var}
        arrays = {"weight": weight, "bias": bias, **moving}
        check_per_channel(who, arrays, self.num_features, np.dtype(self.dtype))
        check_count(who, count)
        if training:
            check_updatable(who, {**moving, "num_batches_tracked": count})
        self._checked = weight, bias, mean, var, count
        return self._checked
