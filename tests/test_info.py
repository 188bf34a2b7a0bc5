"""import cybn: quick, quiet and lazy; and what show_config says."""

import json
import os
import pkgutil
import sys

import pytest
from runs import python

import cybn
from cybn.kernels import levels
from cybn.terms.registry import registry

PUBLIC = ["Layer", "available", "create", "describe", "functional", "get_num_threads",
          "get_include", "load_config", "reference", "register", "schema", "set_num_threads",
          "show_config", "use_plugins", "PluginError", "PluginWarning", "UnknownName",
          "UnknownOption"]  # fmt: skip
MODULES = [
    module.name
    for module in pkgutil.walk_packages(cybn.__path__, "cybn.")
    if "__main__" not in module.name and "_x86" not in module.name  # may not run on this CPU
    if not module.name.startswith("cybn.torch")  # needs PyTorch, which takes seconds
]


def test_import_brings_in_nothing_compiled_and_prints_nothing():
    code = """
import sys
before = set(sys.modules)
import cybn
new = set(sys.modules) - before
heavy = [name for name in new if name.startswith(("cybn.", "numpy"))]
print(heavy, type(cybn.__doc__).__name__)
"""
    assert python(code) == "[] str"


FIRSTS = [
    *(f"from cybn import {name}" for name in (*PUBLIC, *registry.builtins(), "__version__")),
    *(f"import {module}" for module in MODULES),
]
# Each in a fork of an interpreter that has NumPy and nothing of cybn: what is slow comes once.
TRY_FIRSTS = """
import json, os, sys, traceback, warnings
import numpy

def fails(code):
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy has threads, which the child has no use for
        child = os.fork()
    if child == 0:
        try:
            exec(code, {})
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.wait()
    return said or (f"status {status}" if status else "")

assert not [name for name in sys.modules if name.startswith("cybn")]
print(json.dumps({code: fails(code) for code in json.loads(sys.stdin.read())}))
"""


@pytest.fixture(scope="module")
def failing_firsts():
    """What each import says where it fails, by its code."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here, and an interpreter for each takes minutes")
    return json.loads(python(TRY_FIRSTS, stdin=json.dumps(FIRSTS), PYTHONWARNINGS="error"))


@pytest.mark.parametrize("code", FIRSTS)
def test_any_name_or_module_may_be_the_first_that_is_used(code, failing_firsts):
    assert failing_firsts[code] == ""


def test_dir_lists_what_there_is():
    names = dir(cybn)
    assert set(PUBLIC) | set(registry.builtins()) <= set(names)
    for name in names:
        assert getattr(cybn, name) is not None
    assert names == sorted(names)


def test_an_unknown_name_is_an_attribute_error():
    for name in ("BatchNorm9d", "batchnorm1d", "nothing"):
        with pytest.raises(AttributeError, match=f"module 'cybn' has no attribute '{name}'"):
            getattr(cybn, name)
    with pytest.raises(ImportError):
        exec("from cybn import BatchNorm9d")


def test_star_import_and_reload_are_harmless():
    python("from cybn import *")
    python("import importlib, cybn; importlib.reload(cybn); cybn.BatchNorm1d(3)")


def test_show_config_as_a_dict():
    config = cybn.show_config("dict")
    assert config["cpu_level"] in config["cpu_levels_built"]
    assert config["cpu_levels_built"] == levels.built()
    assert "baseline" in config["cpu_levels_built"]
    assert config["threads"] == cybn.get_num_threads()
    assert config["layers"] == len(cybn.available())
    assert config["version"] == cybn.__version__
    assert config["numpy"] == sys.modules["numpy"].__version__
    assert set(config) >= {"openmp", "python", "platform"}


def test_show_config_prints(capsys):
    assert cybn.show_config() is None
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(shown) == list(cybn.show_config("dict"))
    assert shown["cpu_level"] == cybn.show_config("dict")["cpu_level"]
    assert shown["cpu_levels_built"] == ", ".join(levels.built())


def test_show_config_takes_two_modes():
    with pytest.raises(ValueError, match="show_config takes mode 'print' or 'dict', got 'json'"):
        cybn.show_config("json")
