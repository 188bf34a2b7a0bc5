"""benchmarks/: the arithmetic of the tables, the goals, and the files of results."""

import math
import re
from dataclasses import replace

import pytest
from benchmarking import BIG, NOTHING, SMALL, results_of, row

from benchmarks import cases, goals, report
from benchmarks.__main__ import main
from benchmarks.contenders import INTO_OUT
from benchmarks.grid import grid
from benchmarks.results import LIMIT, Results, geometric_mean, spread

LAST, BACKWARD = replace(BIG, layout="last"), replace(BIG, mode="backward")


def test_speed_limit_fraction_and_ratio():
    results = results_of(
        row(BIG, "cybn", [9.0, 2.0, 1.0]), row(BIG, "torch", 6.0),
        row(BIG, "limit-plain", 1.6), row(BIG, "limit-streaming", 1.0),
    )  # fmt: skip
    assert results.speed(BIG, 1, "cybn") == BIG.nbytes / 1e9
    assert results.seconds(BIG, 1, LIMIT) == 1.0
    assert results.ratio(BIG, 1, "cybn", LIMIT) == 0.5
    assert results.ratio(BIG, 1, "cybn", "torch") == 3
    assert results.ratio(BIG, 1, "cybn", "jax") is None
    assert results.ratio(BIG, 2, "cybn", "torch") is None
    assert results.contenders([BIG]) == ["cybn", "torch"]


def test_means():
    assert geometric_mean([1.0, 4.0, None, 16.0]) == pytest.approx(4)
    assert geometric_mean([None]) is None
    assert spread([4.0, 1.0, 2.0, 2.5, 100.0]) == (4.0 - 2.0) / 2 / 2.5
    assert spread([1.0, 1.0]) == math.inf


@pytest.mark.parametrize(("value", "text"), [
    (None, "-"), (math.nan, "-"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"),
    (0.1234, "0.123"), (0.00123, "0.00123"), (12345.6, "12346"), (0.0, "-"),
])  # fmt: skip
def test_numbers(value, text):
    assert report.number(value) == text


def of(operation, shape, mode="forward", group="other", threads=1, **seconds):
    case = cases.Case(operation, shape, mode=mode, group=group)
    return [row(case, name.replace("_", "-"), value, threads) for name, value in seconds.items()]


def test_every_goal_is_shown_met_missed_or_not_measured():
    tiny = {"shape": (8, 4), "group": cases.SMALLEST}
    results = results_of(
        *of("batch_norm", BIG.shape, cybn=1.0, torch=7.0, cybn_out=1.0, limit_plain=0.9),
        row(LAST, "cybn", 1.0), row(LAST, "torch", 1.5),
        *of("rms_norm", (256, 768), "backward", cybn=1.0, torch=0.9),
        *of("rms_norm", (30, 300), "backward", cybn=1.0, torch=90.0),
        *of("batch_norm_relu", BIG.shape, cybn=1.0, torch=8.0, cybn_unfused=0.5),
        *of("batch_norm_add_relu", BIG.shape, cybn=1.0, torch=8.0, cybn_unfused=0.5),
        *of("batch_norm", mode="backward", cybn=1.0, torch_op=2.0, torch=9.0, **tiny),
        *of("batch_norm", SMALL.shape, cybn_out=1.0, limit_plain=1e-3),
        *of("batch_norm", BIG.shape, threads=2, cybn_out=1.0, limit_plain=0.5),
        footprint={"import_ms": 12.0, "wheel_mb": 2.0},
    )  # fmt: skip
    large = cases.Case("batch_norm", (32, 512, 56, 56), dtype="bfloat16")
    results.add({**NOTHING, "rows": [
        row(large, name, value) for name, value in (
            ("cybn", 1.0), ("cybn-out", 1.0), ("cybn-float32", 1.7), ("torch", 1.9))
    ]})  # fmt: skip
    results.company = [
        {"megabytes": size, "mode": "forward", "threads": 2, "alone": 9.0, "numpy": 10.0,
         "torch": 10.0, "mean": 9.0, "busy": busy, "share": 0.5}
        for size, busy in ((0.25, 18.0), (25, 72.0))
    ]  # fmt: skip
    lines = report.goals(results).splitlines()
    shown = {}
    for line in lines:
        shown.setdefault(re.split("  +", line)[0], []).append(line)
    assert len(shown) >= 2 + len(goals.GOALS) + len(goals.FOOTPRINT)
    for goal, *told in (
        ("batch forward, channels first, x torch", r" 1 +7\.00 +7\.00 +met +1  batch_norm 32x64x"),
        ("batch forward, channels last, x torch", r" 1 +1\.50 +1\.50 +MISSED +1  batch_norm "),
        ("batch forward, channels first, above the cache, of the limit",
            r">= 0\.85 +1 +0\.900 +0\.900 +met ", r" 2 +0\.500 +0\.500 +MISSED "),
        ("batch, kept of the fraction on one thread", r" 2 +0\.556 +0\.556 +MISSED"),
        ("rms backward, x torch", r">= 5 +1 +1 +9\.00 +0\.900 +MISSED +2  rms_norm 256x768 "),
        ("float16/bfloat16, forward, above the cache, x cybn-float32", r" 1\.70 +1\.70 +met "),
        ("float16/bfloat16, forward, above the cache, x torch", r" 1\.90 +1\.90 +MISSED "),
        ("in turn with PyTorch's operators, of cybn alone", r" 0\.900 +MISSED +2  0\.25 MB "),
        ("beside busy processes, of the fair share", r" 0\.500 +0\.250 +MISSED +2  25 MB "),
        ("group forward, x torch", "not measured"),
        ("fused forward, channels first, x torch", r" 8\.00 +8\.00 +met "),
        ("fused forward, x cybn-unfused", r" 0\.500 +0\.500 +MISSED "),
        ("batch backward, smallest, x torch-op", r">= 2.5 +1 +2\.00 +2\.00 +MISSED "),
        ("batch backward, channels first, x torch", "not measured"),
        ("import beyond NumPy", r"<= 30 ms +12\.0 ms +met"),
        ("wheel", r"2\.00 MB +MISSED"),
        ("wheel built", "not measured"),
    ):  # fmt: skip
        for line, pattern in zip(shown[goal], told, strict=True):
            assert re.search(pattern, line), line
    below = "fused forward, x cybn-unfused, 1 thread, below: batch_norm_relu 32x64x56x56 float32 "
    assert any(line.startswith(below) for line in lines)


def test_each_goal_is_one():
    assert len({goal.what for goal in goals.GOALS}) == len(goals.GOALS)
    every = grid()
    assert all(any(goal.covers(case, 32 << 20) for case in every) for goal in goals.GOALS)


def test_existing_arrays_are_held_against_existing_arrays():
    peers = [name for name in INTO_OUT if name.startswith("onednn")]
    ours = [row(BIG, "cybn", 2.0), row(BIG, "cybn-out", 1.0), row(BIG, "limit-plain", 0.5)]
    results = results_of(*ours, *(row(BIG, name, 3.0) for name in [*peers, "numpy"]))
    cells = report.speeds(results).splitlines()[-1].split()  # of the geometric means
    assert cells[-5:] == ["0.250", "0.500", "3.00", "3.00", "1.50"]


def test_the_smallest_call_has_a_line_and_no_part_in_the_means():
    tiny = of("batch_norm", (8, 4), group=cases.SMALLEST, cybn=1e-6, torch=9e-6)
    lines = report.speeds(results_of(row(BIG, "cybn", 1.0), row(BIG, "torch", 2.0), *tiny))
    *_, line, mean = lines.splitlines()
    assert re.match(r"8x4 +float32 +0\.000122 +1\.00 .* 9\.00$", line)
    assert mean.endswith(" 2.00")


def test_footprint_names_the_wheel():
    known = {"wheel": "cybn-0-cp311-abi3-any.whl", "wheel_mb": 1.0, "build_s": 9.0}
    assert report.footprint(results_of(footprint=known)) == (
        "cybn-0-cp311-abi3-any.whl: 1.00 MB, built in 9.00 s"
    )


def test_file_gives_back_what_was_saved(tmp_path):
    results = results_of(row(BIG, "cybn", [1.0, 2.0, 3.0]), footprint={"import_ms": 1.5})
    results.left_out["jax"] = "jax is not installed"
    results.save(tmp_path / "a.json")
    loaded = Results.load(tmp_path / "a.json")
    assert loaded == results
    assert loaded.cases[0].group == BIG.group


def other(text):
    return lambda kept: text


@pytest.mark.parametrize("spoil", [
    *map(other, ["", "[]", "{}", '{"format": "other"}', '{"format": "cybn benchmarks 2"}', "nul"]),
    lambda kept: kept.replace("batch_norm", "other_norm"),
    lambda kept: kept.replace("1.0", "-1.0"),
])  # fmt: skip
def test_other_files_are_refused(tmp_path, spoil):
    path = tmp_path / "a.json"
    results_of(row(BIG, "cybn", 1.0)).save(path)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(ValueError, match=r"a\.json: not a result of --json"):
        Results.load(path)


@pytest.mark.parametrize(("old", "new", "ratio", "moved"), [
    ([1.0, 1.0, 1.0], [0.5, 0.5, 0.5], 2.0, True),
    ([1.0, 1.0, 1.0], [1.25, 1.25, 1.25], 0.8, True),
    ([1.0, 1.0, 1.0], [1.02, 1.02, 1.02], 1 / 1.02, False),
    ([0.7, 1.0, 1.3], [0.8, 1.25, 1.6], 0.8, False),
    ([1.0], [2.0], 0.5, False),
])  # fmt: skip
def test_change_is_measured_by_the_spread_of_the_repeats(old, new, ratio, moved):
    assert report.change(old, new)[::2] == (pytest.approx(ratio), moved)


def test_comparison_shows_what_moved(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    results_of(row(BIG, "cybn", 1.0), row(BIG, "torch", 1.0), row(SMALL, "cybn", 1.0)).save(old)
    results_of(row(BIG, "cybn", 0.5), row(BIG, "torch", 1.0)).save(new)
    assert main(["--compare", str(old), str(new)]) == 0
    text = capsys.readouterr().out
    moved = r"^batch_norm 32x64x56x56 float32 forward .* 2\.00 +3% +faster$"
    assert re.search(moved, text, re.MULTILINE)
    assert re.search(r"^batch, torch, forward +1 +1\.00$", text, re.MULTILINE)
    assert "1 of 2 moved beyond noise; 1 only in the old file, 0 only in the new one." in text


def test_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    rows = [row(case, name, 1.0, threads) for case in (BIG, BACKWARD) for threads in (1, 2)
            for name in ("cybn-out", "torch", "limit-streaming")]  # fmt: skip
    results_of(*rows).save(tmp_path / "a.json")
    picture = tmp_path / "a.png"
    assert main(["--show", str(tmp_path / "a.json"), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"{picture} written" in capsys.readouterr().out
    results_of(row(SMALL, "cybn-out", 1.0)).save(tmp_path / "a.json")
    assert main(["--show", str(tmp_path / "a.json"), "--plot", str(picture)]) == 2
    assert "no batch norm above 1 MiB was measured" in capsys.readouterr().err
