r"""Batch normalization: `batch_norm`, and its pair, `batch_norm_forward` and `_backward`."""

from __future__ import annotations

import numpy as np

from ..arrays.validation import as_float_array, check_axis, check_eps, check_per_channel
from ._checked import backward_checked, forward_checked
from .batch_checks import check_backward, check_output, check_step
from .running import CUMULATIVE

__all__ = ["batch_norm", "batch_norm_backward", "batch_norm_forward"]


def batch_norm(
    x: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Normalize each channel of x, as `torch.nn.functional.batch_norm` does.

    In training with the moments of x, which also move `running_mean` and `running_var` in place
    where they are given; else with the running statistics.

    Returns
    -------
    ndarray
        The output y, of x's shape, dtype and memory order; `out` where it is given.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> functional.batch_norm(x, mean, var, training=True).ravel().round(4)
    array([-1.3416, -0.4472,  0.4472,  1.3416])
    >>> mean, var.round(4)  # 0.1 of the batch's mean 2.5 and unbiased variance 5/3
    (array([0.25]), array([1.0667]))
    """
    return batch_norm_forward(
        x,
        weight,
        bias,
        running_mean,
        running_var,
        training=training,
        momentum=momentum,
        eps=eps,
        channel_axis=channel_axis,
        out=out,
    )[0]


def batch_norm_forward(
    x: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    num_batches_tracked: np.ndarray | None = None,
    *,
    training: bool = True,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    who: str = "batch_norm",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Normalize each channel of x, and return the statistics beside the output.

    In training with the moments of x, which the running statistics then follow in place, each where
    it is given; else with the running statistics [1]_.

    Parameters
    ----------
    x
        The input, float16, bfloat16, float32 or float64, 2-D or more, C channels on
        `channel_axis`; any strides. It is never modified.
    weight, bias
        The scale and shift, (C,), float32 or float64, of one dtype with the running statistics; or
        None.
    running_mean, running_var
        The running statistics, (C,), or None.
    num_batches_tracked
        The count of batches, int64, 0-D; or None.
    training
        Normalize by the moments of x, else by the running statistics.
    momentum
        The weight of this batch, 0 to 1; None stands for 1/num_batches_tracked, the cumulative
        average.
    eps
        Added to the variance; more than 0 in training.
    channel_axis
        The axis of the channels.
    out
        An array like x to write to; it may be x or `residual` itself.
    residual
        What is added to the norm, of x's shape and dtype; or None.
    activation
        A function of the sum, in the same pass over memory: "relu", "leaky_relu", "relu6", "silu",
        "gelu", "gelu_tanh", "hardswish", "elu" or "mish"; or None.
    negative_slope
        The slope of "leaky_relu" below 0.
    alpha
        The factor of "elu" below 0.
    who
        The name that errors begin with.

    Returns
    -------
    y : ndarray
        The output, of x's shape, dtype and memory order; `out` where it is given.
    stats : ndarray
        The statistics used, (3, C) float64: mean, var (biased) and rstd = 1/sqrt(var + eps).

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones among the parameters.
    ValueError
        For a shape, eps or momentum out of range, running statistics missing in evaluation, one
        value per channel in training, an `out` that is read-only or overlaps x in part. Nothing has
        been changed then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight + bias

    With m values per channel the moments are mean = Σx/m and var = Σ(x - mean)²/m, and in training

    .. math::

        running\_mean &\leftarrow running\_mean + momentum \cdot (mean - running\_mean)

        running\_var &\leftarrow running\_var
        + momentum \cdot \left(\frac{m}{m - 1} var - running\_var\right)

    An empty x gives an empty y, statistics of 0 and 1/sqrt(eps), and leaves the running ones alone.

    References
    ----------
    .. [1] Ioffe and Szegedy, Batch Normalization, 2015 (arXiv 1502.03167), algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> y, stats = functional.batch_norm_forward(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> y.round(3)
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> stats.round(3)  # mean, var, rstd of the two channels
    array([[  1.   ,   1.   ],
           [  1.   ,   0.   ],
           [  1.   , 316.228]])
    """
    x = as_float_array(who, "x", x)
    channel_axis, channels = check_axis(who, x, channel_axis)
    buffers = {"running_mean": running_mean, "running_var": running_var}
    check_per_channel(who, {"weight": weight, "bias": bias, **buffers}, channels)
    check_eps(who, eps, training)
    if training:
        fix = "pass a larger batch, or training=False to use running statistics"
        check_step(who, x, channels, buffers, num_batches_tracked, momentum, fix)
    elif running_mean is None or running_var is None:
        raise ValueError(
            f"{who} needs running_mean and running_var in evaluation, got "
            f"{'neither' if running_mean is running_var else 'only one'}; pass both, or "
            f"training=True to use the moments of x"
        )
    residual, gate = check_output(
        who, x, out, residual, (activation, negative_slope, alpha), weight, bias, buffers
    )
    return forward_checked(
        x,
        weight,
        bias,
        running_mean,
        running_var,
        num_batches_tracked,
        training,
        CUMULATIVE if momentum is None else momentum,
        eps,
        channel_axis,
        out,
        residual,
        gate,
    )


def batch_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    training: bool = True,
    channel_axis: int = 1,
    out: np.ndarray | None = None,
    y: np.ndarray | None = None,
    activation: str | None = None,
    negative_slope: float = 0.01,
    alpha: float = 1.0,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    dresidual: np.ndarray | None = None,
    who: str = "batch_norm",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Compute the gradients of `batch_norm_forward`.

    Parameters
    ----------
    dy
        The gradient of y, of x's shape and dtype; any strides.
    x, weight, training, channel_axis, activation, negative_slope, alpha
        What the forward was given.
    stats
        What the forward returned, (3, C).
    out
        An array like x to write dx to; it may be dy itself, and must not overlap x.
    y
        What the forward returned; needed where it had "relu", "leaky_relu" or "relu6", by whose
        slope dy is multiplied.
    bias, residual
        What the forward was given; needed where it had another activation, which is computed again.
    dresidual
        An array like x for the gradient of the residual to be written to; or None.
    who
        The name that errors begin with.

    Returns
    -------
    dx : ndarray
        The gradient of x, of its shape, dtype and memory order; `out` where it is given.
    dweight, dbias : ndarray
        The gradients of weight and bias, (C,) of weight's dtype, float32 without weight.

    Raises
    ------
    TypeError
        For a dtype that is not taken, or mixed ones.
    ValueError
        For a shape that does not fit, and for an `out` that cannot be written to.

    Notes
    -----
    With xhat = (x - mean)·rstd and m values per channel

    .. math::

        dbias &= \sum dy \qquad dweight = \sum dy \cdot \hat{x}

        dx &= weight \cdot rstd \cdot \left(dy - \frac{dbias}{m} - \hat{x} \frac{dweight}{m}\right)

    in training, and dx = weight·rstd·dy in evaluation.

    Examples
    --------
    >>> import numpy as np
    >>> from cybn import functional
    >>> x = np.array([[0.0], [2.0], [4.0]])
    >>> y, stats = functional.batch_norm_forward(x, eps=1e-9)
    >>> dy = np.array([[1.0], [0.0], [0.0]])
    >>> dx, dweight, dbias = functional.batch_norm_backward(dy, x, stats)
    >>> dx.ravel().round(4)
    array([ 0.1021, -0.2041,  0.1021])
    """
    back = check_backward(
        who, dy, x, stats, channel_axis, y, (activation, negative_slope, alpha), out, dresidual,
        weight, bias, residual,
    )  # fmt: skip
    dy, x, stats, channel_axis, y, gate, residual = back
    dtype = np.dtype(np.float32 if weight is None else weight.dtype)
    return backward_checked(
        dy, x, stats, weight, training, channel_axis, out, dtype, y, gate, dresidual, None, bias,
        residual,
    )  # fmt: skip
