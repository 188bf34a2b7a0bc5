"""Builds distributions and installs them in empty environments, as a user would.

Nothing here sees the source tree by accident: pip and the environments run without PYTHONPATH, and
programs in them with `-I`, so that what is imported is what was installed.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
WINDOWS = sys.platform == "win32"
_NOT_THE_SOURCE = shutil.ignore_patterns(
    ".git", ".hypothesis", "*_cache", "build", "dist", "*.so", "*.pyd", "*.egg-info", "__pycache__"
)


class Distribution(NamedTuple):
    """What a release uploads for one platform."""

    sdist: Path
    wheel: Path


def find_or_build(folder):
    """cybn's sdist, and the wheel built from it; those in the folder CYBN_DIST if it is set."""
    ready = os.environ.get("CYBN_DIST")
    if ready:
        return _in_folder(Path(ready))
    if not (ROOT / "setup.py").exists():
        pytest.skip("no source tree around the tests, and CYBN_DIST names no folder to take from")
    return build(ROOT, folder)


_ENVIRON = dict(os.environ)  # as it is before tests change it
_running = set()


def build(project, folder, *, find_links=()):
    """Build a project's sdist in a new environment, then its wheel from that, from a clean copy.

    `find_links` are folders of wheels that the build may require, cybn's for one.
    """
    source, dist = folder / "source", folder / "dist"
    folder.mkdir(exist_ok=True)
    shutil.copytree(project, source, ignore=_NOT_THE_SOURCE)
    run(sys.executable, "-m", "build", "--outdir", dist, source, find_links=find_links)
    return _in_folder(dist)


def _in_folder(dist):
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return Distribution(sdist, wheel)


def empty_venv(folder, *requirements, python=sys.executable, find_links=()):
    """A new environment in `folder` with `requirements` and nothing else, not even pip.

    Returns its interpreter. A wheel is a requirement by its path.
    """
    run(python, "-m", "venv", "--without-pip", folder)
    inside = folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
    if requirements:
        install(inside, *requirements, find_links=find_links)
    return inside


def install(python, *requirements, find_links=()):
    """Install into the environment of `python`, from wheels only."""
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile",
        "--only-binary", ":all:", *requirements, find_links=find_links,
    )  # fmt: skip


def run(*command, find_links=(), **options):
    """What a command prints, run without a sight of the source tree; AssertionError if it fails."""
    hidden = ("PYTHON", "CYBN_")
    env = {name: value for name, value in _ENVIRON.items() if not name.startswith(hidden)}
    links = [env.get("PIP_FIND_LINKS", ""), *map(str, find_links)]
    env |= {"PIP_FIND_LINKS": " ".join(links).strip(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    process = subprocess.Popen(
        [*map(str, command)], env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        **{"cwd": ROOT, **options},
    )  # fmt: skip
    _running.add(process)
    try:
        said, _ = process.communicate()
    finally:
        _running.discard(process)
    assert process.returncode == 0, f"{' '.join(map(str, command))}\n{said}"
    return said


def stop():
    """End the commands that are running, and what they have started."""
    for process in list(_running):
        if WINDOWS:
            process.kill()
        else:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, signal.SIGKILL)


@cache
def interpreters():
    """The CPythons of this machine, by version: on PATH, and those that pyenv has."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [sys.executable, *pyenv.glob("*/bin/python")]
    candidates += [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    found = {}
    for candidate in filter(None, candidates):
        version = _version(candidate)
        if version is not None:
            found.setdefault(version, Path(candidate))
    return found


def _version(python):
    # (3, 12), or None for another implementation, a free-threaded build, or what does not run
    ask = (
        "import sys, sysconfig; free = sysconfig.get_config_var('Py_GIL_DISABLED'); "
        "print(sys.implementation.name, free or 0, *sys.version_info[:2])"
    )
    done = subprocess.run(
        [python, "-I", "-c", ask], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    match done.stdout.split():
        case ["cpython", "0", major, minor]:
            return int(major), int(minor)
    return None
