"""What BatchNorm computes from, a Batch, and what it says of a batch that it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...arrays.fixes import eval_fix
from ...arrays.validation import check_eps
from ...functional import batch_norm_stats
from ...functional.masks import pick

if TYPE_CHECKING:
    from ...functional._checked import BatchWay
    from .batchnorm import BatchNorm

__all__ = ["Batch", "check_running", "looked_at", "single_value", "unfit_batch"]


#: A batch, or a part of one, to be normalized, of which nothing is left that is not in order: x, or
#: its valid positions, (M, C), where there is a mask; residual; mask; and how it is gone about
Batch = tuple[np.ndarray, np.ndarray | None, np.ndarray | None, "BatchWay"]


def looked_at(
    layer: BatchNorm,
    x: np.ndarray,
    residual: np.ndarray | None,
    mask: np.ndarray | None,
    way: BatchWay,
    place: slice | None = None,
) -> Batch:
    """A batch, or its samples at `place`, of which all was looked at that can be wrong."""
    batch, valid = x, mask
    if place is not None:
        x, residual, mask = (None if a is None else a[place] for a in (x, residual, mask))
    if mask is not None:
        axis = layer.channel_axis
        x = pick(x, mask, axis)
        residual = None if residual is None else pick(residual, mask, axis)
    if way.of_batch and x.size == way.channels:
        if not (layer.training and layer.on_single == "running"):
            raise ValueError(single_value(layer, batch.shape, mask is not None, place))
        check_running(layer, way)
        way = way.by_running()
    if way.careful:
        if layer.eps == 0:
            check_eps(type(layer).__name__, layer.eps, True)
        if layer.training and layer.on_nonfinite == "error" and x.size:
            axis = layer.channel_axis if mask is None else 1
            stats = batch_norm_stats(x, eps=layer.eps, channel_axis=axis)
            fit = layer._fit(stats, x)
            if not (fit if way.moves else np.isfinite(stats)).all():
                raise ValueError(unfit_batch(layer, stats, fit, batch, valid, place))
    return x, residual, mask, way


def check_running(layer: BatchNorm, way: BatchWay) -> None:
    """ValueError where a batch of single values has no running statistics to go by."""
    for name in ("running_mean", "running_var"):
        if getattr(way, name) is None:
            raise ValueError(
                f"{type(layer).__name__} with on_single='running' needs {name}, which is None; "
                f"assign an array to it, or set on_single='error'"
            )


def single_value(
    layer: BatchNorm, shape: tuple[int, ...], masked: bool, place: slice | None
) -> str:
    """What is wrong with a batch, or a part of one, of one value per channel."""
    part = f"samples {place.start} to {place.stop - 1} of " if place and place.stop else ""
    of_mask = ", of which mask leaves one position" if masked else ""
    more = "mask that leaves more" if masked else "larger batch"
    return (
        f"Expected more than 1 value per channel when training, got {part}input size "
        f"{shape}{of_mask}; pass a {more}, or {eval_fix(layer.track_running_stats)}"
    )


def unfit_batch(
    layer: BatchNorm,
    stats: np.ndarray,
    fit: np.ndarray,
    batch: np.ndarray,
    mask: np.ndarray | None,
    place: slice | None,
) -> str:
    """What is wrong with a batch, or the part of it at `place`, whose statistics cannot be kept.

    `fit` tells by channel which of them can.
    """
    bad = np.zeros(batch.shape, bool)
    bad[place or ...] = ~np.isfinite(batch[place or ...])
    if mask is not None:
        bad &= np.expand_dims(mask, layer.channel_axis)
    places = np.argwhere(bad)
    if len(places):
        where = tuple(int(i) for i in places[0])
        what = f"got {batch[where]} at {where} of {batch.shape}; clean the batch"
    else:
        channel = np.flatnonzero(~fit)[0]
        what = (
            f"got a batch whose mean {stats[0, channel]:.3g} or variance "
            f"{stats[1, channel]:.3g} in channel {channel} is more than {layer.dtype} holds; "
            f"scale the batch"
        )
    return f"{type(layer).__name__} {what}, or build the layer with on_nonfinite='skip'"
