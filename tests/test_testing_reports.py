"""cybn.testing: what it reports and raises, and what it is excused from."""

import os
import pickle
import re
from unittest import SkipTest

import numpy as np
import pytest
from wronglayers import Right
from wronglayers.assigned import Crashes, RefusesWithoutAName
from wronglayers.backward import BackwardOfNothing
from wronglayers.calls import AddsNoise
from wronglayers.hidden import InAnAttribute
from wronglayers.state import EvalReturnsNone, NeverFollows

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
