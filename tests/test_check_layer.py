"""The conformance check: right layers pass, and each check fails for the mistake it is about."""

import pytest
from wronglayers import WRONG, Right

import cybn
from cybn.testing import ConformanceError, check_layer, check_names, checks_for
from cybn.testing._run import ALL

# What is right


@pytest.mark.parametrize("name", cybn.available())
def test_every_built_in_passes(name):
    report = check_layer(name, strict=True)
    assert [result.check for result in report] == check_names()
    assert report.named("failed") == report.named("advice") == []


@pytest.mark.parametrize("check", checks_for("BatchNorm2d", strict=True))
def test_as_a_parameter_of_a_test(check):
    check()


def test_a_right_plugin_passes_every_check():
    assert check_layer(Right, strict=True).named("passed") == check_names()


# What is wrong


@pytest.mark.parametrize(
    ("check", "layer", "says"), WRONG, ids=[f"{c}-{layer.__name__}" for c, layer, _ in WRONG]
)
def test_a_wrong_layer_is_caught(check, layer, says):
    (found,) = checks_for(layer, only=[check], strict=True)
    with pytest.raises(ConformanceError, match=says) as caught:
        found()
    error = caught.value
    assert (error.check, error.layer) == (check, layer.__name__)
    assert str(error).startswith(f"{layer.__name__} fails the check {check!r}")
    assert str(error).endswith(ALL[check].fix)


def test_every_check_has_a_layer_that_fails_it():
    assert {check for check, _, _ in WRONG} == set(check_names())


@pytest.mark.parametrize("layer", [cls for _, cls, _ in WRONG[::9]], ids=lambda cls: cls.__name__)
def test_check_layer_raises_for_a_wrong_layer(layer):
    with pytest.raises(ConformanceError):
        check_layer(layer, strict=True)
