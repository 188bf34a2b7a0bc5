"""Filter response normalization, with the thresholded linear unit (TLU) that goes with it.

Pure NumPy over blocks (see `_common`), fast enough since a block stays in cache. The
compiled kernels for rows have one eps and no threshold; with them the output would be read and
written once more.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from ...options import Bounds, DType, PositiveInt
from ...terms.registry import register
from ._common import Blockwise, Fitting, dot, total

LEARNED_EPS = 1e-4  # the paper's start


@register("FilterResponseNorm", aliases=("FRN",))
class FilterResponseNorm(Blockwise):
    r"""Filter response normalization: response maps by their root mean square, a threshold.

    Nothing is centred, and nothing depends on other samples, so that training and evaluation are
    the same. The output ends with a thresholded linear unit (TLU), the larger of y and a learned
    tau, in the place of an activation [1]_.

    Parameters
    ----------
    eps
        Added to the mean square.
    tlu
        End with the threshold; else tau is left out, and an activation is to follow.
    learn_eps
        Learn an addition to eps, which the paper advises where a map has few positions or one.

    Attributes
    ----------
    weight, bias : (C,)
        The learned scale and shift, ones and zeros at first.
    tau : (C,) or None
        The learned threshold, zeros at first. None without `tlu`.
    learned_eps : (1,) or None
        What is added to eps, by its absolute value, 1e-4 at first. None without `learn_eps`.

    Notes
    -----
    .. math::

        \nu^2 &= \frac{1}{L} \sum_i x_i^2 \qquad \text{over the L positions of a sample's channel}

        y &= \max\left(weight \cdot \frac{x}{\sqrt{\nu^2 + \epsilon}} + bias,\ tau\right)

    Where y is at the threshold exactly, the gradient goes to tau.

    x is (N, C) or (N, C, ...) of up to five axes.

    References
    ----------
    .. [1] Singh and Krishnan, Filter Response Normalization Layer: Eliminating Batch Dependence in
       the Training of Deep Neural Networks, 2019 (arXiv 1911.09737).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.FilterResponseNorm(1)
    >>> layer(np.array([[[1.0, -7.0]]])).round(3)  # the mean square is 25
    array([[[0.2, 0. ]]])
    """

    scalars: ClassVar[tuple[str, ...]] = ("learned_eps",)

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-6,
        *,
        tlu: bool = True,
        learn_eps: bool = False,
        dtype: DType = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        self.learn("weight", 1)
        self.learn("bias", 0)
        self.learn("tau", 0 if tlu else None)
        self.learn("learned_eps", LEARNED_EPS if learn_eps else None)

    def forward_block(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        y = x * (p.weight * self._rstd(x, p)) + p.bias
        return np.maximum(y, p.tau) if "tau" in vars(p) else y

    def backward_block(self, dy: np.ndarray, x: np.ndarray, p: Fitting):
        rstd, grads = self._rstd(x, p), {}
        xhat = x * rstd
        if "tau" in vars(p):
            above = dy * (xhat * p.weight + p.bias > p.tau)
            grads["tau"] = total(dy, p.outer) - total(above, p.outer)
            dy = above
        along = dot(dy, xhat, p.inner)
        grads["weight"] = total(along, (0,))
        grads["bias"] = total(dy, p.outer)
        if "learned_eps" in vars(p):
            # d rstd / d eps = -rstd³/2
            grads["learned_eps"] = -np.sign(p.learned_eps) / 2 * (along * p.weight * rstd**2).sum()
        dx = (dy - xhat * (along / p.each)) * (p.weight * rstd)
        return dx, grads

    def _rstd(self, x: np.ndarray, p: Fitting) -> np.ndarray:
        eps = self.eps + np.abs(vars(p).get("learned_eps", 0.0))
        return 1 / np.sqrt(dot(x, x, p.inner) / p.each + eps)
