"""Link: what each rank says in a pass, and what all of them make of it.

A message is sixteen bytes and float64 numbers: a digest of what the pass is of (which layer,
forward or backward, width, dtype), how many values per channel the rank has, and its sums. All
ranks get all messages, in rank order, so all of them merge the same numbers in the same order, and
all of them see when one says something else. Then, and only then, the words follow in a second
exchange: every rank raises the same error, which names the rank and its layer.

A rank that fails before its exchange takes part with an error in the place of sums, since otherwise
the others would wait for it.

Rejected: a reduction by the engine, whose order of summation is not ours, so that ranks may differ
in bits; words in every message, which would be more than the sums of a narrow layer; a check of
what the ranks are about in an exchange of its own, which would double the latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np

from ..terms.messages import listed

__all__ = ["Group", "Link", "Parts", "SyncError"]

_WORDS = 400  # bytes that a rank may tell of an error
_HEAD = np.dtype([("about", "<u8"), ("values", "<i8")])
_FAILED = 0xFFFF_FFFF_FFFF_FFFF  # in the place of a digest


class SyncError(RuntimeError):
    """The ranks did not come to one result, and which are to blame, as far as this one knows.

    Parameters
    ----------
    message
        What went wrong.
    ranks
        The ranks that failed, differ from the others or did not come.

    Attributes
    ----------
    ranks : tuple of int
        The same.

    Examples
    --------
    >>> from cybn.distributed import SyncError
    >>> SyncError("rank 1 did not come", (1,)).ranks
    (1,)
    """

    def __init__(self, message: str, ranks: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.ranks = tuple(ranks)


@runtime_checkable
class Group(Protocol):
    """What an engine has to offer: who this process is, and one exchange of messages.

    Two methods are optional. `fail(reason)` tells the others, without waiting for them, that this
    rank will not come to the exchange that is next; without it, it comes with an error as message.
    `abort()` ends the processes of all ranks, for `guard`.

    Parameters
    ----------
    *args, **kwargs
        A protocol is not built; a class that has what it says need not know of it.

    Attributes
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.
    """

    rank: int
    size: int

    def all_gather(self, message: np.ndarray, place: str) -> Sequence[np.ndarray]:
        """Send a message to all ranks and receive those of all.

        Parameters
        ----------
        message
            1-D uint8. It is as long on every rank, unless they are at different places.
        place
            Where in the program this rank is, for errors.

        Returns
        -------
        sequence of ndarray
            The messages of all ranks, 1-D uint8, in the order of ranks.

        Raises
        ------
        Exception
            Whatever the engine raises where the others do not come in time; `SyncError` where it is
            known which they are.
        """
        ...


class Parts(NamedTuple):
    """What all ranks have said, in their order."""

    values: np.ndarray  # (size,), how many values per channel each has
    sums: np.ndarray  # (size, ...)


class Link:
    """A group as layers use it: exchanges of sums that are checked to be of the same thing."""

    def __init__(self, group: Group) -> None:
        self.group, self.rank, self.size = group, int(group.rank), int(group.size)
        self._numbers: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._next = count(1)

    def number(self, layer: object) -> int:
        """The place of a layer among all that have come here, from 1.

        It is the same on every rank as long as they call their layers in the same order, whatever
        else each of them has built.
        """
        number = self._numbers.get(layer)
        if number is None:
            number = self._numbers[layer] = next(self._next)
        return number

    def exchange(self, place: str, values: int, sums: np.ndarray) -> Parts:
        """What all ranks say at this place, in their order; SyncError where they are at others."""
        about = _digest(place)
        head = np.array([(about, values)], _HEAD)
        message = np.concatenate([head.view(np.uint8), sums.ravel().view(np.uint8)])
        found = self._gather(message, place)
        alike = all(len(each) == len(message) for each in found)
        heads = np.stack([each[:16] for each in found]).view(_HEAD)[:, 0]
        if not alike or (heads["about"] != np.uint64(about)).any():
            self._differ(place, heads)
        numbers = np.stack(found)[:, 16:].copy().view(np.float64)
        return Parts(heads["values"], numbers.reshape(self.size, *sums.shape))

    @contextmanager
    def reporting(self, place: str, size: int) -> Iterator[None]:
        """What is raised within is told to the others, who wait at `place` for `size` numbers."""
        try:
            yield
        except Exception as error:
            if self.size > 1:
                self._fail(place, size, f"failed in {place}: {type(error).__name__}: {error}")
            raise

    def _fail(self, place: str, size: int, reason: str) -> None:
        tell = getattr(self.group, "fail", None)
        try:
            if tell is not None:
                tell(reason)
                return
            head = np.array([(_FAILED, 0)], _HEAD).view(np.uint8)
            self._gather(np.concatenate([head, np.zeros(8 * size, np.uint8)]), place)
            self._gather(_as_bytes(reason), place)
        except Exception:  # what the caller is about to raise says more
            return

    def _gather(self, message: np.ndarray, place: str) -> list[np.ndarray]:
        try:
            found = [np.ascontiguousarray(each) for each in self.group.all_gather(message, place)]
        except SyncError:
            raise
        except Exception as error:
            raise SyncError(
                f"rank {self.rank} of {self.size} got no answer in {place}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if len(found) != self.size:
            raise SyncError(
                f"rank {self.rank} of {self.size} got {len(found)} messages in {place}; all_gather "
                f"of {type(self.group).__name__} has to return one for each rank"
            )
        return found

    def _differ(self, place: str, heads: np.ndarray) -> None:
        """Raise the error of ranks that are at different places."""
        told = [_as_text(each) for each in self._gather(_as_bytes(place), place)]
        failed = np.flatnonzero(heads["about"] == np.uint64(_FAILED)).tolist()
        most = max(told, key=told.count)
        ranks = failed or [rank for rank, text in enumerate(told) if text != most]
        if failed:
            raise SyncError("; ".join(f"rank {rank} {told[rank]}" for rank in failed), failed)
        others = [rank for rank in range(self.size) if rank not in ranks]
        raise SyncError(
            "".join(f"rank {rank} is in {told[rank]}; " for rank in ranks)
            + f"{ranks_text(others)} {'are' if len(others) > 1 else 'is'} in {most}; all ranks "
            f"have to call the same layers in the same order",
            ranks,
        )


def ranks_text(ranks: Sequence[int]) -> str:
    """Ranks as a message names them."""
    if len(ranks) > 8:
        return f"{len(ranks)} ranks, the first of them {ranks[0]},"
    return f"rank{'s' * (len(ranks) > 1)} {listed(map(str, ranks), 'and')}"


@lru_cache(4096)
def _digest(place: str) -> int:
    return int.from_bytes(blake2b(place.encode(), digest_size=8).digest(), "little") % _FAILED


def _as_bytes(text: str) -> np.ndarray:
    # As many for every text, for engines whose messages have to be of one length
    return np.frombuffer(text.encode()[:_WORDS].ljust(_WORDS), np.uint8)


def _as_text(message: np.ndarray) -> str:
    return message.tobytes().decode(errors="replace").strip()
