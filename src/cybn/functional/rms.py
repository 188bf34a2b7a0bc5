"""RMS normalization: rows as layer normalization has them, not centred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays.dtypes import computed_in, eps_of
from ..arrays.validation import as_float_array
from .rows import rows_backward, rows_forward

__all__ = ["rms_norm", "rms_norm_backward", "rms_norm_forward"]


def rms_norm(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    eps: float | None = None,
    *,
    bias: np.ndarray | None = None,
    channel_axis: int = -1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Divide each sample by its root mean square, as `torch.nn.functional.rms_norm` does.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.rms_norm(np.array([[3.0, 4.0, 0.0, 0.0]]), 4)
    array([[1.2, 1.6, 0. , 0. ]])
    """
    return rms_norm_forward(
        x, normalized_shape, weight, eps, bias=bias, channel_axis=channel_axis, out=out
    )[0]


def rms_norm_forward(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    eps: float | None = None,
    *,
    bias: np.ndarray | None = None,
    channel_axis: int = -1,
    out: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "rms_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Divide each row of x by its root mean square, and return the statistics, too.

    Parameters
    ----------
    weight
        The scale, of `normalized_shape`, float32 or float64; or None. For a norm that multiplies by
        1 + w, as Gemma's, it is 1 + w.
    eps
        Added to the mean square, more than 0; None is the distance from 1 to the next float of x's
        dtype, and float32's for sixteen bits, as PyTorch takes it on the CPU.
    bias
        A shift, like weight; or None.
    residual
        What is added to the norm, of x's shape and dtype; or None.
    activation
        A function of the sum, in the same pass over memory, as `batch_norm_forward` has it; or
        None.
    negative_slope, alpha
        The slope of "leaky_relu" and the factor of "elu" below 0.

    Returns
    -------
    y : ndarray
        The output, of x's shape, dtype and memory order; `out` where it is given.
    stats : ndarray
        Of each row, in order, 0, mean(x²) and 1/sqrt(mean(x²) + eps); (3, rows) float64.

    Notes
    -----
    .. math:: y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \cdot weight + bias

    References
    ----------
    .. [1] Zhang and Sennrich, Root Mean Square Layer Normalization, 2019 (arXiv 1910.07467).
    """
    x = as_float_array(who, "x", x)
    eps = eps_for(x, eps)
    after = residual, (activation, negative_slope, alpha)
    return rows_forward(
        x, normalized_shape, weight, bias, eps, False, channel_axis, out, who, after
    )


def rms_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    *,
    channel_axis: int = -1,
    out: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    dresidual: np.ndarray | None = None,
    who: str = "rms_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute the gradients of `rms_norm_forward`; that of a bias is the sum of dy over the rows.

    Parameters
    ----------
    bias, residual, activation, negative_slope, alpha
        What the forward was given; the first two are needed past an activation.
    dresidual
        An array like x for the gradient of the residual to be written to; or None.

    Returns
    -------
    dx : ndarray
        The gradient of x, of its shape, dtype and memory order; `out` where it is given.
    dweight : ndarray
        The gradient of weight, of `normalized_shape` and weight's dtype, float32 without weight.

    Notes
    -----
    With xhat = x·rstd, g = dy·weight and the mean over a row

    .. math:: dweight = \sum dy \cdot \hat{x} \qquad
        dx = rstd \cdot (g - \hat{x} \cdot \mathrm{mean}(g \hat{x}))

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[3.0, 4.0]])
    >>> y, stats = functional.rms_norm_forward(x, 2)
    >>> dx, dweight = functional.rms_norm_backward(x, x, stats, 2)
    >>> dx.round(4) + 0.0  # along x the output does not change
    array([[0., 0.]])
    """
    after = bias, residual, (activation, negative_slope, alpha), dresidual
    return rows_backward(
        dy, x, stats, normalized_shape, weight, False, channel_axis, out, who, after
    )[:2]


def eps_for(x: np.ndarray, eps: float | None) -> float:
    """The eps of an RMS norm: None is that of the dtype of arithmetic, as PyTorch's on the CPU."""
    return eps_of(computed_in(x.dtype)) if eps is None else eps
