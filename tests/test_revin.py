"""RevIN: the way back, and the gradient through both ways."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits
from whole import central_differences, draw

import cybn

both = pytest.mark.parametrize("subtract_last", [False, True], ids=["mean", "last"])


def make(**options):
    layer = cybn.RevIN(3, **{"dtype": "float64", **options})
    layer.weight[...] = [0.5, -1.5, 2]
    layer.bias[...] = [0.25, 0, -1]
    return layer


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1e3]), st.sampled_from([2.0**-6, 1, 64]))
def test_inverse_undoes_forward(subtract_last, dtype, seed, offset, scale):
    layer = make(subtract_last=subtract_last)
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(4, 9, 3)) * scale + offset).astype(dtype)
    back = layer.inverse(layer(x))
    assert (back.dtype, back.shape) == (x.dtype, x.shape)
    # y is rounded to some four times its size, which std brings back
    size = 64 * (np.ptp(x) + np.abs(x).max())
    np.testing.assert_allclose(back, x, rtol=0, atol=size * np.finfo(dtype).eps)


def test_values_by_hand():
    layer = cybn.RevIN(2, eps=1.0, subtract_last=True, dtype="float64")
    layer.weight[...], layer.bias[...] = [2, 1], [1, 0]
    x = np.array([[[0.0, 5], [0, 5], [0, 5], [4, 5]]])  # variances 3 and 0: std 2 and 1
    np.testing.assert_array_equal(layer(x)[0].T, [[-3, -3, -3, 1], [0, 0, 0, 0]])
    forecast = np.array([[[3.0, 2], [1, -1]]])
    np.testing.assert_array_equal(layer.inverse(forecast), [[[6, 7], [4, 4]]])
    dy = layer.inverse_backward(np.ones((1, 2, 2)))
    np.testing.assert_array_equal(dy, [[[1, 1], [1, 1]]])
    # Σ (y - bias)/weight*std: of channel 0 by weight -Σ (y - 1)*2/2², by bias -Σ 2/2
    np.testing.assert_array_equal(layer.grads["weight"], [-1, -1])
    np.testing.assert_array_equal(layer.grads["bias"], [-2, -2])


@both
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("axis", [1, -1])
def test_gradients_of_both_ways_are_central_differences(subtract_last, affine, axis):
    """Of a model between them that takes the forecast from y by a fixed matrix."""
    options = {"subtract_last": subtract_last, "channel_axis": axis, "eps": 0.1}
    layer = make(**options) if affine else cybn.RevIN(3, affine=False, **options)
    time = 1 if axis == -1 else 2
    x = draw((2, 5, 3) if axis == -1 else (2, 3, 5))
    mix = draw((4, 5), seed=3)
    dz = draw((2, 4, 3) if axis == -1 else (2, 3, 4), seed=4)

    def model(a, matrix):
        return np.moveaxis(np.tensordot(a, matrix, (time, 1)), -1, time)

    def loss():
        return (layer.inverse(model(layer(x), mix)) * dz).sum()

    loss()
    dx = layer.backward(model(layer.inverse_backward(dz), mix.T))
    grads = layer.grads
    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-7)
    for name, a in layer.named_parameters():
        expected = central_differences(loss, a)
        np.testing.assert_allclose(grads[name], expected, rtol=1e-7, atol=1e-7)


@both
def test_detached_statistics_are_constants(subtract_last):
    """As in the authors' code: of a forward and its inverse, dx is weight/std*dy."""
    layer, through = (make(subtract_last=subtract_last, detach=d) for d in (True, False))
    x, dy = draw((2, 5, 3)), draw((2, 5, 3), seed=2)
    y = layer(x)
    through(x)
    layer.inverse(y)
    np.testing.assert_allclose(layer.backward(layer.inverse_backward(dy)), dy, rtol=1e-12)
    dx = layer.backward(dy)
    std = np.sqrt(x.var(1, keepdims=True) + layer.eps)
    np.testing.assert_allclose(dx, dy * layer.weight / std, rtol=1e-12)
    assert not np.allclose(through.backward(dy), dx)


def test_backward_may_be_asked_again_and_a_new_forward_forgets_the_inverse():
    layer, x = make(), draw((2, 5, 3))
    y = layer(x)
    alone, before = layer.backward(y), layer.grads
    layer.inverse(y)
    assert bits(layer.backward(y)) == bits(alone)  # no gradient has come through it yet
    layer.inverse_backward(y)
    first = layer.backward(y)
    assert bits(layer.backward(y)) == bits(first) != bits(alone)
    assert bits(layer.grads["bias"]) != bits(before["bias"])
    layer(x)
    assert bits(layer.backward(y)) == bits(alone)
    with pytest.raises(RuntimeError, match=r"needs an inverse since the last forward"):
        layer.inverse_backward(y)


def test_inverse_in_place_and_into_out():
    layer, x = make(), draw((2, 5, 3), np.float32)
    y = layer(x)
    z = layer.inverse(y)
    dy = layer.inverse_backward(x)
    out, dout = np.empty_like(y), np.empty_like(y)
    assert layer.inverse(y, out=out) is out
    assert layer.inverse_backward(x, out=dout) is dout
    assert (bits(out), bits(dout)) == (bits(z), bits(dy))
    inside, g = y.copy(), x.copy()
    assert layer.inverse(inside, out=inside) is inside
    assert layer.inverse_backward(g, out=g) is g
    assert (bits(inside), bits(g)) == (bits(z), bits(dy))


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (np.zeros((3, 5, 3)), ValueError, r"inverse expects 2 samples.*got 3 in \(3, 5, 3\)"),
        (np.zeros((2, 5, 4)), ValueError, r"inverse expects 3 channels on axis -1, got 4"),
        (np.zeros((2, 3)), ValueError, r"inverse expects 3-D input \(N, L, C\), got 2-D"),
        (np.zeros((2, 5, 3), int), TypeError, r"inverse takes float16, bfloat16"),
    ],
)
def test_an_inverse_that_cannot_be_changes_nothing(y, error, match):
    layer, x = make(), draw((2, 5, 3))
    z = layer(x)
    layer.inverse(z)
    dy, before = layer.inverse_backward(x), state_bits(layer)
    with pytest.raises(error, match=f"RevIN.{match}"):
        layer.inverse(y)
    assert state_bits(layer) == before
    assert bits(layer.inverse_backward(x)) == bits(dy)


def test_errors():
    layer, x = make(), draw((2, 5, 3))
    with pytest.raises(RuntimeError, match=r"RevIN.inverse needs a forward first"):
        layer.inverse(x)
    with pytest.raises(ValueError, match=r"more than 1 value .* x of shape \(2, 1, 3\)"):
        layer(x[:, :1])
    y = layer(x)
    layer.weight[1] = 0
    with pytest.raises(ValueError, match=r"RevIN.inverse cannot divide by the weight 0 of chan"):
        layer.inverse(y)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))], ids=["copy", "pickle"]
)
def test_a_copy_has_no_statistics_of_the_last_call(copied):
    layer, x = make(), draw((2, 5, 3))
    layer.inverse(layer(x))
    with pytest.raises(RuntimeError, match="needs a forward first"):
        copied(layer).inverse(x)
