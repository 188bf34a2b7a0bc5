"""SwitchableNorm and IBN: which statistics are used when, and running ones."""

import threading

import numpy as np
import pytest
from runs import bits, state_bits
from whole import draw

import cybn

WITHOUT = -100.0  # a share of no weight before the softmax: e^-100


def mixing(layer, instance, of_layer, batch):
    layer.mean_weight[...] = layer.var_weight[...] = [instance, of_layer, batch]
    return layer


def test_values_by_hand():
    layer = cybn.SwitchableNorm1d(2, eps=1.0, dtype="float64")
    layer.mean_weight[...] = np.log([0.5, 0.25, 0.25])
    layer.var_weight[...] = np.log([0.25, 0.5, 0.25])
    x = np.array([[[0.0, 2], [4, 6]], [[4, 6], [8, 10]]])
    # means: instance 1 5 5 9, layer 3 7, batch 3 7; variances: instance 1, layer 5, batch 5
    mean = np.array([[0.5 + 1.5, 2.5 + 0.75 + 1.75], [2.5 + 1.75 + 0.75, 4.5 + 3.5]])
    std = np.sqrt(0.25 + 2.5 + 1.25 + 1)
    np.testing.assert_allclose(layer(x), (x - mean[..., None]) / std, rtol=1e-15)
    # from 0 and 1 with momentum 0.1; the variance of 4 values is 5*4/3 unbiased
    np.testing.assert_allclose(layer.running_mean, [0.3, 0.7], rtol=1e-15)
    np.testing.assert_allclose(layer.running_var, 0.9 + 2 / 3, rtol=1e-15)
    # in evaluation the batch's part is that of the running ones
    mean += 0.25 * (layer.running_mean - [3, 7])
    std = np.sqrt(0.25 + 2.5 + 0.25 * layer.running_var + 1)[:, None]
    np.testing.assert_allclose(layer.eval()(x), (x - mean[..., None]) / std, rtol=1e-15)


@pytest.mark.parametrize("training", [True, False])
def test_batch_statistics_alone_are_batch_norm(training):
    layer = mixing(cybn.SwitchableNorm2d(4, dtype="float64"), WITHOUT, WITHOUT, 0)
    batch = cybn.BatchNorm2d(4, dtype="float64")
    for seed in (1, 2):
        x = draw((3, 4, 2, 5), seed=seed)
        layer(x)
        batch(x)
    np.testing.assert_allclose(layer.running_mean, batch.running_mean, rtol=1e-13)
    np.testing.assert_allclose(layer.running_var, batch.running_var, rtol=1e-13)
    layer.train(training)
    batch.train(training)
    np.testing.assert_allclose(layer(x), batch(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.backward(x), batch.backward(x), rtol=1e-12, atol=1e-12)


def test_instance_and_layer_statistics_alone():
    x = draw((3, 4, 2, 5))
    for shares, axes in (((0, WITHOUT, WITHOUT), (2, 3)), ((WITHOUT, 0, WITHOUT), (1, 2, 3))):
        y = mixing(cybn.SwitchableNorm2d(4), *shares)(x)
        std = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        np.testing.assert_allclose(y, (x - x.mean(axes, keepdims=True)) / std, rtol=1e-12)


def test_equal_shares_have_a_gradient_that_sums_to_zero():
    """Adding to all three weights changes no share."""
    layer, x = cybn.SwitchableNorm2d(4, dtype="float64"), draw((3, 4, 2, 5))
    layer(x)
    layer.backward(draw((3, 4, 2, 5), seed=2))
    for name in ("mean_weight", "var_weight"):
        assert abs(layer.grads[name].sum()) < 1e-12 * np.abs(layer.grads[name]).sum()
        assert layer.grads[name].any()


@pytest.mark.parametrize(
    ("name", "options"), [("SwitchableNorm1d", {}), ("IBN", {"ratio": 0}), ("IBN", {"ratio": 0.5})]
)
def test_running_statistics_are_those_of_batch_norm(name, options):
    for momentum in (0, 0.3, 1, None):
        settings = {"momentum": momentum, "dtype": "float64"}
        layer = cybn.create(name, num_features=4, **options, **settings)
        batch = cybn.BatchNorm1d(4, **settings)
        for seed in range(3):
            layer(draw((3, 4, 5), seed=seed))
            batch(draw((3, 4, 5), seed=seed))
        last = len(layer.running_mean)
        np.testing.assert_allclose(layer.running_mean, batch.running_mean[-last:], rtol=1e-13)
        np.testing.assert_allclose(layer.running_var, batch.running_var[-last:], rtol=1e-13)
        assert layer.num_batches_tracked == 3


def test_a_large_shared_mean_does_no_harm():
    x = (draw((4, 4, 64)) + 1e4).astype(np.float32)
    for name in ("SwitchableNorm1d", "IBN"):
        layer = cybn.create(name, num_features=4)
        y = layer(x)
        np.testing.assert_allclose(y, cybn.create(name, num_features=4)(x.astype(float)), atol=2e-6)


@pytest.mark.parametrize(("ratio", "half"), [(0, 0), (0.5, 2), (0.7, 3), (1, 5)])
def test_the_channels_of_ibn(ratio, half):
    layer, x = cybn.IBN(5, ratio=ratio), draw((3, 5, 2, 4))
    assert layer.half == half
    y, batch = layer(x), cybn.BatchNorm2d(5)(x)
    rows = x.reshape(15, 1, 2, 4)
    instance = np.concatenate([cybn.BatchNorm2d(1)(row[None]) for row in rows]).reshape(x.shape)
    np.testing.assert_allclose(y[:, :half], instance[:, :half], rtol=1e-13)
    assert bits(y[:, half:]) == bits(batch[:, half:])
    assert np.shape(layer.running_mean) == ((5 - half,) if half < 5 else ())


@pytest.mark.parametrize("name", ["SwitchableNorm1d", "IBN", "RevIN", "AdaIN"])
def test_one_value_in_a_channel_of_a_sample_is_an_error(name):
    layer = cybn.create(name, num_features=4)
    x = np.zeros((3, 4, 1) if name != "RevIN" else (3, 1, 4), np.float32)
    before = state_bits(layer)
    for mode in (True, False):
        with pytest.raises(ValueError, match=rf"{name} needs more than 1 value in each channel"):
            layer.train(mode)(x)
    assert state_bits(layer.train()) == before


@pytest.mark.parametrize("name", ["SwitchableNorm1d", "IBN"])
@pytest.mark.parametrize(
    ("array", "value", "error", "match"),
    [
        ("weight", np.ones(3, np.float32), ValueError, r"weight of shape \(4,\).* got \(3,\)"),
        ("bias", np.ones(4), TypeError, "one dtype, float32, got bias of float64"),
        ("num_batches_tracked", np.array(0.0), TypeError, "0-D int64"),
        ("running_var", np.ones(7, np.float32), ValueError, r"running_var of shape \([24],\)"),
    ],
)
def test_spoilt_arrays_are_errors(name, array, value, error, match):
    layer = cybn.create(name, num_features=4)
    setattr(layer, array, value)
    before = state_bits(layer)
    with pytest.raises(error, match=f"{name} .*{match}"):
        layer(draw((3, 4, 5)))
    assert state_bits(layer) == before


def test_mixing_weights_of_another_shape_are_an_error():
    layer = cybn.SwitchableNorm1d(4)
    layer.var_weight = np.ones(4, np.float32)
    with pytest.raises(ValueError, match=r"SwitchableNorm1d needs var_weight .* got \(4,\)"):
        layer(draw((3, 4, 5)))


@pytest.mark.parametrize("name", ["SwitchableNorm1d", "IBN", "IterNorm"])
def test_read_only_running_statistics_are_an_error_in_training_only(name):
    layer, x = cybn.create(name, num_features=4), draw((3, 4, 5))
    layer.running_mean.flags.writeable = False
    with pytest.raises(ValueError, match=f"{name} updates running_mean in training"):
        layer(x)
    assert layer.eval()(x).shape == x.shape


@pytest.mark.parametrize("name", ["SwitchableNorm1d", "IBN", "IterNorm"])
def test_threads_that_share_a_layer_lose_no_update(name):
    """Each step halves what is left between the running mean and 1, exactly."""
    layer = cybn.create(name, num_features=4, momentum=0.5, dtype="float64")
    layer.running_mean[...] = 1 - 2.0**40
    x = draw((3, 4, 5))
    x += 1 - x.mean((0, 2), keepdims=True)

    def work():
        for _ in range(10):
            layer(x)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_allclose(layer.running_mean, 1 - 2.0**40 / 2.0**40, atol=1e-9)
    if name != "IterNorm":
        assert layer.num_batches_tracked == 40


@pytest.mark.parametrize("name", ["SwitchableNorm1d", "IBN"])
def test_running_statistics_that_are_taken_away_are_not_used(name):
    x = draw((3, 4, 5))
    whole, without = (cybn.create(name, num_features=4, momentum=None) for _ in range(2))
    without.running_var = without.num_batches_tracked = None
    expected = whole(x)
    assert bits(without(x)) == bits(expected)
    assert bits(without.eval()(x)) == bits(expected)
    assert not without.running_mean.any()
