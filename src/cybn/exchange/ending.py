"""How processes end together when the program of one of them ends.

A process that is about to end waits for the others in MPI_Finalize, and they wait for it in an
exchange. So an error that nobody handles ends all of them, as in `python -m mpi4py`, from when the
first group is there; a program that ends in any other way says so to the others; and of a process
that is killed its witness tells where it was. `guard` does the first for a part of a program and
for any engine.
"""

from __future__ import annotations

import atexit
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

from .witness import Witness

__all__ = ["aborting", "end_together"]

_groups: WeakSet[Any] = WeakSet()
_witness: list[Witness] = []

# Seconds in which a launcher forwards what was written; what it has not read at an abort is lost.
_FORWARDING = 0.1


def end_together(group: Any) -> Witness:
    """From here on this program tells the ranks when it ends, and errors end all of them.

    What is noted with the witness is told of a process that is killed.
    """
    if not _witness:
        _witness.append(Witness())
        atexit.register(_say_goodbye)
        before = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
            before(kind, error, trace)
            if not hasattr(sys, "ps1"):  # whoever types goes on
                _abort(error)

        sys.excepthook = hook
    _groups.add(group)
    return _witness[0]


@contextmanager
def aborting(group: Any) -> Iterator[None]:
    """Within it an error that is not handled ends all ranks of the group, if its engine can."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0):
            raise
        if group.size > 1 and hasattr(group, "abort"):
            traceback.print_exc()
            _tell(group, error)
            _leave()
            group.abort()
        raise


def _abort(error: BaseException) -> None:
    _leave()
    for group in list(_groups):
        _tell(group, error)
        group.abort()


def _tell(group: Any, error: BaseException) -> None:
    sys.stdout.flush()
    print(
        f"cybn: rank {group.rank} of {group.size} ended with {type(error).__name__} after "
        f"{getattr(group, 'place', '') or 'no exchange'}, and so all ranks end",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(_FORWARDING)


def _leave() -> None:
    for each in _witness:
        each.leave()


def _say_goodbye() -> None:
    _leave()
    for group in list(_groups):
        with suppress(Exception):  # at the end of a program there is nobody to tell
            group.goodbye()
