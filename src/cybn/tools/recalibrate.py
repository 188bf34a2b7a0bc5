r"""Recalibrate: the running statistics of a trained network, exact for a whole population.

Running statistics are an exponential average over batches that were seen while the weights still
moved, so what a network normalizes by in evaluation can lie far from what its final weights give.
Recalibrating runs the trained network over a data set once more and replaces them (Wu and Johnson,
Rethinking "Batch" in BatchNorm, 2021, arXiv 2105.07576, where it is called PreciseBN).

While it runs every given layer normalizes by the moments of its batch, as in training, so that each
layer's input is what it was in training; its moments over all batches are merged as
`cybn.functional.Moments` does, every value with the same weight. The paper averages the means and
mean squares of batches of one size; merged moments need no such assumption.

Each layer's forward is wrapped on the instance for the duration, and the moments are those of the x
that it is called with. What layers keep for their backward was rejected as a source: it is gone
when a layer is used again in the same pass, and its statistics have the accuracy of x's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np

from ..functional import Moments
from ..functional.masks import check_mask, pick
from ..layers.base import Layer
from ..progress import with_progress
from .trees import BATCH_NORMS, walked

__all__ = ["recalibrate"]

T = TypeVar("T")

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def recalibrate(
    layers: Any,
    forward: Callable[[T], Any],
    data: Iterable[T],
    *,
    total: int | None = None,
    progress: bool | None = None,
) -> None:
    """Set running_mean and running_var of batch norms to the moments of all that `data` makes them.

    Parameters
    ----------
    layers: a batch norm, or a list, tuple or dict of them, nested at will; None in it is passed by.
    forward: runs the network on one batch; what it returns is not used. Everything but the layers
        stays as it is: switch dropout and the like to evaluation.
    data: the batches, of any sizes. A batch of one value per channel is an error, as in training.
    total: how many batches there are, for the progress bar; by default len(data), if it has one.
    progress: None shows a bar on a terminal if tqdm is there, for what takes long; True, False.

    For each layer running_mean is the mean and running_var the unbiased variance of all values it
    was called with, in float64 until they are stored; a layer that is called several times for a
    batch counts all of it. num_batches_tracked becomes the number of calls with values, from where
    training goes on with momentum None; otherwise momentum plays no part. weight, bias, grads, mode
    and what a pending backward needs are as before.

    The layers normalize by each batch meanwhile, whatever their mode. Nothing is changed before the
    last batch is through: whatever is raised, all statistics are as they were.

    Raises TypeError for what is no batch norm with statistics of its own (a frozen one, say),
    ValueError for one without running statistics, for one that no batch reached, and for moments
    that are not finite; and what `forward` and `data` raise.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.BatchNorm1d(1).eval()
    >>> cybn.recalibrate(layer, layer, [np.array([[1.0], [2.0], [3.0]]), np.array([[4.0], [5.0]])])
    >>> layer.running_mean, layer.running_var, layer.training
    (array([3.], dtype=float32), array([2.5], dtype=float32), False)
    """
    watched = [_Watched(place, layer) for place, layer in walked(layers, "recalibrate")]
    if not watched:
        raise ValueError("recalibrate got no layers")
    if total is None and hasattr(data, "__len__"):
        total = len(data)
    with ExitStack() as stack:
        for each in watched:
            stack.enter_context(each.watching())
        for batch in with_progress(data, "recalibrate", total, progress):
            forward(batch)
    results = [each.result() for each in watched]
    for each, result in zip(watched, results, strict=True):
        for name, value in result.items():
            getattr(each.layer, name)[...] = value


class _Watched:
    """A layer, and what it was called with."""

    def __init__(self, place: str, layer: Layer) -> None:
        self.place, self.layer = f"{place} ({type(layer).__name__})", layer
        own = dict(layer.named_buffers()) if isinstance(layer, BATCH_NORMS) else None
        if own == {}:
            raise ValueError(
                f"recalibrate got {self.place} without running statistics: build it with "
                f"track_running_stats=True, or call it with x first if it is lazy"
            )
        if own is None or set(own) != set(_STATISTICS):
            raise TypeError(
                f"recalibrate takes batch norms with one running_mean and running_var, "
                f"got {self.place}"
            )
        for name, a in own.items():
            if not a.flags.writeable:
                raise ValueError(f"recalibrate got a read-only {name} in {self.place}; pass a copy")
        self.moments = Moments(layer.num_features)
        self.calls = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within it the layer normalizes by each batch, and what it is called with is taken in."""
        layer, before = self.layer, dict(vars(self.layer))
        statistics = {name: getattr(layer, name) for name in _STATISTICS}
        plain = layer.apply

        def apply(x: Any, *, out: np.ndarray | None = None, **inputs: Any) -> Any:
            in_place = isinstance(out, np.ndarray) and np.may_share_memory(np.asarray(x), out)
            given = x.copy() if in_place else x
            layer.training = True  # whatever the network around it has said since
            made = plain(x, out=out, **inputs)
            axis, mask = layer.channel_axis, inputs.get("mask")
            if mask is not None:
                mask = check_mask(type(layer).__name__, mask, np.asarray(given), axis)
                given, axis = pick(np.asarray(given), mask, axis), 1
            moments = Moments(layer.num_features).add(given, axis)
            self.moments.merge(moments)
            self.calls += moments.count > 0
            return made

        for name, a in statistics.items():
            setattr(layer, name, a.copy())  # training moves these, and not the layer's own
        vars(layer)["apply"] = apply
        try:
            yield
        finally:
            for name, a in statistics.items():
                setattr(layer, name, a)
            vars(layer).clear()
            vars(layer).update(before)

    def result(self) -> dict[str, np.ndarray]:
        """The statistics to store, by name, in the dtypes they are stored in."""
        if not self.calls:
            raise ValueError(
                f"recalibrate: no batch reached {self.place}; leave it out, or check data and "
                f"forward"
            )
        values = (self.moments.mean, self.moments.var(ddof=1), np.array(self.calls))
        result = {}
        for name, value in zip(_STATISTICS, values, strict=True):
            with np.errstate(over="ignore"):
                result[name] = value.astype(getattr(self.layer, name).dtype)
            bad = np.flatnonzero(~np.isfinite(result[name]))
            if bad.size:
                raise ValueError(
                    f"recalibrate: {name} of {self.place} is not finite in channel {bad[0]}; what "
                    f"reaches it is not finite, or too large"
                )
        return result
