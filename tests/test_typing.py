"""What type checkers and editors see of cybn: the stubs, and a user's project under both."""

import json
import os
import rlcompleter
import subprocess
import sys
from pathlib import Path

import pytest

import cybn
from cybn.terms.registry import registry

HERE = Path(__file__).parent
PACKAGE = Path(cybn.__file__).parent
STUBS = HERE.parent / ".ci" / "stubs.py"


def run(*arguments):
    """Exit code and output of a Python program that imports the same cybn, as does mypy in it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if "site-packages" not in PACKAGE.parts:
        env["MYPYPATH"] = str(PACKAGE.parent)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture(scope="session")
def mypy(tmp_path_factory):
    """Run mypy, or a module of it, from an empty folder; its exit code and output."""
    pytest.importorskip("mypy", reason='mypy is not installed: pip install ".[typing]"')
    cache = tmp_path_factory.mktemp("mypy")

    def mypy(*arguments, module="mypy"):
        options = ["--cache-dir", cache] if module == "mypy" else []
        return run("-m", module, *options, *arguments)

    return mypy


def builtin_entries():
    return [entry for entry in map(registry.entry, registry.names()) if entry.origin == "built-in"]


def test_the_stub_of_the_package_is_up_to_date():
    if not STUBS.exists():
        pytest.skip("no .ci/stubs.py: not a checkout")
    code, said = run(STUBS, "--check")
    assert code == 0, said


def test_dir_and_star_show_all_there_is():
    assert {"create", "Layer", "functional", "BatchNorm2d", "__version__"} <= set(dir(cybn))
    assert {entry.name for entry in builtin_entries()} <= set(dir(cybn))
    names = {}
    exec("from cybn import *", names)
    assert set(dir(cybn)) - set(names) == {"__version__"}
    assert all(hasattr(cybn, name) for name in dir(cybn))


def test_tab_completes_names_that_are_not_imported_yet():
    complete = rlcompleter.Completer({"cybn": cybn}).complete
    found = {each.rstrip("()") for i in range(99) if (each := complete("cybn.Batch", i))}
    assert {f"cybn.BatchNorm{n}d" for n in (1, 2, 3)} <= found


def test_a_users_project_passes_a_strict_type_checker(mypy, tmp_path):
    layers = tmp_path / "layers.py"
    lines = [
        "from typing import assert_type",
        "import cybn",
        "def use(anything: object) -> None: ...",
    ]
    # As a fresh interpreter has them: samples in docstrings of cybn register layers, too.
    names = run("-c", "import cybn; print(*cybn.__all__)")[1].split()
    lines += [f"use(cybn.{name})" for name in names]
    for entry in builtin_entries():
        if entry.name not in names:
            continue
        specs = [*map(repr, entry.names), f"cybn.{entry.name}"]
        lines += [
            f"assert_type(cybn.create({spec}, num_features=1), cybn.{entry.name})" for spec in specs
        ]
    layers.write_text("\n".join(lines))
    user = [HERE / "typed_user.py", HERE / "typed_wrong.py", layers]
    code, said = mypy("--strict", "--follow-imports=silent", *user)
    assert code == 0, said


def test_a_user_of_pytorch_passes_a_strict_type_checker(mypy):
    pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')
    code, said = mypy("--strict", "--follow-imports=silent", HERE / "typed_torch.py")
    assert code == 0, said


@pytest.fixture(scope="session")
def pyright():
    """Run pyright; what it says of each line of a file, by severity."""
    pytest.importorskip("pyright", reason='pyright is not installed: pip install ".[typing]"')
    code, said = run("-m", "pyright", "--version")
    if code and not os.environ.get("CI"):
        pytest.skip(f"pyright cannot fetch its program: {said.strip()[-200:]}")

    def pyright(tmp_path, *files):
        settings = {
            "include": [], "extraPaths": [str(PACKAGE.parent)], "pythonPath": sys.executable,
            "enableTypeIgnoreComments": False,
        }  # fmt: skip
        for path in files:
            (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
            settings["include"].append(path.name)
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
        _, said = run("-m", "pyright", "--outputjson", "-p", tmp_path)
        found = json.loads(said[said.index("{") :])["generalDiagnostics"]
        return {
            (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
            for each in found
            if each["severity"] == "error"
        }

    return pyright


def test_pyright_finds_what_mypy_finds(pyright, tmp_path):
    """Each line that is to be refused, and none of the others."""
    wrong, user = HERE / "typed_wrong.py", HERE / "typed_user.py"
    expected = {
        (wrong.name, number)
        for number, line in enumerate(wrong.read_text("utf-8").splitlines(), 1)
        if "# type: ignore" in line
    }
    found = pyright(tmp_path, wrong, user)
    assert found.keys() == expected, {key: found.get(key) for key in found.keys() ^ expected}


def test_the_users_project_runs():
    code, said = run("-W", "error", HERE / "typed_user.py")
    assert code == 0, said


def test_stubs_agree_with_what_they_describe(mypy, tmp_path):
    """Only the stubs: what mypy thinks of the code behind them is not asked."""
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nignore_errors = True\nignore_missing_imports = True\n")
    code, said = mypy(
        "cybn", "--concise", "--mypy-config-file", config,
        "--allowlist", HERE / "stubtest.txt", "--ignore-unused-allowlist", module="mypy.stubtest",
    )  # fmt: skip
    assert code == 0, said
