"""The wheel and the source distribution: what is in them, and that they work where they should."""

import email
import re
import subprocess
import tarfile
import zipfile

import pytest
from builds import OWN, VERSIONS, environment_of
from wheels import ROOT, run

LARGEST = 2_080_000  # bytes: two CPU levels of data dtypes, and calls of PyTorch's modules
LOOPS = "cybn/loops/"  # what primitives.pxd includes

# The library's three uses in a few lines: import, a layer from a config, a training step.
SMOKE = """
import json, sys
import numpy as np
import cybn
from cybn.kernels import levels

layer = cybn.create({"type": "BN1d", "eps": 1e-3}, num_features=4)
x = np.arange(32, dtype=np.float32).reshape(8, 4)
y = layer(x)
assert abs(y.mean(0)).max() < 1e-6 and abs(y.var(0) - 1).max() < 1e-4, y
dx = layer.backward(y)
assert abs(dx).max() < 1e-3, dx
assert layer.grads["bias"].shape == (4,) and layer.num_batches_tracked == 1
large = cybn.BatchNorm2d(8)(np.ones((32, 8, 64, 64), np.float32))
assert large.base is not None and not large.any(), "from the output cache, and zero"
print(json.dumps([sys.version_info[:2], cybn.__version__, cybn.__file__, levels.built()]))
"""


@pytest.fixture(scope="session")
def files(distribution):
    """The names of the files in the wheel."""
    with zipfile.ZipFile(distribution.wheel) as wheel:
        return wheel.namelist()


@pytest.fixture(scope="session")
def source_files(distribution):
    """The names of the files in the source distribution."""
    with tarfile.open(distribution.sdist) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


@pytest.fixture(scope="session")
def metadata(distribution):
    with zipfile.ZipFile(distribution.wheel) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(name))


def test_one_wheel_serves_every_cpython_from_3_11(distribution, files):
    assert re.fullmatch(r"cybn-[\d.]+-cp311-abi3-[\w.]+\.whl", distribution.wheel.name)
    compiled = [name for name in files if name.endswith((".so", ".pyd"))]
    assert compiled
    for name in compiled:
        assert name.endswith(".abi3.so") or re.search(r"/_\w+\.pyd$", name), name


def test_the_wheel_is_small(distribution):
    assert distribution.wheel.stat().st_size <= LARGEST


def test_the_wheel_has_what_plugins_and_type_checkers_read(files):
    for name in ("primitives.pxd", "py.typed", "__init__.pyi"):
        assert f"cybn/{name}" in files


def test_the_wheel_has_every_module_and_no_source_of_the_compiled_ones(files, source_files):
    python = {name for name in source_files if name.endswith((".py", ".pyi", ".pxd"))}
    python |= {name for name in source_files if name.startswith(f"src/{LOOPS}")}
    modules = {name.removeprefix("src/") for name in python if name.startswith("src/")}
    assert "cybn/layers/base/layer.py" in modules
    assert modules <= set(files)
    source = [name for name in files if name.endswith((".c", ".pyx", ".pxi"))]
    assert not [name for name in source if not name.startswith(("cybn/command/templates/", LOOPS))]
    assert {name.split("/")[0] for name in files if ".dist-info" not in name} <= {
        "cybn", "cybn.libs",
    }  # fmt: skip


def test_the_wheel_has_the_example_plugins_to_make_new_ones_of(files, source_files):
    packed = {
        re.sub(r"^examples/plugin_(\w+)", r"cybn/command/templates/\1", name)
        for name in source_files
        if re.match(r"examples/plugin_\w+/.*\.\w+$", name)
    }
    assert packed <= set(files)


def test_the_wheel_brings_the_command_and_its_licence(distribution, files, metadata):
    assert [name for name in files if name.endswith("licenses/LICENSE")]
    with zipfile.ZipFile(distribution.wheel) as wheel:
        (name,) = (name for name in files if name.endswith("entry_points.txt"))
        assert "cybn = cybn.__main__:main" in wheel.read(name).decode()
    assert metadata["License-Expression"] == "BSD-3-Clause"


def test_the_wheel_needs_numpy_alone(metadata):
    needed = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    assert [re.match(r"[\w-]+", each).group() for each in needed] == ["numpy"]
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_source_distribution_has_all_that_a_checkout_has(source_files):
    assert not [name for name in source_files if name.endswith((".c", ".so", ".pyd"))]
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout to compare with")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    tracked = listed.stdout.decode().strip("\0").split("\0")
    assert {name for name in tracked if not name.startswith(".")} <= source_files


@pytest.mark.parametrize("version", VERSIONS, ids="{0[0]}.{0[1]}".format)
def test_the_wheel_works_on_every_cpython(version, builds, tmp_path):
    """With NumPy and plugins beside it; with NumPy alone on the CPython of this process."""
    inside = builds.plain.result() if version == OWN else environment_of(builds, version)
    said = run(inside, "-I", "-W", "error", "-c", SMOKE, cwd=tmp_path)
    assert f"[{version[0]}, {version[1]}]" in said
    assert str(inside.parent.parent) in said
    assert "baseline" in said
