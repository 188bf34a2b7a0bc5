"""The built-in layers: one short file per family, each registering its own.

Every module in here and in the folders beside this one is imported, so a new norm is one new file.
"""

from importlib import import_module
from pkgutil import walk_packages

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)
