"""What is installed and in use: for bug reports, and to see that a build is what it should be."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ..kernels import LEVEL, _machine, levels
from ..kernels.policy import get_num_threads


def installed_version() -> str:
    try:
        return version("cybn")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def show_config(mode: str = "print") -> dict[str, Any] | None:
    """Print version, CPU level, OpenMP, threads, NumPy and plugins, or return them.

    Parameters
    ----------
    mode
        Either "print", or "dict" to return them.

    Returns
    -------
    dict or None
        The facts, with "dict".

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import cybn
    >>> cybn.show_config("dict")["threads"] >= 1
    True
    """
    if mode not in ("print", "dict"):
        raise ValueError(f"show_config takes mode 'print' or 'dict', got {mode!r}")
    from ..config.catalogue import available  # above this floor, and only asked when it is shown
    from ..config.plugins import plugins

    openmp = _machine.openmp_version()
    config = {
        "version": installed_version(),
        "cpu_level": LEVEL,
        "cpu_levels_built": levels.built(),
        "openmp": openmp or None,
        "threads": get_num_threads(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "layers": len(available()),
        "plugins": sorted({f"{each.distribution} {each.version}" for each in plugins.found()}),
    }
    if mode == "dict":
        return config
    off = plugins.switched_off()
    shown = {
        **config,
        "cpu_levels_built": ", ".join(config["cpu_levels_built"]),
        "openmp": openmp or "not in this build: kernels run on one thread",
        "plugins": ", ".join(config["plugins"]) or (f"switched off by {off}" if off else "none"),
    }
    width = max(map(len, shown))
    for key, value in shown.items():
        print(f"{key:<{width}}  {value}")
    return None
