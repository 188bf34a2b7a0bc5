"""A residual that is added in the pass of layer, RMS, group and partial RMS norm."""

import numpy as np
import pytest
from runs import bits
from strategies import DTYPES

import cybn

SPECS = [
    {"type": "LayerNorm", "normalized_shape": 48},
    {"type": "LayerNorm", "normalized_shape": (5, 48)},
    {"type": "RMSNorm", "normalized_shape": 48, "bias": True, "unit_offset": True},
    {"type": "LayerNorm", "normalized_shape": 40, "channel_axis": 1},
    {"type": "RMSNorm", "normalized_shape": 40, "channel_axis": 1},
    {"type": "GroupNorm", "num_groups": 4, "num_channels": 40},
    {"type": "GroupNorm", "num_groups": 4, "num_channels": 40, "channel_axis": 1, "affine": False},
    {"type": "PartialRMSNorm", "num_features": 48, "p": 0.4},
]
specs = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec["type"])


def drawn(dtype, shape=(3, 40, 5, 48)):
    rng = np.random.default_rng(1)
    return (rng.normal(1, 2, shape).astype(dtype) for _ in range(3))


def pair(spec):
    """Twice the layer, with the same parameters."""
    layers = cybn.create(spec), cybn.create(spec)
    rng = np.random.default_rng(2)
    for a in layers[0].parameters():
        a[...] = rng.normal(1, 1, a.shape)
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


@specs
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_added_to_the_output(spec, dtype):
    (layer, plain), (x, z, dy) = pair(spec), drawn(dtype)
    y = layer(x, residual=z)
    assert bits(y) == bits(plain(x) + z)
    dx = layer.backward(dy)
    assert bits(dx) == bits(plain.backward(dy))
    assert bits(layer.dresidual) == bits(dy)
    assert {k: bits(g) for k, g in layer.grads.items()} == {
        k: bits(g) for k, g in plain.grads.items()
    }
    layer(x)
    layer.backward(dy)
    assert layer.dresidual is None


@specs
def test_any_memory_order_and_place(spec):
    (layer, _), (x, z, dy) = pair(spec), drawn(np.float32)
    y = layer(x, residual=z)
    for other in (np.asfortranarray(z), np.repeat(z, 2, 0)[::2], np.flip(np.flip(z, 1).copy(), 1)):
        assert bits(layer(x, residual=other)) == bits(y)
    np.testing.assert_allclose(layer(np.asfortranarray(x), residual=z), y, 1e-4, 1e-4)
    own = x.copy()
    assert layer(own, residual=z, out=own) is own
    assert bits(own) == bits(y)
    assert layer.backward(dy).shape == x.shape
    own = z.copy()
    assert layer(x, residual=own, out=own) is own
    assert bits(own) == bits(y)
    both = x.copy()
    assert bits(layer(both, residual=both, out=both)) == bits(layer(x, residual=x))


@specs
def test_the_pair_keeps_nothing(spec):
    (layer, _), (x, z, dy) = pair(spec), drawn(np.float64)
    y, saved = layer.apply(x, residual=z)
    assert saved.added
    assert bits(y) == bits(layer(x, residual=z))
    _, grads = layer.pullback(saved, dy)
    assert bits(grads["residual"]) == bits(dy)


@specs
def test_sixteen_bits(spec):
    (layer, double), (x, z, dy) = pair(spec), drawn(np.float16)
    y = layer(x, residual=z)
    wide = double(x.astype(np.float64), residual=z.astype(np.float64))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, wide, 2.0**-9, 2.0**-8)
    assert layer.backward(dy).dtype == layer.dresidual.dtype == np.float16


@specs
def test_what_does_not_fit(spec):
    (layer, _), (x, z, _) = pair(spec), drawn(np.float32)
    before = bits(x)
    with pytest.raises(ValueError, match=r"residual of the input's shape \(3, 40, 5, 48\), got"):
        layer(x, residual=z[:2])
    with pytest.raises(TypeError, match="residual of the input's dtype float32, got float64"):
        layer(x, residual=z.astype(np.float64), out=x)
    assert bits(x) == before
