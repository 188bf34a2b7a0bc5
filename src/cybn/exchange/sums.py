"""Sums over ranks, of gradients first: added up in the order of ranks, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..functional.merging import added
from .connect import link_of

__all__ = ["sum_over_ranks"]


def sum_over_ranks(arrays: Any, comm: Any = None, *, mean: bool = False) -> Any:
    """Add up arrays over all ranks, in float64 and in the order of ranks.

    All of them go in one exchange, and every rank gets the same bits. The gradients that a layer
    has after `backward` are those of its part of the batch; of a loss that is summed over the parts
    this makes those of the whole.

    Parameters
    ----------
    arrays
        An array, or a list, tuple or dict of them, nested at will; as `layer.grads` is. They are
        not modified.
    comm
        The communicator, as layers take it; by default all processes.
    mean
        Divide by the number of ranks, for a loss that each rank has averaged over a part of the
        same size.

    Returns
    -------
    ndarray, list, tuple or dict
        New arrays of the shapes and dtypes of `arrays`, in the same form.

    Raises
    ------
    SyncError
        If the ranks have other shapes or dtypes, or do not come.
    TypeError
        For what is no array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> cybn.distributed.sum_over_ranks({"weight": np.array([1.0, 2.0])})
    {'weight': array([1., 2.])}
    """
    link, leaves = link_of(comm), []
    _walk(arrays, leaves.append)
    about = ", ".join(f"{a.shape} {a.dtype}" for a in leaves)
    place = f"sum_over_ranks of {len(leaves)} arrays: {about}"
    flat = np.concatenate([a.ravel().astype(np.float64) for a in leaves]) if leaves else np.zeros(0)
    parts = link.exchange(place, 0, flat).sums
    total = added(parts) / (link.size if mean else 1)
    ends = np.cumsum([a.size for a in leaves])
    summed = (
        iter(
            part.reshape(a.shape).astype(a.dtype)
            for part, a in zip(np.split(total, ends[:-1]), leaves, strict=True)
        )
        if leaves
        else iter(())
    )
    return _walk(arrays, lambda a: next(summed))


def _walk(tree: Any, change: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _walk(each, change) for key, each in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = [_walk(each, change) for each in tree]
        named = getattr(type(tree), "_make", tuple)  # of a NamedTuple
        return named(parts) if isinstance(tree, tuple) else parts
    a = np.asanyarray(tree)
    if a.dtype.kind != "f":
        raise TypeError(f"sum_over_ranks takes arrays of floats, got {type(tree).__name__}")
    return change(a)
