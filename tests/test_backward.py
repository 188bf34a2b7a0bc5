"""Gradients: by central differences, against the exact formula, and what a backward may rely on."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_within, exact_stats, gradients
from strategies import DTYPES, VIEWS, batches, view_id
from whole import central_differences

import cybn
from cybn.functional import batch_norm_backward, batch_norm_forward

SHAPES = [
    ("BatchNorm1d", (5, 3)),
    ("BatchNorm1d", (3, 3, 5)),
    ("BatchNorm2d", (2, 3, 2, 3)),
    ("BatchNorm3d", (2, 3, 2, 1, 3)),
]
OPTIONS = [
    {},
    {"affine": False},
    {"bias": False},
    {"track_running_stats": False},
    {"momentum": None, "eps": 0.1},
    {"channel_axis": -1},
]


def layer_and_data(name, shape, options, training, seed=0):
    rng = np.random.default_rng(seed)
    layer = cybn.create(name, num_features=3, dtype="float64", **options).train(training)
    for parameter in layer.parameters():
        parameter[:] = rng.uniform(0.5, 2, 3) * rng.choice([-1, 1], 3)
    if layer.running_mean is not None:
        layer.running_mean[:], layer.running_var[:] = rng.normal(0, 1, 3), rng.uniform(0.5, 2, 3)
    x = rng.normal(0, 1, shape)
    if options.get("channel_axis") == -1:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    return layer, x, rng.normal(0, 1, x.shape)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.items())) or "plain")
@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_gradients_are_the_central_differences(name, shape, options, training):
    layer, x, dy = layer_and_data(name, shape, options, training)
    layer(x)
    dx = layer.backward(dy)
    grads = layer.grads

    def loss():
        return (layer(x) * dy).sum()

    # |f'''| stays below 100 for these data: 1e-8 from the step, 1e-10 from rounding
    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=0, atol=2e-8)
    assert list(grads) == [parameter for parameter, _ in layer.named_parameters()]
    for parameter, a in layer.named_parameters():
        np.testing.assert_allclose(grads[parameter], central_differences(loss, a), atol=2e-8)
        assert grads[parameter].dtype == a.dtype


@given(batches(dtypes=(np.float64,), offsets=(0, 1)), st.booleans(), st.integers(0, 2**32 - 1))
def test_backward_is_the_adjoint_of_the_derivative(x, training, seed):
    """<J v, g> = <v, J^T g>, where J v is known: the formula for directions, in float64."""
    rng = np.random.default_rng(seed)
    v, g = rng.normal(0, 1, (2, *x.shape))
    weight = rng.normal(0, 1, x.shape[1])
    if training:
        _, stats = batch_norm_forward(x, weight, eps=1e-3)
    else:
        mean, var = rng.normal(0, 1, x.shape[1]), rng.uniform(0.5, 2, x.shape[1])
        _, stats = batch_norm_forward(x, weight, None, mean, var, training=False, eps=1e-3)
    dx, _, _ = batch_norm_backward(g, x, stats, weight, training=training)
    xhat = (x - stats[0][:, None]) * stats[2][:, None]
    jv = v
    if training:
        jv = v - v.mean((0, 2), keepdims=True)
        jv = jv - xhat * (v * xhat).mean((0, 2), keepdims=True)
    jv = jv * (weight * stats[2])[:, None]
    # what was added up and subtracted on the way, each sum over at most x.size terms
    away = 1 + np.abs(xhat)
    v_size, g_size = (
        np.abs(a) + away * np.mean(np.abs(a) * away, (0, 2), keepdims=True) for a in (v, g)
    )
    size = (np.abs(weight * stats[2])[:, None] * v_size * g_size).sum()
    assert abs((jv * g).sum() - (v * dx).sum()) <= (x.size + 1000) * 2.0**-53 * size


def check_gradients(x, dy, weight, training):
    stats = exact_stats(x)
    exact, bounds = gradients(dy, x, stats, weight, training)
    got = batch_norm_backward(dy, x, stats, weight, training=training)
    for name, *three in zip(("dx", "dweight", "dbias"), got, exact, bounds, strict=True):
        # parameters' gradients are rounded once more, to the dtype of the parameters
        slack = 0 if name == "dx" else np.abs(three[1]) * np.finfo(weight.dtype).eps
        assert_within(three[0], three[1], three[2] + slack, name)


@pytest.mark.parametrize("training", [True, False])
@given(x=batches(offsets=(0, 1, -30, 1e4)), seed=st.integers(0, 2**32 - 1))
def test_gradients_are_within_a_bound_of_the_formula(training, x, seed):
    rng = np.random.default_rng(seed)
    dy = rng.normal(rng.choice([0, 3]), 1, x.shape).astype(x.dtype)
    check_gradients(x, dy, rng.normal(0, 1, x.shape[1]), training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", VIEWS, ids=view_id)
def test_gradients_of_hostile_shapes(view, dtype, training):
    rng = np.random.default_rng(1)
    x, dy = rng.normal(3, 2, (2, *view)).astype(dtype)
    check_gradients(x, dy, rng.normal(0, 1, view[1]).astype(np.float32), training)


def test_gradients_at_a_huge_mean():
    """mean does not fit float32 to a fraction of sigma; the rest is put right in float64."""
    for view in ((1, 1, 300), (300, 1, 1)):
        x = np.float32(1e7 + np.arange(300) % 3).reshape(view)
        dy = np.random.default_rng(0).normal(1, 1, view).astype(np.float32)
        check_gradients(x, dy, np.ones(1), True)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("view", [(300, 3, 1), (3, 3, 300), (70, 3, 7)], ids=view_id)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_stay_in_their_channel(bad, view, training):
    rng = np.random.default_rng(2)
    x, dy = rng.normal(0, 1, (2, *view)).astype(np.float32)
    stats = exact_stats(x)
    clean = batch_norm_backward(dy, x, stats, training=training)
    for which in (0, 1):
        spoilt = [dy.copy(), x.copy()]
        spoilt[which][view[0] // 2, 1, view[2] // 2] = bad
        dx, dweight, dbias = batch_norm_backward(*spoilt, stats, training=training)
        assert dx[:, [0, 2]].tobytes() == clean[0][:, [0, 2]].tobytes()
        assert dweight[[0, 2]].tobytes() == clean[1][[0, 2]].tobytes()
        assert dbias[[0, 2]].tobytes() == clean[2][[0, 2]].tobytes()
        assert not np.isfinite(dweight[1])


@pytest.fixture(params=itertools.product([True, False], [1, -1]), ids=str)
def make(request):
    """A function that makes a layer, its input and an upstream gradient: equal ones each time."""
    training, axis = request.param
    return lambda: layer_and_data("BatchNorm1d", (4, 3, 6), {"channel_axis": axis}, training)


@pytest.fixture
def ready(make):
    return make()


def test_backward_may_be_asked_again(ready):
    layer, x, dy = ready
    layer(x)
    first = layer.backward(dy), dict(layer.grads)
    other = layer.backward(2 * dy)
    again = layer.backward(dy), layer.grads
    assert again[0].tobytes() == first[0].tobytes()
    assert other.tobytes() == (2 * first[0]).tobytes()
    for name, a in first[1].items():
        assert again[1][name].tobytes() == a.tobytes()
        assert again[1][name] is not a


def test_grads_are_replaced_not_added_to(ready):
    layer, x, dy = ready
    layer(x)
    layer.backward(dy)
    kept = layer.grads
    values = {name: a.copy() for name, a in kept.items()}
    layer.backward(3 * dy)
    assert layer.grads is not kept
    for name, a in kept.items():
        np.testing.assert_array_equal(a, values[name])


def test_backward_is_that_of_the_forward_as_it_was(ready):
    """Weight, mode and running statistics may change in between, as an optimizer does."""
    layer, x, dy = ready
    layer(x)
    expected = layer.backward(dy), dict(layer.grads)
    layer.weight *= 3
    layer.weight = layer.weight + 1
    layer.running_mean += 5
    layer.running_var *= 2
    layer.eps = 0.5
    layer.train(not layer.training)
    assert layer.backward(dy).tobytes() == expected[0].tobytes()
    for name, a in expected[1].items():
        assert layer.grads[name].tobytes() == a.tobytes()


def test_backward_belongs_to_the_last_forward(make):
    (layer, x, dy), (fresh, _, _) = make(), make()
    layer(x)
    layer(x * 2 + 1)
    fresh(x * 2 + 1)
    assert layer.backward(dy).tobytes() == fresh.backward(dy).tobytes()


def test_a_failing_forward_leaves_backward_as_it_was(ready):
    layer, x, dy = ready
    layer(x)
    expected = layer.backward(dy)
    with pytest.raises(ValueError, match="expects"):
        layer(x[0, 0])
    assert layer.backward(dy).tobytes() == expected.tobytes()


def test_backward_after_a_forward_in_place(make):
    (layer, x, dy), (fresh, y, _) = make(), make()
    layer(x)
    fresh(y, out=y)
    assert fresh.backward(dy).tobytes() == layer.backward(dy).tobytes()


def test_gradients_of_mixed_dtypes_have_the_parameters_dtype():
    layer = cybn.BatchNorm1d(3, dtype="float64")
    x = np.random.default_rng(0).normal(0, 1, (6, 3)).astype(np.float32)
    dx = layer.backward(layer(x))
    assert dx.dtype == np.float32
    assert {a.dtype for a in layer.grads.values()} == {np.dtype(np.float64)}


def test_training_a_layer_with_its_gradients_lowers_a_loss():
    """What it is all for: gradient descent on weight and bias reaches a known optimum."""
    rng = np.random.default_rng(0)
    layer = cybn.BatchNorm1d(2, dtype="float64")
    x = rng.normal(5, 3, (64, 2))
    target = 0.5 * (x - x.mean(0)) / x.std(0) - 2
    for _ in range(200):
        dy = 2 * (layer(x) - target) / len(x)
        layer.backward(dy)
        layer.weight -= 0.2 * layer.grads["weight"]
        layer.bias -= 0.2 * layer.grads["bias"]
    # eps moves xhat by eps/(2 var), 1e-6 here; descent contracts by 0.6 a step
    np.testing.assert_allclose(layer.weight, [0.5, 0.5], atol=1e-5)
    np.testing.assert_allclose(layer.bias, [-2, -2], atol=1e-5)
