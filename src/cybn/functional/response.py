r"""Local response normalization across channels: `local_response_norm`, and its pair."""

from __future__ import annotations

import numpy as np

from ..arrays.validation import as_float_array, check_axis, check_upstream, keep_input
from ..terms.kinds import PositiveInt, kind_of
from ._checked import respond_back_checked, respond_checked

__all__ = ["local_response_norm", "local_response_norm_backward", "local_response_norm_forward"]

_SIZE = kind_of(PositiveInt)
_NUMBER = kind_of(float)


def local_response_norm(
    x: np.ndarray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Damp each item by its neighbours in other channels, as PyTorch's `local_response_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> functional.local_response_norm(np.array([[[3.0], [4.0]]]), 2, alpha=2, beta=0.5, k=0)
    array([[[1. ],
            [0.8]]])
    """
    return local_response_norm_forward(x, size, alpha, beta, k, channel_axis=channel_axis, out=out)


def local_response_norm_forward(
    x: np.ndarray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    who: str = "local_response_norm",
) -> np.ndarray:
    r"""Damp each item by its neighbours in other channels.

    The window has size//2 channels before an item's own and (size-1)//2 after it; where it reaches
    over the end, what is missing counts as zero [1]_. There are no statistics to hand over: the
    backward finds s again, for less than it would cost to read it from memory.

    Parameters
    ----------
    x
        The input, float16, bfloat16, float32 or float64, 2-D or more, C channels on
        `channel_axis`; any strides. It is never modified.
    size
        The channels in a window, 1 or more.
    alpha
        The weight of the sum of squares, which is divided by `size`, as in PyTorch.
    beta
        The exponent.
    k
        Added to the weighted sum, which must not become negative or zero.
    channel_axis
        The axis of the channels.
    out
        An array like x to write to; it may be x itself.
    who
        The name that errors begin with.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given. The sums are in
        x's dtype.

    Raises
    ------
    TypeError
        For a dtype that is not taken, and for an option of another type.
    ValueError
        For `size` and for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y = \frac{x}{s^\beta} \qquad s = k + \frac{\alpha}{size} \sum x^2

    References
    ----------
    .. [1] Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural
       Networks, 2012, section 3.3, where alpha is not divided by size.
    """
    x = as_float_array(who, "x", x)
    channel_axis, _ = check_axis(who, x, channel_axis)
    options = _checked(who, size, alpha, beta, k)
    x = keep_input(who, x, out)
    return respond_checked(x, *options, channel_axis, out)


def local_response_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    who: str = "local_response_norm",
) -> np.ndarray:
    r"""Compute the gradient of `local_response_norm_forward`.

    Parameters
    ----------
    dy
        The gradient of y, of x's shape and dtype; any strides.
    out
        An array like x to write dx to; it may be dy itself, and must not overlap x.

    Returns
    -------
    ndarray
        The gradient dx, of x's shape, dtype and memory order; `out` where it is given.

    Notes
    -----
    .. math:: dx = \frac{dy}{s^\beta} - \frac{2 \alpha \beta}{size} x \sum \frac{dy \cdot y}{s}

    the sum over the channels whose window the item is in.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x, dy = np.array([[[3.0], [4.0]]]), np.array([[[0.0], [1.0]]])
    >>> functional.local_response_norm_backward(dy, x, 2, alpha=2, beta=0.5, k=0)  # y is sin, cos
    array([[[-0.096],
            [ 0.072]]])
    """
    x = as_float_array(who, "x", x)
    channel_axis, _ = check_axis(who, x, channel_axis)
    options = _checked(who, size, alpha, beta, k)
    dy = check_upstream(who, dy, x, out)
    return respond_back_checked(dy, x, *options, channel_axis, out)


def _checked(who: str, size: object, *numbers: object) -> tuple:
    names = ("alpha", "beta", "k")
    return (
        _SIZE.check(size, f"{who}: size"),
        *(_NUMBER.check(a, f"{who}: {name}") for name, a in zip(names, numbers, strict=True)),
    )
