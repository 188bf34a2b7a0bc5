"""python -m benchmarks.calls: what a call is made of. No test looks at a time."""

import re

import benchmarking  # noqa: F401
import numpy as np
import pytest
from runs import bits

import cybn
from benchmarks import calls, shapes
from benchmarks.contenders import Settings, find
from benchmarks.data import Data
from cybn import kernels

pytestmark = pytest.mark.usefixtures("restore_threads")

CASES = [
    case for shape in ("4x64x2x2", "16x64x1x2", "32x6")
    for case in shapes.grid(patterns=[shape], layouts=["first"])
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_the_kernels_alone_do_what_the_layer_does(case):
    (ours,), _ = find(["cybn"], Settings())
    call, outputs = ours.prepare(case, Data(case, 1)).call, []
    alone = calls.kernels_of(lambda: outputs.append(call(0)))
    y = outputs[0][0] if case.mode == "backward" else outputs[0]
    before = bits(y)
    y[...] = np.nan
    alone()
    assert bits(y) == before


def test_noting_leaves_the_kernels_as_they_were():
    before = {name: dict(each) for name, each in vars(kernels).items() if isinstance(each, dict)}
    with pytest.raises(ZeroDivisionError), calls.noting():
        raise ZeroDivisionError
    layer, x = cybn.BatchNorm1d(3), np.ones((4, 3), np.float32)
    assert calls.kernels_of(lambda: layer(x)) is not None
    assert calls.kernels_of(lambda: None) is None
    assert before == {
        name: dict(each) for name, each in vars(kernels).items() if isinstance(each, dict)
    }


def test_the_parts_of_a_call_add_up():
    case = CASES[0]
    cells = calls.row(case, {"cybn": 8.0, "kernel": 2.0, "torch": 20.0})
    assert cells[1:] == ["8.00", "2.00", "6.00", "75%", "20.0", "2.50"]
    assert calls.row(case, {"cybn": 8.0})[1:] == ["8.00", "-", "-", "-", "-", "-"]


def test_command(capsys):
    calls.main(["--shape", "32x6", "--norms", "batch", "rms", "--rounds", "1"])
    text = capsys.readouterr().out
    assert text.startswith("32x6 float32, 1 thread; _")
    labels = re.findall(r"^(\w+, [\w, ]+?)  ", text, re.MULTILINE)
    assert labels == [
        "batch_norm, forward, training", "batch_norm, backward", "batch_norm, evaluation",
        "rms_norm, forward, training", "rms_norm, backward",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [["--shape", "none"], ["--rounds", "0"], ["--norms", "x"]])
def test_bad_option_is_an_error(capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        calls.main(arguments)
    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err
