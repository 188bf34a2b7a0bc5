"""Groups without an engine: this process alone, and the threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..terms.docstrings import complete
from .link import Group, SyncError, ranks_text

__all__ = ["Alone", "ThreadGroup", "run_threads"]

T = TypeVar("T")


class Alone:
    """One process: what it says is all that is said."""

    rank, size = 0, 1

    def all_gather(self, message: np.ndarray, place: str) -> list[np.ndarray]:
        """Return the message."""
        return [message]


class ThreadGroup:
    """One rank among threads of this process, for tests and to see what several processes do.

    `run_threads` makes them.

    Parameters
    ----------
    rank
        Which one this is.
    shared
        What the ranks share.
    """

    def __init__(self, rank: int, shared: _Shared) -> None:
        self.rank, self.size, self._shared = rank, shared.size, shared
        self._turn = 0  # exchanges that were begun

    def all_gather(self, message: np.ndarray, place: str) -> list[np.ndarray]:
        """Send a message to all ranks and receive those of all."""
        shared, self._turn = self._shared, self._turn + 1
        with shared.changed:
            here = shared.messages.setdefault(self._turn, {})
            here[self.rank] = message.copy()
            shared.changed.notify_all()
            shared.changed.wait_for(
                lambda: len(here) == self.size or shared.left - here.keys(), shared.timeout
            )
            shared.messages.pop(self._turn - 1, None)  # which all have, as all of them are here
            absent = [rank for rank in range(self.size) if rank not in here]
            # who has left is to blame, and not who has yet to come
            missing = [rank for rank in absent if rank in shared.left] or absent
        if missing:
            raise SyncError(
                f"{ranks_text(missing)} did not come to rank {self.rank} of {self.size} in {place}",
                missing,
            )
        return [here[rank] for rank in range(self.size)]

    def abort(self) -> None:
        """Let the others wait no longer for this rank."""
        with self._shared.changed:
            self._shared.left.add(self.rank)
            self._shared.changed.notify_all()


class _Shared:
    """What the ranks of threads share."""

    def __init__(self, size: int, timeout: float) -> None:
        self.size, self.timeout = size, timeout
        self.changed = threading.Condition()
        self.messages: dict[int, dict[int, np.ndarray]] = {}  # by turn and rank
        self.left: set[int] = set()  # ranks that come no more


def run_threads(
    size: int, work: Callable[[ThreadGroup], T], *, timeout: float = 60.0
) -> list[T | BaseException]:
    """Run `work` once for each rank, in a thread each.

    Parameters
    ----------
    size
        How many ranks.
    work
        A function of a group.
    timeout
        Seconds that a rank waits for the others in an exchange.

    Returns
    -------
    list
        What `work` returned, or raised, in the order of ranks.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> def part(group):
    ...     layer = cybn.SyncBatchNorm(1, comm=group)
    ...     return layer(x[2 * group.rank : 2 * group.rank + 2]).ravel().round(4)
    >>> cybn.distributed.run_threads(2, part)
    [array([-1.3416, -0.4472]), array([0.4472, 1.3416])]
    """
    shared = _Shared(size, timeout)
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        group = ThreadGroup(rank, shared)
        try:
            results[rank] = work(group)
        except BaseException as error:  # is a result here
            results[rank] = error
        group.abort()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return results


for _each in (Alone, ThreadGroup):
    complete(_each.all_gather, Group.all_gather)
