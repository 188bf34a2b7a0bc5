"""The command line with wrong input: what is said of it, and the exit code."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cybn
from cybn.command import cli

GUIDE = Path(__file__).parent.parent / "docs" / "config.md"
NORM = {"type": "BN1d", "num_features": 16}
BUILT = repr(cybn.BatchNorm1d(16))


@pytest.fixture
def command(capsys, monkeypatch):
    """Run the command in this process, with a text as standard input: exit code, stdout, stderr."""

    def command(*args, stdin=""):
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape")))
        )
        try:
            code = cli.main([str(arg) for arg in args])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return command


COMMANDS = "list, describe, check, check-layer, info, new, completion"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["lst"], f"unknown command 'lst'; did you mean 'list'? commands: {COMMANDS}"),
        (["check_layer", "BN"], "unknown command 'check_layer'; did you mean 'check-layer'? comm"),
        (["Describe"], "unknown command 'Describe'; did you mean 'describe'?"),
        (["frobnicate"], f"unknown command 'frobnicate'; commands: {COMMANDS}"),
        ([""], f"unknown command ''; commands: {COMMANDS}"),
        ([], "the following arguments are required: COMMAND"),
        (["--verson"], "unknown option '--verson'; did you mean '--version'?"),
        (["--json", "list"], "unknown option '--json'; there are -h, --help, --version"),
        (["-", "list"], "unknown option '-'; there are -h, --help, --version"),
        (["list", "--jsn"], "unknown option '--jsn'; did you mean '--json'?"),
        (["list", "more"], "one argument too many: 'more'"),
        (["info", "--shape=3"], "unknown option '--shape'; there are -h, --json, --help"),
        (["describe"], "the following arguments are required: NAME"),
        (["describe", "BN1d", "BN2d"], "one argument too many: 'BN2d'"),
        (["check"], "the following arguments are required: CONFIG"),
        (["check", "--formt", "toml", "x"], "unknown option '--formt'; did you mean '--format'?"),
        (["check", "--format", "ini", "x"], "argument --format: invalid choice: 'ini'"),
        (["check-layer"], "the following arguments are required: NAME"),
        (
            ["check-layer", "BN", "--exuse", "x"],
            "unknown option '--exuse'; did you mean '--excuse'",
        ),
        (["check-layer", "BN", "--shape"], "argument --shape: expected one argument"),
        (["new"], "the following arguments are required: NAME"),
        (["new", "MyNorm", "--kind", "rust"], "argument --kind: invalid choice: 'rust'"),
        (["new", "MyNorm", "--int", "x", "y"], "one argument too many: 'y'"),
    ],
    ids=str,
)
def test_wrong_usage_is_named_with_the_nearest_that_is_right(command, args, message):
    code, out, err = command(*args)
    assert (code, out) == (2, "")
    usage, _, error = err.rpartition("error: ")
    assert error.startswith(message)
    known = args and args[0] in COMMANDS.split(", ")
    assert usage.startswith(f"usage: cybn {args[0]} " if known else "usage: cybn [-h]")


@pytest.mark.parametrize(
    "text",
    [
        "8,16,7,7",
        "",
        "x",
        "8x",
        "x8",
        "8xx8",
        "8X16",
        "-8x16",
        "8.0x16",
        "\u0663x4",
        "1_0x3",
        "axb",
    ],
)
def test_what_is_no_shape(command, text):
    code, out, err = command("check-layer", "BN2d", f"--shape={text}")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        f"cybn check-layer: error: argument --shape: lengths of axes with x between them, "
        f"as 8x16x7x7, are expected, got {text!r}"
    )


@pytest.mark.parametrize("text", ["8x0x7x7", "0", "99999999x99999999", "x".join(["9" * 9] * 99)])
def test_a_shape_of_no_item_or_too_many(command, text):
    code, out, err = command("check-layer", "BN2d", "--shape", text)
    assert (code, out) == (2, "")
    assert "argument --shape: an input of 1 to 16,777,216 items is expected, got '" in err


def test_a_shape_is_checked_with(command):
    code, out, _ = command("check-layer", "BN2d", "--shape", "8x4x3x3", "--json")
    assert code == 0
    assert json.loads(out)["ok"] is True


def test_a_check_that_there_is_not(command):
    code, out, err = command("check-layer", "BN2d", "--excuse", "output-shap=later")
    assert (code, out) == (1, "")
    assert err.startswith("cybn: error: there is no check 'output-shap'; did you mean 'output-")


# Standard input

TEXTS = {
    "toml": '# a net\n\n[stem]  # first\ntype = "BN1d"\nnum_features = 16\n',
    "json": json.dumps({"stem": NORM}, indent=1),
    "yaml": "# a net\nstem: {type: BN1d, num_features: 16}\n",
}


@pytest.mark.parametrize("format", TEXTS)
@pytest.mark.parametrize("said", [True, False])
def test_standard_input_in_each_format(command, format, said):
    if format == "yaml":
        pytest.importorskip("yaml")
    options = ["--format", format] if said else []
    assert command("check", "-", *options, stdin=TEXTS[format]) == (0, f"-: stem: {BUILT}\n", "")


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ('type = "BN1d"\nnum_features = 16', "toml"),
        ('"stem".type = "BN1d"', "toml"),
        ("[[norms]]\ntype = 'BN'", "toml"),
        ("[encoder.norm1]", "toml"),
        ("null", "json"),
        ("[null]", "json"),
        ('["AdaIN"]', "json"),
        ('{"stem": ', "json"),
        ('{\n"a": 1,\n}', "json"),
        ("type: BN1d", "yaml"),
        ("{type: BN1d}", "yaml"),
        ("- AdaIN\n- null", "yaml"),
        ("[AdaIN, AdaIN]", "yaml"),
        ("---\na: 1", "yaml"),
        ("AdaIN", "yaml"),
        ("", "yaml"),
    ],
)
def test_what_a_text_looks_like(text, format):
    from cybn.config.files import looks_like

    assert looks_like(text) == format


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("[stem\ntype = 1", ["--format", "toml"], "not valid TOML: "),
        ('{"stem": ', [], "not valid JSON: "),
        ("type = ", [], "not valid TOML: "),
        ("a: [1", [], "not valid YAML: "),
        ("\udcff", [], "not UTF-8 text, see byte 0"),
        (" " * 2**20 + "1", [], "a config file has at most 1,048,576 bytes; split it"),
        ('{"type": "BN9"}', [], "unknown layer 'BN9'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_wrong_with_standard_input(command, text, options, message):
    if "YAML" in message:
        pytest.importorskip("yaml")
    code, out, err = command("check", "-", *options, stdin=text)
    assert (code, out) == (1, "")
    assert err.startswith(f"cybn: error: -: {message}")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is POSIX's")
def test_standard_input_that_is_closed():
    done = subprocess.run(
        ["sh", "-c", '"$0" -m cybn check - <&-', sys.executable], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("cybn: error: -: ")


def test_a_file_of_another_name(command, tmp_path):
    path = tmp_path / "net.conf"
    path.write_text(TEXTS["toml"])
    code, _, err = command("check", path)
    assert (code, "a config file ends in .toml" in err) == (1, True)
    assert command("check", path, "--format", "toml") == (0, f"{path}: stem: {BUILT}\n", "")


# Nothing to say


@pytest.mark.parametrize("content", ["", "# nothing\n", "[a]\n[b.c]\n"])
def test_a_file_without_entries_is_told_of(command, tmp_path, content):
    path = tmp_path / "net.toml"
    path.write_text(content)
    assert command("check", path) == (0, f"{path}: no entries\n", "")
    assert json.loads(command("check", path, "--json")[1]) == {"ok": True, "entries": []}


def test_an_empty_file_beside_another(command, write, tmp_path):
    empty, good = tmp_path / "empty.json", write(NORM)
    empty.write_text("[[], {}]")
    assert command("check", empty, good) == (0, f"{good}: {BUILT}\n{empty}: no entries\n", "")


def test_an_empty_path(command):
    assert command("check", "") == (1, "", "cybn: error: '': No such file or directory\n")


# Readers and terminals

posix = pytest.mark.skipif(sys.platform == "win32", reason="the shell is POSIX's")
RUN = f'"{sys.executable}" -m cybn'


def shell(line, **options):
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, **options
    )


@posix
@pytest.mark.parametrize(
    "args", ["list", "describe BN", "info", "list --json", "describe BN --json"]
)
def test_a_reader_that_leaves_is_no_problem(args):
    done = shell(f"{RUN} {args} | head -1 > /dev/null")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"{RUN} {args} | true")
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_what_was_found_is_told_though_the_reader_has_left(write):
    bad = write([{"type": "BN9"}, *[NORM] * 5000])
    assert shell(f"{RUN} check {bad} 2>&1 | true").returncode == 1
    good = write([NORM] * 5000, "good.json")
    assert shell(f"{RUN} check {good} | head -1 > /dev/null").returncode == 0


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_a_problem():
    done = shell(f"{RUN} list > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "cybn: error: OSError: [Errno 28] No space left on device\n"


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_problem(closed):
    assert shell(f"{RUN} list {closed}").returncode == 0


def test_a_variable_that_makes_no_sense_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "cybn", "list"],
        env={**os.environ, "CYBN_OUTPUT_CACHE": "much"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "cybn: error: CYBN_OUTPUT_CACHE takes a number of bytes, as 536870912, got 'much'; "
        "or leave it unset\n"
    )


# The documentation


def test_the_sessions_of_the_guide(command, tmp_path, monkeypatch):
    """Each file of docs/config.md is written, each ``$ cybn`` line run, its output compared."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    for language, text in blocks:
        if language == "toml":
            Path(text.split()[1]).write_text(text, "utf-8")  # each begins with "# its-name.toml"
    sessions = "".join(text for language, text in blocks if language == "console")
    for session in sessions.split("$ cybn ")[1:]:
        line, _, expected = session.partition("\n")
        _, out, err = command(*line.split())
        assert (out + err).split() == expected.split()
