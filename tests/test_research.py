"""FilterResponseNorm, GlobalResponseNorm, DyT, ScaleNorm, PartialRMSNorm, SimpleNorm, the EvoNorms,
and gated and adaptive norms without their further inputs: values and gradients.

The references are the papers' equations on whole arrays in float64, channels on axis 1.
"""

import math

import numpy as np
import pytest
from runs import bits, state_bits
from strategies import LAYOUTS, layout_id
from whole import central_differences, channels, draw, inner, outer

import cybn


def frn(layer, x):
    eps = layer.eps + (0 if layer.learned_eps is None else abs(layer.learned_eps))
    xhat = x / np.sqrt((x**2).mean(inner(x), keepdims=True) + eps)
    y = channels(layer.weight, x) * xhat + channels(layer.bias, x)
    return y if layer.tau is None else np.maximum(y, channels(layer.tau, x))


def grn(layer, x):
    energy = np.sqrt((x**2).sum(inner(x), keepdims=True))
    share = energy / (energy.mean(1, keepdims=True) + layer.eps)
    return channels(layer.weight, x) * share * x + channels(layer.bias, x) + x


def dyt(layer, x):
    y = np.tanh(layer.alpha * x)
    if layer.weight is not None:
        y = y * channels(layer.weight, x)
    return y if layer.bias is None else y + channels(layer.bias, x)


def scalenorm(layer, x):
    return layer.weight * x / np.sqrt((x**2).sum(1, keepdims=True) + layer.eps)


def partialrms(layer, x):
    k = math.ceil(layer.p * x.shape[1])
    y = x / np.sqrt((x[:, :k] ** 2).mean(1, keepdims=True) + layer.eps)
    return y if layer.weight is None else channels(layer.weight, x) * y


def simple(layer, x):
    y = x / np.sqrt(x.var(1, ddof=1, keepdims=True) + layer.eps)
    return y if layer.weight is None else channels(layer.weight, x) * y


def gated(layer, x):
    groups = x.reshape(len(x), x.shape[1] // (layer.group_size or x.shape[1]), -1, *x.shape[2:])
    rms = np.sqrt((groups**2).mean(2, keepdims=True) + layer.eps)
    return channels(layer.weight, x) * (groups / rms).reshape(x.shape)


def adaptive(layer, x):
    y = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + layer.eps)
    return y if layer.weight is None else y * channels(layer.weight, x) + channels(layer.bias, x)


def evonorm_s(layer, x):
    groups = x.reshape(len(x), min(layer.groups, x.shape[1]), -1)
    var = (groups**2).mean(2) if isinstance(layer, cybn.EvoNormS2) else groups.var(2)
    std = np.repeat(np.sqrt(var + layer.eps), x.shape[1] // groups.shape[1], 1)
    v1 = channels(layer.v1, x) if type(layer) is cybn.EvoNormS0 else 1
    swish = x / (1 + np.exp(-v1 * x))
    y = swish / std.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
    return y * channels(layer.weight, x) + channels(layer.bias, x)


def evonorm_b(layer, x):
    var = channels(layer.running_var, x)
    if layer.training:
        var = x.var(outer(x), keepdims=True)
    rms = np.sqrt((x**2).mean(inner(x), keepdims=True) + layer.eps)
    if isinstance(layer, cybn.EvoNormB2):
        own = rms - x
    elif isinstance(layer, cybn.EvoNormB1):
        own = (x + 1) * rms
    else:
        own = channels(layer.v1, x) * x + np.sqrt(x.var(inner(x), keepdims=True) + layer.eps)
    y = x / np.maximum(np.sqrt(var + layer.eps), own)
    return y * channels(layer.weight, x) + channels(layer.bias, x)


VARIANTS = [
    (frn, "FilterResponseNorm", {}),
    (frn, "FilterResponseNorm", {"learn_eps": True, "eps": 0.5}),
    (frn, "FilterResponseNorm", {"tlu": False}),
    (grn, "GlobalResponseNorm", {}),
    (dyt, "DyT", {"alpha_init_value": 0.3}),
    (dyt, "DyT", {"bias": False}),
    (dyt, "DyT", {"affine": False}),
    (scalenorm, "ScaleNorm", {"eps": 0.1}),
    (partialrms, "PartialRMSNorm", {"eps": 0.1}),
    (partialrms, "PartialRMSNorm", {"p": 0.4}),
    (evonorm_s, "EvoNormS0", {}),
    (evonorm_s, "EvoNormS0", {"groups": 3}),
    (evonorm_s, "EvoNormS0", {"groups": 1, "eps": 0.1}),
    (evonorm_s, "EvoNormS1", {"groups": 3}),
    (evonorm_s, "EvoNormS2", {"groups": 2, "eps": 0.1}),
    (evonorm_b, "EvoNormB0", {"eps": 0.1}),
    (evonorm_b, "EvoNormB1", {"eps": 0.1}),
    (evonorm_b, "EvoNormB2", {"eps": 0.1}),
    (simple, "SimpleNorm", {"eps": 1.0}),
    (simple, "SimpleNorm", {"affine": False, "eps": 1.0}),
    (gated, "GatedRMSNorm", {"eps": 0.1}),
    (gated, "GatedRMSNorm", {"group_size": 2, "eps": 1.0}),
    (adaptive, "AdaptiveLayerNorm", {"eps": 0.1}),
    (adaptive, "AdaptiveLayerNorm", {"affine": True}),
]
variants = pytest.mark.parametrize(
    ("reference", "name", "options"),
    VARIANTS,
    ids=["-".join([name, *options]) for _, name, options in VARIANTS],
)
modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def make(name, options, features=6, dtype="float64", channel_axis=1):
    """A layer with parameters of both signs, and none near zero."""
    layer = cybn.create(
        {"type": name, **options, "dtype": dtype, "channel_axis": channel_axis},
        num_features=features,
    )
    rng = np.random.default_rng(5)
    for a in layer.parameters():
        a[...] = rng.uniform(0.3, 1.5, a.shape) * rng.choice([-1, 1], a.shape)
    for name, a in layer.named_buffers():
        if name == "running_var":
            a[...] = rng.uniform(0.5, 2, a.shape)
    return layer


def moved(a, source, destination):
    return np.ascontiguousarray(np.moveaxis(a, source, destination))


@variants
@modes
@pytest.mark.parametrize("shape", [(3, 6, 5), (2, 6, 3, 2), (2, 6, 1, 2, 2)])
def test_output_and_gradients_are_those_of_the_equation(reference, name, options, training, shape):
    layer = make(name, options).train(training)
    x, dy = draw(shape), draw(shape, seed=2)
    expected = reference(layer, x)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-13, atol=1e-13)
    dx = layer.backward(dy)

    def loss():
        return (reference(layer, x) * dy).sum()

    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-7)
    for parameter, a in layer.named_parameters():
        expected = central_differences(loss, a)
        np.testing.assert_allclose(layer.grads[parameter], expected, rtol=1e-7, atol=1e-7)


@variants
@modes
def test_channels_last_is_channels_first_moved(reference, name, options, training):
    first, last = (make(name, options, channel_axis=axis).train(training) for axis in (1, -1))
    x, dy = draw((3, 6, 4, 5)), draw((3, 6, 4, 5), seed=2)
    y, z = first(x), last(moved(x, 1, -1))
    np.testing.assert_allclose(moved(z, -1, 1), y, rtol=1e-13, atol=1e-13)
    dx, dz = first.backward(dy), last.backward(moved(dy, 1, -1))
    np.testing.assert_allclose(moved(dz, -1, 1), dx, rtol=1e-12, atol=1e-12)
    for parameter, grad in first.grads.items():
        np.testing.assert_allclose(last.grads[parameter], grad, rtol=1e-12, atol=1e-12)


@variants
@modes
@pytest.mark.parametrize("shape", [(70, 6, 20, 20), (2, 6, 90, 90)])
@pytest.mark.parametrize("channel_axis", [1, -1])
def test_many_blocks_in_float32_are_the_whole_in_float64_rounded(
    reference, name, options, training, shape, channel_axis
):
    """Blocks of several samples, the last one smaller, and blocks of a part of a sample."""
    single = make(name, options, 6, "float32", channel_axis).train(training)
    double = make(name, options).train(training)
    double.load_state_dict(single.state_dict())
    x, dy = draw(shape, np.float32), draw(shape, np.float32, seed=2)
    y = moved(single(moved(x, 1, channel_axis)), channel_axis, 1)
    expected = reference(double, x.astype(np.float64))
    # one rounding, as all else is in float64, but for those below, of |weight| and |bias| < 2
    # roundings: of an exponential and its slope; of the kernel's scale
    float32 = {"DyT": 8, "ScaleNorm": 2, "GatedRMSNorm": 8, "AdaptiveLayerNorm": 8}
    slack = 2.0**-24 * abs(expected) * (2 if name == "SimpleNorm" else 1) + 1e-12
    if name in float32:
        slack = float32[name] * 2.0**-23
    if name.startswith("EvoNormS"):  # what is rounded is larger than y where the bias is not
        slack = 4 * 2.0**-23 * (abs(expected) + 1.5)
    if name == "PartialRMSNorm":
        slack *= 4  # a kernel of rows, in float32 but for the sums
    assert (abs(y - expected) <= slack).all()
    dx = moved(single.backward(moved(dy, 1, channel_axis)), channel_axis, 1)
    double(x.astype(np.float64))
    expected = double.backward(dy.astype(np.float64))
    atol = 32 * 2.0**-24
    if name == "PartialRMSNorm":  # in float32, a difference of terms as large as its row's largest
        atol = atol + 2.0**-21 * abs(expected).max(1, keepdims=True)
    assert (abs(dx - expected) <= atol + 2.0**-22 * abs(expected)).all()
    for parameter, grad in double.grads.items():
        np.testing.assert_allclose(single.grads[parameter], grad, rtol=1e-6, atol=1e-4)


@variants
def test_parameters_and_x_changed_after_the_forward(reference, name, options):
    """The gradient is that of the forward as it was; an in-place forward keeps its own x."""
    layer, twin = make(name, options), make(name, options)
    x, dy = draw((3, 6, 5)), draw((3, 6, 5), seed=2)
    layer(x)
    expected = layer.backward(dy)
    assert twin(x, out=x) is x
    for a in twin.parameters():
        a += 1
    assert bits(twin.backward(dy)) == bits(expected)
    assert {k: bits(a) for k, a in twin.grads.items()} == {
        k: bits(a) for k, a in layer.grads.items()
    }


@variants
@modes
@pytest.mark.parametrize("shape", [(0, 6, 4), (3, 6, 0)])
def test_an_empty_batch_gives_nothing_and_changes_nothing(
    reference, name, options, training, shape
):
    layer = make(name, options).train(training)
    before = state_bits(layer)[:2]
    x = np.empty(shape)
    assert layer(x).shape == layer.backward(x).shape == shape
    assert state_bits(layer)[:2] == before
    for parameter, a in layer.named_parameters():
        assert bits(layer.grads[parameter]) == bits(np.zeros(a.shape))


@variants
@modes
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_sample_and_channel(
    reference, name, options, training, bad
):
    """No warning either. A sample's channels meet in some variants, samples in B0 in training."""
    layer, clean = (make(name, options).train(training) for _ in range(2))
    x, dy = draw((3, 6, 5)), draw((3, 6, 5), seed=2)
    spoilt = x.copy()
    spoilt[1, 2, 3] = bad
    touched = np.zeros(x.shape, bool)
    sample = slice(None) if name.startswith("EvoNormB") else 1
    alone = "FilterResponseNorm", "EvoNormB0", "EvoNormB1", "EvoNormB2", "DyT"
    channel = 2 if name in alone else slice(None)
    touched[sample, channel] = True
    for got, expected in [(layer(spoilt), clean(x)), (layer.backward(dy), clean.backward(dy))]:
        assert bits(got[~touched]) == bits(expected[~touched])


@variants
@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
def test_y_has_the_memory_order_of_x(reference, name, options, layout):
    layer = make(name, options)
    x = layout(draw((3, 6, 4, 5)))
    expected = np.empty_like(x).strides
    assert layer(x).strides == expected
    assert layer.backward(x).strides == expected


@variants
def test_backward_needs_a_forward_and_fitting_arrays(reference, name, options):
    layer = make(name, options)
    x = draw((3, 6, 5))
    with pytest.raises(RuntimeError, match=rf"{name}.backward needs a forward first: call the"):
        layer.backward(x)
    layer(x)
    layer.backward(x)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=rf"{name} expects dy of the input's shape \(3, 6, 5\)"):
        layer.backward(x[:2])
    with pytest.raises(TypeError, match=rf"{name} expects dy of the input's dtype float64, got"):
        layer.backward(x.astype(np.float32))
    with pytest.raises(ValueError, match=rf"{name} got an out that overlaps x; pass another"):
        layer.backward(x.copy(), out=x)
    with pytest.raises(ValueError, match=rf"{name} expects 6 channels on axis 1, got 5 in"):
        layer(x[:, :5])
    assert state_bits(layer) == before


@variants
def test_a_parameter_of_another_shape_or_dtype_is_refused(reference, name, options):
    layer = make(name, options)
    parameter, a = next(iter(layer.named_parameters()), (None, None))
    if parameter is None:
        return
    setattr(layer, parameter, np.ones(len(a) + 1))
    with pytest.raises(ValueError, match=rf"{name} needs {parameter} of shape \({len(a)},\)"):
        layer(draw((3, 6, 5)))
    setattr(layer, parameter, np.ones(len(a), np.float32))
    with pytest.raises(TypeError, match=rf"{name} needs .* of float32; convert it with"):
        layer(draw((3, 6, 5)))
