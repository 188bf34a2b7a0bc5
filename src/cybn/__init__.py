"""cybn: normalization layers for NumPy, compiled with Cython.

Forward and backward, training and evaluation, with PyTorch's names and semantics; layers by name
from a config; open to new variants. Names are imported when they are first used, so that
`import cybn` costs next to nothing.

>>> import numpy as np
>>> import cybn
>>> layer = cybn.BatchNorm2d(16)
>>> layer(np.random.rand(1, 16, 7, 7)).shape
(1, 16, 7, 7)
"""

from importlib import import_module as _import_module

# Public name -> module. Layers are not listed: the registry knows them.
_PLACES = {
    "Layer": "layers.base.layer",
    "PluginError": "config.plugins",
    "PluginWarning": "config.plugins",
    "UnknownName": "terms.registry",
    "UnknownOption": "terms.registry",
    "available": "config.catalogue",
    "build": "config.build",
    "convert": "tools.convert",
    "create": "config.build",
    "describe": "config.catalogue",
    "fold": "tools.fold",
    "fold_into_next": "tools.fold",
    "freeze": "tools.convert",
    "get_include": "include",
    "get_num_threads": "kernels.policy",
    "load": "tools.saving",
    "load_config": "config.build",
    "load_state_dict": "tools.state",
    "norm_parameters": "tools.parameters",
    "ranked": "layers.base.ranks",
    "recalibrate": "tools.recalibrate",
    "register": "config.build",
    "release_output_cache": "arrays.outputs",
    "save": "tools.saving",
    "schema": "config.catalogue",
    "set_num_threads": "kernels.policy",
    "set_output_cache": "arrays.outputs",
    "show_config": "command.info",
    "state_dict": "tools.state",
    "unfreeze": "tools.convert",
    "use_plugins": "config.plugins",
}
_MODULES = ("dialects", "functional", "reference", "testing")


def _layers() -> dict[str, type]:
    # by the registry alone: configs and their dialects are for whoever builds from one
    return _import_module("cybn.terms.registry").registry.builtins()


def __getattr__(name: str):
    if name in _PLACES:
        value = getattr(_import_module(f"cybn.{_PLACES[name]}"), name)
    elif name in _MODULES:
        value = _import_module(f"cybn.{name}")
    elif name == "__all__":
        value = sorted({*_PLACES, *_MODULES, *_layers()})
    elif name == "__version__":
        value = _import_module("cybn.command.info").installed_version()
    elif name[:1].isupper() and name in (layers := _layers()):
        value = layers[name]
    else:
        raise AttributeError(f"module 'cybn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__getattr__("__all__"), "__version__"]
