"""The output of batch norm, in training and evaluation, against exact arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_within, exact_stats, exact_xhat, output_bound
from strategies import DTYPES, VIEWS, batches, view_id

import cybn
from cybn import reference
from cybn.functional import batch_norm_forward

SHAPES = [
    ("BatchNorm1d", (6, 5)),
    ("BatchNorm1d", (4, 5, 7)),
    ("BatchNorm2d", (2, 5, 3, 6)),
    ("BatchNorm3d", (3, 5, 2, 3, 4)),
]
every_rank = pytest.mark.parametrize(("name", "shape"), SHAPES)


def parameters(rng, channels, dtype=np.float32):
    return rng.normal(0, 2, channels).astype(dtype), rng.normal(0, 2, channels).astype(dtype)


def check_training(x, weight=None, bias=None, eps=1e-5):
    """y and stats of (N, C, L) data; returns y."""
    y, stats = batch_norm_forward(x, weight, bias, eps=eps)
    w = np.ones(x.shape[1]) if weight is None else weight.astype(float)
    b = np.zeros(x.shape[1]) if bias is None else bias.astype(float)
    xhat = exact_xhat(x, eps)
    exact = xhat * w[:, None] + b[:, None]
    m = x.shape[0] * x.shape[2]
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert_within(y, exact, output_bound(xhat, w, b, m, x.dtype), "y")
    np.testing.assert_array_equal(stats[2], 1 / np.sqrt(stats[1] + eps))
    return y


@given(batches(offsets=(0, 1, -30, 1e4, 1e7)), st.booleans(), st.sampled_from([1e-5, 0.1, 1e-12]))
def test_training_output_is_exact_within_a_bound(x, affine, eps):
    weight, bias = parameters(np.random.default_rng(0), x.shape[1]) if affine else (None, None)
    check_training(x, weight, bias, eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", VIEWS, ids=view_id)
def test_training_output_of_hostile_shapes(view, dtype):
    rng = np.random.default_rng(1)
    check_training(rng.normal(3, 2, view).astype(dtype), *parameters(rng, view[1]))


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ([1, 2, 3, 4], [-1.34163542, -0.44721181, 0.44721181, 1.34163542]),
        ([40000, 40001, 40002, 40003], [-1.34163542, -0.44721181, 0.44721181, 1.34163542]),
        ((1e4 + np.arange(16) * 1e-3).tolist(), [-1.3313]),
        ([1e7, 1e7 + 1], [-0.9999800006, 0.9999800006]),
    ],
)
def test_hard_cases_in_float32(values, first):
    x = np.float32(values)
    for view in ((-1, 1, 1), (1, 1, -1)):
        y = check_training(x.reshape(view)).ravel()
        # the figures are given to their last digit
        places = max(len(str(v).split(".")[1]) for v in first)
        assert_within(y[: len(first)], first, 0.5 * 10.0**-places + 1.5e-7, "y")


@pytest.mark.parametrize("shape", [(400, 2, 1), (2, 2, 400), (16, 2, 20)], ids=view_id)
def test_values_near_1e30_give_outputs_of_order_one(shape):
    check_training(np.random.default_rng(0).normal(1e30, 1e30, shape).astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_spread_of_1e_3_around_1e6_is_as_in_exact_arithmetic(dtype):
    x = (1e6 + 1e-3 * np.tile([1, -1, 0.3], 100)).astype(dtype)
    assert np.isfinite(check_training(x[:, None, None])).all()
    assert np.isfinite(check_training(x[None, None])).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", [(4, 2, 1), (300, 2, 1), (2, 2, 300), (70, 2, 7)], ids=view_id)
@pytest.mark.parametrize("eps", [1e-5, 1e-80])
@pytest.mark.parametrize("value", [1234.0, 0.1, 1e10, -1e10, 1e-42, 0.0])
def test_a_constant_channel_gives_exactly_bias(value, eps, view, dtype):
    bias = np.array([0.7, -1e-3], np.float32)
    weight = np.array([3.7, -1e4], np.float32)
    y, _ = batch_norm_forward(np.full(view, value, dtype), weight, bias, eps=eps)
    assert (y == bias.astype(dtype)[:, None]).all()


def test_subnormal_inputs_are_not_flushed():
    """eps far above their squares leaves y = x/sqrt(eps), a normal number."""
    x = np.float32([1e-40, -1e-40, 3e-42, -3e-42])[:, None, None]
    y = check_training(x, eps=1e-30)
    np.testing.assert_allclose(y, x.astype(float) * 1e15, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", [(300, 3, 1), (40, 3, 1), (3, 3, 300), (70, 3, 7)], ids=view_id)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_stay_in_their_channel(bad, view, dtype):
    x = np.random.default_rng(2).normal(0, 1, view).astype(dtype)
    clean, clean_stats = batch_norm_forward(x)
    x[view[0] // 2, 1, view[2] // 2] = bad
    y, stats = batch_norm_forward(x)
    others = [0, 2]
    assert y[:, others].tobytes() == clean[:, others].tobytes()
    assert stats[:, others].tobytes() == clean_stats[:, others].tobytes()
    assert np.isnan(stats[1, 1])
    assert np.isnan(y[:, 1]).all()


@pytest.mark.parametrize("view", [(300, 3, 1), (4, 3, 1), (3, 3, 300), (70, 3, 7)], ids=view_id)
def test_the_end_of_the_range_stays_in_its_channel(view):
    """What float32 and float64 cannot hold makes no other channel worse."""
    for dtype in DTYPES:
        x = np.random.default_rng(2).normal(0, 1, view).astype(dtype)
        clean, _ = batch_norm_forward(x)
        x[:, 1] = np.finfo(dtype).max
        x[0, 1] *= -1
        y, _ = batch_norm_forward(x)
        assert y[:, [0, 2]].tobytes() == clean[:, [0, 2]].tobytes()


@pytest.mark.parametrize("x_dtype", DTYPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_rank
def test_evaluation_uses_the_running_statistics(name, shape, dtype, x_dtype):
    rng = np.random.default_rng(3)
    layer = cybn.create(name, num_features=5, dtype=dtype).eval()
    layer.weight[:], layer.bias[:] = parameters(rng, 5)
    layer.running_mean[:], layer.running_var[:] = rng.normal(0, 9, 5), rng.uniform(0.1, 9, 5)
    x = rng.normal(1, 3, shape).astype(x_dtype)
    ncl = reference.to_ncl(x)
    mean, var = layer.running_mean.astype(float), layer.running_var.astype(float)
    exact = reference.normalize(ncl, mean, var, layer.weight, layer.bias)
    xhat = reference.xhat_of(ncl, mean, var, 1e-5)
    scale = 1 / np.sqrt(var)[:, None]
    size = np.abs(xhat) + np.abs(mean[:, None]) * scale  # x - mean may cancel
    bound = output_bound(size, layer.weight, layer.bias, 1, x_dtype)
    assert_within(reference.to_ncl(layer(x)), exact, bound)


@pytest.mark.parametrize("training", [True, False])
@every_rank
def test_a_layer_gives_what_the_function_gives(name, shape, training):
    rng = np.random.default_rng(4)
    layer = cybn.create(name, num_features=5, eps=1e-3).train(training)
    layer.weight[:], layer.bias[:] = parameters(rng, 5)
    x = rng.normal(1, 3, shape).astype(np.float32)
    mean, var = np.zeros(5, np.float32), np.ones(5, np.float32)
    y = cybn.functional.batch_norm(x, mean, var, layer.weight, layer.bias, training, 0.1, 1e-3)
    assert layer(x).tobytes() == y.tobytes()
    assert layer.running_mean.tobytes() == mean.tobytes()
    assert layer.running_var.tobytes() == var.tobytes()


@pytest.mark.parametrize("training", [True, False])
def test_without_statistics_evaluation_normalizes_by_the_batch(training):
    x = np.random.default_rng(5).normal(2, 3, (8, 3)).astype(np.float32)
    layer = cybn.BatchNorm1d(3, track_running_stats=False).train(training)
    assert layer(x).tobytes() == batch_norm_forward(x)[0].tobytes()
    assert list(layer.buffers()) == []


@every_rank
def test_channels_last_is_the_same_layer(name, shape):
    rng = np.random.default_rng(6)
    x = rng.normal(2, 3, shape).astype(np.float64)
    last = cybn.create(name, num_features=5, dtype="float64", channel_axis=-1)
    first = cybn.create(name, num_features=5, dtype="float64")
    y = last(np.moveaxis(x, 1, -1))
    # two orders of summation, each within 2(m + 3) u of the exact one
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), first(x), rtol=0, atol=1e-13)
    np.testing.assert_allclose(last.running_mean, first.running_mean, rtol=1e-13)
    np.testing.assert_allclose(last.running_var, first.running_var, rtol=1e-13)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("empty", [(0, 5), (0, 5, 3), (4, 5, 0)])
def test_an_empty_batch_gives_an_empty_output(empty, training):
    layer = cybn.BatchNorm1d(5).train(training)
    x = np.empty(empty, np.float32)
    y = layer(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    dx = layer.backward(y)
    assert (dx.shape, dx.dtype) == (x.shape, x.dtype)
    assert not layer.grads["weight"].any()
    assert not layer.grads["bias"].any()
    assert layer.num_batches_tracked == 0
    assert not layer.running_mean.any()
    assert (layer.running_var == 1).all()


def test_one_value_per_channel_is_fine_in_evaluation():
    layer = cybn.BatchNorm1d(3).eval()
    np.testing.assert_allclose(layer(np.float32([[1, 2, 3]])), [[1, 2, 3]], rtol=1e-5)  # eps/2


def test_exact_stats_agree_with_the_known_example():
    """The oracle itself: variance 1.25 of 1, 2, 3, 4, and the statistics of a constant."""
    x = np.float32([[1, 5], [2, 5], [3, 5], [4, 5]])[:, :, None]
    assert exact_stats(x)[:2].tolist() == [[2.5, 5.0], [1.25, 0.0]]
