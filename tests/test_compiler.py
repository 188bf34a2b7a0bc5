"""A build without a compiler: it says so at once, and how to get one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="CC is a matter of POSIX"),
    pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="the source tree is not here"),
]


def build(folder, *args, **environment):
    folders = ["--build-temp", str(folder / "temp"), "--build-lib", str(folder / "lib")]
    return subprocess.run(
        [sys.executable, "setup.py", "build_ext", *folders, *args],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("compiler", ["/bin/false", "/no/such/compiler", "cc -fno-such-flag"])
def test_a_compiler_is_looked_for_before_anything_is_translated(tmp_path, compiler):
    done = build(tmp_path, CC=compiler)
    assert done.returncode != 0
    assert "Cythonizing" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "cybn: building needs a C compiler and the headers of Python 3." in done.stderr
    for command in (
        "apt install build-essential python3-dev",
        "dnf install gcc python3-devel",
        "xcode-select --install",
        "Visual Studio Build Tools",
        "CC=clang pip install .",
    ):
        assert command in done.stderr
    assert not (tmp_path / "lib").exists()


@pytest.mark.parametrize("variable", ["CYBN_DEBUG", "CYBN_ABI3"])
@pytest.mark.parametrize("value", ["yes", "2", "\u00b2"])
def test_a_switch_of_the_build_is_0_or_1(tmp_path, variable, value):
    done = build(tmp_path, "--help", **{variable: value})
    assert done.returncode == 1
    assert done.stderr.strip() == f"cybn: {variable} is 0 or 1, got {value!r}"
