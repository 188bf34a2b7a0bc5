"""`cybn new`: what it writes, and what it refuses. That it installs is in test_install.py."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
from fakeplugins import Site, forget_all, forget_modules, norm

from cybn.command import cli
from cybn.command.project import KINDS, write_project

EXAMPLES = Path(__file__).parent.parent / "examples"
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No plugin is installed; the examples may be."""
    monkeypatch.setenv("CYBN_PLUGINS", "0")
    forget_all(monkeypatch)


def texts(files, folder):
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


def example(kind):
    """The files of the example that are no product of a build."""
    folder = EXAMPLES / f"plugin_{kind}"
    kept = {".md", ".toml", ".py", ".pyx"}
    files = [path for path in folder.rglob("*") if path.suffix in kept and path.is_file()]
    return texts([path for path in files if "build" not in path.parts], folder)


@kinds
def test_the_examples_are_what_it_writes(kind, tmp_path):
    folder, *files = write_project(KINDS[kind], kind, tmp_path)
    assert texts(files, folder) == example(kind)


@kinds
@pytest.mark.parametrize(
    ("name", "snake"), [("MyNorm", "my_norm"), ("RMSNorm2d", "rms_norm2d"), ("X", "x")]
)
def test_another_name_is_in_all_of_it(kind, name, snake, tmp_path):
    folder, *files = write_project(name, kind, tmp_path)
    kebab = snake.replace("_", "-")
    assert folder == tmp_path / f"cybn-{kebab}"
    written = texts(files, folder)
    assert {f"src/cybn_{snake}/__init__.py", f"tests/test_{snake}.py"} <= {*written}
    everything = "\n".join([*written, *written.values()])
    assert not re.search("part.?norm", everything, re.IGNORECASE)
    assert written["README.md"].startswith(f"# cybn-{kebab}\n")
    project = tomllib.loads(written["pyproject.toml"])["project"]
    assert project["name"] == f"cybn-{kebab}"
    assert project["entry-points"]["cybn.layers"] == {name: f"cybn_{snake}:{name}"}
    for path, text in written.items():
        if path.endswith(".py"):
            classes = [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
            assert classes == ([name, "Saved"] if path.startswith("src") else [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *[
            (name, "a layer's class has a name like MyNorm: a capital, then up to 59 letters and ")
            for name in ("", "my_norm", "myNorm", "My Norm", "../Up", "My.Norm", "My-Norm", "Größe",
                         "None", "M" * 61, "MyNorm\n")
        ],
        ("BatchNorm2d", "'BatchNorm2d' is taken by cybn.layers.batch.batchnorm.BatchNorm2d; "),
        ("BN", "'BN' is taken by cybn.layers.batch.batchnorm.BatchNorm2d; choose another name"),
        ("Batchnorm1D", "'Batchnorm1D' is taken by cybn.layers.batch.batchnorm.BatchNorm1d; "),
        ("Bounds", "'Bounds' means something else in the files to write; choose another"),
        ("PositiveInt", "'PositiveInt' means something else"),
        ("N", "'N' means something else"),
        ("Saved", "'Saved' means something else"),
    ],
)  # fmt: skip
def test_names_that_are_refused(name, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_project(name, "python", tmp_path)
    assert not any(tmp_path.iterdir())


def test_the_name_of_an_installed_plugin_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("CYBN_PLUGINS")
    Site(tmp_path).add("plain", {"MyNorm": "plain:MyNorm"}, norm())
    with pytest.raises(ValueError, match=r"^'MyNorm' is taken by plugin plain 1.0; choose another"):
        write_project("MyNorm", "python", tmp_path)
    forget_modules(tmp_path)


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a project is of kind python or cython, got 'rust'"):
        write_project("MyNorm", "rust", tmp_path)


@pytest.mark.parametrize("is_file", [True, False])
def test_what_is_there_stays(is_file, tmp_path):
    there = tmp_path / "cybn-my-norm"
    if is_file:
        there.write_text("mine")
    else:
        there.mkdir()
        (there / "pyproject.toml").write_text("mine")
    with pytest.raises(FileExistsError):
        write_project("MyNorm", "python", tmp_path)
    assert (
        there.read_text() == "mine" if is_file else [*there.iterdir()] == [there / "pyproject.toml"]
    )


def test_a_folder_that_is_not_there_is_made(tmp_path):
    folder, *files = write_project("MyNorm", "python", tmp_path / "sub" / "folder")
    assert folder == tmp_path / "sub" / "folder" / "cybn-my-norm"
    assert all(path.is_file() for path in files)


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").touch()
    for into in (tmp_path / "file", tmp_path / "file" / "sub"):
        assert cli.main(["new", "MyNorm", "--into", str(into)]) == 1
        assert capsys.readouterr().err == (
            f"cybn: error: {into / 'cybn-my-norm'}: Not a directory\n"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# The command


def test_the_command_tells_what_it_wrote_and_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "MyNorm", "--kind", "cython"]) == 0
    written, _, after = capsys.readouterr().out.partition("\n\n")
    files = written.splitlines()
    assert str(Path("cybn-my-norm/src/cybn_my_norm/_kernels.pyx")) in files
    assert all(Path(file).is_file() for file in files)
    assert after == (
        'In cybn-my-norm:\npip install "setuptools>=77" "cython>=3.1"\n'
        'pip install -e ".[test]" --no-build-isolation && pytest\n'
    )
    assert cli.main(["new", "MyNorm"]) == 1
    assert capsys.readouterr().err == "cybn: error: cybn-my-norm: File exists\n"


def test_the_command_as_json(tmp_path, capsys):
    assert cli.main(["new", "MyNorm", "--json", "--into", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "cybn-my-norm")
    assert sorted(told["files"]) == sorted(
        str(path) for path in (tmp_path / "cybn-my-norm").rglob("*") if path.is_file()
    )


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    assert cli.main(["new", "BN", "--into", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("cybn: error: 'BN' is taken by ")
    assert err.count("\n") == 1
