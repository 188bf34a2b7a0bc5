"""benchmarks/: cases, table arithmetic, result files, the command line. No test looks at a time."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
try:
    from benchmarks import check, goals, limit, report, shapes, timing, worker
    from benchmarks.__main__ import main
    from benchmarks.contenders import (
        CONTENDERS,
        INTO_OUT,
        ON_REQUEST,
        Contender,
        Run,
        Settings,
        find,
    )
    from benchmarks.data import Data, arrays_needed, last_level_cache
    from benchmarks.results import Change, Results, changes, geometric_mean
finally:
    sys.path.remove(str(ROOT))

pytestmark = pytest.mark.usefixtures("restore_threads")

TINY = ["--repeats", "1", "--no-footprint", "--threads", "1"]
OURS = ["--contenders", "cybn", "cybn-out", "numpy"]


def row(case, contender, seconds, threads=1, streams=None):
    """What a worker says of one contender in one case."""
    samples = [seconds] * 3 if isinstance(seconds, float) else list(seconds)
    moved = case.nbytes * streams if streams else case.traffic
    return {
        **dataclasses.asdict(case),
        "threads": threads,
        "contender": contender,
        "samples": samples,
        "bytes": moved,
    }


def results_of(*rows, cache=1 << 20, footprint=None):
    results = Results(footprint=footprint or {})
    results.add(
        {"rows": rows, "problems": [], "left_out": {}, "cache": cache, "versions": {}, "notes": {}}
    )
    return results


BIG = shapes.Case("batch_norm", (32, 64, 56, 56), group="resnet50")
SMALL = shapes.Case("batch_norm", (4, 8, 7, 7), group="other")


# Cases


def test_grid_has_every_mode_of_every_shape_once():
    cases = shapes.grid()
    assert len({case.key for case in cases}) == len(cases)
    assert {case.mode for case in cases} == set(shapes.MODES)
    resnet = [case for case in cases if case.group == "resnet50"]
    assert len(resnet) == 9 * 2 * 3
    assert {case.operation for case in cases} == {"batch_norm", "layer_norm", "rms_norm"}


def test_quick_grid_is_part_of_the_grid():
    quick, whole = shapes.grid(quick=True), shapes.grid()
    assert {case.key for case in quick} < {case.key for case in whole}
    assert {case.shape for case in quick} == shapes.QUICK


@pytest.mark.parametrize(("patterns", "labels"), [
    (["32x64x56x56"], {"32x64x56x56", "32x64x56x56*"}),
    (["3d", "9x128x1"], {"2x16x40x40x40", "9x128x1"}),
    (["100x16*"], {"100x16x784"}),
    (["5x6"], {"5x6"}),
    (["2x3x4"], {"2x3x4", "2x3x4*"}),
])
def test_shapes_by_name(patterns, labels):
    assert {case.label for case in shapes.grid(patterns=patterns)} == labels


@pytest.mark.parametrize("pattern", ["resnet", "5", "0x3", "1x3", "2x-3", "2x3x4x5x6x7", "²x3"])
def test_unknown_shape_is_an_error(pattern):
    with pytest.raises(ValueError, match=re.escape(pattern)):
        shapes.grid(patterns=[pattern])


def test_case_in_numbers():
    case = shapes.Case("batch_norm", (2, 3, 4, 5), "last", "float64", "backward")
    assert (case.size, case.nbytes, case.traffic) == (120, 960, 2880)
    assert (case.memory_shape, case.channel_axis, case.channels) == ((2, 4, 5, 3), -1, 3)
    assert case.layer == "BatchNorm2d"


def test_arrays_exceed_the_cache():
    for nbytes in (1 << 20, 10 << 20, 100 << 20):
        count = arrays_needed(nbytes)
        assert count >= 2
        assert count == 64 or (count - 1) * nbytes >= 2 * last_level_cache()


def test_data_is_random_and_aligned():
    case = shapes.Case("batch_norm", (4, 3, 50))
    first, second, again = Data(case, 1), Data(case, 2), Data(case, 1)
    assert all(a.ctypes.data % 64 == 0 and a.shape == (4, 3, 50) for a in first.x)
    assert np.array_equal(first.x[0], again.x[0])
    assert not np.array_equal(first.x[0], second.x[0])
    assert not np.array_equal(first.x[0], first.x[1])


# What was computed


@pytest.mark.parametrize("mode", shapes.MODES)
@pytest.mark.parametrize("layout", shapes.LAYOUTS)
@pytest.mark.parametrize("dtype", shapes.DTYPES)
def test_our_contenders_compute_what_they_should(mode, layout, dtype):
    case = shapes.Case("batch_norm", (4, 6, 3, 5), layout, dtype, mode)
    contenders = find(["cybn", "cybn-out", "numpy"], Settings())[0] + limit.limits(Settings())
    timings = timing.measure(case, contenders, Data(case, 3), 1)
    assert [t.problem for t in timings] == [None] * len(timings)
    assert all(len(t.samples) == 1 and t.samples[0] > 0 for t in timings)
    assert {"cybn", "cybn-out", "numpy", "copy-streaming"} <= {t.contender.name for t in timings}


@pytest.mark.filterwarnings("ignore")  # those of peers are theirs
@pytest.mark.parametrize("name", [n for n in CONTENDERS if n not in ON_REQUEST])
def test_every_contender_takes_part_or_says_why(name):
    found, left_out = find([name], Settings())
    assert len(found) + len(left_out) == 1
    assert all(reason and "\n" not in reason for reason in left_out.values())
    for contender in found:
        assert contender.name == name
        for case in shapes.grid(patterns=["3x16x2x2"]):
            timings = timing.measure(case, [contender], Data(case, 4), 1)
            assert [t.problem for t in timings] == [None] * len(timings)


@pytest.mark.parametrize(("name", "spoil"), [
    ("y", lambda y: y * 1.01),
    ("y", lambda y: np.where(y == y.max(), np.nan, y)),
    ("y", lambda y: y[:-1]),
    ("z", lambda y: y),
])
def test_another_result_is_a_problem(name, spoil):
    class Wrong(Contender):
        name = "wrong"

        def prepare(self, case, data):
            right = find(["numpy"], Settings())[0][0].prepare(case, data)
            return Run(right.call, lambda i, y: {key: spoil(y)})

    key, case = name, shapes.Case("batch_norm", (8, 4, 5))
    (measured,) = timing.measure(case, [Wrong(Settings())], Data(case, 5), 1)
    assert measured.problem is not None
    assert "y" in measured.problem


def test_a_contender_that_fails_harms_no_other():
    class Broken(Contender):
        name = "broken"

        def prepare(self, case, data):
            raise RuntimeError("two\nlines")

    case = shapes.Case("batch_norm", (8, 4))
    contenders = [Broken(Settings()), *find(["numpy"], Settings())[0]]
    broken, fine = timing.measure(case, contenders, Data(case, 6), 1)
    assert broken.problem == "RuntimeError: two lines"
    assert fine.problem is None


def test_large_tensors_are_checked_from_the_first_channel_to_the_last():
    case = shapes.Case("batch_norm", (32, 512, 56, 56))
    channels = check.channels_to_check(case)
    assert channels[0] == 0
    assert channels[-1] == 511
    assert len(channels) * case.size // case.channels <= check.MOST_VALUES
    assert len(check.channels_to_check(SMALL)) == SMALL.channels


# Arithmetic of the tables


def test_speed_limit_fraction_and_ratio():
    results = results_of(
        row(BIG, "cybn", 2.0),
        row(BIG, "torch", 6.0),
        row(BIG, "copy-plain", 1.6, streams=2),
        row(BIG, "copy-streaming", 1.0, streams=2),
    )
    assert results.get(BIG, 1, "cybn").speed == BIG.nbytes
    assert results.limit(BIG, 1).contender == "copy-streaming"
    assert results.fraction(BIG, 1, "cybn") == 0.5
    assert results.ratio(BIG, 1, "cybn", "torch") == 3
    assert results.ratio(BIG, 1, "cybn", "jax") is None
    assert results.ratio(BIG, 2, "cybn", "torch") is None
    assert results.contenders == ["cybn", "torch"]


def test_limit_of_backward_is_in_bytes_per_second():
    case = dataclasses.replace(BIG, mode="backward")
    results = results_of(
        row(case, "cybn-out", 3.0),
        row(case, "add-plain", 2.5, streams=3),
        row(case, "copy-streaming", 1.0, streams=2),
    )
    assert results.limit(case, 1).contender == "copy-streaming"
    assert results.fraction(case, 1, "cybn-out") == 0.5


def test_median_and_spread():
    results = results_of(row(SMALL, "cybn", [4.0, 1.0, 2.0, 2.5, 100.0]))
    measured = results.get(SMALL, 1, "cybn")
    assert measured.seconds == 2.5
    assert measured.spread == (4.0 - 2.0) / 2 / 2.5


def test_geometric_mean():
    assert geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4)
    assert math.isnan(geometric_mean([]))


@pytest.mark.parametrize(("value", "text"), [
    (None, "-"), (math.nan, "-"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"),
    (0.1234, "0.123"), (0.00123, "0.00123"), (12345.6, "12346"), (0.0, "-"),
])
def test_numbers(value, text):
    assert report.number(value) == text


def test_goal_by_mean_and_by_lowest():
    def goal(**bounds):
        figures = {"a": 2.0, "b": 8.0}
        return goals.Goal("x", "y", lambda results, threads: figures, **bounds)

    assert goals.judge(goal(mean=4), Results(), 1).met
    assert not goals.judge(goal(mean=4.1), Results(), 1).met
    assert goals.judge(goal(mean=4, lowest=2), Results(), 1).met
    assert not goals.judge(goal(mean=4, lowest=2.1), Results(), 1).met
    assert goals.judge(goal(mean=4), Results(), 1).lowest_first[0] == ("a", 2.0)


def test_every_goal_is_shown_met_missed_or_not_measured():
    last = dataclasses.replace(BIG, layout="last")
    results = results_of(
        row(BIG, "cybn", 1.0), row(BIG, "cybn-out", 1.0), row(BIG, "torch", 7.0),
        row(BIG, "copy-streaming", 0.8, streams=2),
        row(last, "cybn", 1.0), row(last, "torch", 2.0),
        row(BIG, "cybn-out", 1.0, threads=2), row(BIG, "copy-streaming", 0.5, threads=2),
        footprint={"import_ms": 12.0, "wheel_mb": 2.0, "build_s": 10.0},
    )  # fmt: skip
    lines = report.goals(results).splitlines()
    shown = {line[:36].strip(): line for line in lines}
    assert len(lines) >= 2 + len(goals.GOALS) + len(goals.FOOTPRINT_GOALS)
    assert re.search(r" 7\.00 +7\.00 +met ", shown["forward, channels first, x PyTorch"])
    assert re.search(r" 2\.00 +2\.00 +MISSED ", shown["forward, channels last, x PyTorch"])
    assert re.search(r" 0\.800 +0\.800 +met +0\.500 +0\.500 +MISSED",
                     shown["forward, fraction of the limit"])
    assert re.search(r"not measured +0\.625 +0\.625 +MISSED",
                     shown["fraction kept from one thread on"])
    assert "not measured" in shown["other norms, x PyTorch"]
    assert re.search(r"12\.0 ms +met", shown["import beyond NumPy"])
    assert re.search(r"2\.00 MB +MISSED", shown["wheel"])
    assert "forward, channels last, x PyTorch, 1 thread, lowest first: 32x64x56x56* 2.00" in lines


def test_only_tensors_above_the_cache_count_against_the_limit():
    rows = [row(case, name, 1.0) for case in (BIG, SMALL) for name in ("cybn-out", "copy-plain")]
    figures = goals.of_limit(results_of(*rows), 1, modes=("forward",))
    assert list(figures) == [BIG.label]


def test_smallest_call_is_no_part_of_the_grid_goals():
    smallest = dataclasses.replace(SMALL, group=goals.SMALLEST)
    rows = [row(smallest, "cybn", 1e-6), row(smallest, "torch", 9e-6)]
    results = results_of(*rows)
    assert goals.faster(results, 1, modes=("forward",)) == {}
    assert goals.call_overhead(results, 1, modes=("forward",)) == {"4x8x7x7": pytest.approx(9)}
    assert "4x8x7x7, forward, training, 1 thread" in report.smallest(results)


def test_existing_arrays_are_held_against_existing_arrays():
    peers = [name for name in INTO_OUT if name != "cybn-out"]
    rows = [row(BIG, "cybn", 2.0), row(BIG, "cybn-out", 1.0)]
    results = results_of(*rows, *(row(BIG, name, 3.0) for name in peers), row(BIG, "numpy", 3.0))
    cells = report.speeds(results).splitlines()[-1].split()  # of the geometric means
    assert cells[-3:] == ["3.00"] * len(peers) + ["1.50"]


# Result files


def test_file_gives_back_what_was_saved(tmp_path):
    results = results_of(row(BIG, "cybn", [1.0, 2.0, 3.0]), footprint={"import_ms": 1.5})
    results.save(tmp_path / "a.json")
    loaded = Results.load(tmp_path / "a.json")
    assert loaded == results
    assert loaded.get(BIG, 1, "cybn").case == BIG


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"format": "other"}', '"text"', '{"format": "cybn benchmarks 1"}', "nul",
])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: not a result"):
        Results.load(tmp_path / "a.json")


@pytest.mark.parametrize(("old", "new", "ratio", "moved"), [
    ([1.0, 1.0, 1.0], [0.5, 0.5, 0.5], 2.0, True),
    ([1.0, 1.0, 1.0], [1.25, 1.25, 1.25], 0.8, True),
    ([1.0, 1.0, 1.0], [1.02, 1.02, 1.02], 1 / 1.02, False),
    ([0.7, 1.0, 1.3], [0.8, 1.25, 1.6], 0.8, False),
    ([1.0], [2.0], 0.5, False),
])
def test_change_is_measured_by_the_spread_of_the_repeats(old, new, ratio, moved):
    (change,) = changes(results_of(row(BIG, "cybn", old)), results_of(row(BIG, "cybn", new)))
    assert isinstance(change, Change)
    assert change.ratio == pytest.approx(ratio)
    assert change.moved is moved


def test_comparison_shows_what_moved(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    results_of(row(BIG, "cybn", 1.0), row(BIG, "torch", 1.0), row(SMALL, "cybn", 1.0)).save(old)
    results_of(row(BIG, "cybn", 0.5), row(BIG, "torch", 1.0)).save(new)
    assert main(["--compare", str(old), str(new)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^32x64x56x56 forward float32 .* 2\.00 +3% +faster$", text, re.MULTILINE)
    assert re.search(r"^torch, forward +1 +1\.00$", text, re.MULTILINE)
    assert "1 of 2 moved beyond noise; 1 only in the old file, 0 only in the new one." in text


# The command line


def test_two_tiny_shapes(tmp_path, capfd):
    kept = tmp_path / "kept.json"
    status = main([*TINY, *OURS, "--shapes", "4x3x5", "smallest", "--json", str(kept)])
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


def test_a_mismatch_fails_the_run(tmp_path, capsys):
    results = results_of(row(SMALL, "cybn", 1.0))
    results.machine |= {"processor": "p", "cpus": 1, "system": "s", "python": "3"}
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
    results.machine |= {"processor": "p", "cpus": 1, "system": "s", "python": "3"}
    results.save(tmp_path / "a.json")
    picture = tmp_path / "a.png"
    assert main(["--show", str(tmp_path / "a.json"), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"{picture} written" in capsys.readouterr().out


def test_list_runs_nothing(capsys):
    assert main(["--list", "--shapes", "image", "--compiled"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "contenders: " + ", ".join(CONTENDERS)
    assert text.count("batch_norm") == 2 * 3


def test_operations_that_cybn_lacks_are_left_out(capsys, monkeypatch):
    monkeypatch.setattr("cybn.available", lambda: ["BatchNorm1d"])
    assert main(["--list", "--shapes", "rows", "1d"]) == 0
    text = capsys.readouterr().out
    assert "left out: layer_norm: cybn has no LayerNorm yet" in text
    assert "5120x1024" not in text


@pytest.mark.parametrize(("arguments", "told"), [
    (["--shapes", "resnet"], "'resnet' is no group (resnet50, "),
    (["--shapes", "4096x256", "--layouts", "last"], "leaves no case"),
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
