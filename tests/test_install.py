"""Plugins as users have them: wheels of cybn, both examples and fresh projects, installed.

All of it lies in environments without the source tree. What is built is built once: cybn's wheel,
and one wheel for each plugin, which every CPython from 3.11 on takes.
"""

import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from builds import PLUGINS, VERSIONS, environment_of
from wheels import WINDOWS, run

CONFIG = "".join(f'[{name}]\ntype = "{name}"\nnum_features = 3\npart = 0.5\n' for name in PLUGINS)

# A training step with each layer of the config file; they all compute the same.
USE = """
import json, sys
import numpy as np
import cybn

assert not {name for name in sys.modules if "part_norm" in name or "fresh" in name}
net = cybn.load_config(sys.argv[1])
x, dy = np.random.default_rng(0).normal(1, 2, (2, 8, 3, 50, 50)).astype(np.float32)
results = []
for name, layer in net.items():
    layer.weight[...] = 1, 2, 3
    results.append((layer(x), layer.backward(dy), *layer.grads.values()))
for others in results[1:]:
    for a, b in zip(results[0], others):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
assert abs(results[0][0].mean((0, 2, 3)) - [0.25, 0.5, 0.75]).max() < 0.02
print(json.dumps({name: cybn.describe(name) for name in net}))
"""


@contextmanager
def index_needed():
    """Skips where pip finds no package index; under CI there has to be one."""
    try:
        yield
    except AssertionError as error:
        missing = re.search("ERROR: (Could not find a version|No matching dist).*", str(error))
        if missing and "cybn" not in missing[0] and not os.environ.get("CI"):
            pytest.skip(f"no package index: {missing[0]}")
        raise


@pytest.fixture(scope="session")
def installed(builds):
    """An environment with cybn and four plugins."""
    with index_needed():
        return builds.plugins.result()


@pytest.fixture(scope="session", params=VERSIONS, ids="{0[0]}.{0[1]}".format)
def environment(request, installed, builds):
    """The interpreter of an environment for each CPython on this machine."""
    return environment_of(builds, request.param)


def test_a_config_file_names_them_and_no_import_is_needed(environment, tmp_path):
    config = tmp_path / "net.toml"
    config.write_text(CONFIG)
    described = json.loads(run(environment, "-I", "-W", "error", "-c", USE, config))
    assert {name: d["distribution"] for name, d in described.items()} == PLUGINS
    assert {d["version"] for d in described.values()} == {"0.1.0"}
    assert described["FreshFastNorm"]["module"] == "cybn_fresh_fast_norm"


def test_the_command_line_knows_them(environment, tmp_path):
    config = tmp_path / "net.toml"
    config.write_text(CONFIG)
    command = environment.with_name("cybn")
    told = run(command, "check", config).splitlines()
    assert told == [f"{config}: {name}: {name}(3, eps=1e-05, part=0.5)" for name in PLUGINS]
    listed = run(command, "list", "--family", "plugins").splitlines()
    rows = [line.split() for line in listed if line.startswith("  ") and line[2] != " "]
    assert {row[0]: row[-2] for row in rows} == PLUGINS
    assert "cybn-fresh-norm 0.1.0, cybn_fresh_norm" in run(command, "describe", "fresh_norm")
    assert "cybn-part-norm 0.1.0" in run(command, "info")


def test_they_can_be_left_out(installed):
    code = "import os; os.environ['CYBN_PLUGINS'] = '0'; import cybn; print(cybn.available())"
    listed = run(installed.python, "-I", "-c", code)
    assert "BatchNorm2d" in listed
    assert not [name for name in PLUGINS if name in listed]


@pytest.mark.skipif(WINDOWS, reason="the commands are those of a POSIX shell")
@pytest.mark.parametrize("kind", ["python", "cython"])
def test_the_commands_of_a_fresh_readme(kind, builds, tmp_path):
    """They install it beside a cybn that no index has, and run its tests."""
    wheel = builds.distribution.result().wheel
    run(sys.executable, "-m", "venv", tmp_path / "env")
    activate = f". '{tmp_path}/env/bin/activate' && cd '{tmp_path}'"
    with index_needed():
        run("bash", "-ec", f"{activate}; pip install -q '{wheel}'; cybn new MyNorm --kind {kind}")
        folder = tmp_path / "cybn-my-norm"
        first = (folder / "README.md").read_text("utf-8").partition("```sh\n")[2]
        told = run("bash", "-ec", f"{activate}/cybn-my-norm; {first.partition('```')[0]}")
    assert int(re.search(r"(\d+) passed", told)[1]) > 40, told
    assert not re.search("skipped|failed|warning", told), told
    described = run("bash", "-ec", f"{activate}; cybn describe MyNorm; cybn check-layer MyNorm")
    assert "cybn-my-norm 0.1.0, cybn_my_norm" in described


@pytest.mark.parametrize("name", PLUGINS)
def test_the_tests_of_each_pass(installed, name):
    """In the installed environment, from a folder without the plugin's source."""
    told = run(
        installed.python, "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider",
        installed.projects[name] / "tests", cwd=installed.projects[name],
    )  # fmt: skip
    assert int(re.search(r"(\d+) passed", told)[1]) > 40, told
    assert not re.search("skipped|failed|warning", told), told


def test_one_wheel_serves_every_cpython(installed):
    tags = sorted(path.name.split("-")[2:4] for path in installed.wheels)
    assert tags == [["cp311", "abi3"], ["cp311", "abi3"], ["py3", "none"], ["py3", "none"]]


def test_the_wheel_of_cybn_has_the_templates_and_nothing_else_of_the_examples(installed):
    code = (
        "import cybn.command.project as p; "
        "print(*p.Path(p.__file__).with_name('templates').rglob('*'))"
    )
    files = run(installed.python, "-I", "-c", code).split()
    names = {Path(file).name for file in files}
    assert {"_kernels.pyx", "pyproject.toml", "README.md", "setup.py"} <= names
    assert not [name for name in names if re.search(r"\.(so|c|egg-info)$|^build$", name)]
