"""Activation and residual in the passes of batch norm, against one after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits

import cybn
from cybn import reference
from cybn.functional import batch_norm_backward, batch_norm_forward
from cybn.functional.gates import GATES as ACTIVATIONS

SHAPES = [(7, 3), (40, 5, 2), (3, 4, 9, 9), (2, 3, 100), (70, 130), (1, 2, 5, 5), (33, 600, 3)]


def activate(v, activation):
    if activation == "relu":
        return np.maximum(v, 0)
    if activation == "relu6":
        return np.clip(v, 0, 6)
    return np.where(v > 0, v, 0.01 * v) if activation == "leaky_relu" else v


def slope(v, activation):
    if activation == "leaky_relu":
        return np.where(v > 0, 1.0, 0.01)
    if activation is None:
        return np.ones_like(v)
    return ((v > 0) & (v < 6 if activation == "relu6" else True)).astype(np.float64)


def data(shape, dtype=np.float64, seed=0, last=False):
    rng = np.random.default_rng(seed)
    c = shape[1]
    x, z, dy = (rng.normal(0.5, 2, shape).astype(dtype) for _ in range(3))
    if last:
        x, z, dy = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
                    for a in (x, z, dy))  # fmt: skip
    weight, bias = rng.normal(2, 1, c).astype(dtype), rng.normal(1, 1, c).astype(dtype)
    return x, z, dy, weight, bias


@pytest.mark.parametrize("last", [False, True], ids=["channels-first", "channels-last"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@given(
    activation=st.sampled_from([None, *ACTIVATIONS]),
    added=st.booleans(),
    training=st.booleans(),
    seed=st.integers(0, 100),
)
def test_the_fused_pass_is_the_reference(shape, last, activation, added, training, seed):
    x, z, dy, weight, bias = data(shape, seed=seed, last=last)
    running = np.full(shape[1], 0.25), np.full(shape[1], 2.0)
    ncl = [reference.to_ncl(np.ascontiguousarray(a)) for a in (x, z, dy)]
    mean, var = reference.moments(ncl[0]) if training else running
    v = reference.normalize(ncl[0], mean, var, weight, bias) + (ncl[1] if added else 0)
    g = ncl[2] * slope(v, activation)
    gradients = reference.backward_training if training else reference.backward_inference
    expected = gradients(g, ncl[0], mean, var, weight)

    how = {"activation": activation, "training": training}
    given_ = (None, None) if training else running
    y, stats = batch_norm_forward(x, weight, bias, *given_, residual=z if added else None, **how)
    assert y.strides == np.empty_like(x).strides
    np.testing.assert_allclose(
        y.reshape(v.shape) if not last else reference.to_ncl(np.ascontiguousarray(y)),
        activate(v, activation), rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    dz = np.full_like(x, np.nan)
    got = batch_norm_backward(dy, x, stats, weight, y=y, dresidual=dz, **how)
    np.testing.assert_allclose(np.ascontiguousarray(dz).reshape(g.shape), g, rtol=1e-15)
    for a, right in zip((np.ascontiguousarray(got[0]).reshape(g.shape), *got[1:]), expected,
                        strict=True):  # fmt: skip
        np.testing.assert_allclose(a, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_layer_is_the_sequence_bit_for_bit(activation, training):
    x, z, dy, weight, bias = data((6, 8, 5, 7), np.float32)
    fused = cybn.BatchNorm2d(8, activation=activation).train(training)
    plain = cybn.BatchNorm2d(8).train(training)
    for layer in (fused, plain):
        layer.weight[...], layer.bias[...] = weight, bias
    v = plain(x) + z
    y = fused(x, residual=z)
    assert np.array_equal(y, activate(v, activation).astype(np.float32))
    g = dy * slope(v, activation).astype(np.float32)
    dx, right = fused.backward(dy), plain.backward(g)
    assert np.array_equal(fused.dresidual, g)
    assert np.array_equal(dx, right)
    for name in ("weight", "bias"):
        assert bits(fused.grads[name]) == bits(plain.grads[name])
    assert bits(fused.backward(dy)) == bits(dx)
    fused(x)
    fused.backward(dy)
    assert fused.dresidual is None


@pytest.mark.parametrize("place", ["x", "residual"])
def test_in_place(place):
    x, z, dy, *_ = data((6, 8, 5, 5), np.float32)
    layer = cybn.BatchNorm2d(8, activation="relu")
    expected = layer(x, residual=z), layer.backward(dy), layer.dresidual
    arrays = {"x": x.copy(), "residual": z.copy()}
    y = layer(arrays["x"], out=arrays[place], residual=arrays["residual"])
    assert y is arrays[place]
    dx = dy.copy()
    layer.backward(dx, out=dx)
    assert [bits(a) for a in expected] == [bits(a) for a in (y, dx, layer.dresidual)]


def test_extremes_pass_the_gate_as_they_should():
    x = np.array([[1.0], [np.nan], [-np.inf], [np.inf], [-1.0]])
    one, zero = np.ones(1), np.zeros(1)
    for activation, right in (
        ("relu", [1, np.nan, 0, np.inf, 0]),
        ("relu6", [1, np.nan, 0, 6, 0]),
        ("leaky_relu", [1, np.nan, -np.inf, np.inf, -0.01]),
    ):
        y, _ = batch_norm_forward(
            x, None, None, zero, one, training=False, eps=0, activation=activation
        )
        np.testing.assert_array_equal(y.ravel(), right)


def test_wrong_arguments_are_named_and_change_nothing():
    layer = cybn.BatchNorm1d(3, activation="relu")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    before = layer.state_dict()
    for residual, error, words in (
        (x[:4], ValueError, r"residual of the input's shape \(5, 3\), got \(4, 3\)"),
        (x.astype(np.float64), TypeError, "residual of the input's dtype float32, got float64"),
        (x.astype(int), TypeError, "takes float16, bfloat16, float32 or float64 residual"),
    ):
        with pytest.raises(error, match=words):
            layer(x, residual=residual)
    backing = np.zeros((6, 3), np.float32)
    with pytest.raises(ValueError, match="overlaps the input in part"):
        layer(x, out=backing[1:], residual=backing[:-1])
    for name, a in layer.state_dict().items():
        assert bits(a) == bits(before[name])
    with pytest.raises(ValueError, match="knows the activations 'relu'"):
        batch_norm_forward(x, activation="softsign")
    y, stats = batch_norm_forward(x, activation="relu")
    with pytest.raises(ValueError, match="needs y, what forward returned"):
        batch_norm_backward(x, x, stats, activation="relu")
    dy = np.ones_like(x)
    with pytest.raises(ValueError, match="a dresidual that overlaps dy"):
        batch_norm_backward(dy, x, stats, activation="relu", y=y, dresidual=dy)
    with pytest.raises(ValueError, match="an out that overlaps y"):
        batch_norm_backward(dy, x, stats, activation="relu", y=y, out=y)
