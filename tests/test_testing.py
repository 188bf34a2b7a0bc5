"""cybn.testing as a tool: what it takes, excuses, reports, errors, and what it leaves alone."""

import doctest
import importlib
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from runs import python
from wronglayers import Right
from wronglayers.calls import AddsNoise
from wronglayers.state import NeverFollows

import cybn
from cybn.command import cli
from cybn.options import PositiveInt
from cybn.testing import (
    ConformanceError,
    Result,
    check_layer,
    check_names,
)
from cybn.testing._run import ALL
from cybn.testing._subject import Subject

GUIDE = Path(__file__).parent.parent / "docs" / "testing.md"


# What it takes


@pytest.mark.parametrize(
    "spec",
    [
        "bn_1d",
        {"type": "BN1d", "num_features": 5, "eps": 1e-3},
        cybn.BatchNorm1d,
        cybn.BatchNorm1d(7, affine=False),
        lambda: cybn.BatchNorm1d(3),
        {"type": Right},
    ],
    ids=["name", "dict", "class", "layer", "function", "dict with a class"],
)
def test_specs(spec):
    before = dict(spec) if isinstance(spec, dict) else repr(spec)
    assert check_layer(spec).named("failed") == []
    assert (dict(spec) if isinstance(spec, dict) else repr(spec)) == before


def test_options_are_those_of_the_layer():
    subject = Subject("BatchNorm1d", None, num_features=6, affine=False)
    layers = [case.make() for case in subject.cases]
    assert [(a.num_features, a.affine) for a in layers] == [(6, False)] * 2
    report = check_layer("BatchNorm1d", affine=False)
    assert Result("gradient-parameters", "not applicable", "no parameters") in report


@pytest.mark.parametrize("wrong", [3, None, [], np.zeros(3)])
def test_what_is_no_spec(wrong):
    with pytest.raises(TypeError, match="a layer to check is given as a name, a dict"):
        check_layer(wrong)


def test_a_dict_without_a_type():
    with pytest.raises(ValueError, match="needs 'type', the layer's name"):
        check_layer({"num_features": 4})


def test_a_class_that_is_no_layer():
    with pytest.raises(TypeError, match=r"dict is no subclass of cybn\.Layer"):
        check_layer(dict)


def test_an_unknown_layer_is_no_failure_of_it():
    with pytest.raises(cybn.UnknownName, match="did you mean 'BatchNorm1d'"):
        check_layer("BatchNrm1d")


def test_a_function_that_returns_no_layer():
    with pytest.raises(ConformanceError, match=r"returned 3 \(int\), which is no cybn\.Layer"):
        check_layer(lambda: 3)


# Inputs


def test_shapes_are_found():
    shapes = {name: [c.shape for c in Subject(name).cases] for name in ("BN1d", "BN2d", "BN3d")}
    assert shapes == {
        "BN1d": [(6, 4), (6, 4, 4)], "BN2d": [(6, 4, 4, 4)], "BN3d": [(6, 4, 4, 4, 4)]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("axis", "width", "shape"),
    [(1, 16, (6, 16, 2, 2)), (-1, 16, (6, 2, 2, 16)), (1, 1, (6, 1, 4, 4)), (-1, 3, (6, 3, 3, 3))],
)
def test_shapes_follow_the_width(axis, width, shape):
    (case,) = Subject("BN2d", None, num_features=width, channel_axis=axis).cases
    assert case.shape == shape


@pytest.mark.parametrize("axis", [1, -1])
def test_the_width_follows_given_shapes(axis):
    (case,) = Subject("BN2d", [(8, 5, 2, 7)], channel_axis=axis).cases
    assert case.make().num_features == (5 if axis == 1 else 7)
    assert check_layer("BN2d", (8, 5, 2, 7), channel_axis=axis).named("failed") == []


def test_all_given_shapes_have_to_fit():
    with pytest.raises(ConformanceError, match=r"\(8, 4, 2, 2\): ValueError: BatchNorm1d expects"):
        check_layer("BatchNorm1d", [(8, 4), (8, 4, 2, 2)])


@pytest.mark.parametrize("shapes", [[], [()], [(0, 4)]])
def test_shapes_that_are_none(shapes):
    with pytest.raises(ValueError, match="input_shapes are shapes without empty axes"):
        check_layer("BatchNorm1d", shapes)


class Gated(cybn.Layer):
    """x times a gate, 1 where none is given; backward makes a mistake where one is."""

    num_features_option = None

    class Saved(NamedTuple):
        x: np.ndarray
        gate: np.ndarray

    def __init__(self, mistake: float = 0.0):
        pass

    def sample_inputs(self, x):
        return {"gate": np.linspace(0, 1, x.size, dtype=x.dtype).reshape(x.shape)}

    def apply(self, x, *, out=None, gate=None):
        x = self.begin(x, out)
        gate = np.ones_like(x) if gate is None else gate.astype(x.dtype)
        if gate.shape != x.shape:
            raise ValueError(f"Gated expects a gate of shape {x.shape}, got {gate.shape}")
        y = np.multiply(x, gate, out=np.empty_like(x) if out is None else out)
        return y, self.Saved(x, gate)

    def pullback(self, saved, dy, *, out=None):
        dy, gate = self.resume(saved, dy, out), saved.gate
        gate = gate + gate.dtype.type(self.mistake) * (gate != 1)
        return np.multiply(dy, gate, out=np.empty_like(saved.x) if out is None else out), {}


def test_further_inputs_are_passed():
    assert check_layer(Gated, strict=True).named("failed") == []
    says = r"for input \(6, 4\) and further inputs in training"
    with pytest.raises(ConformanceError, match=says):
        check_layer(Gated, only=["gradient-x"], mistake=0.5)


class Wide(cybn.Layer):
    """Scales the last axes; the width has another name and may be a list."""

    num_features_option = "sizes"

    class Saved(NamedTuple):
        x: np.ndarray
        weight: np.ndarray

    def __init__(self, sizes: PositiveInt | list[int], which: str, power: float = 1.0):
        shape = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        self.register_parameter("weight", np.ones(shape, np.float32))

    def apply(self, x, *, out=None):
        x = self.begin(x, out)
        if x.shape[max(0, x.ndim - self.weight.ndim) :] != self.weight.shape:
            raise ValueError(f"Wide expects {self.weight.shape} at the end, got {x.shape}")
        saved = self.Saved(x, self.weight.copy())
        return np.multiply(x, self.weight, out=out, dtype=x.dtype), saved

    def pullback(self, saved, dy, *, out=None):
        dy, (x, weight) = self.resume(saved, dy, out), saved
        grads = self.gradients(weight=np.sum(dy * x, tuple(range(x.ndim - weight.ndim))))
        return np.multiply(dy, weight, out=out, dtype=dy.dtype), grads


def test_required_options_and_widths_of_other_names():
    assert check_layer(Wide, strict=True).named("failed") == []
    two = Subject(Wide, None, sizes=[4, 2], which="x")
    assert [case.shape for case in two.cases] == [(6, 4, 2), (6, 2, 4, 2), (6, 2, 2, 4, 2)]


def test_a_first_axis_that_is_no_batch():
    class Rows(Wide):
        def apply(self, x, *, out=None):
            if x.shape[:1] != (6,):
                raise ValueError(f"Rows expects 6 rows, got {x.shape}")
            return super().apply(x, out=out)

    assert check_layer(Rows, strict=True).named("not applicable")[-2:] == ["empty", "tiny"]


# What it leaves alone


def test_threads_are_as_before(restore_threads):
    cybn.set_num_threads(2)
    check_layer("BN1d")
    assert cybn.get_num_threads() == min(2, cybn.get_num_threads())
    with pytest.raises(ConformanceError):
        check_layer(AddsNoise)
    from cybn.kernels import policy

    assert policy._wanted == 2


def test_a_layer_that_is_given_stays_as_it_is():
    layer = cybn.BatchNorm1d(4).eval()
    before = layer.state_dict()
    check_layer(layer)
    assert not layer.training
    assert all(np.array_equal(before[name], a) for name, a in layer.state_dict().items())


def test_nothing_but_numpy_is_imported():
    heavy = {"pytest", "hypothesis", "unittest"}
    assert python(f"import sys, cybn; cybn.testing; print({heavy} & {{*sys.modules}})") == "set()"


# The command line and the guide


def test_the_command(capsys):
    assert cli.main(["check-layer", "BN1d", "--shape", "8x3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == check_names()
    assert lines[-1] == f"BN1d: {len(lines) - 1} of {len(lines) - 1} checks passed, 0 failed"


def test_the_command_as_json(capsys):
    assert cli.main(["check-layer", "BN1d", "--json", "--excuse", "nan=why"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["layer"]) == (True, "BN1d")
    assert report["checks"][0] == {"check": "builds", "outcome": "passed", "detail": ""}
    assert [each["check"] for each in report["checks"]] == check_names()


def test_the_command_for_a_layer_that_fails(capsys, monkeypatch):
    monkeypatch.setattr(cybn.config.build.registry, "_entries", cybn.config.build.registry._entries)
    cybn.register("NeverFollows")(type("NeverFollows", (NeverFollows,), {}))
    assert cli.main(["check-layer", "NeverFollows"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("cybn: error: NeverFollows fails the check 'train-moves-statistics'")
    assert err.count("\n") == 1
    assert out.splitlines()[-1].endswith("1 failed")
    assert cli.main(["check-layer", "NeverFollows", "--excuse", "train-moves-statistics"]) == 0
    assert cli.main(["check-layer", "NeverFollows", "--json"]) == 1


@pytest.mark.parametrize(
    "module", ["testing", "testing._run", "testing._compare", "layers.base.layer"]
)
def test_the_samples_of_docstrings(module, own_registry):
    done = doctest.testmod(importlib.import_module(f"cybn.{module}"))
    assert done.attempted
    assert not done.failed


def test_the_guide_has_every_check():
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == {
        name: rule.promise + (" (strict)" if rule.strict else "") for name, rule in ALL.items()
    }
