"""Instance statistics for the variants built on them: each plane as a channel of the batch kernels.

A plane is one channel of one sample. Seen as (1, N*C, L), every plane is a channel of its own to
the compiled kernels of batch normalization: they give its moments, normalize it, move it by numbers
of its own and sum its gradients, with their accuracy and for any number of threads the same bits.
Rejected: NumPy's broadcasting over (N, C, 1), which sums float32 in float32 and makes a temporary
for every step.

Channels last and other strides are gathered into planes first and scattered afterwards, a copy
each way: of the planes of (N, L, C) none lies in one piece. Where data of at most 32 bits is only
normalized, it goes without a copy by the kernel of maps, whose double holds all squares of it.

Statistics and coefficients are (N, C) float64 throughout.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from ...arrays.dtypes import computed_in
from ...arrays.outputs import empty_like
from ...arrays.validation import FLOAT64
from ...arrays.views import as_ncl, room, settle
from ...functional._checked import backward_checked, forward_checked
from ...functional.batch_checked import statistics_checked
from ...functional.channels_last import moments_by_maps
from ...functional.maps import Point, maps_of

_NONE = np.empty(0, np.intp)


def check_planes(who: str, name: str, a: np.ndarray, axis: int) -> None:
    """ValueError where each plane of `a` is a single value, whose variance means nothing."""
    if plane_shape(a, axis)[2] == 1:
        raise ValueError(
            f"{who} needs more than 1 value in each channel of a sample, got {name} of shape "
            f"{a.shape}; BatchNorm takes its statistics over the batch"
        )


def plane_shape(a: np.ndarray, axis: int) -> tuple[int, int, int]:
    """(N, C, L) of an array whose channels are on `axis`, 1 or -1."""
    samples, channels = a.shape[0], a.shape[axis]
    return samples, channels, prod(a.shape[2:] if axis == 1 else a.shape[1:-1])


def planes_of(a: np.ndarray, axis: int) -> np.ndarray:
    """`a` as (1, N*C, L) in C order, so that sums do not follow the memory; a view if it can be."""
    return _in_one(a if axis == 1 and a.flags.c_contiguous else as_ncl(a, axis))


def moments_of_planes(x: np.ndarray, eps: float, axis: int) -> np.ndarray:
    """(3, N, C): mean, var and rstd of each plane."""
    if _side_by_side(x, axis):
        return moments_by_maps(maps_of(x, axis), x, x.shape[axis], eps)
    samples, channels, _ = plane_shape(x, axis)
    stats = np.zeros((3, samples * channels))
    if x.size:
        statistics_checked(stats, planes_of(x, axis), 1, eps, None, None, None, 0.0)
    else:
        stats[2] = 1 / sqrt(eps)
    return stats.reshape(3, samples, channels)


def normalize_planes(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    axis: int,
    out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """y = (x - mean)*rstd*weight + bias; weight and bias are (N, C), (C,), or None.

    Returns y of x's shape and memory order, and the moments as `moments_of_planes` does.
    """
    if _side_by_side(x, axis):
        return _by_maps(x, weight, bias, eps, out)
    return _to_planes(x, axis, out, weight, bias, eps)


def _side_by_side(x: np.ndarray, axis: int) -> bool:
    """Do channels lie so that maps are walked without a copy, with squares that double holds?"""
    return axis == -1 and x.itemsize <= 4 and x.size > 0 and x.shape[-1] > 1


def _by_maps(x, weight, bias, eps, out):
    # channels that lie side by side, without a copy
    maps = maps_of(x, -1)
    stats = moments_by_maps(maps, x, maps.channels, eps)
    scale = stats[2] if weight is None else stats[2] * weight
    y = maps.output(x, Point.LINEAR, scale, 0.0 if bias is None else bias, stats[0], out=out)
    return y, stats


def move_planes(
    x: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray | None,
    axis: int,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """y = (x - mean)*scale + shift, each (N, C) or (C,); shift None is zero."""
    samples, channels, _ = plane_shape(x, axis)
    given = _per_plane(mean, samples, channels), np.ones(samples * channels)
    return _to_planes(x, axis, out, scale, shift, 0.0, *given)[0]


def products(
    dy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    rstd: np.ndarray,
    weight: np.ndarray,
    axis: int,
    out: np.ndarray | None,
    through: bool = False,
):
    """dx = weight*rstd*dy, and by plane Σ dy*xhat and Σ dy with xhat = (x - mean)*rstd.

    mean, rstd and weight are (N, C) or (C,). through: they are the moments of x, and the gradient
    goes through them.
    """
    samples, channels, length = plane_shape(x, axis)
    mean, rstd, weight = (_per_plane(a, samples, channels) for a in (mean, rstd, weight))
    stats = np.stack([mean, np.zeros_like(mean), rstd])
    upstream, planes = planes_of(dy, axis), planes_of(x, axis)
    dx, target = room(x, out, axis)
    if np.may_share_memory(target, upstream):  # dy may be looked at again
        target = empty_like(target)
    target, along, total = backward_checked(
        upstream, planes, stats, weight, through, 1, _in_one(target), FLOAT64
    )
    scale = weight * rstd
    far = _out_of_range(x.dtype, scale, along / max(length, 1) * rstd if through else scale)
    if len(far):
        g = upstream[0, far].astype(np.float64)
        if through:
            xhat = (planes[0, far] - mean[far, None]) * rstd[far, None]
            g -= (total[far, None] + xhat * along[far, None]) / length
        target[0, far] = g * scale[far, None]
    shape = samples, channels
    return settle(target, x, dx, axis), along.reshape(shape), total.reshape(shape)


def _to_planes(x, axis, out, weight, bias, eps, mean=None, var=None):
    samples, channels, _ = plane_shape(x, axis)
    weight, bias = (None if a is None else _per_plane(a, samples, channels) for a in (weight, bias))
    planes, (y, target) = planes_of(x, axis), room(x, out, axis)
    target, stats = forward_checked(
        planes, weight, bias, mean, var, None, mean is None, 0.0, eps, 1, _in_one(target)
    )
    scale = stats[2] if weight is None else weight * stats[2]
    far = _out_of_range(x.dtype, scale)
    if len(far):
        wide = (planes[0, far] - stats[0, far, None]) * scale[far, None]
        target[0, far] = wide if bias is None else wide + bias[far, None]
    return settle(target, x, y, axis), stats.reshape(3, samples, channels)


def _out_of_range(dtype: np.dtype, *factors: np.ndarray) -> np.ndarray:
    """The planes with a factor that is no normal number of the dtype, in which the kernel works.

    Of very large or small data the product may be an ordinary number all the same. They are few if
    any, and are computed in float64.
    """
    info, far = np.finfo(computed_in(dtype)), False
    tiny, most = float(info.tiny), float(info.max)
    for size in map(np.abs, factors):
        if not ((size >= tiny) & (size <= most)).all():
            far |= ((size < tiny) & (size > 0)) | ((size > most) & (size < np.inf))
    return np.flatnonzero(far) if far is not False else _NONE


def _per_plane(a: np.ndarray, samples: int, channels: int) -> np.ndarray:
    spread = np.empty((samples, channels))
    spread[...] = a
    return spread.reshape(-1)


def _in_one(ncl: np.ndarray) -> np.ndarray:
    """(N, C, ...) as (1, N*C, L)."""
    samples, channels, *inner = ncl.shape
    return ncl.reshape(1, samples * channels, prod(inner))
