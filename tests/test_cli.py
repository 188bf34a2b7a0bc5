"""The command line: what it prints, where, and with which exit code; no traceback, ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cybn
from cybn.command import cli

GUIDE = Path(__file__).parent.parent / "docs" / "config.md"


@pytest.fixture
def command(capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def command(*args):
        try:
            code = cli.main([str(arg) for arg in args])
        except SystemExit as stop:  # argparse, for usage and --version
            code = stop.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return command


GOOD = {"stem": {"type": "BN1d", "num_features": 16}, "none": None}
BAD = {
    "good": {"type": "BN1d", "num_features": 16},
    "encoder": {"norm1": {"type": "BN1d", "num_features": 16, "epsilon": 1e-3}},
    "head": [{"type": "BatchNorm9d"}, {"type": "torch.nn.BatchNorm1d"}],
}


def run(*args, **options):
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "cybn", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


# list


def test_list_json(command):
    code, out, err = command("list", "--json")
    assert (code, err) == (0, "")
    layers = json.loads(out)["layers"]
    assert [layer["name"] for layer in layers] == cybn.available()
    assert all(list(layer) == ["name", "aliases", "origin", "summary"] for layer in layers)


# describe


@pytest.mark.parametrize("name", ["BatchNorm1d", "bn_1d", "BATCHNORM1D"])
def test_describe_shows_names_and_options(command, name):
    code, out, err = command("describe", name)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("BatchNorm1d = ")
    assert "BN1d" in lines[0]
    assert lines[1] == cybn.describe(name)["summary"]
    assert "]_" not in out  # the mark of a footnote that is not there
    assert lines[2] == f"built-in, {cybn.BatchNorm1d.__module__}"
    assert ["num_features", "int", ">=", "1", "required"] in [line.split() for line in lines]
    assert ["affine", "bool", "True"] in [line.split() for line in lines]
    assert not any(line.endswith(" ") for line in lines)


def test_describe_json(command):
    code, out, err = command("describe", "bn1d", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == cybn.describe("BatchNorm1d")


def test_describe_json_with_a_default_that_json_cannot_hold(command, own_registry):
    @cybn.register("Odd")
    class Odd(cybn.Layer):
        def __init__(self, function=len): ...

    code, out, _ = command("describe", "Odd", "--json")
    assert code == 0
    assert json.loads(out)["options"]["function"]["default"] == repr(len)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_describe_an_unknown_layer(command, flags):
    code, out, err = command("describe", "BatchNrm1d", *flags)
    assert (code, out) == (1, "")
    assert err.startswith("cybn: error: unknown layer 'BatchNrm1d'; did you mean 'BatchNorm1d'")
    assert err.count("\n") == 1


# check


def test_check_tells_what_each_entry_builds(command, write):
    path = write(GOOD)
    code, out, err = command("check", path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{path}: stem: {cybn.BatchNorm1d(16)!r}", f"{path}: none: None"]


def test_check_a_single_layer(command, write):
    path = write(GOOD["stem"])
    assert command("check", path) == (0, f"{path}: {cybn.BatchNorm1d(16)!r}\n", "")


def test_check_reports_every_problem(command, write):
    path = write(BAD)
    code, out, err = command("check", path)
    assert code == 1
    assert out.splitlines() == [f"{path}: good: {cybn.BatchNorm1d(16)!r}"]
    option, name, dotted = err.splitlines()
    assert option.startswith(
        f"cybn: error: {path}: encoder.norm1: BatchNorm1d has no option 'epsilon'; "
        f"did you mean 'eps'? Options: num_features, eps, "
    )
    assert name.startswith(
        f"cybn: error: {path}: head[0]: unknown layer 'BatchNorm9d'; did you mean "
    )
    assert dotted.startswith(
        f"cybn: error: {path}: head[1]: 'torch.nn.BatchNorm1d' is a dotted path"
    )


def test_check_json(command, write):
    path = write(BAD)
    code, out, err = command("check", path, "--json")
    assert (code, err) == (1, "")
    report = json.loads(out)
    assert list(report) == ["ok", "entries"]
    assert report["ok"] is False
    assert all(list(each) == ["file", "entry", "builds", "error"] for each in report["entries"])
    good, option, *_ = report["entries"]
    assert good == {
        "file": str(path),
        "entry": "good",
        "builds": repr(cybn.BatchNorm1d(16)),
        "error": None,
    }
    assert (option["entry"], option["builds"]) == ("encoder.norm1", None)
    assert option["error"].startswith("BatchNorm1d has no option 'epsilon'")


def test_check_json_of_a_good_file(command, write):
    code, out, err = command("check", write(GOOD), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["ok"] is True


def test_check_goes_on_after_a_file_that_cannot_be_read(command, write, tmp_path):
    good, missing = write(GOOD["stem"]), tmp_path / "missing.toml"
    code, out, err = command("check", missing, good)
    assert code == 1
    assert out == f"{good}: {cybn.BatchNorm1d(16)!r}\n"
    assert err == f"cybn: error: {missing}: No such file or directory\n"
    report = json.loads(command("check", missing, good, "--json")[1])
    assert report["entries"][0] == {
        "file": str(missing),
        "entry": None,
        "builds": None,
        "error": "No such file or directory",
    }


def test_check_names_a_file_as_it_was_given(command, write, monkeypatch):
    monkeypatch.chdir(write(None).parent)
    assert command("check", "./net.json") == (0, "./net.json: None\n", "")
    missing = "cybn: error: ./no.json: No such file or directory\n"
    assert command("check", "./no.json") == (1, "", missing)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("net.toml", "a = ", "not valid TOML: "),
        ("net.json", "{", "not valid JSON: "),
        (
            "net.json",
            "3",
            "expected a layer, which is a name, a table with 'type', or null, got 3 (int)",
        ),
        ("net.ini", "", "a config file ends in .toml, .json, .yaml or .yml, got '.ini'"),
    ],
)
def test_check_a_file_that_is_no_config(command, tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_text(content)
    code, out, err = command("check", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"cybn: error: {path}: {reason}")
    assert err.count("\n") == 1


def test_check_a_directory(command, tmp_path):
    code, out, err = command("check", tmp_path)
    assert (code, out) == (1, "")
    assert err == f"cybn: error: {tmp_path}: a config is a file, and this is none\n"


def test_check_a_layer_that_breaks_in_its_own_way(command, write, own_registry):
    @cybn.register("Exploding")
    class Exploding(cybn.Layer):
        def __init__(self):
            raise KeyError("two\nlines")

    path = write(["Exploding"])
    assert command("check", path) == (1, "", f"cybn: error: {path}: [0]: KeyError: 'two\\nlines'\n")


# info, usage, interruption


def test_info(command):
    code, out, err = command("info")
    assert (code, err) == (0, "")
    assert cybn.__version__ in out
    code, out, err = command("info", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["version"] == cybn.__version__


def test_version(command):
    assert command("--version") == (0, f"cybn {cybn.__version__}\n", "")


@pytest.mark.parametrize("args", [[], ["lst"], ["describe"], ["check"], ["list", "--yaml"]])
def test_wrong_usage(command, args):
    code, out, err = command(*args)
    assert (code, out) == (2, "")
    assert err.startswith("usage: cybn")
    assert "error: " in err


@pytest.mark.parametrize("args", [[], ["list"], ["describe"], ["check"], ["info"]])
def test_help(command, args):
    code, out, err = command(*args, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: cybn")


def test_ctrl_c_is_quiet(command, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "available", interrupt)
    assert command("list") == (130, "", "")


def test_an_unexpected_error_is_one_line_with_its_class(command, monkeypatch):
    def fail():
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli, "available", fail)
    assert command("list") == (1, "", "cybn: error: ZeroDivisionError: a bug\n")


def test_as_a_module(write):
    done = run("check", write(BAD["head"]))
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == ["cybn", "cybn"]


def test_a_terminal_that_cannot_show_a_key(write):
    done = run("check", write({"größe": None}), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("gr\\xf6\\xdfe: None\n")


def test_a_closed_pipe_is_quiet():
    process = subprocess.Popen(
        [sys.executable, "-m", "cybn", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert err == ""
