"""What cybn costs besides the time of its calls: import, memory, wheel, build.

Import time and memory are those of fresh processes. Memory is the peak of one forward and one
backward pass above what was there before, in sizes of the input: y and dx, which any library must
have, are 2, the input and dy not counted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .worker import ROOT, environment

MEMORY_SHAPE = (32, 64, 56, 56)
MEASURE_MEMORY = ("cybn", "torch", "numpy")
_IMPORT = """
import time, numpy
start = time.perf_counter()
{what}
print((time.perf_counter() - start) * 1e3)
"""
IMPORTS = {
    "import_ms": "import cybn",
    "import_layer_ms": "from cybn import BatchNorm2d",
}


class FootprintError(RuntimeError):
    """A command that should have measured something failed."""


def measure(contenders: Sequence[str], repeats: int = 7) -> dict[str, Any]:
    """Import times in ms; peak memory of those contenders that are known here."""
    samples: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(repeats + 1):  # the first brings the files from the disk
        for name, what in IMPORTS.items():
            samples[name].append(float(_python("-c", _IMPORT.format(what=what))))
    memory = {
        name: json.loads(_python("-m", f"{__package__}.memory", name, *map(str, MEMORY_SHAPE)))
        for name in MEASURE_MEMORY
        if name in contenders
    }
    return {**{name: median(times[1:]) for name, times in samples.items()}, "memory": memory}


def build() -> dict[str, Any]:
    """Name and size in MB of the wheel, seconds to build it, from a copy without earlier builds.

    The build requirements are those of this environment, so that no download is timed. The wheel is
    the one for users: for the stable ABI, if this Python has one (`cp311-abi3` in its name).
    """
    with tempfile.TemporaryDirectory() as folder:
        source, wheels = Path(folder, "source"), Path(folder, "wheels")
        shutil.copytree(
            ROOT,
            source,
            ignore=shutil.ignore_patterns(
                ".*", "build", "dist", "*.so", "*.pyd", "*.c", "*.egg-info", "__pycache__"
            ),
        )
        start = time.perf_counter()
        _python(
            "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            "--no-cache-dir", "--wheel-dir", str(wheels), str(source),
        )  # fmt: skip
        seconds = time.perf_counter() - start
        (wheel,) = wheels.glob("*.whl")
        size = wheel.stat().st_size
        return {"wheel": wheel.name, "wheel_mb": size / 1e6, "build_s": seconds}


def _python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(1), capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FootprintError(f"python {arguments[0]} {arguments[1][:40].strip()}: {last}")
    return done.stdout
