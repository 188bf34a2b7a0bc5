"""What every test file shares: Hypothesis profiles, thread counts, every registered layer.

Helpers beside this file, such as `oracle` and `strategies`, are imported by name.
"""

import gc
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

# Tests use more threads than there may be CPUs; waiting ones are to sleep, not to spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Tests of PyTorch's modules are of the kernels, which small calls are not left to by themselves.
os.environ.setdefault("CYBN_TORCH_SMALL", "0")

BUILDS = pytest.StashKey()

# An example takes as long as it takes. In CI the examples are the same every time.
settings.register_profile(
    "local",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture
def restore_threads():
    """What a test says to set_num_threads is forgotten when it ends."""
    from cybn.kernels import policy

    before = policy._wanted
    yield
    policy._wanted = before


@pytest.fixture(params=[1, 2, 3], ids="{}-threads".format)
def threads(request, restore_threads):
    """The number of threads that calls of this test may use."""
    import cybn

    cybn.set_num_threads(request.param)
    return request.param


@pytest.fixture
def own_registry(monkeypatch):
    """What a test registers is gone when it ends."""
    from cybn.terms.registry import registry

    monkeypatch.setattr(registry, "_entries", registry._entries)


@pytest.fixture
def fakes(own_registry):
    """Two more layers by name: FakeGroup calls its width num_channels, FakePlain has none."""
    from fakelayers import register_fakes

    register_fakes()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path for packages; what was loaded from it is forgotten afterwards."""
    from fakeplugins import Site, forget_all, forget_modules

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("CYBN_PLUGINS", raising=False)
    forget_all(monkeypatch)
    yield Site(tmp_path)
    forget_modules(tmp_path)


@pytest.fixture
def write(tmp_path):
    """Write a config file: text as it is, anything else as JSON; its path."""

    def write(content, name="net.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def builds(pytestconfig, tmp_path_factory):
    """What is built while other tests run."""
    return _built(pytestconfig, tmp_path_factory)


@pytest.fixture(scope="session")
def distribution(builds):
    """The source distribution of this tree, and the wheel that is built from it."""
    return builds.distribution.result()


def pytest_collection_modifyitems(config, items):
    """What waits for a build comes last; of several processes (-n), the first has it first.

    `--dist worksteal` gives that one the beginning of all tests and others take from the end, so
    that one process builds, and waits for it while the others go on.
    """
    items.sort(key=_waits, reverse=_is_one_of_several(config))


def _waits(item):
    return "builds" in getattr(item, "fixturenames", ())


def _is_one_of_several(config):
    return hasattr(config, "workerinput")


def _built(config, tmp_path_factory):
    if BUILDS not in config.stash:
        from builds import Builds

        config.stash[BUILDS] = Builds(tmp_path_factory.mktemp("builds"))
    return config.stash[BUILDS]


def pytest_unconfigure(config):
    if BUILDS in config.stash:
        config.stash[BUILDS].stop()


def pytest_collection_finish(session):
    # The tests themselves are no garbage: what looks for some need not go over all of them.
    gc.collect()
    gc.freeze()
    config = session.config
    if _is_one_of_several(config) or config.option.collectonly:
        return
    if any(map(_waits, session.items)):
        _built(config, config._tmp_path_factory)


def pytest_generate_tests(metafunc):
    """`layer_spec`: every registered layer with every rank of input that it takes."""
    if "layer_spec" in metafunc.fixturenames:
        from anylayer import layer_specs

        metafunc.parametrize("layer_spec", layer_specs(), ids=str)
