"""The public primitives: each is documented as it is, and Cython finds them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cybn

HOME = Path(cybn.get_include(), "cybn")
SHELL = (HOME / "primitives.pxd").read_text("utf-8")
PXD = re.sub(
    r'^include "(.+)"$', lambda at: (HOME / at[1]).read_text("utf-8"), SHELL, flags=re.MULTILINE
)
PAGE = Path(__file__).parent.parent / "docs" / "primitives.md"


def plain(text):
    """A declaration without what lines and brackets do to its spaces."""
    return re.sub(r"\s+", " ", text).strip()


def declared():
    """The functions that a plugin can cimport: name to what it returns and takes."""
    inline = re.findall(r"cdef inline (.+?) noexcept nogil:", PXD, re.DOTALL)
    extern = re.findall(r"^    (void \w+ \".*?) noexcept nogil$", PXD, re.MULTILINE)
    inline = [re.sub("^_loop ", "void ", text) for text in inline]  # what else it says is for gcc
    both = [plain(re.sub(r' "\w+"', "", text)) for text in (*inline, *extern)]
    named = {re.search(r"(\w+)\(", text)[1]: text for text in both}
    return {name: text for name, text in named.items() if not name.startswith("_")}


def test_each_is_documented_as_it_is():
    page = PAGE.read_text("utf-8")
    sections = re.findall(r"^### (\w+)\n\n```cython\n(.*?)```\n\n(.+?)\n", page, re.M | re.DOTALL)
    assert {name: plain(signature) for name, signature, _ in sections} == declared()
    assert len(declared()) > 15


def test_each_constant_is_documented():
    names = re.findall(r"^    ([A-Z_]+) = \d", PXD, re.M)
    names += re.findall(r"^    const \w+ (\w+)", PXD, re.M)
    assert {"LANES", "PRIMITIVES_VERSION"} <= {*names}
    table = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.M)
    assert sorted(table) == sorted(names)


def test_they_check_nothing_and_take_no_lock():
    assert "with gil" not in PXD
    assert not re.search(r"cdef inline [^:]*\)(?! noexcept nogil):", PXD)


OUTSIDER = """
from cybn.primitives cimport LANES, PRIMITIVES_VERSION, A, T, add_shifted, clear_lanes, fold_lanes

cdef extern from *:
    '''
    #if CYBN_PRIMITIVES_VERSION != {version}
    #error "another version"
    #endif
    '''

def total(const T[::1] x):
    cdef double s[LANES]
    cdef double q[LANES]
    clear_lanes(s, q)
    add_shifted(s, q, &x[0], x.shape[0], <double>0, <Py_ssize_t>0)
    return fold_lanes(s), fold_lanes(q), PRIMITIVES_VERSION
"""

BUILD = """
from Cython.Build import cythonize
from setuptools import setup
setup(name="outsider", ext_modules=cythonize("outsider.pyx", language_level=3{more}))
"""


def build(folder, more="", version=2):
    """Build a module as an outsider would; the finished process."""
    (folder / "outsider.pyx").write_text(OUTSIDER.format(version=version))
    (folder / "setup.py").write_text(BUILD.format(more=more))
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        env={**os.environ, "CFLAGS": "-O0"}, cwd=folder, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip


@pytest.fixture
def needs_cython():
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")


def test_get_include_is_where_cython_finds_them(tmp_path, needs_cython, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    done = build(tmp_path, more=f", include_path=[{cybn.get_include()!r}]")
    assert done.returncode == 0, done.stdout + done.stderr
    code = "import outsider, array; print(*outsider.total(array.array('d', range(100))))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert told.stdout.split() == ["4950.0", "328350.0", "2"], told.stderr


def test_the_version_can_be_asked_for_by_the_compiler(tmp_path, needs_cython):
    done = build(tmp_path, more=f", include_path=[{cybn.get_include()!r}]", version=0)
    assert done.returncode != 0
    assert "another version" in done.stdout + done.stderr
