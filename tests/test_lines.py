"""LpNormalization, MeanVarianceNormalization and WeightNorm: by their equations, on any axes."""

import numpy as np
import pytest
from runs import bits
from whole import central_differences, draw

import cybn

SHAPE = 3, 4, 2, 5


def lp(layer, x):
    size = np.linalg.norm(np.moveaxis(x, layer.axis, -1), layer.p, -1)
    size = np.expand_dims(np.maximum(size, layer.eps), layer.axis)
    return np.divide(x, size, out=np.zeros_like(x), where=size > 0)


def mvn(layer, x):
    std = x.std(layer.axes, keepdims=True)
    return (x - x.mean(layer.axes, keepdims=True)) / (std + layer.eps)


def weight_norm(layer, x):
    axes = tuple(i for i in range(x.ndim) if layer.dim is None or i != layer.dim % x.ndim)
    y = x / np.sqrt((x**2).sum(axes, keepdims=True))
    if layer.gain is None:
        return y
    shape = [1] * x.ndim
    shape[0 if layer.dim is None else layer.dim] = -1
    return y * layer.gain.reshape(shape)


CASES = [
    *((lp, cybn.LpNormalization(axis, p)) for axis in (0, 1, -2, 3) for p in (1, 2)),
    (lp, cybn.LpNormalization(eps=4.0)),
    (lp, cybn.LpNormalization(1, 1, 8.0)),
    *((mvn, cybn.MeanVarianceNormalization(axes)) for axes in ((0, 2, 3), (2, 3), (0, 3), (1,))),
    (mvn, cybn.MeanVarianceNormalization((-1, 0, 2, 1), eps=0.5)),
    (weight_norm, cybn.WeightNorm()),
    (weight_norm, cybn.WeightNorm(3, dtype="float64")),
    (weight_norm, cybn.WeightNorm(4, 1, dtype="float64")),
    (weight_norm, cybn.WeightNorm(3, None, dtype="float64")),
]
cases = pytest.mark.parametrize(("equation", "layer"), CASES, ids=[repr(one) for _, one in CASES])


@pytest.fixture(autouse=True)
def own_gain():
    for _, layer in CASES:
        for a in layer.parameters():
            a[...] = np.random.default_rng(5).uniform(0.3, 1.5, a.shape)


@cases
def test_output_and_gradients_are_those_of_the_equation(equation, layer):
    x, dy = draw(SHAPE), draw(SHAPE, seed=2)
    np.testing.assert_allclose(layer(x), equation(layer, x), rtol=1e-13, atol=1e-13)
    dx = layer.backward(dy)

    def loss():
        return (equation(layer, x) * dy).sum()

    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-7)
    for name, a in layer.named_parameters():
        expected = central_differences(loss, a)
        np.testing.assert_allclose(layer.grads[name], expected, rtol=1e-7, atol=1e-7)


@cases
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_float32_is_the_equation_rounded(equation, layer, size, threads):
    x, dy = (draw((3, 4, 60, 70), np.float32, seed) for seed in (1, 2))
    x *= np.float32(size)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(layer(x), equation(layer, wide), rtol=1e-5, atol=1e-6)
    dx = layer.backward(dy)
    assert dx.dtype == np.float32
    layer(wide)
    expected = layer.backward(dy.astype(np.float64))
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 1e300])
def test_squares_may_be_out_of_range(p, size):
    x, dy = np.array([[3.0, -4.0], [1e-3, 0.0]]), np.array([[1.0, 2.0], [1.0, 1.0]])
    layer, other = cybn.LpNormalization(p=p), cybn.LpNormalization(p=p)
    np.testing.assert_allclose(layer(x * size), other(x), rtol=1e-14)
    expected = other.backward(dy)
    np.testing.assert_allclose(layer.backward(dy) * size, expected, rtol=1e-13, atol=1e-13)
    weight = cybn.WeightNorm(2)
    np.testing.assert_allclose(weight(x * size), cybn.WeightNorm(2)(x), rtol=1e-14)
    inside = x * size
    assert bits(layer(inside, out=inside)) == bits(layer(x * size))
    moved = np.ascontiguousarray((x * size).T)
    np.testing.assert_allclose(cybn.LpNormalization(0, p)(moved).T, other(x), rtol=1e-14)


def test_nothing_stays_nothing():
    x, dy = np.zeros((2, 3)), np.ones((2, 3))
    for layer in (cybn.LpNormalization(), cybn.LpNormalization(p=1), cybn.WeightNorm(2)):
        assert bits(layer(x)) == bits(x)
        assert not layer.backward(dy).any()
    layer = cybn.LpNormalization(eps=0.5)
    assert not layer(x).any()
    assert bits(layer.backward(dy)) == bits(2 * dy)


@pytest.mark.parametrize("value", [1234.0, 0.1, 1e10, -3e38])
def test_a_constant_becomes_0(value):
    layer = cybn.MeanVarianceNormalization()
    x = np.full((3, 2, 7, 9), value, np.float32)
    assert not layer(x).any()
    assert np.isfinite(layer.backward(np.ones_like(x))).all()


def test_a_large_mean():
    x = np.float32([[[[1e7, 1e7 + 1]]]])
    np.testing.assert_allclose(cybn.MeanVarianceNormalization()(x), [[[[-1, 1]]]], rtol=1e-6)
    x = 2.0**52 + np.arange(8.0).reshape(1, 1, 1, 8)
    expected = cybn.MeanVarianceNormalization()(np.arange(8.0).reshape(1, 1, 1, 8))
    np.testing.assert_allclose(cybn.MeanVarianceNormalization()(x), expected, rtol=1e-12)


def test_a_gain_begins_as_the_lengths_of_a_weight():
    weight = draw((4, 3, 2), np.float32)
    for dim, many in ((0, 4), (1, 3), (-1, 2), (None, 9)):
        layer = cybn.WeightNorm(many, dim)
        layer.start(weight)
        np.testing.assert_allclose(layer(weight), weight, rtol=1e-6)
    assert layer.gain.shape == (1,)
    cybn.WeightNorm().start(weight)
    with pytest.raises(ValueError, match=r"expects 5 filters on axis 0, got 4 in \(4, 3, 2\)"):
        cybn.WeightNorm(5).start(weight)


def test_axes_that_x_has_not():
    x = draw((3, 4))
    with pytest.raises(ValueError, match=r"LpNormalization expects an x that has the axes 2,"):
        cybn.LpNormalization(2)(x)
    with pytest.raises(ValueError, match=r"has the axes \[0, 2, 3\], each once, got 2-D \(3, 4\)"):
        cybn.MeanVarianceNormalization()(x)
    with pytest.raises(ValueError, match=r"has the axes \[1, -1\], each once"):
        cybn.MeanVarianceNormalization((1, -1))(x)
    with pytest.raises(ValueError, match="WeightNorm expects an x that has the axes 2"):
        cybn.WeightNorm(3, 2)(x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_any_number_of_axes(dtype):
    for shape in ((7,), (1, 7), (2, 0), (0, 3)):
        x = np.ones(shape, dtype)
        layer = cybn.LpNormalization()
        assert layer(x).shape == layer.backward(x).shape == shape
    np.testing.assert_allclose(cybn.LpNormalization(p=1)(np.ones(4, dtype)), np.full(4, 0.25))
