"""python -m benchmarks: the grid and the command lines, on tiny settings. No time is tested."""

import json
import re
from importlib.util import find_spec

import pytest
from benchmarking import SMALL, results_of, row

from benchmarks import calls, cases, report
from benchmarks.__main__ import main
from benchmarks.contenders import CONTENDERS, LIMITS
from benchmarks.grid import grid

pytestmark = pytest.mark.usefixtures("restore_threads")


def test_grid_has_every_operation_and_every_case_once():
    every = grid()
    assert len(set(every)) == len(every)
    assert all(case.does.takes(case.shape) for case in every)
    assert {case.dtype for case in every} == {"float32", *cases.SIXTEEN}
    batch = [case for case in every if case.group == "resnet50" and case.norm == "batch"]
    assert len(batch) == 9 * 2 * 3
    smallest = {case.operation for case in every if case.group == cases.SMALLEST}
    assert smallest == set(cases.OPERATIONS)
    for some in (every, grid(quick=True)):
        assert {case.operation for case in some} == set(cases.OPERATIONS)
        modes = {(case.norm, case.mode) for case in some} | {("ghost", "evaluation")}
        assert modes == {(norm, mode) for norm in cases.NORMS for mode in cases.MODES}
    assert set(grid(quick=True)) < set(every)


def test_what_is_of_sixteen_bits_is_above_a_cache_of_32_mib():
    sixteen = [case for case in grid() if case.group == "sixteen"]
    assert {case.dtype for case in sixteen} == set(cases.SIXTEEN)
    assert min(case.nbytes for case in sixteen) > 32 << 20


@pytest.mark.parametrize(
    ("pattern", "labels"),
    [
        ("32x64x56x56", {"32x64x56x56", "32x64x56x56*", "32x64x56x56 + z"}),
        ("3d", {"2x16x40x40x40"}),
        ("100x16*", {"100x16x784"}),
        (
            "layer_norm",
            {"30x300", "256x768", "5120x1024", "32768x768", "8192x4096", "8x4", "900x700 cached"},
        ),
        ("IterNorm", {"32x256x14x14", "1x32x2x2"}),
    ],
)
def test_shapes_by_name(pattern, labels):
    assert {case.label for case in grid(patterns=[pattern])} >= labels


@pytest.mark.parametrize(
    ("shape", "norms"),
    [
        ("5x6", {"batch", "layer", "rms", "fused", "research"}),
        ("1x6", {"layer", "rms", "research"}),
        ("1x32x2", {"batch", "group", "instance", "fused", "research"}),
        ("16x6x1x1", {"batch", "fused", "ghost"}),
        ("256x6", {"batch", "layer", "rms", "fused", "ghost", "research"}),
    ],
)
def test_a_shape_is_a_case_for_each_norm_that_takes_it(shape, norms):
    assert {case.norm for case in grid(patterns=[shape])} == norms


@pytest.mark.parametrize(
    ("operation", "mode", "useful", "above", "below"),
    [
        ("batch_norm", "forward", 2, (2, 1), (1, 1)),
        ("batch_norm", "backward", 3, (4, 1), (2, 1)),
        ("batch_norm", "evaluation", 2, (1, 1), (1, 1)),
        ("batch_norm_add_relu", "forward", 3, (3, 1), (2, 1)),
        ("batch_norm_add_relu", "backward", 5, (6, 2), (3, 2)),
    ],
)
def test_bytes_that_channels_last_forces(operation, mode, useful, above, below):
    for layout, shape in (("last", (2, 3, 4, 5)), ("first", (40, 3))):
        case = cases.Case(operation, shape, layout, mode=mode)
        assert case.useful == useful * case.nbytes == useful * 480
        assert case.forced(cache=479) == above
        assert case.forced(cache=480) == below
    assert cases.Case(operation, (2, 3, 4, 5), mode=mode).forced(cache=0) == below


TINY = ["--repeats", "1", "--no-footprint", "--no-company", "--threads", "1"]
OURS = ["cybn", "cybn-out", "cybn-unfused", "numpy"]


def test_every_norm_has_its_table(tmp_path, capfd):
    kept, shapes = tmp_path / "kept.json", ["--shapes", "16x32x2x3", "256x6"]
    shapes += ["--modes", "backward", "--json", str(kept)]
    status = main([*TINY, "--contenders", *OURS, *shapes])
    shown = capfd.readouterr()
    assert (status, shown.err) == (0, "")
    for norm, title in report.NORM_TITLES.items():
        there = norm != "research" or find_spec("torch") is not None
        assert (f"\n{title}: backward, 1 thread\n" in shown.out) == there
    assert re.search(r"^16x32x2x3\* +float32 ", shown.out, re.MULTILINE)
    assert re.search(r"^256x6 \+ z +float32 ", shown.out, re.MULTILINE)
    measured = r"^fused backward, x cybn-unfused +>= 1 +1 +1 +[\d.]+ +[\d.]+ "
    assert re.search(measured, shown.out.partition("The goals, ")[2], re.MULTILINE)
    rows = json.loads(kept.read_text())["samples"]
    left_out = {name for name in LIMITS if f"left out: {name}" in shown.out}
    assert {r["contender"] for r in rows} == {*OURS, *LIMITS} - left_out
    assert main(["--show", str(kept)]) == 0
    assert capfd.readouterr().out == shown.out


def test_a_mismatch_fails_the_run(tmp_path, capsys):
    results = results_of(row(SMALL, "cybn", 1.0))
    results.problems.append("cybn, somewhere: y is off")
    results.save(tmp_path / "a.json")
    assert main(["--show", str(tmp_path / "a.json")]) == 1
    assert "PROBLEM: cybn, somewhere: y is off" in capsys.readouterr().out


def test_list_runs_nothing(capsys):
    assert main(["--list", "--shapes", "image", "--norms", "batch"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "contenders: " + ", ".join(CONTENDERS)
    assert text.count("batch_norm") == 2 * 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shapes", "resnet"], "'resnet' is no group (resnet50, "),
        (["--shapes", "0x3"], "'0x3' is no group"),
        (["--shapes", "4096x256", "--layouts", "last"], "leaves no case"),
        (["--norms", "group", "--shapes", "8x48x2x2"], "'8x48x2x2' is no group (resnet50, "),
        (["--norms", "sideways"], "invalid choice: 'sideways'"),
        (["--threads", "0"], "'0' is no integer from 1 to 1024"),
        (["--contenders", "nobody"], "invalid choice: 'nobody'"),
        (["--seed", "-1", "--shapes", "smallest"], "--seed must not be negative"),
        (["--json", "{tmp}/none/a.json"], "none/a.json: no file can be written there"),
        (["--compare", "{tmp}/a.json", "{tmp}/b.json"], "a.json"),
        (["--show", "{tmp}/a.json"], "a.json"),
    ],
)
def test_bad_option_is_one_line(tmp_path, capsys, arguments, told):
    try:
        status = main([argument.format(tmp=tmp_path) for argument in arguments])
    except SystemExit as exit_:
        status = exit_.code
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert re.fullmatch(r"python -m benchmarks: error: .+\n", shown.err)
    assert told in shown.err


def test_calls(capsys):
    calls.main(["--shape", "32x6", "--norms", "batch", "rms", "--rounds", "1"])
    text = capsys.readouterr().out
    assert text.startswith("32x6 float32, 1 thread; ")
    # Of one round the call may be found quicker than its kernel: then "-" is left for Python.
    figures = r"^(\w+, [\w, ]+?)(?:  +(?:[\d.]+|-)){4}% "
    assert re.findall(figures, text, re.MULTILINE) == [
        "batch_norm, forward, training", "batch_norm, backward", "batch_norm, evaluation",
        "rms_norm, forward, training", "rms_norm, backward", "rms_norm, evaluation",
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        calls.main(["--shape", "none"])
    assert "error: 'none' is no group" in capsys.readouterr().err


def test_the_parts_of_a_call_add_up():
    cells = calls.row(SMALL, {"cybn": 8.0, "kernel": 2.0, "torch": 20.0})
    assert cells[1:] == ["8.00", "2.00", "6.00", "75%", "20.0", "2.50"]
    assert calls.row(SMALL, {"cybn": 8.0})[1:] == ["8.00", "-", "-", "-", "-", "-"]
