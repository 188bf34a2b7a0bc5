"""Activations that are curves: exact over the whole range, and the same after every norm."""

import math

import numpy as np
import pytest
from test_bitwise import every_level

import cybn
from cybn.functional.curves import activated, let_back
from cybn.functional.gates import ACTIVATIONS, CURVES, gate_of
from cybn.kernels import levels

ROOT = math.sqrt(2)


def curve(name, x):
    """f and f' of a float, in double, by the functions of the C library."""
    e = math.exp(-abs(x))
    sigma = 1 / (1 + e) if x > 0 else e / (1 + e)
    if name == "silu":
        return x * sigma, sigma * (1 + x * (e if x > 0 else 1) / (1 + e))
    if name == "gelu":
        normal = math.erfc(-x / ROOT) / 2
        return x * normal, normal + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    if name == "gelu_tanh":
        a, b = 2 * math.sqrt(2 / math.pi), 0.044715
        w = a * (x + b * x**3)
        e = math.exp(-abs(w)) if abs(w) < 700 else 0.0
        up, down = 1 / (1 + e), e / (1 + e)
        up, down = (up, down) if x > 0 else (down, up)
        return x * up, up + x * up * down * a * (1 + 3 * b * x * x)
    if name == "hardswish":
        return x * min(max(x + 3, 0), 6) / 6, 0.0 if x <= -3 else 1.0 if x >= 3 else x / 3 + 0.5
    if name == "elu":
        return (x, 1.0) if x > 0 else (math.expm1(x), math.exp(x))
    n = math.exp(x)
    if x > 20:
        return x, 1.0
    omega = n * n + 2 * n + 2
    t = n * (n + 2) / omega
    return x * t, t + 4 * x * n * (1 + n) / omega**2


def items(dtype, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 2, 3000), rng.uniform(-105, 10, 2000), rng.uniform(-14, -6, 1000)
    return np.concatenate([*parts, np.geomspace(1e-44, 1, 200), -np.geomspace(1e-44, 1, 200)])[
        :6400
    ].astype(dtype)


@pytest.mark.parametrize("name", CURVES)
def test_float32_is_right_to_five_last_places_and_its_slope(name):
    x = items(np.float32)
    exact, slopes = np.array([curve(name, float(v)) for v in x]).T
    got = activated(x, gate_of("", name))
    with np.errstate(under="ignore"):
        place = np.spacing(np.abs(exact.astype(np.float32)))
    assert (np.abs(got - exact) <= 5 * place).all()
    back = let_back(np.ones_like(x), x, gate_of("", name))
    assert np.abs(back - slopes).max() < 4 * np.finfo(np.float32).eps


@pytest.mark.parametrize("name", CURVES)
def test_float64_is_right_where_the_c_library_is(name):
    x = items(np.float64)
    x = x[np.abs(x) < 5]
    exact, slopes = np.array([curve(name, float(v)) for v in x]).T
    assert (np.abs(activated(x, gate_of("", name)) - exact) <= 64 * np.spacing(np.abs(exact))).all()
    back = let_back(np.ones_like(x), x, gate_of("", name))
    assert np.abs(back - slopes).max() < 16 * np.finfo(np.float64).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CURVES)
def test_limits(name, dtype):
    x = np.array([0, np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
    lowest = -1.0 if name == "elu" else 0.0
    with np.errstate(all="raise"):
        y, slope = activated(x, gate_of("", name)), let_back(np.ones_like(x), x, gate_of("", name))
    np.testing.assert_array_equal(y, [0, np.inf, lowest, np.nan, x[4], lowest])
    np.testing.assert_array_equal(slope[1:], [1, 0, np.nan, 1, 0])


LAYERS = [
    ("BatchNorm2d", {}, 1), ("BatchNorm2d", {"channel_axis": -1}, -1),
    ("LayerNorm", {"normalized_shape": 6}, -1), ("LayerNorm", {"channel_axis": 1}, 1),
    ("RMSNorm", {"normalized_shape": 6, "bias": True, "eps": 1e-5}, -1),
    ("RMSNorm", {"channel_axis": 1, "eps": 1e-5}, 1),
    ("GroupNorm", {"num_groups": 2}, 1), ("GroupNorm", {"num_groups": 2, "channel_axis": -1}, -1),
    ("InstanceNorm2d", {"affine": True}, 1),
]  # fmt: skip


def built(name, options, **more):
    layer = cybn.create({"type": name, **options, **more}, num_features=6)
    rng = np.random.default_rng(1)
    for a in layer.parameters():
        a[...] = rng.normal(1, 0.5, a.shape)
    return layer


def data(axis, dtype, seed=3):
    rng = np.random.default_rng(seed)
    shape = (5, 6, 4, 3) if axis == 1 else (5, 4, 3, 6)
    return [rng.normal(0.5, 2, shape).astype(dtype) for _ in range(3)]


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("name", "options", "axis"), LAYERS)
def test_the_layer_is_the_norm_and_then_the_activation(name, options, axis, activation, dtype):
    added = name != "InstanceNorm2d"
    x, z, dy = data(axis, dtype)
    wide = "float64" if dtype != "float32" else "float32"
    layer = built(name, options, activation=activation, alpha=0.7, dtype=wide)
    plain = built(name, options, dtype=wide)
    given = {"residual": z} if added else {}
    y = layer(x, **given)
    dx = layer.backward(dy)
    gate = gate_of("", activation, 0.01, 0.7)
    h = plain(x.astype(wide)) + (z.astype(wide) if added else 0)
    g = let_back(dy.astype(wide), h, gate)
    close = {"rtol": 0, "atol": 40 * float(np.finfo(dtype).eps)}
    few = 2e3 * np.finfo("float64" if dtype == "float64" else "float32").eps
    np.testing.assert_allclose(y, activated(h, gate), **close)
    np.testing.assert_allclose(dx, plain.backward(g), **close)
    for key, a in plain.grads.items():
        np.testing.assert_allclose(layer.grads[key], a, rtol=0, atol=few)
    if added:
        np.testing.assert_allclose(layer.dresidual, g, **close)


@pytest.mark.parametrize(("name", "options", "axis"), LAYERS)
def test_padding_has_no_part_with_a_residual_and_an_activation(name, options, axis):
    x, z, dy = data(axis, "float64")
    mask = np.random.default_rng(0).random((5, 4, 3)) < 0.7
    if name == "LayerNorm" and axis == -1:
        mask = np.random.default_rng(0).random(x.shape) < 0.7  # holes
    layer = built(name, options, activation="gelu", dtype="float64")
    given = {} if name == "InstanceNorm2d" else {"residual": z}
    y, saved = layer.apply(x, mask=mask, **given)
    dx, grads = layer.pullback(saved, dy)
    full = np.broadcast_to(mask if mask.ndim == 4 else np.expand_dims(mask, axis), x.shape)
    assert not y[~full].any()
    assert not dx[~full].any()
    rng, step = np.random.default_rng(5), 1e-6
    for key, a in {"x": x, **given}.items():
        to = rng.normal(size=x.shape)
        up, down = (
            (layer.apply(**{"x": x, "mask": mask, **given, key: a + s * to})[0] * dy).sum()
            for s in (step, -step)
        )
        slope = ((dx if key == "x" else grads[key]) * to).sum()
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-6)


@every_level
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_at_any_level(level, dtype):
    x, dy = items(dtype), np.ones(6400, dtype)
    stats, kernels = np.array([[0.0], [1.0], [1.0]]), levels.load(level, dtype)
    for curve_ in range(1 + len(CURVES)):
        found = []
        for module in (kernels, levels.load("baseline", dtype)):
            y, g = (np.empty((1, 1, 6400), dtype) for _ in range(2))
            line = x.reshape(1, 1, -1)
            how = None, None, 1, 0.1, np.inf, curve_, 1, 1 << 20, False
            module.batch_output(y, stats, line, None, *how)
            given = None, None, None, 0.1, np.inf, curve_, 2, 1 << 20
            module.batch_given(g, stats, dy.reshape(1, 1, -1), line, *given)
            found.append((y.tobytes(), g.tobytes()))
        assert found[0] == found[1]


def test_the_functional_pairs_are_the_layers():
    x, z, dy = data(-1, "float32")
    layer = built("LayerNorm", {"normalized_shape": 6}, activation="mish")
    y, dz = layer(x, residual=z), np.empty_like(x)
    own = {"residual": z, "activation": "mish"}
    got, stats = cybn.functional.layer_norm_forward(x, 6, layer.weight, layer.bias, **own)
    dx, *grads = cybn.functional.layer_norm_backward(
        dy, x, stats, 6, layer.weight, bias=layer.bias, dresidual=dz, **own
    )
    assert got.tobytes() == y.tobytes()
    assert dx.tobytes() == layer.backward(dy).tobytes()
    assert dz.tobytes() == layer.dresidual.tobytes()
    assert grads[1].tobytes() == layer.grads["bias"].tobytes()


def test_halves_of_a_batch_are_the_whole():
    x, z, dy = data(1, "float64")
    weight, bias = np.arange(1.0, 7), np.ones(6)
    own = {"activation": "silu", "bias": bias}
    _, stats = cybn.functional.batch_norm_forward(x, weight, residual=z, **own)
    dz = np.empty_like(x)
    dx, dweight, dbias = cybn.functional.batch_norm_backward(
        dy, x, stats, weight, residual=z, dresidual=dz, **own
    )
    parts = [(dy[:2], x[:2], z[:2]), (dy[2:], x[2:], z[2:])]
    half = cybn.functional.batch_norm_backward_reduce
    sums = sum(half(d, a, stats, weight=weight, residual=r, **own) for d, a, r in parts)
    np.testing.assert_allclose(sums, [dbias, dweight], rtol=1e-6)
    rest = cybn.functional.batch_norm_backward_apply
    got = [rest(d, a, stats, sums, 60, weight, residual=r, **own) for d, a, r in parts]
    np.testing.assert_allclose(np.concatenate(got), dx, atol=1e-12)


def test_wrong_alpha_is_named():
    with pytest.raises(ValueError, match="needs an alpha of more than 0"):
        gate_of("norm", "elu", alpha=-1.0)
    with pytest.raises(TypeError, match="needs a number as alpha"):
        gate_of("norm", "elu", alpha="one")
