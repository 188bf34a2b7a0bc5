"""How a kernel is to run: threads, cache and stores. The one place that decides it.

None of it changes a bit of any result; see schedule.pxi.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..arrays.validation import whole
from ..terms.environment import number_from
from . import _machine

MOST_THREADS = 4096
ITEMS_PER_THREAD = 32_768  # less work than this does not pay for waking another thread
SECONDS_PER_ITEM = 0.4e-9  # of one thread, roughly


class Plan(NamedTuple):
    threads: int
    cache: int  # bytes a thread may count on to find again what it has just read
    stream: bool  # write past the caches


def _cache_size(level: int, otherwise: int) -> int:
    """Bytes of a cache level where the system tells it, as Linux does."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu0/cache/index{level}/size").read_text()
        return int(text.strip().removesuffix("K")) << 10 or otherwise
    except (OSError, ValueError):
        return otherwise


def _quota() -> int:
    """The CPUs that a control group (a container) grants; a large number without one."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, math.ceil(int(limit) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no control group, "max", or no sense
        return 1 << 16


def _runtime_threads() -> int:
    """What OpenMP would use by itself; its own reading of OMP_NUM_THREADS may have overflowed."""
    threads = _machine.openmp_threads()
    return threads if 1 <= threads <= MOST_THREADS else MOST_THREADS


_L2 = _cache_size(2, 512 << 10)
_L3 = _cache_size(3, 8 << 20)
# Larger outputs are written past the caches. It saves reading each line before it is written; but
# what reads the output next finds it in memory, no longer in a cache, which costs as much below.
# Threads that share the memory have less of it each: a cache that keeps the output is worth more.
STREAM_FROM = max(_L2, _L3 // 16)
STREAM_FROM_THREADS = max(_L2, _L3 // 4)
# Small inputs, of less items than this, stay on the calling thread and in its cache.
ALONE_BELOW = 2 * ITEMS_PER_THREAD
ALONE = Plan(1, _L2, False)
# What OpenMP would use by itself, within the container's quota unless the user says otherwise.
_runtime_default = _runtime_threads()
_default = number_from(
    "OMP_NUM_THREADS", "a number of threads, or several as 4,2", 1, MOST_THREADS, listed=True
) or min(_runtime_default, _quota())
_wanted: int | None = None
_runtime_then = _runtime_default  # what OpenMP would have used when set_num_threads was called
_forked = False


def _after_fork() -> None:
    # The threads of the parent's OpenMP team do not exist in a forked child, and GNU OpenMP waits
    # for them for ever. One thread needs no team.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_num_threads(n: int) -> None:
    """Use up to `n` threads in every later call, in this process.

    Small inputs stay on the calling thread, and so do others for a while after threads have lost
    time by waiting for each other, as they do on cores that other processes use. Results are the
    same, to the bit, for any `n`.

    Parameters
    ----------
    n
        The number of threads.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is below 1, or more than any machine has.
    """
    global _wanted, _runtime_then
    threads = whole(n)
    if threads is None:
        raise TypeError(f"set_num_threads takes an int >= 1, got {n!r} ({type(n).__name__})")
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"set_num_threads takes an int from 1 to {MOST_THREADS}, got {threads}")
    _wanted, _runtime_then = threads, _runtime_threads()
    _machine.forgive()  # what was waited before says nothing of these threads


def get_num_threads() -> int:
    """Tell the most threads that a call from here would use.

    In this order: 1 in a forked child and without OpenMP; a lower limit that threadpoolctl or
    omp_set_num_threads has since put on the calling thread; what `set_num_threads` said;
    OMP_NUM_THREADS; the CPUs this process may use.

    Returns
    -------
    int
        The number of threads.
    """
    if _single():
        return 1
    now = _runtime_threads()
    wanted = _default if _wanted is None else _wanted
    limited = now < _runtime_default and now != _runtime_then
    return min(wanted, now) if limited else wanted


def _single() -> bool:
    """Is there one thread, whatever anybody wants?"""
    return _forked or not _machine.openmp_version()


def plan(items: int, itemsize: int, most: int | None = None) -> Plan:
    """The plan for an output of so many items; most: a caller's own number of threads."""
    if items < ALONE_BELOW:
        return ALONE
    if most is None:
        most = get_num_threads()
    elif _single():
        most = 1
    threads = min(most, items // ITEMS_PER_THREAD)
    if threads > 1 and _machine.pays(items * SECONDS_PER_ITEM):
        threads = 1
    stream_from = STREAM_FROM if threads == 1 else STREAM_FROM_THREADS
    return Plan(threads, max(_L2, _L3 // (4 * threads)), items * itemsize > stream_from)


@contextmanager
def using_threads(n: int) -> Iterator[None]:
    """set_num_threads(n) for a while: what was set before holds again afterwards."""
    global _wanted, _runtime_then
    before = _wanted, _runtime_then
    set_num_threads(n)
    try:
        yield
    finally:
        _wanted, _runtime_then = before
