"""Who tells of a rank that can tell nothing: one that is killed, or ends in compiled code.

A launcher of MPI kills all others then, at once and by a signal that nobody can catch, and names a
process at best. So each rank starts a witness, a shell that waits for the end of a pipe that the
rank holds, and then prints where the rank was: what the rank last wrote to a file that both have
open. A rank that ends as programs do has nothing there.

Rejected: a handler of SIGTERM, which launchers (Hydra) do not send; a wrapper around the program,
which who needs it has not started; the witness of another rank, who is killed too.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import tempfile
from contextlib import suppress

__all__ = ["Witness"]

WORDS = 500  # bytes that are told, and zeros after them


class Witness:
    """Prints what was noted last if this process is gone before `leave`.

    CYBN_SYNC_WITNESS=0 does without: where MPI is used over a network that bears no second process.
    """

    def __init__(self) -> None:
        self._map: mmap.mmap | None = None
        if os.name != "posix" or os.environ.get("CYBN_SYNC_WITNESS") == "0":
            return
        with suppress(OSError), tempfile.TemporaryFile() as file:  # no shell, or no place for files
            file.truncate(WORDS + 2)
            told = mmap.mmap(file.fileno(), WORDS + 2)
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", f"cat > /dev/null; tr -d '\\0' < /dev/fd/{file.fileno()} >&2"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                pass_fds=[file.fileno()], start_new_session=True,
            )  # fmt: skip
            os.register_at_fork(after_in_child=self._forget)
            self._map = told

    def note(self, text: str) -> None:
        """What is to be told from here on."""
        if self._map is not None:
            line = text.encode()[:WORDS] + b"\n" if text else b""
            self._map[:] = line.ljust(WORDS + 2, b"\0")

    def leave(self) -> None:
        """Tell nothing from here on."""
        if self._map is not None:
            self.note("")
            self._map = None
            self._shell.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._shell.wait(1)

    def _forget(self) -> None:
        # A child that was forked does not hold the pipe
        if self._map is not None:
            self._map = None
            self._shell.stdin.close()
