"""Ranks in threads: a batch that is split over them, and the layer of the whole to compare with."""

from itertools import pairwise

import numpy as np

import cybn
from cybn.distributed import run_threads

__all__ = ["Counting", "all_of", "cuts_of", "in_ranks", "of_whole"]


def all_of(results):
    """The results of `run_threads`, none of which is an error."""
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return results


def cuts_of(rng, n, size):
    """Slices of n samples for so many ranks: uneven, and some of them empty."""
    edges = np.sort(rng.integers(0, n + 1, size - 1)) if size > 1 else []
    return [slice(int(a), int(b)) for a, b in pairwise([0, *edges, n])]


def in_ranks(places, x, dy, cls=None, *, masks=None, residual=None, state=None, **options):
    """For each rank y, dx and the layer, of a batch that is split at `places`."""
    cls = cls or cybn.SyncBatchNorm
    axis = 1 if options.get("channel_axis", 1) == 1 else -1

    def work(group):
        layer = cls(x.shape[axis], comm=group, **options)
        if state is not None:
            layer.load_state_dict(state)
        place, inputs = places[group.rank], {}
        if masks is not None:
            inputs["mask"] = masks[place]
        if residual is not None:
            inputs["residual"] = residual[place]
        y = layer(x[place], **inputs)
        return y, layer.backward(dy[place]), layer

    return all_of(run_threads(len(places), work))


def of_whole(x, dy, *, masks=None, residual=None, state=None, **options):
    """y, dx and the layer of the whole batch."""
    axis = 1 if options.get("channel_axis", 1) == 1 else -1
    layer = {2: cybn.BatchNorm1d, 3: cybn.BatchNorm1d, 4: cybn.BatchNorm2d, 5: cybn.BatchNorm3d}[
        x.ndim
    ](x.shape[axis], **options)
    if state is not None:
        layer.load_state_dict(state)
    inputs = {} if masks is None else {"mask": masks}
    if residual is not None:
        inputs["residual"] = residual
    y = layer(x, **inputs)
    return y, layer.backward(dy), layer


class Counting:
    """A group that counts what goes through it."""

    def __init__(self, group):
        self.rank, self.size, self._group = group.rank, group.size, group
        self.places, self.sent = [], []

    def all_gather(self, message, place):
        self.places.append(place)
        self.sent.append(message.nbytes)
        return self._group.all_gather(message, place)
