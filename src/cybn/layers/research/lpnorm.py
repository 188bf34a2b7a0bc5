"""LpNormalization: each line along an axis to length 1, as ONNX and torch's normalize have it."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from ...functional.running import Step
from ...options import Bounds
from ...terms.registry import register
from ._common import Guarded
from ._lines import Lines, axes_of, lengths, lines_of, scaled, scaled_back


@register("LpNormalization", aliases=("LpNorm", "L2Norm"))
class LpNormalization(Guarded):
    r"""Lp normalization: x over its length along an axis.

    There are no parameters, and training and evaluation are alike. It is ONNX's operator of this
    name [1]_; with an `eps` it is the function normalize of PyTorch.

    Parameters
    ----------
    axis
        The axis along which a length is taken.
    p
        1 for the sum of magnitudes, 2 for the root of the sum of squares.
    eps
        The least that x is divided by.

    Attributes
    ----------
    grads : dict
        Empty, since nothing is learned.

    Raises
    ------
    TypeError
        For an option of another type, and for an x of another dtype than float16, bfloat16, float32
        and float64.
    ValueError
        For an option out of range; for an x without that axis; for an `out` that cannot be written
        to.

    Notes
    -----
    .. math:: y = \frac{x}{\max(\|x\|_p, \epsilon)} \qquad
        \|x\|_p = \left(\sum_i |x_i|^p\right)^{1/p}

    Where all of x is 0, y is 0, and so is dx without an `eps`.

    x is of any shape (..., n, ...) with one axis or more.

    References
    ----------
    .. [1] ONNX operators, LpNormalization,
       https://onnx.ai/onnx/operators/onnx__LpNormalization.html.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> x = np.array([[3.0, 4.0], [0.0, 0.0]])
    >>> cybn.LpNormalization()(x)
    array([[0.6, 0.8],
           [0. , 0. ]])
    >>> cybn.LpNormalization(p=1)(x).round(3)
    array([[0.429, 0.571],
           [0.   , 0.   ]])
    """

    num_features_option = None

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        lines: Lines
        sizes: np.ndarray  # at least eps
        fixed: np.ndarray | None  # where the length is below eps
        p: int

    def __init__(
        self, axis: int = -1, p: Literal[1, 2] = 2, eps: Annotated[float, Bounds(ge=0)] = 0.0
    ) -> None: ...

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        kept = self.begin(x, out)
        axes_of(type(self).__name__, kept, (self.axis,))
        return kept

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, Saved, list[Step]]:
        lines = lines_of(x, axes_of(type(self).__name__, x, (self.axis,)))
        sizes, fixed = lengths(lines, x, self.p), None
        if self.eps > 0:
            sizes, fixed = np.maximum(sizes, self.eps), sizes < self.eps
        y = scaled(lines, x, sizes, np.ones_like(sizes), out)
        return y, self.Saved(x, lines, sizes, fixed, self.p), []

    def _pulled_back(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, lines, sizes, fixed, p = saved
        dx, _ = scaled_back(lines, dy, x, sizes, np.ones_like(sizes), out, p, fixed)
        return dx, self.gradients()
