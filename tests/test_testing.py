"""cybn.testing as a tool: what it takes, excuses, reports, errors, and what it leaves alone."""

import doctest
import importlib
import json
import os
import pickle
import re
from pathlib import Path
from typing import NamedTuple
from unittest import SkipTest

import numpy as np
import pytest
from runs import python
from wronglayers import Right
from wronglayers.assigned import Crashes, RefusesWithoutAName
from wronglayers.backward import BackwardOfNothing
from wronglayers.calls import AddsNoise
from wronglayers.hidden import InAnAttribute
from wronglayers.state import EvalReturnsNone, NeverFollows

import cybn
from cybn.command import cli
from cybn.options import PositiveInt
from cybn.testing import (
    ConformanceError,
    ConformanceErrors,
    Result,
    check_layer,
    check_names,
    checks_for,
    run_checks,
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


# Excuses, reports and errors


def test_an_excuse_is_reported():
    report = check_layer(NeverFollows, excuse={"train-moves-statistics": "frozen on purpose"})
    assert report.named("excused") == ["train-moves-statistics"]
    assert "excused         train-moves-statistics: frozen on purpose" in str(report)


def test_a_class_may_excuse_itself():
    class Excused(NeverFollows):
        excused_checks = {"train-moves-statistics": "frozen on purpose"}  # noqa: RUF012

    assert check_layer(Excused).named("excused") == ["train-moves-statistics"]


def test_an_excuse_that_is_not_needed_is_reported():
    report = check_layer("BN1d", excuse={"nan": "none"}, only=["nan"])
    assert report == [Result("nan", "passed", "the excuse is no longer needed")]


@pytest.mark.parametrize("where", ["excuse", "only"])
def test_an_unknown_check(where):
    with pytest.raises(ValueError, match="no check 'gradientx'; did you mean 'gradient-x'"):
        check_layer("BN1d", **{where: {"gradientx": "why"}})


def test_an_excused_check_is_skipped_by_pytest():
    excuse = {"determinism-repeat": "noise is the point"}
    (check,) = checks_for(AddsNoise, only=list(excuse), excuse=excuse)
    with pytest.raises(SkipTest, match="determinism-repeat is excused: noise is the point"):
        check()


def test_an_excuse_is_for_its_own_check_only():
    class Unbuilt(Right):
        def __init__(self, num_features: int = 4):
            raise ZeroDivisionError

    excuse = {"nan": "why"}
    with pytest.raises(ConformanceError, match="fails the check 'builds'"):
        check_layer(Unbuilt, excuse=excuse, only=["nan"])
    with pytest.raises(ConformanceError, match="fails the check 'builds'"):
        checks_for(Unbuilt, excuse=excuse, only=["nan"])[0]()


def test_beside_given_options_others_may_be_refused():
    class Choosy(Right):
        def __init__(self, num_features: PositiveInt, one: bool = True, two: bool = True):
            super().__init__(num_features, dtype="float32")
            vars(self).update(eps=0.1, momentum=0.1)
            if not (one or two):
                raise ValueError("one or two")

    assert check_layer(Choosy).named("failed") == []
    assert check_layer(Choosy, one=False).named("failed") == []
    assert check_layer({"type": Choosy, "two": False}).named("failed") == []


def test_strict_checks_are_advice_without_strict():
    report = check_layer(BackwardOfNothing)
    assert report.named("advice") == ["backward-first"]
    assert "raises RuntimeError" in str(report)
    with pytest.raises(ConformanceError, match="backward-first"):
        check_layer(BackwardOfNothing, strict=True)
    assert "backward-first" not in [check.name for check in checks_for(BackwardOfNothing)]


class ReturnsYAlone(Right):
    def apply(self, x, *, out=None):
        return super().apply(x, out=out)[0]


class Raises(Right):
    def pullback(self, saved, dy, *, out=None):
        raise KeyError("gamma")


class LosesAnAxis(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x)
        return y.sum(0), saved


class NamesGradsOtherwise(Right):
    def pullback(self, saved, dy, *, out=None):
        dx, grads = super().pullback(saved, dy, out=out)
        return dx, {"gamma": grads["weight"], "beta": grads["bias"]}


class ChangesX(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        if x is not out and x.flags.writeable:
            x += 1
        return y, saved


@pytest.mark.parametrize(
    ("layer", "root"),
    [
        (ReturnsYAlone, "runs"),
        (Raises, "runs"),
        (LosesAnAxis, "output-shape"),
        (NamesGradsOtherwise, "grads-names"),
        (ChangesX, "input-unchanged"),
        (AddsNoise, "determinism-repeat"),
        (InAnAttribute, "state-declared"),
    ],
)
def test_one_mistake_is_one_failure(layer, root):
    with pytest.raises(ConformanceError) as caught:
        check_layer(layer, strict=True)
    assert type(caught.value) is ConformanceError
    assert caught.value.check == root
    report, _ = run_checks(layer, strict=True)
    assert report.named("failed") == [root]
    skipped = [result for result in report if result.outcome == "skipped"]
    assert {result.detail for result in skipped} <= {f"needs {root!r}, which fails"}
    assert [result.check for result in report] == check_names()
    assert bool(skipped) == any(root in rule.needs for rule in ALL.values())


def test_what_a_failing_root_leaves_out_is_skipped_by_pytest():
    checks = {check.name: check for check in checks_for(LosesAnAxis)}
    with pytest.raises(ConformanceError, match="fails the check 'output-shape'"):
        checks["output-shape"]()
    with pytest.raises(SkipTest, match="gradient-x needs 'output-shape', which fails"):
        checks["gradient-x"]()


def test_without_its_root_in_the_list_a_check_fails_with_it():
    (check,) = checks_for(LosesAnAxis, only=["gradient-x"])
    with pytest.raises(ConformanceError, match="fails the check 'output-shape'"):
        check()
    with pytest.raises(ConformanceError, match="fails the check 'output-shape'"):
        check_layer(LosesAnAxis, only=["gradient-x", "nan"])


def test_an_excused_root_leaves_nothing_out():
    report = check_layer(
        AddsNoise, excuse={"determinism-repeat": "noise"}, only=["determinism-repeat", "nan"]
    )
    assert [result.outcome for result in report] == ["excused", "passed"]


class WithConstants(Right):
    """Right, with arrays that are no state: read-only, derived, or of no influence."""

    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        super().__init__(num_features, dtype="float32")
        self.one = np.ones(num_features)
        self.one.flags.writeable = False
        self.seen = [np.zeros(3)]
        self.half = 0.5

    def apply(self, x, *, out=None):
        self.seen[0] += 1
        y, saved = super().apply(x, out=out)
        y *= np.asarray(2 * self.half * self.one, y.dtype)
        return y, saved


def test_arrays_that_are_no_state_may_be_anywhere():
    assert check_layer(WithConstants, strict=True).named("failed") == []


def test_a_crash_is_a_failure_and_says_when():
    with pytest.raises(ConformanceError) as caught:
        check_layer(Crashes, only=["attributes-missing"], strict=True)
    assert "layer.running_mean = None a call with x of shape (6, 4)" in str(caught.value)
    assert "the process ends with SIGSEGV" in str(caught.value)


def test_without_fork_the_checks_run_in_this_process(monkeypatch):
    monkeypatch.delattr(os, "fork")
    assert check_layer(Right, only=["attributes-missing", "options-assigned"]).named("failed") == []
    with pytest.raises(ConformanceError, match="raises RuntimeError: no"):
        check_layer(RefusesWithoutAName, only=["options-assigned"], strict=True)


def test_one_error_has_all_failures():
    class Wrong(NeverFollows, EvalReturnsNone):
        pass

    with pytest.raises(ConformanceErrors) as caught:
        check_layer(Wrong)
    assert [e.check for e in caught.value.failures] == ["modes-return", "train-moves-statistics"]
    message = str(caught.value)
    assert message.startswith("Wrong fails 2 checks: modes-return, train-moves-statistics\n- Wrong")
    for error in caught.value.failures:
        assert str(error) in message
        assert error.shape == (6, 4)


def test_one_failure_is_its_own_error():
    with pytest.raises(ConformanceError) as caught:
        check_layer(NeverFollows)
    assert caught.value.check == "train-moves-statistics"
    assert isinstance(caught.value, AssertionError)


def test_errors_travel_between_processes():
    one = ConformanceError("nan", "Mine", "a number", "Do.", (3, 4), " for input (3, 4)")
    for error in (one, ConformanceErrors([one, one])):
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), str(twin), twin.shape) == (type(error), str(error), error.shape)


def test_ids_are_readable():
    checks = checks_for("BatchNorm1d", strict=True)
    assert [check.name for check in checks] == check_names()
    assert checks[-1].__name__ == "BatchNorm1d-nan"
    assert repr(checks[-1]) == "<check BatchNorm1d-nan>"


@pytest.mark.parametrize("name", check_names())
def test_every_check_explains_itself(name):
    rule = ALL[name]
    assert re.fullmatch(r"[a-z-]+", name)
    assert rule.promise.endswith(".")
    assert rule.fix.endswith(".")


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
def test_the_samples_of_docstrings(module):
    done = doctest.testmod(importlib.import_module(f"cybn.{module}"))
    assert done.attempted
    assert not done.failed


def test_the_guide_has_every_check():
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == {
        name: rule.promise + (" (strict)" if rule.strict else "") for name, rule in ALL.items()
    }
