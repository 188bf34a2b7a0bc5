"""PartNorm: every promise of a layer, and what is particular to it."""

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


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_what_is_left_of_the_mean(part):
    x = rng.normal(3, 2, (4, 5, 6, 7))
    y = cybn.create("PartNorm", num_features=5, part=part, eps=1e-12)(x)
    left = (1 - part) * x.mean((2, 3)) / x.std((2, 3))
    np.testing.assert_allclose(y.mean((2, 3)), left, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(y.std((2, 3)), 1, rtol=1e-9)


def test_two_dimensions_are_too_few():
    layer = cybn.create("PartNorm", num_features=5)
    with pytest.raises(ValueError, match=r"PartNorm expects 3-D or 4-D or 5-D input, got 2-D"):
        layer(np.zeros((4, 5)))
