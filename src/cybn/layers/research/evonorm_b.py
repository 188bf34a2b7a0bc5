"""EvoNorm B1 and B2: x over the larger of the batch's deviation and a bound by the map's own size.

B0 with other bounds: to the kernel of maps v·x + s with v and s the root mean square of the map, or
-1 and that.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from .evonorm import EvoNormB0


@register("EvoNormB1")
class EvoNormB1(EvoNormB0):
    r"""EvoNormB1: x over the larger of the batch's deviation and (x + 1) times the map's size.

    No activation is to follow. In evaluation the deviation of the batch is the running one [1]_.

    Parameters
    ----------
    eps
        Added to the variance and to the mean square.
    momentum
        The weight of the new batch in `running_var`.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.
    running_var : (C,)
        The running variance, ones at first.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for an `out` that cannot be written to. The layer is unchanged
        then.

    Notes
    -----
    .. math::

        y = weight \cdot \frac{x}{\max(\sqrt{\mathrm{var}_b + \epsilon},
        (x + 1) \sqrt{\mathrm{mean}_i(x^2) + \epsilon})} + bias

    var_b is the biased variance of a channel over the batch, and mean_i the mean over the positions
    of one of its maps. In training `running_var` follows the unbiased variance of the batches, as
    in batch normalization.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output and leaves
    `running_var` alone.

    References
    ----------
    .. [1] Liu, Brock, Simonyan and Le, Evolving Normalization-Activation Layers, 2020 (arXiv
       2004.02967).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormB1(1)
    >>> x = np.array([[[-3.0, -1.0]], [[1.0, 3.0]]])
    >>> layer(x).round(4)  # the variance and each map's mean square are 5
    array([[[-1.3416, -0.4472]],
           [[ 0.2236,  0.3354]]])
    """

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)
        self.register_buffer("running_var", np.ones(num_features, dtype))

    def _line(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = np.sqrt(var + mean**2 + self.eps)
        return size, size

    def _own_slope(
        self, of_s: np.ndarray, of_v: np.ndarray, mean: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        slope = (of_s + of_v) / size
        return slope, slope * mean  # x is (x - mean) and the mean


@register("EvoNormB2")
class EvoNormB2(EvoNormB1):
    r"""EvoNormB2: x over the larger of the batch's deviation and what the map's size is above x.

    No activation is to follow. In evaluation the deviation of the batch is the running one [1]_.

    Parameters
    ----------
    eps
        Added to the variance and to the mean square.
    momentum
        The weight of the new batch in `running_var`.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.
    running_var : (C,)
        The running variance, ones at first.

    Raises
    ------
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for an `out` that cannot be written to. The layer is unchanged
        then.

    Notes
    -----
    .. math::

        y = weight \cdot \frac{x}{\max(\sqrt{\mathrm{var}_b + \epsilon},
        \sqrt{\mathrm{mean}_i(x^2) + \epsilon} - x)} + bias

    var_b is the biased variance of a channel over the batch, and mean_i the mean over the positions
    of one of its maps. In training `running_var` follows the unbiased variance of the batches, as
    in batch normalization.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W). An empty batch gives an empty output and leaves
    `running_var` alone.

    References
    ----------
    .. [1] Liu, Brock, Simonyan and Le, Evolving Normalization-Activation Layers, 2020 (arXiv
       2004.02967).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormB2(1)
    >>> x = np.array([[[-3.0, -1.0]], [[1.0, 3.0]]])
    >>> layer(x).round(4)  # the variance and each map's mean square are 5
    array([[[-0.5729, -0.309 ]],
           [[ 0.4472,  1.3416]]])
    """

    def _line(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(1, -1.0), np.sqrt(var + mean**2 + self.eps)

    def _own_slope(
        self, of_s: np.ndarray, of_v: np.ndarray, mean: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return super()._own_slope(of_s, 0.0, mean, size)
