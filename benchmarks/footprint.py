"""What cybn costs besides the time of its calls: import, memory, wheel, build.

Import time and memory are those of fresh processes. Memory is the peak of one forward and one
backward pass above what was there before, in sizes of the input: y and dx, which any library must
have, are 2, the input and dy not counted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .cases import Case
from .contenders import Contender, find
from .data import Data
from .runner import apart

ROOT = Path(__file__).parents[1]
MEMORY_SHAPE = (32, 64, 56, 56)
MEASURE_MEMORY = ("cybn", "torch", "numpy")
IMPORTS = {"import_ms": "import cybn", "import_layer_ms": "from cybn import BatchNorm2d"}
FIRSTS = {**IMPORTS, "create_ms": "import cybn; cybn.create('BN2d', num_features=4)"}
_IMPORT = "import time, numpy; a = time.perf_counter(); {}; print(time.perf_counter() - a)"


def measure(contenders: Sequence[str], repeats: int = 7) -> dict[str, Any]:
    """Import times in ms; peak memory of those contenders that are known here."""
    got: dict[str, Any] = {}
    got.update(imports(IMPORTS, repeats))
    known = [name for name in MEASURE_MEMORY if name in contenders]
    return got | {"memory": {name: apart(peak, name) for name in known}}


def imports(what: Mapping[str, str] = FIRSTS, repeats: int = 7) -> dict[str, float]:
    """Median ms of statements in new processes, after NumPy, with all bytecode in place.

    An installed package has its bytecode: it is written to a folder of its own here, since a user
    may have that switched off, and compiling takes longer than the rest.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            name: 1e3 * median(
                [float(_python("-c", _IMPORT.format(each), env=environment))
                 for _ in range(repeats + 1)][1:]  # the first compiles, and reads from the disk
            )
            for name, each in what.items()
        }  # fmt: skip


def build() -> dict[str, Any]:
    """Name and size in MB of the wheel, seconds to build it, from a copy without earlier builds.

    The build requirements are those of this environment, so that no download is timed. The wheel is
    the one for users: for the stable ABI, if this Python has one (`cp311-abi3` in its name).
    """
    with tempfile.TemporaryDirectory() as folder:
        source, wheels = Path(folder, "source"), Path(folder, "wheels")
        earlier = (".*", "build", "dist", "*.so", "*.pyd", "*.c", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*earlier))
        start = time.perf_counter()
        _python("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                "--no-cache-dir", "--wheel-dir", str(wheels), str(source))  # fmt: skip
        seconds = time.perf_counter() - start
        (wheel,) = wheels.glob("*.whl")
        return {"wheel": wheel.name, "wheel_mb": wheel.stat().st_size / 1e6, "build_s": seconds}


def _python(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What a new Python prints. Raises RuntimeError."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"python {' '.join(arguments)[:60]}: {last}")
    return done.stdout


def peak(name: str, shape: tuple[int, ...] = MEMORY_SHAPE) -> float | None:
    """Of a contender, in this process, which must not have held more before; None if unknown."""
    found, _ = find([name])
    if not found or not most_resident():
        return None
    _both(found[0], Case("batch_norm", (2, shape[1], 4, 4), mode="backward"))  # sets things up
    case = Case("batch_norm", shape, mode="backward")
    return _both(found[0], case) / case.nbytes


def _both(contender: Contender, case: Case) -> int:
    """Bytes that a forward and a backward take at most."""
    data = Data(case, 0, count=1)
    _ = data.x, data.dy
    before = most_resident()
    run = contender.prepare(case, data)  # runs and keeps the forward
    _ = run.call(0)
    return most_resident() - before


def most_resident() -> int:
    """Bytes that this process has had in memory at most; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    for name, ms in imports().items():
        print(f"{ms:7.1f} ms beyond NumPy: {FIRSTS[name]}")
