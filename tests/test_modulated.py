"""AdaptiveLayerNorm and GatedRMSNorm with what a call brings, and their gradients."""

import numpy as np
import pytest
from runs import bits, state_bits
from sixteen import close
from whole import central_differences, draw

import cybn

ADAPTIVE = [
    {},
    {"affine": True},
    {"affine": True, "bias": False, "unit_offset": False},
    {"unit_offset": False, "eps": 0.5},
]
GATED = [
    {},
    {"group_size": 2, "norm_before_gate": False},
    {"activation": "sigmoid"},
    {"activation": "sigmoid", "norm_before_gate": False, "affine": False},
    {"group_size": 3, "eps": 0.5},
]
shapes = pytest.mark.parametrize("shape", [(3, 6), (3, 5, 6), (2, 3, 2, 6)])


def moments_of(x, groups=1):
    a = x.reshape(*x.shape[:-1], groups, -1)
    return a, a.mean(-1, keepdims=True), a.var(-1, keepdims=True)


def adaptive(layer, x, scale=None, shift=None):
    _, mean, var = moments_of(x)
    y = (x - mean[..., 0]) / np.sqrt(var[..., 0] + layer.eps)
    y = y if layer.weight is None else y * layer.weight
    y = y if layer.bias is None else y + layer.bias
    shape = len(x), *[1] * (x.ndim - 2), x.shape[-1]
    y = y if scale is None else y * (layer.unit_offset + scale).reshape(shape)
    return y if shift is None else y + shift.reshape(shape)


def gated(layer, x, gate=None):
    factor = 1
    if gate is not None:
        factor = 1 / (1 + np.exp(-gate)) * (gate if layer.activation == "silu" else 1)
    u = x if layer.norm_before_gate else x * factor
    a, _, _ = moments_of(u, x.shape[-1] // (layer.group_size or x.shape[-1]))
    y = (a / np.sqrt((a * a).mean(-1, keepdims=True) + layer.eps)).reshape(x.shape)
    y = y if layer.weight is None else y * layer.weight
    return y * factor if layer.norm_before_gate else y


def make(name, options, dtype="float64", **more):
    layer = cybn.create({"type": name, "num_features": 6, "dtype": dtype, **options, **more})
    for a in layer.parameters():
        a[...] = np.random.default_rng(5).uniform(0.3, 1.5, a.shape)
    return layer


CASES = [
    *((adaptive, "AdaptiveLayerNorm", options) for options in ADAPTIVE),
    *((gated, "GatedRMSNorm", options) for options in GATED),
]
cases = pytest.mark.parametrize(("equation", "name", "options"), CASES)


def given_for(name, shape, dtype=np.float64):
    if name == "GatedRMSNorm":
        return {"gate": draw(shape, dtype, 3)}
    return {"scale": draw((shape[0], 6), dtype, 3), "shift": draw((shape[0], 6), dtype, 4)}


@cases
@shapes
def test_output_and_gradients_are_those_of_the_equation(equation, name, options, shape):
    layer, x, dy, given = make(name, options), draw(shape), draw(shape, seed=2), {}
    for each, a in given_for(name, shape).items():
        given[each] = a  # one of them, then all
        np.testing.assert_allclose(layer(x, **given), equation(layer, x, **given), rtol=1e-12)
        dx = layer.backward(dy)
        grads = dict(layer.grads)

        def loss(given=given):
            return (equation(layer, x, **given) * dy).sum()

        np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-6, atol=1e-7)
        for parameter, array in layer.named_parameters():
            expected = central_differences(loss, array)
            np.testing.assert_allclose(grads[parameter], expected, rtol=1e-6, atol=1e-7)
        for key, array in given.items():
            got = getattr(layer, f"d{key}")
            assert (got.shape, got.dtype) == (array.shape, array.dtype)
            np.testing.assert_allclose(got, central_differences(loss, array), rtol=1e-6, atol=1e-7)
    assert list(grads) == [parameter for parameter, _ in layer.named_parameters()]


@cases
def test_channels_first_in_place_and_any_memory(equation, name, options):
    shape = 3, 4, 6
    x, dy, given = draw(shape), draw(shape, seed=2), given_for(name, shape)
    last, first = make(name, options), make(name, options, channel_axis=1)
    y, dx = last(x, **given), last.backward(dy)
    turned = {key: np.moveaxis(a, -1, 1) if a.ndim > 2 else a for key, a in given.items()}
    z = first(np.moveaxis(x, -1, 1), **turned)
    np.testing.assert_allclose(np.moveaxis(z, 1, -1), y, rtol=1e-13, atol=1e-13)
    dz = np.moveaxis(first.backward(np.moveaxis(dy, -1, 1)), 1, -1)
    np.testing.assert_allclose(dz, dx, rtol=1e-12, atol=1e-12)
    inside, back = x.copy(), dy.copy()
    assert last(inside, out=inside, **given) is inside
    assert last.backward(back, out=back) is back
    assert (bits(inside), bits(back)) == (bits(y), bits(dx))
    upside = x[::-1].copy()[::-1]
    assert bits(last(upside, **given)) == bits(y)


@cases
@pytest.mark.parametrize("shape", [(0, 4, 6), (3, 0, 6), (0, 6)])
def test_nothing_in_nothing_out(equation, name, options, shape):
    layer, given = make(name, options), given_for(name, shape)
    x = np.empty(shape)
    assert layer(x, **given).shape == layer.backward(x).shape == shape
    for key, a in given.items():
        assert bits(getattr(layer, f"d{key}")) == bits(np.zeros(a.shape))


@cases
def test_sixteen_bits(equation, name, options):
    shape = 3, 40, 6
    layer = make(name, options, "float32")
    x, given = draw(shape, np.float16), given_for(name, shape, np.float16)
    y, dx = layer(x, **given), layer.backward(x)
    wide = {key: a.astype(np.float64) for key, a in given.items()}
    close(y, equation(layer, x.astype(np.float64), **wide), np.dtype(np.float16))
    got = {key: getattr(layer, f"d{key}") for key in given}
    layer(x.astype(np.float64), **wide)
    close(dx, layer.backward(x.astype(np.float64)), np.dtype(np.float16))
    for key, a in got.items():
        assert a.dtype == np.float16
        close(a, getattr(layer, f"d{key}"), np.dtype(np.float16))


def test_scale_and_shift_that_do_not_fit():
    layer, x, same = cybn.AdaptiveLayerNorm(6), draw((3, 4, 6)), np.ones((3, 6))
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"needs a scale of shape \(3, 6\), a row for each"):
        layer(x, scale=np.ones((4, 6)))
    with pytest.raises(ValueError, match=r"needs a shift of shape \(3, 6\)"):
        layer(x, shift=np.ones((3, 1, 6)))
    with pytest.raises(TypeError, match="scale"):
        layer(x, scale=np.ones((3, 6), int))
    with pytest.raises(ValueError, match="got an out that overlaps scale"):
        layer(np.ones((3, 6)), scale=same, out=same)
    assert state_bits(layer) == before


def test_a_gate_that_does_not_fit():
    layer, x = cybn.GatedRMSNorm(6), draw((3, 4, 6))
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"expects gate of the input's shape \(3, 4, 6\), got"):
        layer(x, gate=x[:, 0])
    with pytest.raises(TypeError, match="expects gate of the input's dtype float64, got float32"):
        layer(x, gate=x.astype(np.float32))
    assert state_bits(layer) == before
    with pytest.raises(ValueError, match=r"num_features \(6\) must be divisible by group_size"):
        cybn.GatedRMSNorm(6, group_size=4)


@pytest.mark.parametrize("activation", ["silu", "sigmoid"])
def test_a_gate_far_out(activation):
    gate = np.array([[-1e4, -90.0, -1e-30, 0.0, 90.0, 1e4]])
    layer = cybn.GatedRMSNorm(6, activation=activation, dtype="float64")
    y = layer(np.ones((1, 6)), gate=gate) * np.sqrt(1 + layer.eps)
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-gate)) * (gate if activation == "silu" else 1)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-300)
    assert np.isfinite(layer.backward(np.ones((1, 6)))).all()
    assert np.isfinite(layer.dgate).all()


def test_heads_with_weights_of_their_own():
    """Queries and keys, normalized within each head: a weight for each feature of each head."""
    x, weight = draw((2, 5, 3 * 4)), np.random.default_rng(5).uniform(0.3, 1.5, 12)
    heads = x.reshape(2, 5, 3, 4)
    rms = cybn.GatedRMSNorm(12, eps=1e-6, group_size=4, dtype="float64")
    rms.weight[...] = weight
    expected = heads / np.sqrt((heads**2).mean(-1, keepdims=True) + 1e-6) * weight.reshape(3, 4)
    np.testing.assert_allclose(rms(x), expected.reshape(x.shape), rtol=1e-13)
    norm = cybn.GroupNorm(3, 12, dtype="float64")
    norm.weight[...] = weight
    centred = heads - heads.mean(-1, keepdims=True)
    expected = centred / np.sqrt(heads.var(-1, keepdims=True) + 1e-5) * weight.reshape(3, 4)
    rows = norm(x.reshape(-1, 12)).reshape(x.shape)
    np.testing.assert_allclose(rows, expected.reshape(x.shape), rtol=1e-12, atol=1e-12)
