"""SpectralNorm: the largest singular value, its vectors as state, the gradient with them fixed."""

import copy

import numpy as np
import pytest
from runs import bits, state_bits
from sixteen import SIXTEEN, close
from whole import central_differences, draw

import cybn


def matrix(x, dim):
    return np.moveaxis(x, dim, 0).reshape(x.shape[dim], -1)


@pytest.mark.parametrize(("shape", "dim"), [((6, 4), 0), ((4, 6), 1), ((3, 5, 2, 2), -3)])
def test_it_converges_to_the_largest_singular_value(shape, dim):
    x = draw(shape)
    layer = cybn.SpectralNorm(50, dim=dim, dtype="float64")
    for _ in range(10):
        y = layer(x)
    values = np.linalg.svd(matrix(x, dim), compute_uv=False)
    np.testing.assert_allclose(y, x / values[0], rtol=1e-9)
    np.testing.assert_allclose(layer.eval()(x), y, rtol=1e-12)


@pytest.mark.parametrize(("shape", "dim"), [((6, 4), 0), ((4, 6, 3), 1)])
def test_the_gradient_has_the_vectors_as_constants(shape, dim):
    x, dy = draw(shape), draw(shape, seed=2)
    layer = cybn.SpectralNorm(dim=dim, dtype="float64")
    layer(x)
    layer.eval()
    u, v = layer._u.copy(), layer._v.copy()

    def loss():
        w = matrix(x, dim)
        return (x / (u @ w @ v) * dy).sum()

    np.testing.assert_allclose(layer(x), x / (u @ matrix(x, dim) @ v), rtol=1e-13)
    dx = layer.backward(dy)
    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-8)
    assert (bits(layer._u), bits(layer._v)) == (bits(u), bits(v))
    assert layer.grads == {}


def test_a_step_is_one_of_power_iteration():
    x = draw((6, 4))
    layer = cybn.SpectralNorm(dtype="float64")
    layer(draw((6, 4), seed=3))
    u = x @ layer._v
    u /= np.linalg.norm(u)
    v = u @ x
    v /= np.linalg.norm(v)
    layer(x)
    np.testing.assert_allclose(layer._u, u, rtol=1e-13)
    np.testing.assert_allclose(layer._v, v, rtol=1e-13)


def test_evaluation_before_any_training_is_that_of_the_first_steps():
    x = draw((6, 4), np.float32)
    layer = cybn.SpectralNorm().eval()
    y = layer(x)
    assert (layer._u, layer.out_channels, layer.state_dict()) == (None, None, {})
    assert abs(np.linalg.norm(y, 2) - 1) < 0.05
    sized = cybn.SpectralNorm(out_channels=6, fan_in=4).eval()
    assert bits(sized(x)) == bits(y)
    assert not sized._u.any()


def test_the_first_weight_decides_the_sizes():
    layer = cybn.SpectralNorm()
    layer(draw((6, 4, 3), np.float32))
    assert (layer.out_channels, layer.fan_in, layer._u.dtype) == (6, 12, np.float32)
    assert bits(cybn.create(layer.get_config())._v) == bits(np.zeros(12, np.float32))
    before = state_bits(layer)
    message = r"a weight of 6 filters on dim 0 with 12 values each, got \(5, 12\); build .*=5"
    with pytest.raises(ValueError, match=message):
        layer(draw((5, 12), np.float32))
    with pytest.raises(ValueError, match=r"12 values each, got \(6, 5\); build .* fan_in=5"):
        layer(draw((6, 5), np.float32))
    with pytest.raises(ValueError, match="SpectralNorm expects an x that has the axes 4"):
        cybn.SpectralNorm(dim=4)(draw((6, 5)))
    assert state_bits(layer) == before


def test_a_state_dict_tells_the_sizes_as_well():
    layer, x = cybn.SpectralNorm(), draw((6, 4), np.float32)
    layer(x)
    state, other = layer.state_dict(), cybn.SpectralNorm()
    assert other.load_state_dict(state) == ([], [])
    assert bits(other.eval()(x)) == bits(layer.eval()(x))
    for wrong in ({**state, "_u": state["_u"][None]}, {**state, "w": state["_u"]}):
        empty = cybn.SpectralNorm()
        with pytest.raises((ValueError, LookupError)):
            empty.load_state_dict(wrong)
        assert empty._u is None
        assert empty.out_channels is None
    assert bits(copy.deepcopy(layer)(x)) == bits(layer(x))


def test_a_vector_is_divided_by_its_length():
    x, dy = np.array([3.0, 4.0]), np.array([1.0, 0.0])
    layer = cybn.SpectralNorm()
    np.testing.assert_allclose(layer(x), [0.6, 0.8], rtol=1e-15)
    np.testing.assert_allclose(layer.backward(dy), [(1 - 0.36) / 5, -0.48 / 5], rtol=1e-14)
    assert layer._u is None


@pytest.mark.parametrize(("size", "eps"), [(1e-30, 0.0), (1e30, 1e-12)])
def test_weights_of_any_size(size, eps):
    """Small ones without an eps, which is the least length of a vector here as in PyTorch."""
    x, dy = draw((6, 4), np.float32), draw((6, 4), np.float32, 2)
    one, other = cybn.SpectralNorm(eps=eps), cybn.SpectralNorm(eps=eps)
    np.testing.assert_allclose(one(x * np.float32(size)), other(x), rtol=1e-4)
    dx = one.backward(dy).astype(np.float64) * size
    np.testing.assert_allclose(dx, other.backward(dy), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_sixteen_bits(dtype):
    x, dy = draw((6, 4)).astype(dtype), draw((6, 4), seed=2).astype(dtype)
    layer, wide = cybn.SpectralNorm(), cybn.SpectralNorm()
    close(layer(x), wide(x.astype(np.float64)), dtype)
    close(layer.backward(dy), wide.backward(dy.astype(np.float64)), dtype)


def test_nothing_stays_nothing():
    layer, x = cybn.SpectralNorm(), np.zeros((3, 4))
    assert bits(layer(x)) == bits(x)
    assert not layer.backward(np.ones((3, 4))).any()
