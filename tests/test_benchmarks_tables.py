"""benchmarks/: the arithmetic of the tables, the goals, and the files of results."""

import dataclasses
import math
import re

import pytest
from benchmarking import BIG, SMALL, results_of, row

from benchmarks import goals, report, shapes
from benchmarks.__main__ import main
from benchmarks.contenders import INTO_OUT
from benchmarks.results import Change, Results, changes, geometric_mean


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


def of_norm(operation, shape, **seconds):
    """Rows of both modes of training, on one thread."""
    return [
        row(shapes.Case(operation, shape, mode=mode), name, value)
        for mode in ("forward", "backward")
        for name, value in seconds.items()
    ]


def test_every_goal_is_shown_met_missed_or_not_measured():
    last = dataclasses.replace(BIG, layout="last")
    fused = {"cybn": 1.0, "torch": 8.0, "cybn-unfused": 0.5}
    results = results_of(
        row(BIG, "cybn", 1.0), row(BIG, "cybn-out", 1.0), row(BIG, "torch", 7.0),
        row(BIG, "copy-streaming", 0.8, streams=2),
        row(last, "cybn", 1.0), row(last, "torch", 2.0),
        *of_norm("layer_norm", (256, 768), cybn=1.0, torch=3.0),
        *of_norm("rms_norm", (256, 768), cybn=1.0, torch=0.9),
        *of_norm("rms_norm", (30, 300), cybn=1.0, torch=9.0),
        *of_norm("batch_norm_relu", (32, 64, 56, 56), **fused),
        *of_norm("batch_norm_add_relu", (32, 256, 56, 56), **fused),
        *of_norm("ghost_batch_norm", (32, 64, 56, 56), cybn=1.0, torch=5.0),
        row(BIG, "cybn-out", 1.0, threads=2), row(BIG, "copy-streaming", 0.5, threads=2),
        footprint={"import_ms": 12.0, "wheel_mb": 2.0, "build_s": 10.0},
    )  # fmt: skip
    lines = report.goals(results).splitlines()
    shown = {re.split("  +", line)[0]: line for line in lines}
    assert len(lines) >= 2 + len(goals.GOALS) + len(goals.FOOTPRINT_GOALS)
    assert re.search(r" 7\.00 +7\.00 +met ", shown["batch forward, channels first, x PyTorch"])
    assert re.search(r" 2\.00 +2\.00 +MISSED ", shown["batch forward, channels last, x PyTorch"])
    assert re.search(r" 0\.800 +0\.800 +met +0\.500 +0\.500 +MISSED",
                     shown["batch forward, fraction of the limit"])
    assert re.search(r"not measured +0\.625 +0\.625 +MISSED",
                     shown["batch fraction kept from one thread"])
    assert re.search(r" 3\.00 +3\.00 +met ", shown["LayerNorm forward, x PyTorch"])
    assert re.search(r" 2\.85 +0\.900 +MISSED ", shown["RMSNorm backward, x PyTorch"])
    assert "not measured" in shown["GroupNorm forward, x PyTorch"]
    assert "not measured" in shown["InstanceNorm backward, x PyTorch"]
    assert re.search(r" 8\.00 +8\.00 +met ", shown["fused forward, x PyTorch"])
    assert re.search(r" 0\.500 +0\.500 +MISSED ", shown["fused backward, x unfused here"])
    assert re.search(r" 5\.00 +5\.00 +MISSED ", shown["ghost forward, x PyTorch"])
    assert re.search(r" 5\.00 +5\.00 +met ", shown["ghost backward, x PyTorch"])
    assert re.search(r"12\.0 ms +met", shown["import beyond NumPy"])
    assert re.search(r"2\.00 MB +MISSED", shown["wheel"])
    operations = "32x64x56x56 batch_norm_relu 0.500, 32x256x56x56 batch_norm_add_relu 0.500"
    assert f"fused forward, x unfused here, 1 thread, lowest first: {operations}" in lines
    lowest = "1 thread, lowest first: 32x64x56x56* 2.00"
    assert f"batch forward, channels last, x PyTorch, {lowest}" in lines


def test_a_file_with_an_unknown_operation_is_refused(tmp_path):
    path = tmp_path / "a.json"
    results_of(row(BIG, "cybn", 1.0)).save(path)
    path.write_text(path.read_text().replace("batch_norm", "other_norm"))
    with pytest.raises(ValueError, match=r"a\.json: not a result of --json \('other_norm'\)"):
        Results.load(path)


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


def test_each_norm_has_tables_of_its_own():
    rows = [row(BIG, "cybn", 1.0), *of_norm("batch_norm_add_relu", (32, 64, 56, 56), **{
        "cybn": 1.0, "torch": 8.0, "cybn-unfused": 2.0, "copy-plain": 0.5})]  # fmt: skip
    plain, forward, backward = report.speeds(results_of(*rows)).split("\n\n\n")
    assert plain.startswith("batch norm: forward, training, 1 thread, float32\n")
    assert forward.startswith("batch norm with ReLU, and with sum and ReLU: forward, training, 1 ")
    assert backward.startswith("batch norm with ReLU, and with sum and ReLU: backward, 1 thread")
    assert "+ z" not in plain
    for text in (forward, backward):
        assert text.splitlines()[4].startswith("32x64x56x56 + z ")
        assert text.splitlines()[-1].split()[-2:] == ["2.00", "8.00"]
        assert "x cybn-unfused  x torch" in text


def test_footprint_names_the_wheel():
    known = {"wheel": "cybn-0-cp311-abi3-any.whl", "wheel_mb": 1.0, "build_s": 9.0}
    assert report.footprint(results_of(footprint=known)) == (
        "cybn-0-cp311-abi3-any.whl: 1.00 MB, built in 9.00 s"
    )


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
    moved = r"^batch_norm 32x64x56x56 float32 forward .* 2\.00 +3% +faster$"
    assert re.search(moved, text, re.MULTILINE)
    assert re.search(r"^batch, torch, forward +1 +1\.00$", text, re.MULTILINE)
    assert "1 of 2 moved beyond noise; 1 only in the old file, 0 only in the new one." in text


