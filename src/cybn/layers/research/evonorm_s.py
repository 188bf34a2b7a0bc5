"""EvoNorm S1 and S2: SiLU over the size of a group of channels of one sample.

S0 with a slope of 1 that is not learned; S2 takes the root mean square of a group in place of its
deviation. timm's S0a, S1a and S2a are these with an eps of 1e-3.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...options import Bounds, DType, PositiveInt, Trainable
from ...terms.registry import register
from .evonorm import EvoNormS0


@register("EvoNormS1")
class EvoNormS1(EvoNormS0):
    r"""EvoNormS1: SiLU over the deviation of its group of channels.

    No activation is to follow. It is the same in training and evaluation [1]_.

    Parameters
    ----------
    groups
        The number of groups of channels, a divisor of C; C groups where there are fewer channels
        than that.
    eps
        Added to the variance.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.

    Raises
    ------
    ValueError
        For an option out of range, and groups that do not divide the channels; for an x of another
        rank or number of channels, or with one value in a group; for an `out` that cannot be
        written to.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x \cdot \sigma(x)}{\sqrt{\mathrm{var} + \epsilon}} + bias

    with sigma the logistic function and var the biased variance over a group of channels and all
    positions of one sample.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    References
    ----------
    .. [1] Liu, Brock, Simonyan and Le, Evolving Normalization-Activation Layers, 2020 (arXiv
       2004.02967).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormS1(2, groups=1)
    >>> layer(np.array([[[-2.0, 0.0], [0.0, 2.0]]])).round(4)  # var is 2
    array([[[-0.1686,  0.    ],
            [ 0.    ,  1.2456]]])
    """

    def __init__(
        self,
        num_features: PositiveInt,
        groups: PositiveInt = 32,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        *,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: Trainable = True,
    ) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)

    def _slope(self) -> np.ndarray:
        return np.ones(1)


@register("EvoNormS2")
class EvoNormS2(EvoNormS1):
    r"""EvoNormS2: SiLU over the root mean square of its group of channels.

    No activation is to follow. It is the same in training and evaluation [1]_.

    Parameters
    ----------
    groups
        The number of groups of channels, a divisor of C; C groups where there are fewer channels
        than that.
    eps
        Added to the mean square.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.

    Raises
    ------
    ValueError
        For an option out of range, and groups that do not divide the channels; for an x of another
        rank or number of channels; for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y = weight \cdot \frac{x \cdot \sigma(x)}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} + bias

    with sigma the logistic function and the mean over a group of channels and all positions of one
    sample.

    x is (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    References
    ----------
    .. [1] Liu, Brock, Simonyan and Le, Evolving Normalization-Activation Layers, 2020 (arXiv
       2004.02967).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.EvoNormS2(2, groups=1)
    >>> layer(np.array([[[-2.0, 0.0], [0.0, 2.0]]])).round(4)  # the mean square is 2
    array([[[-0.1686,  0.    ],
            [ 0.    ,  1.2456]]])
    """

    centred: ClassVar[bool] = False

    def _centre(self, means: np.ndarray) -> float:
        return 0.0
