"""What the tests of installing need: built once, and while other tests run.

Compilers and pip take longer than all that is tested with what they make, and most other tests
leave a core idle. So a thread has them work, in processes of their own, from when the tests are
collected, and those that wait for it come last.
"""

import shutil
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from wheels import ROOT, empty_venv, find_or_build, install, interpreters, run, stop

PLUGINS = {  # layer: distribution
    "PartNorm": "cybn-part-norm",
    "FastPartNorm": "cybn-fast-part-norm",
    "FreshNorm": "cybn-fresh-norm",
    "FreshFastNorm": "cybn-fresh-fast-norm",
}
VERSIONS = [(3, minor) for minor in range(11, 16)]
OWN = sys.version_info[:2]


def environment_of(builds, version):
    """The interpreter of the environment for that CPython; skips where there is none."""
    if version not in builds.environments:
        pytest.skip("no CPython {}.{} on PATH or under pyenv".format(*version))
    try:
        return builds.environments[version].result()
    except AssertionError as error:
        if "numpy" not in str(error):
            raise
        pytest.skip(f"pip finds no numpy for it: {str(error).splitlines()[-1]}")


class Plugins(NamedTuple):
    """An environment with cybn, four plugins and pytest, and where the plugins were made."""

    python: Path
    wheels: list[Path]
    projects: dict[str, Path]


class Builds:
    """Results by name, each a Future: asking for one waits for it, and raises why it failed.

    distribution: a Distribution. plain: the interpreter of an environment with cybn alone.
    plugins: Plugins. environments: by version of Python an interpreter with cybn and the plugins.
    """

    def __init__(self, folder):
        self.distribution, self.plain, self.plugins = Future(), Future(), Future()
        found = [version for version in VERSIONS if version in interpreters()]
        self.environments = {version: Future() for version in found}
        self._steps = [
            (self.distribution, partial(find_or_build, folder / "distribution")),
            (self.plugins, partial(self._plugins, folder / "plugins")),
            (self.plain, partial(self._plain, folder / "plain")),
        ]
        for version, future in self.environments.items():
            into = folder / "python{}.{}".format(*version)
            self._steps.append((future, partial(self._environment, version, into)))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopped = False
        self._thread.start()

    def stop(self):
        """End what is still going on."""
        self._stopped = True
        stop()
        self._thread.join()

    def _run(self):
        for future, step in self._steps:
            if self._stopped:
                return
            try:
                future.set_result(step())
            except BaseException as error:  # a skip is one as well
                future.set_exception(error)

    def _plain(self, folder):
        return empty_venv(folder, self.distribution.result().wheel)

    def _environment(self, version, folder):
        plugins = self.plugins.result()
        if version == OWN:
            return plugins.python
        wheels = [self.distribution.result().wheel, *plugins.wheels]
        return empty_venv(folder, *wheels, python=interpreters()[version])

    def _plugins(self, folder):
        folder.mkdir()
        cybn_wheel = self.distribution.result().wheel
        python = empty_venv(folder / "env", cybn_wheel, "pytest")
        new = [python, "-I", "-m", "cybn", "new", "--into", folder]
        run(*new, "FreshNorm")
        run(*new, "FreshFastNorm", "--kind", "cython")
        for kind, name in (("python", "PartNorm"), ("cython", "FastPartNorm")):
            leftovers = shutil.ignore_patterns("build", "*.so", "*.egg-info", "__pycache__")
            source = ROOT / "examples" / f"plugin_{kind}"
            shutil.copytree(source, folder / PLUGINS[name], ignore=leftovers)
        projects = {name: folder / PLUGINS[name] for name in PLUGINS}
        run(
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
            "--wheel-dir", folder / "wheels", *projects.values(), find_links=[cybn_wheel.parent],
        )  # fmt: skip
        wheels = sorted((folder / "wheels").glob("cybn_*.whl"))
        assert len(wheels) == len(PLUGINS)
        install(python, *wheels, find_links=[cybn_wheel.parent])
        return Plugins(python, wheels, projects)
