"""SwitchableNorm, IBN, IterNorm, WeightStandardization, AdaIN, RevIN: values and gradients.

The references are the papers' equations on whole arrays in float64, channels on axis 1.
"""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits
from strategies import batches, views
from whole import central_differences, channels, draw, inner, outer

import cybn


def softmax(a):
    return np.exp(a) / np.exp(a).sum()


def affine(layer, y):
    y = y if layer.weight is None else y * channels(layer.weight, y)
    return y if layer.bias is None else y + channels(layer.bias, y)


def switchable(layer, x):
    over = [inner(x), (1, *inner(x)), outer(x)]
    means = [x.mean(axes, keepdims=True) for axes in over]
    variances = [x.var(axes, keepdims=True) for axes in over]
    if not layer.training and layer.running_mean is not None:
        means[2] = channels(layer.running_mean, x)
        variances[2] = channels(layer.running_var, x)
    mean = sum(w * m for w, m in zip(softmax(layer.mean_weight), means, strict=True))
    var = sum(w * v for w, v in zip(softmax(layer.var_weight), variances, strict=True))
    return affine(layer, (x - mean) / np.sqrt(var + layer.eps))


def ibn(layer, x):
    half = int(layer.ratio * x.shape[1])
    mean, var = (f(outer(x), keepdims=True) * np.ones((len(x), 1, *(1,) * (x.ndim - 2)))
                 for f in (x.mean, x.var))  # fmt: skip
    if not layer.training and layer.running_mean is not None:
        mean[:, half:] = channels(layer.running_mean, x)
        var[:, half:] = channels(layer.running_var, x)
    mean[:, :half] = x[:, :half].mean(inner(x), keepdims=True)
    var[:, :half] = x[:, :half].var(inner(x), keepdims=True)
    return affine(layer, (x - mean) / np.sqrt(var + layer.eps))


def iternorm(layer, x):
    size = x.shape[1] // layer.num_groups
    y = np.empty_like(x)
    for g in range(layer.num_groups):
        part = slice(g * size, (g + 1) * size)
        values = np.moveaxis(x[:, part], 1, 0).reshape(size, -1)
        mean, wm = layer.running_mean[part, None], layer.running_wm[g]
        if layer.training:
            mean = values.mean(1, keepdims=True)
            sigma = (values - mean) @ (values - mean).T / values.shape[1] + layer.eps * np.eye(size)
            wm = np.eye(size)
            for _ in range(layer.iterations):
                wm = (3 * wm - wm @ wm @ wm @ sigma / np.trace(sigma)) / 2
            wm = wm / np.sqrt(np.trace(sigma))
        moved = np.moveaxis(x[:, part], 1, 0).shape
        y[:, part] = np.moveaxis((wm @ (values - mean)).reshape(moved), 0, 1)
    return affine(layer, y)


def standardized(layer, x):
    over = tuple(range(1, x.ndim))
    y = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + layer.eps)
    if layer.gain is not None:
        y = y * layer.gain.reshape(-1, *(1,) * (x.ndim - 1))
    return y / np.sqrt(x[0].size) if layer.scaled else y


def adain(layer, x):
    return (x - x.mean(inner(x), keepdims=True)) / np.sqrt(x.var(inner(x), keepdims=True)
                                                           + layer.eps)  # fmt: skip


def revin(layer, x):
    centre = x[:, :, -1:] if layer.subtract_last else x.mean(2, keepdims=True)
    return affine(layer, (x - centre) / np.sqrt(x.var(2, keepdims=True) + layer.eps))


WIDE = {"num_features": 6, "dtype": "float64"}
VARIANTS = [
    (switchable, "SwitchableNorm", WIDE),
    (switchable, "SwitchableNorm", {**WIDE, "track_running_stats": False, "bias": False}),
    (switchable, "SwitchableNorm", {**WIDE, "affine": False, "eps": 0.5}),
    (ibn, "IBN", WIDE),
    (ibn, "IBN", {**WIDE, "ratio": 0.4, "bias": False}),
    (ibn, "IBN", {**WIDE, "ratio": 0, "affine": False}),
    (ibn, "IBN", {**WIDE, "ratio": 1}),
    (ibn, "IBN", {**WIDE, "track_running_stats": False, "momentum": None}),
    (iternorm, "IterNorm", WIDE),
    (iternorm, "IterNorm", {**WIDE, "num_groups": 3, "bias": False}),
    (iternorm, "IterNorm", {**WIDE, "num_groups": 6, "iterations": 1, "eps": 0.5}),
    (iternorm, "IterNorm", {**WIDE, "num_groups": 2, "iterations": 9, "affine": False}),
    (standardized, "WeightStandardization", {}),
    (standardized, "WeightStandardization", {"out_channels": 5, "dtype": "float64"}),
    (standardized, "WeightStandardization",
     {"out_channels": 5, "dtype": "float64", "scaled": True, "eps": 0.1}),
    (adain, "AdaIN", {}),
    (adain, "AdaIN", {"eps": 0.5}),
    (revin, "RevIN", {**WIDE, "channel_axis": 1}),
    (revin, "RevIN", {**WIDE, "channel_axis": 1, "subtract_last": True}),
    (revin, "RevIN", {**WIDE, "channel_axis": 1, "affine": False, "eps": 0.5}),
]  # fmt: skip
variants = pytest.mark.parametrize(
    ("reference", "name", "options"),
    VARIANTS,
    ids=["-".join([name, *options]) for _, name, options in VARIANTS],
)
modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def make(name, options):
    """A layer with parameters of both signs, and buffers that are not those of a new layer."""
    layer = cybn.create({"type": name, **options})
    rng = np.random.default_rng(5)
    for a in layer.parameters():
        a[...] = rng.uniform(0.3, 1.5, a.shape) * rng.choice([-1, 1], a.shape)
    for name, a in layer.named_buffers():
        if a.dtype.kind == "f":
            a[...] = (
                rng.uniform(0.5, 2, a.shape)
                if name != "running_wm"
                else a + rng.normal(0, 0.1, a.shape)
            )
    return layer


def shapes(name):
    """Inputs of two ranks; RevIN takes one."""
    return [(5, 6, 4)] if name == "RevIN" else [(5, 6, 4), (5, 6, 3, 2)]


def layer_for(name, options, x, training=True):
    ranked = {("SwitchableNorm", 3): "SwitchableNorm1d"}
    return make(ranked.get((name, x.ndim), name), options).train(training)


@variants
@modes
def test_output_and_gradients_are_those_of_the_equation(reference, name, options, training):
    for shape in shapes(name):
        x, dy = draw(shape), draw(shape, seed=2)
        layer = layer_for(name, options, x, training)
        twin = copy.deepcopy(layer)  # whose running statistics stay
        np.testing.assert_allclose(layer(x), reference(twin, x), rtol=1e-12, atol=1e-12)
        dx = layer.backward(dy)

        def loss(twin=twin, x=x, dy=dy):
            return (reference(twin, x) * dy).sum()

        np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-7)
        assert list(layer.grads) == [name for name, _ in twin.named_parameters()]
        for parameter, a in twin.named_parameters():
            expected = central_differences(loss, a)
            np.testing.assert_allclose(layer.grads[parameter], expected, rtol=1e-7, atol=1e-7)


@variants
@modes
def test_channels_last_is_channels_first_moved(reference, name, options, training):
    here, there = (0, -1) if name == "WeightStandardization" else (1, -1)
    for shape in shapes(name):
        x, dy = draw(shape), draw(shape, seed=2)
        first = layer_for(name, options, x, training)
        last = layer_for(name, {**options, "channel_axis": there}, x, training)
        moved = [np.ascontiguousarray(np.moveaxis(a, here, there)) for a in (x, dy)]
        inside = copy.deepcopy(last)
        y, z = first(x), last(moved[0])
        np.testing.assert_allclose(np.moveaxis(z, there, here), y, rtol=1e-13, atol=1e-13)
        dx, dz = first.backward(dy), last.backward(moved[1])
        np.testing.assert_allclose(np.moveaxis(dz, there, here), dx, rtol=1e-12, atol=1e-12)
        for parameter, grad in first.grads.items():
            np.testing.assert_allclose(last.grads[parameter], grad, rtol=1e-12, atol=1e-12)
        in_place = inside(moved[0], out=moved[0]), inside.backward(moved[1], out=moved[1])
        assert [bits(a) for a in in_place] == [bits(z), bits(dz)]


@variants
@modes
def test_backward_uses_the_parameters_of_its_forward(reference, name, options, training):
    x = draw(shapes(name)[0])
    layer = layer_for(name, options, x, training)
    layer(x)
    dx, grads = layer.backward(x), {n: bits(a) for n, a in layer.grads.items()}
    for a in (*layer.parameters(), *layer.buffers()):
        a[...] = 7
    assert bits(layer.backward(x)) == bits(dx)
    assert {n: bits(a) for n, a in layer.grads.items()} == grads


@variants
@modes
@pytest.mark.parametrize("shape", [(0, 6, 4), (5, 6, 0)])
def test_an_empty_batch_gives_an_empty_output_and_leaves_the_state(
    reference, name, options, training, shape
):
    if name == "WeightStandardization" and options and shape[0] == 0:
        shape = (5, 0, 4)
    x = np.zeros(shape, np.float32)
    layer = layer_for(name, options, x, training)
    before = state_bits(layer)
    assert layer(x).shape == shape
    assert state_bits(layer) == before
    assert layer.backward(x).shape == shape
    for grad in layer.grads.values():
        assert not grad.any()


@variants
@modes
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_value_that_is_not_finite_stays_with_those_it_is_averaged_with(
    reference, name, options, training, value
):
    """And gives no warning, which would be an error here; 3e38 overflows on its way."""
    x = draw(shapes(name)[0], np.float32)
    layers = [layer_for(name, options, x, training) for _ in range(2)]
    spoilt = x.copy()
    spoilt[0, 0, 0] = value
    group = 6 // options.get("num_groups", 1)
    far = {"WeightStandardization": np.s_[1:], "IterNorm": np.s_[:, group:]}
    far = far.get(name, np.s_[1:, 1:])
    (y, dx), (z, dz) = (
        (layer(a), layer.backward(x)) for layer, a in zip(layers, (x, spoilt), strict=True)
    )
    assert not np.isfinite(z[0, 0]).all() or value == 3e38
    assert bits(z[far]) == bits(y[far])
    if reference is not switchable:  # whose outputs of sample 0 all share moments with the others
        assert bits(dz[far]) == bits(dx[far])


@variants
def test_float32_is_as_accurate_as_its_input(reference, name, options):
    """At a mean of 1000 standard deviations, where sums in float32 would be worth nothing."""
    x = (draw((5, 6, 4)) + 2000).astype(np.float32)
    layer = layer_for(name, options, x)
    wide = x.astype(np.float64)
    expected = reference(layer, wide)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


@given(
    batches(shapes=views().filter(lambda shape: shape[2] > 1)),
    st.sampled_from([(switchable, "SwitchableNorm1d"), (ibn, "IBN"), (adain, "AdaIN")]),
)
def test_any_shape_has_the_values_of_the_equation(x, which):
    """Shapes around the borders in the kernels, with channels far from 0 and from each other."""
    reference, name = which
    options = {} if name == "AdaIN" else {"dtype": "float64"}
    layer = cybn.create(name, num_features=x.shape[1], **options)
    expected = reference(layer, x.astype(np.float64))
    # some roundings of the output, and what the reference loses where a mean is large
    slack = 8 * np.finfo(x.dtype).eps * np.abs(expected).max() + 1e-9
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=slack)


@given(st.integers(0, 2**32 - 1), st.floats(-1e10, 1e10), st.sampled_from([np.float32, np.float64]))
def test_constant_planes_give_exactly_the_bias(seed, value, dtype):
    for name, options in (("IBN", {"ratio": 1}), ("RevIN", {"channel_axis": 1}), ("AdaIN", {})):
        layer = make(name, options if name == "AdaIN" else {**WIDE, **options, "dtype": dtype})
        x = np.random.default_rng(seed).normal(size=(2, 6, 5)).astype(dtype)
        x[:, 2] = value
        y = layer(x)
        assert (y[:, 2] == (layer.bias[2] if name != "AdaIN" else 0)).all()
