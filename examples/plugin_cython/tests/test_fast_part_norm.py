"""FastPartNorm: every promise of a layer, and what is particular to it."""

import doctest

import cybn_fast_part_norm
import numpy as np
import pytest

import cybn
from cybn.testing import checks_for

rng = np.random.default_rng(0)


@pytest.mark.parametrize("check", checks_for("FastPartNorm"))
def test_conformance(check):
    check()


def test_it_is_found_by_name():
    assert "FastPartNorm" in cybn.available()
    described = cybn.describe("fast_part_norm")
    assert described["distribution"] == "cybn-fast-part-norm"
    assert described["module"] == "cybn_fast_part_norm"


def test_every_option_is_explained():
    options = cybn.describe("FastPartNorm")["options"]
    assert not [name for name, option in options.items() if not option["description"]]


def test_the_sample_in_the_docstring_runs():
    tried = doctest.testmod(cybn_fast_part_norm)
    assert (tried.failed, tried.attempted > 0) == (0, True)


# What FastPartNorm computes


def expected(layer, x, dy):
    """y and dx in NumPy and float64, as in the docstrings."""
    x, dy, axes = x.astype(float), dy.astype(float), tuple(range(2, x.ndim))
    weight, bias = (a.astype(float).reshape(-1, *(1,) * len(axes)) for a in layer.parameters())
    mean = x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(x.var(axes, keepdims=True) + layer.eps)
    xhat = (x - layer.part * mean) * rstd
    g = dy * weight
    mean_g, mean_g_xhat = g.mean(axes, keepdims=True), (g * xhat).mean(axes, keepdims=True)
    dx = rstd * (g - layer.part * mean_g - (x - mean) * rstd * mean_g_xhat)
    return xhat * weight + bias, dx


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("shape", [(4, 5, 6, 7), (2, 3, 5000), (3, 1, 1), (2, 40, 33)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_values(shape, part, dtype, tolerance):
    layer = cybn.create("FastPartNorm", num_features=shape[1], part=part, dtype="float64")
    for a in layer.parameters():
        a[...] = rng.normal(1, 2, a.shape)
    x, dy = rng.normal(3, 2, (2, *shape)).astype(dtype)
    y, dx = expected(layer, x, dy)
    np.testing.assert_allclose(layer(x), y, rtol=tolerance, atol=100 * tolerance)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=tolerance, atol=100 * tolerance)


@pytest.mark.parametrize("base", [0, 1e4, 1e7])
def test_a_large_mean_does_no_harm(base):
    x = (base + np.arange(64).reshape(1, 1, 64)).astype(np.float32)
    y = cybn.create("FastPartNorm", num_features=1, eps=1e-12)(x)
    z = (np.arange(64) - 31.5) / np.arange(64).std()
    np.testing.assert_allclose(y[0, 0], z, rtol=1e-5)


def test_squares_that_float32_cannot_hold():
    x = np.float32([[[1e30, -1e30, 3e30, -3e30]]])
    y = cybn.create("FastPartNorm", num_features=1)(x)
    np.testing.assert_allclose(y[0, 0], np.float32([1, -1, 3, -3]) / np.sqrt(5), rtol=1e-6)


def test_any_number_of_threads_gives_the_same_bits():
    x, dy = rng.normal(0, 1, (2, 7, 6, 5000)).astype(np.float32)
    before, results = cybn.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 5):
            cybn.set_num_threads(threads)
            layer = cybn.create("FastPartNorm", num_features=6)
            y, dx = layer(x), layer.backward(dy)
            arrays = (y, dx, *layer.grads.values())
            results.add(b"".join(a.tobytes() for a in arrays))
    finally:
        cybn.set_num_threads(before)
    assert len(results) == 1


def test_two_dimensions_are_too_few():
    layer = cybn.create("FastPartNorm", num_features=5)
    with pytest.raises(ValueError, match=r"FastPartNorm expects 3-D input .*, got 2-D"):
        layer(np.zeros((4, 5)))
