"""What the command line shows to people: the list, colour, examples in the help, completion."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from fakeplugins import norm

import cybn
from cybn.command import cli
from cybn.command.completion import SHELLS
from cybn.command.listing import FAMILIES
from cybn.command.usage import EXAMPLES

ESCAPE = "\x1b["


@pytest.fixture
def command(capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def command(*args):
        try:
            code = cli.main([str(arg) for arg in args])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return command


def names_in(out):
    """The layers that a list names, in its order: each begins a line, two places in."""
    return [
        line.split()[0] for line in out.splitlines() if line[:2] == "  " and line[2:3].isalpha()
    ]


def test_every_layer_is_listed_once_by_family(command):
    code, out, err = command("list")
    assert (code, err) == (0, "")
    assert sorted(names_in(out), key=str.casefold) == cybn.available()
    titles = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert titles == [FAMILIES[each] for each in ("batch", "sample", "dataset", "research")]
    for name in cybn.available():
        room = getattr(cybn, name).__module__.split(".")[2]
        before = re.split(rf"\n  {name}\b", out)[0]
        assert [title for title in titles if title in before][-1] == FAMILIES[room], name


def test_every_line_is_within_80_columns(command):
    assert max(map(len, command("list")[1].splitlines())) <= 80
    for name in cybn.available():
        long = [line for line in command("describe", name)[1].splitlines() if len(line) > 80]
        assert all(" " not in line.strip() for line in long), name


def test_aliases_stand_beside_the_name(command):
    lines = [line.split(maxsplit=1) for line in command("list")[1].splitlines()]
    shown = {words[0]: words[1:] for words in lines if words and words[0] in cybn.available()}
    for name in cybn.available():
        assert shown[name] == ([", ".join(cybn.describe(name)["aliases"])] if shown[name] else [])
        assert bool(shown[name]) == bool(cybn.describe(name)["aliases"])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--filter", "ghost"], [n for n in cybn.available() if n.startswith("Ghost")]),
        (["--filter", "LRN"], ["LocalResponseNorm"]),
        (["--filter", "LEARNING"], [f"FrozenBatchNorm{d}d" for d in (1, 2, 3)]),
        (["--family", "dataset"], ["Normalize"]),
        (["--family", "sample", "--filter", "rms"], ["RMSNorm"]),
    ],
    ids=str,
)
def test_a_filter_and_a_family(command, options, found):
    code, out, err = command("list", *options)
    assert (code, err) == (0, "")
    if options == ["--filter", "LEARNING"]:
        assert set(found) <= set(names_in(out))
    else:
        assert names_in(out) == found
    report = json.loads(command("list", "--json", *options)[1])
    assert [layer["name"] for layer in report["layers"]] == sorted(names_in(out), key=str.casefold)
    alone = command("list", "--names", *options)[1].split()
    assert alone == [layer["name"] for layer in report["layers"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--filter", "nothing like it"], "with 'nothing like it' in its names or summary"),
        (
            ["--family", "plugins", "--filter", "x"],
            "of family plugins and with 'x' in its names or ",
        ),
    ],
)
def test_nothing_found_is_an_error_that_says_what_to_do(command, options, said, monkeypatch):
    monkeypatch.setenv("CYBN_PLUGINS", "0")
    code, out, err = command("list", *options)
    assert (code, out) == (1, "")
    assert err.startswith(f"cybn: error: there is no layer {said}")
    assert err.endswith("; cybn list shows all\n")
    assert command("list")[0] == 0


def test_names_alone_import_no_plugin(command, site):
    site.add("plain", {"OwnNorm": "plain:OwnNorm"}, "raise RuntimeError('imported')")
    code, out, err = command("list", "--names")
    assert (code, err) == (0, "")
    assert out.split() == cybn.available()
    assert "OwnNorm" in out.split()


def test_plugins_are_a_family_with_their_version(command, site):
    site.add("plain", {"MyNorm": "plain:MyNorm"}, norm())
    code, out, _ = command("list", "--family", "plugins")
    assert code == 0
    assert out.splitlines()[0] == FAMILIES["plugins"]
    assert "  MyNorm" in out
    assert "plain 1.0" in out


# Colour


def on_terminal(*args, **environment):
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    keep = {key: os.environ[key] for key in os.environ if key not in ("NO_COLOR", "TERM")}
    env = keep | {"TERM": "xterm"} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", "cybn", *args], stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    got = io.BytesIO()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how a terminal ends on Linux
            break
        if not piece:
            break
        got.write(piece)
    os.close(ours)
    assert process.wait(60) in (0, 1)
    return got.getvalue().decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("args", [("list",), ("describe", "BN"), ("describe", "nothing")], ids=str)
def test_colour_is_for_terminals_alone(args, command):
    assert ESCAPE in on_terminal(*args)
    assert ESCAPE not in on_terminal(*args, NO_COLOR="1")
    assert ESCAPE not in on_terminal(*args, TERM="dumb")
    _, out, err = command(*args)  # into a pipe
    assert ESCAPE not in out + err


def test_an_empty_no_color_says_nothing():
    """As https://no-color.org has it."""
    assert ESCAPE in on_terminal("describe", "BN", NO_COLOR="")


# Help


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_of_a_command_has_examples_that_are_right(command, name, tmp_path, monkeypatch):
    code, out, _ = command(name, "--help")
    assert code == 0
    _, _, examples = out.partition("\nexamples:\n")
    assert [line.strip() for line in examples.splitlines()] == EXAMPLES[name]
    usage = cli._usage()
    for line in EXAMPLES[name]:
        words = shlex.split(line.partition(" > ")[0])
        assert words[:2] == ["cybn", name]
        assert usage.parse(words[1:]).run is not None


def test_every_command_has_examples(command):
    commands = command("no-such")[2].rpartition("commands: ")[2].strip().split(", ")
    assert list(EXAMPLES) == commands


# Completion


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_each_shell(command, shell):
    pytest.importorskip("shtab", reason='needs shtab: pip install ".[completion]"')
    code, out, err = command("completion", shell)
    assert (code, err) == (0, "")
    assert "check-layer" in out
    assert json.loads(command("completion", shell, "--json")[1])["script"].strip() == out.strip()


def test_without_shtab_it_says_what_to_install(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = command("completion", "bash")
    assert (code, out) == (1, "")
    assert err == 'cybn: error: the script is made by shtab: pip install "cybn[completion]"\n'


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("cybn des", "describe"),
        ("cybn list --fam", "--family"),
        ("cybn describe GroupN", "GroupNorm"),
    ],
)
def test_bash_completes_commands_options_and_layers(command, tmp_path, line, wanted):
    pytest.importorskip("shtab", reason='needs shtab: pip install ".[completion]"')
    script = tmp_path / "cybn.bash"
    script.write_text(command("completion", "bash")[1])
    words = line.split()
    code = f"""
cybn() {{ {shlex.quote(sys.executable)} -m cybn "$@"; }}
source {shlex.quote(str(script))}
COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}
"$(complete -p cybn | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60)
    assert wanted in done.stdout.split(), done.stderr
