"""LayerNorm and RMSNorm over the channels of (N, C, ...), and weights as 1 + w, biases and weights
alone: values, gradients, memory orders, messages."""

import numpy as np
import pytest
from runs import bits
from strategies import DTYPES, view_id

import cybn
from cybn import functional, reference

SHAPES = [(3, 6), (2, 6, 40), (2, 48, 7, 7), (1, 65, 20, 33), (2, 5, 3, 2, 4), (4, 9, 1, 1),
          (0, 3, 4), (2, 3, 0)]  # fmt: skip
shapes = pytest.mark.parametrize("shape", SHAPES, ids=view_id)
names = pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])


def drawn(shape, dtype=np.float64):
    rng = np.random.default_rng(sum(shape))
    return (rng.normal(1, 2, shape).astype(dtype) for _ in range(2))


def learned(layer, seed=5):
    rng = np.random.default_rng(seed)
    for a in layer.parameters():
        a[...] = rng.normal(1, 1, a.shape)
    return layer


def twin(layer, x, dy):
    """y, dx and gradients by the reference."""
    shape = layer.normalized_shape
    weight = 1.0 if layer.weight is None else layer.weight + np.float64(layer.unit_offset)
    bias = 0.0 if layer.bias is None else layer.bias
    how = {"channel_axis": layer.channel_axis}
    if type(layer).__name__ == "LayerNorm":
        y = reference.layer_norm(x, shape, weight, bias, layer.eps, **how)
        dx, *grads = reference.layer_norm_backward(dy, x, shape, weight, layer.eps, **how)
    else:
        y = reference.rms_norm(x, shape, weight, layer.eps, bias, **how)
        dx, dweight = reference.rms_norm_backward(dy, x, shape, weight, layer.eps, **how)
        last = np.moveaxis(dy, layer.channel_axis, -1)
        grads = dweight, last.sum(tuple(range(x.ndim - len(shape))))
    return y, dx, dict(zip(("weight", "bias"), grads, strict=True))


def assert_as_the_twin(layer, x, dy, rtol=1e-9):
    y = layer(x)
    dx = layer.backward(dy)
    expected, dx_expected, grads = twin(layer, x, dy)
    np.testing.assert_allclose(y, expected, rtol, rtol)
    np.testing.assert_allclose(dx, dx_expected, rtol, rtol)
    assert set(layer.grads) == {name for name, _ in layer.named_parameters()}
    for name, grad in layer.grads.items():
        np.testing.assert_allclose(grad, grads[name], rtol, rtol * max(1, x.size))
    return y, dx


@names
@shapes
def test_over_channels(name, shape):
    x, dy = drawn(shape)
    layer = learned(cybn.create(name, normalized_shape=shape[1], channel_axis=1, dtype="float64"))
    layer.eps = 1e-3
    if x.size:
        assert_as_the_twin(layer, x, dy)
    else:
        assert layer(x).shape == layer.backward(dy).shape == shape


@names
@shapes
def test_memory_orders_strides_and_places_do_not_matter(name, shape):
    """Channels last in memory are rows, and as near; the output lies as x does."""
    x, dy = drawn(shape, np.float32)
    layer = learned(cybn.create(name, normalized_shape=shape[1], channel_axis=1))
    y = layer(x)
    dx, grads = layer.backward(dy), layer.grads
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    wide = np.repeat(x, 2, axis=0)[::2]
    for other in (last, wide, np.asfortranarray(x), np.flip(np.flip(x, 1).copy(), 1)):
        got = layer(other)
        np.testing.assert_allclose(got, y, 1e-5, 1e-5)
        np.testing.assert_allclose(layer.backward(dy), dx, 1e-5, 1e-5)
        for key, grad in layer.grads.items():
            np.testing.assert_allclose(grad, grads[key], 1e-4, 1e-4)
        if other is not wide and other.size:
            assert got.strides == np.empty_like(other).strides
    place = np.empty_like(x)
    assert layer(x, out=place) is place
    assert bits(place) == bits(y)
    own = x.copy()
    assert bits(layer(own, out=own)) == bits(y)
    above = dy.copy()
    assert bits(layer.backward(above, out=above)) == bits(dx)


@names
def test_sixteen_bits_over_channels(name):
    x, dy = drawn((2, 40, 9, 9), np.float16)
    layer = learned(cybn.create(name, normalized_shape=40, channel_axis=1))
    y, dx = layer(x), layer.backward(dy)
    assert y.dtype == dx.dtype == np.float16
    wide = [a.astype(np.float64) for a in (x, dy)]
    eps = layer.eps or float(np.finfo(np.float16).eps)
    double = learned(cybn.create(layer.get_config(), eps=eps))
    np.testing.assert_allclose(y, double(wide[0]), 2.0**-10, 2.0**-12)
    np.testing.assert_allclose(dx, double.backward(wide[1]), 2.0**-10, 2.0**-11)


def test_functions_over_any_axis():
    x, dy = drawn((3, 4, 5, 6))
    weight, bias = np.linspace(1, 2, 5), np.linspace(0, 1, 5)
    for axis in (2, -2):
        how = {"channel_axis": axis}
        y, stats = functional.layer_norm_forward(x, 5, weight, bias, **how)
        np.testing.assert_allclose(y, reference.layer_norm(x, 5, weight, bias, **how), 1e-12, 1e-12)
        assert stats.shape == (3, 72)
        np.testing.assert_allclose(stats[0], x.mean(2).ravel(), 1e-12)
        got = functional.layer_norm_backward(dy, x, stats, 5, weight, **how)
        for a, b in zip(got, reference.layer_norm_backward(dy, x, 5, weight, **how), strict=True):
            np.testing.assert_allclose(a, b, 1e-11, 1e-12)
        y, stats = functional.rms_norm_forward(x, 5, weight, 1e-3, bias=bias, **how)
        expected = reference.rms_norm(x, 5, weight, 1e-3, bias, **how)
        np.testing.assert_allclose(y, expected, 1e-12, 1e-12)
        dx, _ = functional.rms_norm_backward(dy, x, stats, 5, weight, **how)
        expected = reference.rms_norm_backward(dy, x, 5, weight, 1e-3, **how)[0]
        np.testing.assert_allclose(dx, expected, 1e-11, 1e-12)
        assert bits(functional.rms_norm(x, 5, weight, 1e-3, bias=bias, **how)) == bits(y)


@names
def test_what_does_not_fit(name):
    with pytest.raises(ValueError, match=r"channel_axis=1 goes with .* one axis, got \(4, 3\)"):
        cybn.create(name, normalized_shape=(4, 3), channel_axis=1)
    with pytest.raises(ValueError, match="channel_axis"):
        cybn.create(name, normalized_shape=4, channel_axis=0)
    layer = cybn.create(name, normalized_shape=4, channel_axis=1)
    with pytest.raises(ValueError, match=r"expects 4 channels on axis 1, got 3 in .*; for "):
        layer(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"4 channels on axis 1, got 1-D \(4,\)"):
        layer(np.ones(4))
    forward = functional.layer_norm_forward
    with pytest.raises(ValueError, match=r"channel_axis=1 goes with .* one axis"):
        forward(np.ones((2, 3, 4)), (3, 4), channel_axis=1)
    with pytest.raises(TypeError, match="int as channel_axis"):
        forward(np.ones((2, 3, 4)), 3, channel_axis=1.0)


@names
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("unit_offset", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_and_bias_each_alone(name, axis, weight, bias, unit_offset, dtype):
    layer = cybn.create(name, normalized_shape=6, eps=1e-3, channel_axis=axis, weight=weight,
                        bias=bias, unit_offset=unit_offset, dtype=dtype)  # fmt: skip
    assert (layer.weight is not None, layer.bias is not None) == (weight, bias)
    if weight:
        assert layer.weight.tolist() == [0.0 if unit_offset else 1.0] * 6
    x, dy = drawn((4, 6, 6))
    learned(layer)
    assert_as_the_twin(layer, x, dy, 1e-9 if dtype == "float64" else 1e-6)
    assert layer.get_config() == cybn.create(layer.get_config()).get_config()
    layer.reset_parameters()
    if weight:
        assert layer.weight.tolist() == [0.0 if unit_offset else 1.0] * 6


@pytest.mark.parametrize("spec", [
    {"type": "GroupNorm", "num_groups": 2, "num_channels": 6},
    {"type": "InstanceNorm1d", "num_features": 6, "affine": True},
    {"type": "BatchNorm1d", "num_features": 6},
], ids=lambda spec: spec["type"])  # fmt: skip
def test_a_bias_alone_on_channels(spec):
    x, dy = drawn((4, 6, 5))
    layer, plain = cybn.create(spec, weight=False), cybn.create(spec)
    assert layer.weight is None
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    layer.bias[:] = plain.bias[:] = np.arange(6)
    np.testing.assert_array_equal(layer(x), plain(x))
    np.testing.assert_array_equal(layer.backward(dy), plain.backward(dy))
    assert [*layer.grads] == ["bias"]
    np.testing.assert_array_equal(layer.grads["bias"], plain.grads["bias"])


def test_one_plus_weight_is_not_rounded_to_the_parameters_dtype():
    """Of a weight below the last bit of 1 some is left in float64 data."""
    layer = cybn.RMSNorm(2, unit_offset=True, eps=1e-30)
    layer.weight[:] = 1e-9
    assert layer(np.ones((1, 2))).tolist() == [[1 + np.float64(np.float32(1e-9))] * 2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("width", [5, 300, 5000])
def test_the_first_features_alone(dtype, axis, p, width):
    """PartialRMSNorm, around the borders of blocks, with rows that float32 cannot do."""
    shape = (3, width, 4) if axis == 1 else (3, 4, width)
    x, dy = drawn(shape, dtype)
    x[1] *= dtype(1e20)
    layer = learned(cybn.PartialRMSNorm(width, p, 1e-6, dtype=np.dtype(dtype).name,
                                        channel_axis=axis))  # fmt: skip
    how = {"eps": 1e-6, "channel_axis": axis, "counted": -int(-(width * p) // 1)}
    wide = [a.astype(np.float64) for a in (x, dy, layer.weight)]
    y, dx = layer(x), layer.backward(dy)
    near = 64 * np.finfo(dtype).eps
    expected = reference.rms_norm(wide[0], width, wide[2], **how)
    np.testing.assert_allclose(y, expected, near)
    expected, grad = reference.rms_norm_backward(wide[1], wide[0], width, wide[2], **how)
    most = np.abs(expected).max(axis, keepdims=True)
    assert (np.abs(dx - expected) <= near * most).all()
    np.testing.assert_allclose(layer.grads["weight"], grad, 100 * near, 100 * near)
