"""A test in a process of its own: a crash of the layer fails the check, and does not end the run.

The process is a fork, since a layer that is under test may be a class in a function, which no other
process could import. It works with one thread. Where there is no fork, or the child does not come
back, as with locks or threads that it lacks, the test runs in this process.
"""

from __future__ import annotations

import functools
import mmap
import os
import pickle
import select
import signal
import warnings
from collections.abc import Callable

from ..kernels.policy import using_threads
from ._rules import Broken, NotApplicable, broken
from ._subject import Case

PATIENCE = 120  # seconds for a child that takes a fraction of one
NOTE = 1000  # bytes

_note: mmap.mmap | None = None  # in a child, what it is doing


def isolated(test: Callable[[Case], None]) -> Callable[[Case], None]:
    """Decorator of a rule's test: it may crash."""

    @functools.wraps(test)
    def run(case: Case) -> None:
        came_back = hasattr(os, "fork") and _in_child(test, case)
        if not came_back:
            test(case)

    return run


def doing(what: str) -> None:
    """Note what a test does next, to be told if it is the last thing that it does."""
    if _note is not None:
        text = what.encode()[:NOTE]
        _note[: len(text) + 1] = text + b"\0"


def _in_child(test: Callable[[Case], None], case: Case) -> bool:
    """Run the test in a fork and raise what it raises; False if there is no answer."""
    global _note
    reading, writing = os.pipe()
    note = mmap.mmap(-1, NOTE + 1)  # shared with the child, and there when it is gone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads do not live on: known
        child = os.fork()
    if child == 0:
        _note = note
        _answer(test, case, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if not ready:
        return False
    if os.WIFSIGNALED(status):
        last = note[:].partition(b"\0")[0].decode(errors="replace")
        name = signal.Signals(os.WTERMSIG(status)).name
        broken(f"after {last} the process ends with {name}")
    if not answer:
        return False
    kind, text = pickle.loads(answer)
    if kind is not None:
        raise kind(text)
    return True


def _answer(test: Callable[[Case], None], case: Case, writing: int) -> None:
    """In the child: the outcome into the pipe, and nothing else of what ends a process."""
    import faulthandler

    faulthandler.disable()
    outcome: tuple[type[Exception] | None, str] = None, ""
    try:
        with using_threads(1):
            test(case)
    except (Broken, NotApplicable) as error:
        outcome = type(error), str(error)
    except BaseException as error:
        outcome = Broken, f"it raises {type(error).__name__}: {error}"
    finally:
        os.write(writing, pickle.dumps(outcome))
        os._exit(0)
