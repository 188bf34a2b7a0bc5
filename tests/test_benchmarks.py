"""python -m benchmarks: the command line. No test looks at a time."""

import dataclasses
import json
import re

import pytest
from benchmarking import BIG, SMALL, results_of, row

from benchmarks import limit, norms, report, worker
from benchmarks.__main__ import main
from benchmarks.contenders import CONTENDERS

pytestmark = pytest.mark.usefixtures("restore_threads")

TINY = ["--repeats", "1", "--no-footprint", "--threads", "1"]
OURS = ["--contenders", "cybn", "cybn-out", "cybn-unfused", "numpy"]


def test_two_tiny_shapes(tmp_path, capfd):
    kept = tmp_path / "kept.json"
    shapes = ["--norms", "batch", "--shapes", "4x3x5", "smallest"]
    status = main([*TINY, *OURS, *shapes, "--json", str(kept)])
    captured = capfd.readouterr()
    assert captured.err == ""
    assert status == 0
    for title in ("forward, training, 1 thread, float32", "backward, 1 thread", "evaluation, 1"):
        assert title in captured.out
    assert re.search(r"^4x3x5\*", captured.out, re.MULTILINE)
    assert "microseconds of the smallest call" in captured.out
    assert "The goals, from 9 cases" in captured.out
    plain = json.loads(kept.read_text())
    assert {r["contender"] for r in plain["rows"]} == {"cybn", "cybn-out", "numpy", *limit.LIMITS}
    assert len(plain["rows"]) == 3 * 3 * (3 + 2) + 3  # limits: 2 a mode, one more in backward
    assert main(["--show", str(kept)]) == 0
    assert capfd.readouterr().out == captured.out


def test_every_norm_has_its_table_and_its_goals(tmp_path, capfd):
    kept, shapes = tmp_path / "kept.json", ["16x32x2x3", "256x6"]
    status = main([*TINY, *OURS, "--modes", "forward", "--shapes", *shapes, "--json", str(kept)])
    captured = capfd.readouterr()
    assert captured.err == ""
    assert status == 0
    for title in report.NORM_TITLES.values():
        assert f"\n{title}: forward, training, 1 thread, float32\n" in captured.out
    assert re.search(r"^256x6 \+ z ", captured.out, re.MULTILINE)
    goals = captured.out.partition("The goals, ")[2]
    measured = r"^fused forward, x unfused here +nowhere < 1 +[\d.]+ +[\d.]+ "
    assert re.search(measured, goals, re.MULTILINE)
    assert "LayerNorm forward, x PyTorch" in goals
    operations = {r["operation"] for r in json.loads(kept.read_text())["rows"]}
    assert operations == set(norms.OPERATIONS)
    assert main(["--show", str(kept)]) == 0
    assert capfd.readouterr().out == captured.out


def test_a_mismatch_fails_the_run(tmp_path, capsys):
    results = results_of(row(SMALL, "cybn", 1.0))
    results.problems.append("cybn, somewhere: y is off")
    results.save(tmp_path / "a.json")
    assert main(["--show", str(tmp_path / "a.json")]) == 1
    assert "PROBLEM: cybn, somewhere: y is off" in capsys.readouterr().out


def test_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    backward = dataclasses.replace(BIG, mode="backward")
    results = results_of(
        *(row(case, name, 1.0, threads)
          for case in (BIG, backward) for name in ("cybn", "torch", "copy-streaming")
          for threads in (1, 2)),
    )  # fmt: skip
    results.save(tmp_path / "a.json")
    picture = tmp_path / "a.png"
    assert main(["--show", str(tmp_path / "a.json"), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"{picture} written" in capsys.readouterr().out


def test_list_runs_nothing(capsys):
    assert main(["--list", "--shapes", "image", "--compiled", "--norms", "batch"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "contenders: " + ", ".join(CONTENDERS)
    assert text.count("batch_norm") == 2 * 3


def test_operations_that_cybn_lacks_are_left_out(capsys, monkeypatch):
    monkeypatch.setattr("cybn.available", lambda: ["BatchNorm1d"])
    assert main(["--list", "--shapes", "rows", "1d"]) == 0
    text = capsys.readouterr().out
    assert "left out: layer_norm: cybn has no LayerNorm" in text
    assert "5120x1024" not in text


@pytest.mark.parametrize(("arguments", "told"), [
    (["--shapes", "resnet"], "'resnet' is no group (resnet50, "),
    (["--shapes", "4096x256", "--layouts", "last"], "leaves no case"),
    (["--norms", "layer", "--modes", "evaluation"], "leaves no case"),
    (["--norms", "group", "--shapes", "8x48x2x2"], "is no group (resnet50, densenet121)"),
    (["--norms", "sideways"], "invalid choice: 'sideways'"),
    (["--threads", "0"], "'0' is no integer from 1 to 1024"),
    (["--repeats", "many"], "'many' is no integer"),
    (["--contenders", "nobody"], "invalid choice: 'nobody'"),
    (["--modes", "sideways"], "invalid choice: 'sideways'"),
    (["--seed", "-1", "--shapes", "smallest"], "--seed must not be negative"),
    (["--json", "{tmp}/none/a.json"], "none/a.json: no file can be written there"),
    (["--plot", "{tmp}"], "no file can be written there"),
    (["--compare", "{tmp}/a.json", "{tmp}/b.json"], "a.json"),
    (["--compare", "{tmp}/a.json"], "expected 2 arguments"),
    (["--show", "{tmp}/a.json"], "a.json"),
    (["--frobnicate"], "--frobnicate"),
])
def test_bad_option_is_one_line(tmp_path, capsys, arguments, told):
    try:
        status = main([argument.format(tmp=tmp_path) for argument in arguments])
    except SystemExit as exit_:
        status = exit_.code
    captured = capsys.readouterr()
    assert status == 2
    assert re.fullmatch(r"python -m benchmarks: error: .+\n", captured.err)
    assert told in captured.err
    assert captured.out == ""


def test_a_worker_that_ends_badly_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(worker, "__package__", "no_such_package")
    assert main([*TINY, "--shapes", "smallest"]) == 2
    assert re.fullmatch(r"python -m benchmarks: error: .* status 1\n", capsys.readouterr().err)
