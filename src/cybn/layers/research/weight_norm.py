"""WeightNorm: each filter of a weight to a length that is learned.

Lines over all axes but that of the filters. As with WeightStandardization, what it normalizes is
the weight of a linear layer or convolution, PyTorch's `original1`; the gain is `original0`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...functional.running import Step
from ...options import DType, PositiveInt, Trainable
from ...terms.registry import register
from ._common import Guarded
from ._lines import Lines, axes_of, lengths, lines_of, scaled, scaled_back


@register("WeightNorm", aliases=("WN", "WeightNormalization"))
class WeightNorm(Guarded):
    r"""Weight normalization: the direction of each filter of a weight, times a learned length.

    What it normalizes is the weight of a linear layer or convolution, not an activation [1]_.
    Training and evaluation are alike. It is PyTorch's parametrization of this name, whose original1
    is x and whose original0 is `gain`.

    Parameters
    ----------
    out_channels
        The number of filters, to learn a length for each; None learns none, takes weights of any
        number and gives filters of length 1.
    dim
        The axis of the filters; None takes the length of the whole weight, and `gain` has one item.
    dtype
        Of the gain. Inputs may be float16, bfloat16, float32 or float64 with either.

    Attributes
    ----------
    gain : (out_channels,), (1,) or None
        The learned lengths, ones at first; `start` sets them to those of a weight.
    grads : dict
        The gradient of `gain` after `backward`, or empty.

    Raises
    ------
    TypeError
        For an option of another type, and for a weight of another dtype than float16, bfloat16,
        float32 and float64.
    ValueError
        For an option out of range; for a weight without that axis, or of another number of filters
        than `out_channels`; for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y_o = gain_o \cdot \frac{x_o}{\|x_o\|}

    with the Euclidean norm of filter o. Of a filter that is 0, y and dx are 0, where PyTorch has
    NaN.

    x is a weight, 2-D or more, or a vector; y has its shape, dtype and memory order, and is written
    to `out` where it is given. `backward` turns the gradient of y, which the layer that uses it
    gives, into that of x. x is kept for it, not copied (unless in place).

    References
    ----------
    .. [1] Salimans and Kingma, Weight Normalization: A Simple Reparameterization to Accelerate
       Training of Deep Neural Networks, 2016 (arXiv 1602.07868).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.WeightNorm(2)
    >>> layer.gain[...] = 10, 1
    >>> layer(np.array([[3.0, 4.0], [0.0, -2.0]]))
    array([[ 6.,  8.],
           [ 0., -1.]])
    """

    num_features_option = None

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        lines: Lines
        sizes: np.ndarray
        gain: np.ndarray

    def __init__(
        self,
        out_channels: PositiveInt | None = None,
        dim: int | None = 0,
        *,
        dtype: DType = "float32",
        trainable: Trainable = True,
    ) -> None:
        gain = None
        if out_channels is not None:
            gain = np.ones(1 if dim is None else out_channels, dtype)
        self.register_parameter("gain", gain)

    def start(self, weight: np.ndarray) -> None:
        """Set the gain to the lengths of a weight, so that the weight itself is what comes out.

        Parameters
        ----------
        weight
            The weight.

        Raises
        ------
        ValueError
            For a weight that the layer does not take.
        """
        weight = self._accepted(weight, None).astype(np.float64)
        if self.gain is not None:
            self.gain[...] = lengths(self._lines(weight), weight)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        who, kept = type(self).__name__, self.begin(x, out)
        axes = axes_of(who, kept, () if self.dim is None else (self.dim,))
        if self.gain is not None and axes and kept.shape[axes[0]] != self.out_channels:
            filters = kept.shape[axes[0]]
            raise ValueError(
                f"{who} expects {self.out_channels} filters on axis {self.dim}, got {filters} in "
                f"{kept.shape}; build the layer with out_channels={filters}"
            )
        return kept

    def _lines(self, x: np.ndarray) -> Lines:
        filters = () if self.dim is None else (self.dim % x.ndim,)
        return lines_of(x, tuple(i for i in range(x.ndim) if i not in filters))

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        lines = self._lines(x)
        sizes = lengths(lines, x)
        gain = np.ones_like(sizes) if self.gain is None else self.gain.astype(np.float64)
        return scaled(lines, x, sizes, gain, out), self.Saved(x, lines, sizes, gain), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, lines, sizes, gain = saved
        dx, dgain = scaled_back(lines, dy, x, sizes, gain, out)
        return dx, self.gradients(gain=dgain)
