"""Installed packages that are not: a folder on the path with modules and metadata beside them."""

import sys
from textwrap import dedent

import cybn
from cybn.config.plugins import plugins
from cybn.terms.registry import registry

NORM = """
from typing import NamedTuple
import numpy as np
import cybn

class {name}(cybn.Layer):
    '''A norm of a plugin.'''
    num_features_option = None
    class Saved(NamedTuple):
        x: np.ndarray
    def __init__(self, eps: float = 1e-5): ...
    def apply(self, x, *, out=None):
        x = self.begin(x, out)
        return np.multiply(x, 2, out=out), self.Saved(x)
    def pullback(self, saved, dy, *, out=None):
        return np.multiply(self.resume(saved, dy, out), 2, out=out), {{}}
"""


def norm(name="MyNorm", decorator=""):
    """The source of a module with one layer."""
    return NORM.format(name=name).replace("class ", f"{decorator}\nclass ", 1)


class Site:
    """A folder that packages are put into."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, distribution, points, source="", *, version="1.0", package=None, metadata=None):
        """Install a distribution with one module; points is a dict, or entry_points.txt itself."""
        package = package or distribution.replace("-", "_")
        if isinstance(points, dict):
            lines = (f"{name} = {target}" for name, target in points.items())
            points = "\n".join(["[cybn.layers]", *lines])
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        info = self.folder / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata, "utf-8")
        (info / "entry_points.txt").write_bytes(
            points if isinstance(points, bytes) else points.encode()
        )
        (self.folder / f"{package}.py").write_text(dedent(source), "utf-8")
        plugins._found = None  # as in a process that starts now
        return package


def forget_all(monkeypatch):
    """The registry and its plugins as in a process that starts now, until the test is over."""
    cybn.available()
    builtins = registry.builtins().values()
    entries = {key: entry for key, entry in registry._entries.items() if entry.cls in builtins}
    monkeypatch.setattr(registry, "_entries", entries)
    for name, value in vars(type(plugins)(registry)).items():
        monkeypatch.setattr(plugins, name, value)


def forget_modules(folder):
    """Of modules in a folder nothing is left in this process."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
