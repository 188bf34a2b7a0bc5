"""Moments of a population that is split over ranks, merged in the order of ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from ..functional.moments import Moments
from .link import Link

__all__ = ["added", "bounded", "merged"]


@contextmanager
def bounded(link: Link, what: str) -> Iterator[None]:
    """What is raised within is told to the others, who come to the first exchange of `what`."""
    with link.reporting(_first(what), 1):
        yield


def merged(link: Link, what: str, moments: Iterable[Moments | None]) -> list[Moments]:
    """The moments of all ranks together; of as many things on each, None where it has no width.

    ValueError for different widths, on all ranks.
    """
    own = list(moments)
    widths = np.array([0 if each is None else each.channels for each in own], float)
    link.exchange(_first(what), 0, np.array([float(len(own))]))
    of_all = link.exchange(f"{what}, the widths", 0, widths).sums
    found = []
    for i, each in enumerate(own):
        known = sorted({int(widths[i]) for widths in of_all if widths[i]})
        if len(known) > 1:
            got = [int(widths[i]) for widths in of_all]
            raise ValueError(f"{what} needs one number of channels on all ranks, got {got} by rank")
        part = each if each is not None else Moments(sum(known))
        parts = link.exchange(f"{what}, {sum(known)} channels", part.count, part.sums)
        found.append(Moments.of_parts(*parts))
    return found


def added(link: Link, what: str, numbers: Iterable[int]) -> list[list[int]]:
    """The numbers of each rank, in the order of ranks."""
    own = np.array(list(numbers), float)
    return link.exchange(what, 0, own).sums.astype(int).tolist()


def _first(what: str) -> str:
    return f"{what}, the last of the data"
