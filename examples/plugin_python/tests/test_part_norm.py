"""PartNorm: every promise of a layer, and what is particular to it."""

import doctest

import cybn_part_norm
import numpy as np
import pytest

import cybn
from cybn.testing import checks_for

rng = np.random.default_rng(0)


@pytest.mark.parametrize("check", checks_for("PartNorm"))
def test_conformance(check):
    check()


def test_it_is_found_by_name():
    assert "PartNorm" in cybn.available()
    described = cybn.describe("part_norm")
    assert (described["distribution"], described["module"]) == ("cybn-part-norm", "cybn_part_norm")


def test_every_option_is_explained():
    options = cybn.describe("PartNorm")["options"]
    assert not [name for name, option in options.items() if not option["description"]]


def test_the_sample_in_the_docstring_runs():
    tried = doctest.testmod(cybn_part_norm)
    assert (tried.failed, tried.attempted > 0) == (0, True)


# What PartNorm computes


def test_values_by_hand():
    """Mean 2, of which 1 is taken off; variance 4 and eps 1, so that rstd is 1/sqrt(5)."""
    layer = cybn.create("PartNorm", num_features=1, part=0.5, eps=1.0, dtype="float64")
    layer.weight[...], layer.bias[...] = 10, 1
    y = layer(np.array([[[0.0, 4.0]], [[0.0, 4.0]]]))
    by_hand = np.array([-10, 30]) / 5**0.5 + 1
    np.testing.assert_allclose(y, [[by_hand], [by_hand]], rtol=1e-12)
    # g = 10, 0: mean(g) = 5, mean(g·xhat) = -5/sqrt(5)
    dx = layer.backward(np.array([[[1.0, 0.0]], [[0.0, 0.0]]]))
    first = (np.array([10, 0]) - 0.5 * 5 + np.array([-2, 2]) * 5 / 5) / 5**0.5
    np.testing.assert_allclose(dx, [[first], [[0, 0]]], rtol=1e-12)
    np.testing.assert_allclose(layer.grads["weight"], [-1 / 5**0.5], rtol=1e-12)
    np.testing.assert_allclose(layer.grads["bias"], [1], rtol=1e-12)


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_what_is_left_of_the_mean(part):
    x = rng.normal(3, 2, (4, 5, 6, 7))
    y = cybn.create("PartNorm", num_features=5, part=part, eps=1e-12)(x)
    left = (1 - part) * x.mean((2, 3)) / x.std((2, 3))
    np.testing.assert_allclose(y.mean((2, 3)), left, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(y.std((2, 3)), 1, rtol=1e-9)


def test_two_dimensions_are_too_few():
    layer = cybn.create("PartNorm", num_features=5)
    with pytest.raises(ValueError, match=r"PartNorm expects 3-D input .*, got 2-D"):
        layer(np.zeros((4, 5)))
