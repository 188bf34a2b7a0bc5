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

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np

from ..exchange.connect import link_of
from ..exchange.link import Link
from ..exchange.moments import added, bounded, merged
from ..functional import Moments
from ..functional.masks import check_mask, pick
from ..functional.running import fits
from ..layers.base.fixed import overridden
from ..layers.base.layer import Layer
from ..layers.batch.syncbatchnorm import SyncBatchNorm
from ..layers.dataset.progress import with_progress
from ..terms.messages import listed, shown
from .trees import walked

__all__ = ["recalibrate"]

T = TypeVar("T")

_ORDER = "; the order is recalibrate(layers, forward, data)"
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def recalibrate(
    layers: Any,
    forward: Callable[[T], Any],
    data: Iterable[T],
    *,
    total: int | None = None,
    progress: bool | None = None,
    comm: Any = None,
) -> None:
    """Set the running statistics of batch norms to the moments of all that `data` makes them.

    For each layer running_mean is the mean and running_var the unbiased variance of all values that
    it was called with (the biased one where `unbiased` is False), in float64 until they are stored;
    a layer that is called several times for a batch counts all of it. num_batches_tracked becomes
    the number of calls with values, from where training goes on with momentum None; otherwise
    momentum plays no part. weight, bias, grads, mode
    and what a pending backward needs are as before.

    The layers normalize by each batch meanwhile, whatever their mode. Nothing is changed before the
    last batch is through: whatever is raised, all statistics are as they were.

    Parameters
    ----------
    layers
        A batch norm, or a list, tuple or dict of them, nested at will; None in it is passed by.
    forward
        What runs the network on one batch; what it returns is not used. Everything but the layers
        stays as it is: switch dropout and the like to evaluation.
    data
        The batches, of any sizes. A batch of one value per channel is an error, as in training.
        What a layer would not learn from in training, such as a batch with NaN where its
        on_nonfinite is "skip", is left out of its statistics.
    total
        How many batches there are, for the progress bar; by default len(data), if it has one.
    progress
        Whether there is a progress bar; None shows one on a terminal if tqdm is there, for what
        takes long.
    comm
        The processes that the data is split over, as `SyncBatchNorm` takes them: each calls this
        with its own copy of the network and its part of the data, and all get the statistics of the
        whole, to the bit the same. num_batches_tracked counts the calls on all of them, those of a
        synchronized layer once. The bar is that of rank 0. None is this process alone.

    Raises
    ------
    TypeError
        For what is no batch norm with statistics of its own (a frozen one, say).
    ValueError
        For a layer without running statistics, for one that no batch reached, and for moments that
        are not finite. What `forward` and `data` raise comes through.
    SyncError
        If another process fails, or does not come.

    Warns
    -----
    RuntimeWarning
        For calls whose values were left out: how many.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.BatchNorm1d(1).eval()
    >>> cybn.recalibrate(layer, layer, [np.array([[1.0], [2.0], [3.0]]), np.array([[4.0], [5.0]])])
    >>> layer.running_mean, layer.running_var, layer.training
    (array([3.], dtype=float32), array([2.5], dtype=float32), False)
    """
    watched = [_Watched(place, layer) for place, layer in walked(layers, "recalibrate", _ORDER)]
    if not watched:
        raise ValueError("recalibrate got no layers; pass those whose statistics are to be set")
    if not callable(forward):
        raise TypeError(f"recalibrate needs a function as forward, got {shown(forward)}{_ORDER}")
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise TypeError(f"recalibrate needs batches as data, got {shown(data)}{_ORDER}")
    if total is None and hasattr(data, "__len__"):
        total = len(data)
    link = None if comm is None else link_of(comm)
    with ExitStack() as stack:
        if link is not None:
            stack.enter_context(bounded(link, "recalibrate"))
            progress = progress if link.rank == 0 else False
        for each in watched:
            stack.enter_context(each.watching())
        for batch in with_progress(data, "recalibrate", total, progress):
            forward(batch)
    if link is not None:
        _join(link, watched)
    results = [each.result() for each in watched]
    left_out = [f"{w.left_out} of {w.seen} calls of {w.place}" for w in watched if w.left_out]
    if left_out:
        what = f"recalibrate left out {listed(left_out, 'and')}, from which training does not learn"
        warnings.warn(what, RuntimeWarning, stacklevel=2)
    for each, result in zip(watched, results, strict=True):
        for name, value in result.items():
            getattr(each.layer, name)[...] = value


def _join(link: Link, watched: list[_Watched]) -> None:
    """What each of the layers was called with on all ranks, as if it had been here."""
    of_all = merged(link, "recalibrate", (each.moments for each in watched))
    numbers = (n for each in watched for n in (each.seen, each.left_out))
    calls = added(link, "recalibrate, the calls", numbers)
    for i, (each, moments) in enumerate(zip(watched, of_all, strict=True)):
        count = max if isinstance(each.layer, SyncBatchNorm) else sum
        each.moments = moments
        each.seen, each.left_out = (count(part[2 * i + k] for part in calls) for k in (0, 1))


class _Watched:
    """A layer, and what it was called with."""

    def __init__(self, place: str, layer: Layer) -> None:
        self.place, self.layer = f"{place} ({type(layer).__name__})", layer
        known = layer.running_moments and overridden(layer, "running_moments") is None
        own = dict(layer.named_buffers()) if known else None
        if own == {}:
            raise ValueError(
                f"recalibrate got {self.place} without running statistics: build it with "
                f"track_running_stats=True, or call it with x first if it is lazy"
            )
        if own is None or set(own) != set(_STATISTICS):
            raise TypeError(
                f"recalibrate takes batch norms with one running_mean and running_var, "
                f"got {self.place}; leave it out"
            )
        for name, a in own.items():
            if not a.flags.writeable:
                raise ValueError(
                    f"recalibrate got a read-only {name} in {self.place}; assign a copy to it"
                )
        self.moments = Moments(layer.num_features)
        self.seen = 0  # calls with values
        self.left_out = 0  # of them those that the layer itself would not learn from

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
            counted = int(count)
            made = plain(x, out=out, **inputs)
            axis, mask = layer.channel_axis, inputs.get("mask")
            if mask is not None:
                mask = check_mask(type(layer).__name__, mask, np.asarray(given), axis)
                given, axis = pick(np.asarray(given), mask, axis), 1
            self._take(Moments(layer.num_features).add(given, axis), int(count) > counted)
            return made

        for name, a in statistics.items():
            setattr(layer, name, a.copy())  # training moves these, and not the layer's own
        count = layer.num_batches_tracked
        vars(layer)["apply"] = apply
        try:
            yield
        finally:
            for name, a in statistics.items():
                setattr(layer, name, a)
            vars(layer).clear()
            vars(layer).update(before)

    def _take(self, moments: Moments, learned: bool) -> None:
        # Take in what a call had, if the layer learns from such a call: its count has moved
        if not moments.count:
            return
        self.seen += 1
        if learned and getattr(self.layer, "on_nonfinite", None) == "skip":
            # Parts of a batch may have been skipped. A call is taken as a whole or not at all.
            dtype = self.layer.running_var.dtype
            learned = bool(fits((moments.mean, moments.var()), moments.count, dtype).all())
        if learned:
            self.moments.merge(moments)
        else:
            self.left_out += 1

    def result(self) -> dict[str, np.ndarray]:
        """The statistics to store, by name, in the dtypes they are stored in."""
        calls = self.seen - self.left_out
        if not calls:
            what = f"none of the {self.seen} batches that" if self.seen else "no batch"
            fine = " is one that it learns from" if self.seen else ""
            raise ValueError(
                f"recalibrate: {what} reached {self.place}{fine}; leave it out, or check data and "
                f"forward"
            )
        ddof = int(getattr(self.layer, "unbiased", True))
        values = (self.moments.mean, self.moments.var(ddof), np.array(calls))
        result = {}
        for name, value in zip(_STATISTICS, values, strict=True):
            with np.errstate(over="ignore"):
                result[name] = value.astype(getattr(self.layer, name).dtype)
            bad = np.flatnonzero(~np.isfinite(result[name]))
            if bad.size:
                may_skip = hasattr(self.layer, "on_nonfinite")
                skip = ", or set on_nonfinite to 'skip'" if may_skip else ""
                raise ValueError(
                    f"recalibrate: {name} of {self.place} is not finite in channel {bad[0]}: what "
                    f"reaches it is not finite, or too large; clean the data{skip}"
                )
        return result
