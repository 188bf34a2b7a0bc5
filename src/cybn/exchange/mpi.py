"""MPI: an exchange by messages between pairs of ranks, with a deadline, over mpi4py.

In round k each rank sends all that it has so far to the one 2**k before it and hears as much from
the one 2**k after it, so that after log2(size) rounds all have all (Bruck and others, Efficient
Algorithms for All-to-All Communications in Multiport Message-Passing Systems, 1997). Whoever
receives asks how long the message is, so ranks that are at different layers find out, all of them.

While a rank waits it looks at the clock, and for notes: one from a rank that has failed, or from
one that has waited for too long, which is answered, so that who says nothing is who is missing.

Rejected: MPI's own Allgather, where parts of different lengths are an error of the program that MPI
need not find (MPICH 5.0 returned other numbers without an error, or hung, by their lengths), and
which waits for ever; a length agreed upon before each exchange, at twice the latency. For small
messages libraries go by the same rounds, and on two ranks of one machine these are no slower."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..terms.docstrings import complete
from ..terms.environment import number_from
from .ending import end_together
from .link import Group, SyncError, ranks_text

__all__ = ["MPIGroup"]

T = TypeVar("T")

SPIN = 200  # looks before others get the core
PATIENT = 0.01  # seconds after which looks are no longer worth a core
GRACE = 2.0  # seconds for an answer to a note
TIMEOUT = number_from("CYBN_SYNC_TIMEOUT", "a number of seconds", 1, 10**7) or 600
_NOTE = 32_767  # the tag of notes, the highest that every MPI has; exchanges have those below
_TURNS, _ROUNDS = 1000, 32


FAILED, WAITS, ENDED = 0, 1, 2


class Note(NamedTuple):
    """What a rank says outside of exchanges, and from which one on it holds."""

    turn: int
    kind: int
    text: str


class MPIGroup:
    """The ranks of an mpi4py communicator.

    The communicator is duplicated at the first exchange, so that messages do not meet those of the
    program. From here on an error that ends the program of one rank ends all of them, and a rank
    whose program ends says so to the others.

    Parameters
    ----------
    comm
        The communicator, an mpi4py.MPI.Intracomm.
    timeout
        Seconds after which an exchange to which some rank does not come is given up; None is 600,
        or what the environment variable CYBN_SYNC_TIMEOUT says.

    Raises
    ------
    TypeError
        For another communicator.
    ValueError
        For a timeout that is not more than 0.
    """

    def __init__(self, comm: Any, timeout: float | None = None) -> None:
        from mpi4py import MPI

        if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
            raise TypeError(f"comm is a communicator of one group of ranks, got {comm!r}")
        self.timeout = TIMEOUT if timeout is None else timeout
        if not self.timeout > 0:
            raise ValueError(f"MPIGroup needs a timeout of more than 0 seconds, got {timeout!r}")
        self._mpi, self._theirs = MPI, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self._own: Any = None  # the duplicate, and the request that makes it
        self._making: tuple[Any, Any] | None = None
        self._turn = 0  # exchanges that were begun
        self._notes: dict[int, Note] = {}  # by rank, the last one
        self._sent: list[Any] = []  # requests, and what they send, which stays until they are done
        self._who = f"cybn: rank {self.rank} of {self.size}, PID {os.getpid()},"
        self.place = ""  # of the last exchange, for what is said at the end
        self._witness = end_together(self) if self.size > 1 else None

    def all_gather(self, message: np.ndarray, place: str) -> list[np.ndarray]:
        """Send a message to all ranks and receive those of all."""
        self._turn, self.place = self._turn + 1, place
        self._note("while it waited in")
        since = time.monotonic()
        comm = self._own or self._duplicate(since)
        blocks, step, round_ = [np.ascontiguousarray(message)], 1, 0
        while step < self.size:
            n, tag = min(step, self.size - step), self._tag(round_)
            target, source = (self.rank - step) % self.size, (self.rank + step) % self.size
            self._send(comm, _packed(blocks[:n]), target, tag)
            status = self._mpi.Status()
            found = self._until(partial(comm.Improbe, source, tag, status), since)
            data = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            found.Recv([data, self._mpi.BYTE])
            blocks += _unpacked(data, n)
            step, round_ = 2 * step, round_ + 1
        self._until(self._all_sent, since)
        self._note("after")
        return [blocks[(rank - self.rank) % self.size] for rank in range(self.size)]

    def fail(self, reason: str) -> None:
        """Tell the others that this rank does not come to the next exchange, and why.

        Parameters
        ----------
        reason
            What it has failed at.
        """
        self._turn += 1
        self._tell(FAILED, reason)

    def abort(self) -> None:
        """End all processes of the job."""
        self._theirs.Abort(1)

    def goodbye(self) -> None:
        """Tell the others that the program of this rank ends, and wait a moment for theirs."""
        if self._mpi.Is_finalized():
            return
        self._turn += 1
        self._tell(ENDED, f"has ended its program after {self.place or 'no exchange'}")
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            self._read_notes()
            if sum(note.kind == ENDED for note in self._notes.values()) == self.size - 1:
                break  # nothing is left that somebody would have to receive
            time.sleep(0.0005)

    # Inside

    def _note(self, when: str) -> None:
        """What is to be told of this rank if it is gone from here on."""
        if self._witness is not None:
            self._witness.note(f"{self._who} is gone, {when} {self.place}")

    def _tag(self, round_: int) -> int:
        # What was left of an exchange that was given up is not taken for a part of a later one
        return 1 + self._turn % _TURNS * _ROUNDS + round_

    def _duplicate(self, since: float) -> Any:
        """A communicator of our own, which all ranks have to make."""
        if self._making is None:
            self._making = self._theirs.Idup()
        own, request = self._making
        self._until(request.Test, since)
        self._own = own
        return own

    def _send(self, comm: Any, data: np.ndarray, target: int, tag: int) -> None:
        request = comm.Isend([data, self._mpi.BYTE], target, tag)
        self._sent.append((request, data))

    def _all_sent(self) -> bool:
        self._sent = [each for each in self._sent if not each[0].Test()]
        return not self._sent

    def _until(self, look: Callable[[], T], since: float) -> T:
        """What `look` finds at last; SyncError when it is too late, or when a note has come."""
        for _ in range(SPIN):
            found = look()
            if found:
                return found
        while not (found := look()):
            waited = time.monotonic() - since
            if waited < PATIENT:
                os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
                continue
            time.sleep(min(0.0001 + waited / 1000, 0.005))
            self._read_notes()
            now = self._now()
            if now or waited > self.timeout:
                self._give_up(waited, now)
        return found

    def _now(self) -> dict[int, Note]:
        """The notes that concern the present exchange."""
        return {rank: note for rank, note in self._notes.items() if note.turn == self._turn}

    def _give_up(self, waited: float, now: dict[int, Note]) -> None:
        """Tell the others, hear what they say, and raise the error."""
        failed = sorted(rank for rank, note in now.items() if note.kind != WAITS)
        if failed:
            what = "; ".join(f"rank {rank} {now[rank].text}" for rank in failed)
            raise SyncError(f"{what}; rank {self.rank} waited for it in {self.place}", failed)
        self._tell(WAITS, self.place)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and len(now) < self.size - 1:
            time.sleep(0.001)
            self._read_notes()
            now = {rank: note for rank, note in self._notes.items() if note.turn >= self._turn}
        missing = [rank for rank in range(self.size) if rank != self.rank and rank not in now]
        who = ranks_text(missing) if missing else "no message"
        raise SyncError(
            f"{who} did not come to rank {self.rank} of {self.size}, which waited {waited:.1f} s "
            f"in {self.place}",
            missing,
        )

    def _tell(self, kind: int, text: str) -> None:
        head = self._turn.to_bytes(8, "little") + bytes([kind])
        data = np.frombuffer(head + text.encode()[:4000], np.uint8)
        for rank in range(self.size):
            if rank != self.rank:
                self._send(self._own or self._theirs, data, rank, _NOTE)
        self._all_sent()

    def _read_notes(self) -> None:
        mpi, status = self._mpi, self._mpi.Status()
        for comm in filter(None, (self._own, self._theirs)):  # before there was one of our own
            while (found := comm.Improbe(mpi.ANY_SOURCE, _NOTE, status)) is not None:
                data = np.empty(status.Get_count(mpi.BYTE), np.uint8)
                found.Recv([data, mpi.BYTE])
                turn, text = int.from_bytes(data[:8].tobytes(), "little"), data[9:].tobytes()
                note = Note(turn, int(data[8]), text.decode("utf-8", "replace"))
                self._notes[status.Get_source()] = note


def _packed(blocks: list[np.ndarray]) -> np.ndarray:
    """Blocks one after the other, behind their lengths."""
    lengths = np.array([len(each) for each in blocks], np.int64)
    return np.concatenate([lengths.view(np.uint8), *blocks])


def _unpacked(data: np.ndarray, n: int) -> list[np.ndarray]:
    lengths, blocks = data[: 8 * n].view(np.int64), data[8 * n :]
    if (lengths == lengths[0]).all():
        return list(blocks.reshape(n, -1))
    return np.split(blocks, np.cumsum(lengths)[:-1])


complete(MPIGroup.all_gather, Group.all_gather)
