"""torch.distributed: an exchange by all_gather of a process group, on the CPU.

The group has a timeout of its own, and an engine (gloo) that closes its connections when a process
ends, so a rank that does not come is found by all_gather. Who it is the others find out by the
store that the group was made with: each writes where it is, and looks who else has."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

import numpy as np

from ..terms.docstrings import complete
from .link import Group, SyncError, ranks_text

__all__ = ["TorchGroup"]

CHUNK = 16_384  # bytes of the messages that every rank can take, whatever the others are at
GRACE = 2.0  # seconds for the others to write where they are, after a timeout
QUICK = 0.3  # where a connection was closed, which all see at once


class TorchGroup:
    """The ranks of a process group of torch.distributed whose engine exchanges data of the CPU.

    Parameters
    ----------
    group
        The process group; None is the default one.
    timeout
        Seconds after which an exchange to which some rank does not come is given up; None leaves
        that to the timeout of the group.

    Raises
    ------
    ValueError
        For a group that this process is no member of.
    """

    def __init__(self, group: Any = None, timeout: float | None = None) -> None:
        import torch
        import torch.distributed as dist

        self._torch, self._dist = torch, dist
        self._group = dist.group.WORLD if group is None else group
        self.rank, self.size = dist.get_rank(self._group), dist.get_world_size(self._group)
        if self.rank < 0:
            raise ValueError("comm is a process group that this process is no member of")
        self._timeout = None if timeout is None else timedelta(seconds=timeout)
        self._turn = 0  # exchanges that were begun

    def all_gather(self, message: np.ndarray, place: str) -> list[np.ndarray]:
        """Send a message to all ranks and receive those of all."""
        self._turn += 1
        first = np.zeros(CHUNK, np.uint8)
        first[:8] = np.array([len(message)]).view(np.uint8)
        first[8 : 8 + len(message)] = message[: CHUNK - 8]
        parts = self._gathered(first, place)
        lengths = [int(each[:8].view(np.int64)[0]) for each in parts]
        found = [each[8 : 8 + length] for each, length in zip(parts, lengths, strict=True)]
        more = max(lengths) - (CHUNK - 8)
        if more > 0:
            rest = np.zeros(more, np.uint8)
            rest[: max(0, len(message) - (CHUNK - 8))] = message[CHUNK - 8 :]
            rests = self._gathered(rest, place)
            found = [
                np.concatenate([each, rest[: max(0, length - (CHUNK - 8))]])
                for each, rest, length in zip(found, rests, lengths, strict=True)
            ]
        return found

    # Inside

    def _gathered(self, message: np.ndarray, place: str) -> list[np.ndarray]:
        mine = self._torch.from_numpy(message)
        everyone = [self._torch.empty_like(mine) for _ in range(self.size)]
        began = time.monotonic()
        try:
            work = self._dist.all_gather(everyone, mine, group=self._group, async_op=True)
            work.wait() if self._timeout is None else work.wait(self._timeout)
        except RuntimeError as error:  # DistBackendError is one
            raise self._explained(error, place, time.monotonic() - began) from error
        return [each.numpy() for each in everyone]

    def _explained(self, error: Exception, place: str, waited: float) -> SyncError:
        """The error of an exchange that failed: which ranks are elsewhere, or nowhere."""
        what = f"rank {self.rank} of {self.size} got no answer in {place} after {waited:.1f} s"
        if not _timed_out(error):  # its launcher may end this process before it has raised
            print(f"cybn: {what}: {error}", file=sys.stderr, flush=True)
        try:
            told = self._roll_call(place, GRACE if _timed_out(error) else QUICK)
        except Exception:  # of a store whose process is gone
            told = {}
        here = {rank for rank, where in told.items() if where == f"{self._turn} {place}"}
        elsewhere = {rank: told[rank].partition(" ")[2] for rank in told if rank not in here}
        missing = [rank for rank in range(self.size) if told and rank not in told]
        for rank, where in sorted(elsewhere.items()):
            what += f"; rank {rank} is in {where}"
        if missing:
            what += f"; {ranks_text(missing)} did not come"
        return SyncError(f"{what}; {error}", sorted([*elsewhere, *missing]))

    def _roll_call(self, place: str, grace: float) -> dict[int, str]:
        store = self._dist.distributed_c10d._get_default_store()
        ranks = self._dist.get_process_group_ranks(self._group)
        keys = [f"cybn/{min(ranks)}/{len(ranks)}/{rank}" for rank in ranks]
        store.set(keys[self.rank], f"{self._turn} {place}")
        until = time.monotonic() + grace
        there = [False]
        while not all(there) and time.monotonic() < until:
            time.sleep(0.02)
            there = [store.check([key]) for key in keys]
        return {
            rank: store.get(key).decode()
            for rank, (key, is_there) in enumerate(zip(keys, there, strict=True))
            if is_there
        }


def _timed_out(error: Exception) -> bool:
    return "imed out" in str(error)


complete(TorchGroup.all_gather, Group.all_gather)
