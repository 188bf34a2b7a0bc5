"""The built-in layers: one short file per family, each registering its own.

Every module beside this one is imported, so a new family is one new file.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
