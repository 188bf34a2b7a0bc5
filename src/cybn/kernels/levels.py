"""Which build of the kernels this CPU gets.

Every level is the same source and gives the same bits; a higher one is faster. The CPU is asked
before a level is imported, since a module compiled for AVX2 may fail in its first instruction.
`CYBN_CPU=baseline` or `CYBN_CPU=x86-64-v3` forces a level, to compare them or to rule one out.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from . import _machine
from .widened import widened

# Best first. A level that was not built for this platform has no module.
LEVELS = {"x86-64-v3": _machine.supports_v3, "baseline": lambda: True}


DTYPES = ("float32", "float64", "float16", "bfloat16")  # of the data: a module for each


def module_name(level: str, dtype: str = DTYPES[0]) -> str:
    return f"{__package__}._{level.replace('-', '_')}_{dtype}"


def built() -> list[str]:
    """The levels in this installation, best first."""
    return [level for level in LEVELS if importlib.util.find_spec(module_name(level))]


def choose() -> str:
    """The level that CYBN_CPU names, or the best that is built and that this CPU can run."""
    usable = [level for level in built() if LEVELS[level]()]
    wanted = os.environ.get("CYBN_CPU", "")
    if not wanted:
        return usable[0]
    if wanted not in usable:
        why = (
            "is not a CPU level"
            if wanted not in LEVELS
            else "is not in this build"
            if wanted not in built()
            else "needs a CPU that this one is not"
        )
        raise ImportError(
            f"CYBN_CPU={wanted!r} {why}; this machine can use {' or '.join(usable)}, "
            f"and picks {usable[0]} where CYBN_CPU is not set"
        )
    return wanted


def load(level: str, dtype: str) -> Any:
    """The kernels of a level for data of that dtype, as attributes."""
    name = module_name(level, dtype)
    if dtype == "float16" and importlib.util.find_spec(name) is None:
        return widened(load(level, "float32"))
    return importlib.import_module(name)
