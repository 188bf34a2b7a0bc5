"""ConditionalBatchNorm: statistics of BatchNorm, weight and bias of each sample's class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits
from strategies import LAYOUTS, layout_id

import cybn
from cybn import reference

# around the borders of the views: short rows in several views, long ones in one, nothing at all
SHAPES = [(5, 3), (4, 3, 2), (3, 2, 15), (3, 2, 16), (4, 3, 70), (6, 3, 4, 5), (1, 3, 9),
          (3, 3000, 1), (40, 300), (2, 2, 2, 2, 2)]  # fmt: skip


def randomized(classes=3, channels=3, seed=0, **options):
    layer = cybn.ConditionalBatchNorm(channels, num_classes=classes, **options)
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter[...] = rng.uniform(-2, 2, parameter.shape)
    layer.running_mean[...] = rng.normal(0, 1, channels)
    layer.running_var[...] = rng.uniform(0.5, 2, channels)
    return layer


def case(shape, seed=0, dtype=np.float64, axis=1):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(1, 2, (2, *shape)).astype(dtype)
    if axis == -1:
        x, dy = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, dy))
    return x, dy, rng.integers(0, 3, shape[0])


@given(
    st.sampled_from(SHAPES), st.sampled_from([1, -1]), st.booleans(), st.booleans(),
    st.sampled_from([np.float32, np.float64]), st.sampled_from(["float32", "float64"]),
    st.integers(0, 99),
)  # fmt: skip
def test_it_is_batch_norm_then_weight_and_bias_by_label(
    shape, axis, training, bias, of_x, dtype, seed
):
    x, dy, labels = case(shape, seed, of_x, axis)
    options = {"bias": bias, "dtype": dtype, "channel_axis": axis}
    layer = randomized(channels=shape[1], seed=seed, **options).train(training)
    view = (shape[0], shape[1], -1)
    x_ncl, dy_ncl = (np.moveaxis(a, axis, 1).reshape(view).astype(np.float64) for a in (x, dy))
    stats = reference.moments(x_ncl) if training else (layer.running_mean, layer.running_var)
    stats = [a.astype(np.float64) for a in stats]
    shift = layer.bias if bias else np.zeros_like(layer.weight)
    y = reference.conditional(x_ncl, *stats, layer.weight, shift, labels)
    dx, *sums = reference.backward_conditional(
        dy_ncl, x_ncl, *stats, layer.weight, labels, training
    )
    atol = 1e-12 if of_x is np.float64 else 2e-5  # |y| < 10: some 16 roundings in float32
    std = np.sqrt(stats[1] + layer.eps)[:, None]  # dx is a difference of terms of the size 1/std
    for got, exact, unit in ((layer(x, labels=labels), y, 1), (layer.backward(dy), dx, std)):
        got_ncl = np.moveaxis(got, axis, 1).reshape(view)
        np.testing.assert_allclose(got_ncl * unit, exact * unit, rtol=0, atol=atol)
    atol = 1e-10 if (of_x, dtype) == (np.float64, "float64") else 1e-4  # sums below 1000
    for grad, exact in zip(layer.grads.values(), sums, strict=bias):
        assert grad.dtype == dtype
        np.testing.assert_allclose(grad, exact, rtol=0, atol=atol)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 20)])
def test_gradients_are_the_central_differences(shape, training):
    layer = randomized(dtype="float64").train(training)
    x, dy, labels = case(shape)
    v, _, _ = case(shape, seed=1)
    layer(x, labels=labels)
    dx = layer.backward(dy)
    grads = layer.grads

    def loss(x):
        return (layer(x, labels=labels) * dy).sum()

    assert (loss(x + 1e-5 * v) - loss(x - 1e-5 * v)) / 2e-5 == pytest.approx((dx * v).sum(), 1e-8)
    for name, parameter in layer.named_parameters():
        direction = np.arange(1.0, 10.0).reshape(3, 3)
        values = parameter.copy()
        parameter[...] = values + direction
        above = loss(x)
        parameter[...] = values - direction
        slope = (above - loss(x)) / 2  # the loss is linear in parameters
        parameter[...] = values
        assert slope == pytest.approx((grads[name] * direction).sum(), rel=1e-9)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_statistics_are_those_of_batch_norm(momentum, dtype):
    options = {"momentum": momentum, "dtype": dtype}
    layer, plain = cybn.ConditionalBatchNorm1d(3, **options), cybn.BatchNorm1d(3, **options)
    for seed in range(3):
        x, _, _ = case((5, 3, 4), seed, np.float32)
        layer(x)
        plain(x)
        for name, a in plain.named_buffers():
            assert bits(getattr(layer, name)) == bits(a)


def test_without_labels_every_sample_is_of_class_0():
    one, other = randomized(), randomized()
    x, dy, _ = case((5, 3))
    assert bits(one(x)) == bits(other(x, labels=[0] * 5))
    assert bits(one.backward(dy)) == bits(other.backward(dy))
    assert not one.grads["weight"][1:].any()


def test_one_class_is_batch_norm():
    layer, plain = cybn.ConditionalBatchNorm1d(3), cybn.BatchNorm1d(3)
    x, dy, _ = case((5, 3, 20))
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), plain.backward(dy), rtol=1e-12, atol=1e-12)
    for name, grad in plain.grads.items():
        np.testing.assert_allclose(layer.grads[name], grad[None], rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 3, 0, 0], ValueError, "takes labels from 0 to 2, got 3; num_classes is 3"),
        ([0, 1, -1, 0, 0], ValueError, "takes labels from 0 to 2, got -1; num_classes is 3"),
        ([0, 1], ValueError, r"takes one label for each of 5 samples, got shape \(2,\)"),
        (np.zeros((5, 1), int), ValueError, "takes one label for each of 5 samples"),
        (1, ValueError, r"takes one label for each of 5 samples, got shape \(\)"),
        (np.zeros(5), TypeError, "takes ints as labels, got float64"),
        (np.zeros(5, bool), TypeError, "takes ints as labels, got bool"),
        (list("abcde"), TypeError, "takes ints as labels, got <U1"),
    ],
)
def test_labels_are_checked(labels, error, message):
    layer = randomized()
    x, dy, good = case((5, 3))
    layer(x, labels=good)
    dx, before = layer.backward(dy), state_bits(layer)
    with pytest.raises(error, match=f"ConditionalBatchNorm {message}"):
        layer(x, labels=labels)
    assert state_bits(layer) == before
    assert bits(layer.backward(dy)) == bits(dx)


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean"])
def test_arrays_are_checked_before_statistics_move(name):
    layer = randomized()
    setattr(layer, name, np.ones(4, np.float32))
    before = state_bits(layer)
    with pytest.raises(ValueError, match=f"ConditionalBatchNorm needs {name} of shape"):
        layer(case((5, 3))[0])
    assert state_bits(layer) == before


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, ">i4"])
def test_any_ints_are_labels_and_may_change_afterwards(dtype):
    x, dy, labels = case((5, 3))
    one, other = randomized(), randomized()
    given_labels = labels.astype(dtype)
    assert bits(one(x, labels=given_labels)) == bits(other(x, labels=labels))
    given_labels[:] = 0
    assert bits(one.backward(dy)) == bits(other.backward(dy))
    assert bits(one.grads["bias"]) == bits(other.grads["bias"])


@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 20)])
def test_any_memory_layout_with_labels(layout, shape):
    one, other = randomized(), randomized()
    x, dy, labels = case(shape)
    y = other(x, labels=labels)
    np.testing.assert_allclose(one(layout(x), labels=labels), y, atol=1e-13)
    np.testing.assert_allclose(one.backward(layout(dy)), other.backward(dy), atol=1e-13)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 20)])
def test_in_place(shape, training):
    one, other = randomized().train(training), randomized().train(training)
    x, dy, labels = case(shape)
    y, dx = one(x, labels=labels), one.backward(dy)
    assert other(x, out=x, labels=labels) is x
    assert other.backward(dy, out=dy) is dy
    assert (bits(x), bits(dy)) == (bits(y), bits(dx))
    assert state_bits(one) == state_bits(other)


def test_backward_may_be_asked_again_with_the_weight_of_the_forward():
    layer = randomized()
    x, dy, labels = case((5, 3))
    layer(x, labels=labels)
    dx, grads = layer.backward(dy), layer.grads
    layer.weight[:] = 9
    assert bits(layer.backward(dy)) == bits(dx)
    assert layer.grads is not grads
    assert bits(layer.grads["weight"]) == bits(grads["weight"])


def test_what_is_not_finite_stays_in_its_channel():
    x, dy, labels = case((4, 3, 20), dtype=np.float32)
    bad = x.copy()
    bad[1, 1, 3], bad[2, 1, 3] = np.nan, np.inf
    one, other = randomized(), randomized()
    y, z = one(x, labels=labels), other(bad, labels=labels)
    dx, dz = one.backward(dy), other.backward(dy)
    for a, b in ((y, z), (dx, dz)):
        assert bits(a[:, ::2]) == bits(b[:, ::2])
        assert np.isnan(b[:, 1]).any()


def test_untracked_evaluation_takes_the_moments_of_its_input():
    layer = cybn.ConditionalBatchNorm(3, track_running_stats=False)
    x, _, _ = case((5, 3))
    assert bits(layer.eval()(x)) == bits(layer.train()(x))
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_an_empty_batch():
    layer = randomized()
    before = state_bits(layer)
    x = np.zeros((0, 3), np.float32)
    assert layer(x, labels=[]).shape == (0, 3)
    assert state_bits(layer) == before
    assert layer.backward(x).shape == (0, 3)
    assert all(grad.shape == (3, 3) and not grad.any() for grad in layer.grads.values())
    assert layer(np.zeros((4, 3, 0), np.float32), labels=[0] * 4).shape == (4, 3, 0)


def test_the_sample_of_inputs_goes_through_all_classes():
    x, _, _ = case((5, 3))
    assert randomized().sample_inputs(x)["labels"].tolist() == [0, 1, 2, 0, 1]
