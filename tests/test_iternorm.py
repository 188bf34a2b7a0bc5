"""IterNorm and WeightStandardization: what is particular to each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits
from whole import draw

import cybn


def correlated(seed, channels=4, m=200):
    """(m, C): normal values mixed by a matrix, with means away from 0."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(channels) + 0.5 * rng.normal(size=(channels, channels))
    return rng.normal(size=(m, channels)) @ mixing + rng.normal(0, 10, channels)


def test_values_by_hand():
    layer = cybn.IterNorm(2, iterations=1, eps=1.0, momentum=0.5, dtype="float64")
    x = np.array([[3.0, 1.0], [1.0, 3.0], [-1.0, -3.0], [-3.0, -1.0]]) + 8
    # sigma = [[5, 3], [3, 5]] + 1, its trace 12, one step (3 - sigma/12)/2, by √12
    wm = np.array([[2.5, -0.25], [-0.25, 2.5]]) / 2 / np.sqrt(12)
    np.testing.assert_allclose(layer(x), (x - 8) @ wm, rtol=1e-15)
    np.testing.assert_allclose(layer.running_mean, [4, 4], rtol=1e-15)
    np.testing.assert_allclose(layer.running_wm[0], (np.eye(2) + wm) / 2, rtol=1e-15)
    expected = (x - 4) @ layer.running_wm[0]
    np.testing.assert_allclose(layer.eval()(x), expected, rtol=1e-15)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]))
def test_the_output_of_many_iterations_is_white_within_groups(seed, groups):
    x = correlated(seed)
    y = cybn.IterNorm(4, num_groups=groups, iterations=60, eps=1e-12)(x)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-9)
    size = 4 // groups
    for g in range(groups):
        part = y[:, g * size : (g + 1) * size]
        np.testing.assert_allclose(part.T @ part / len(x), np.eye(size), atol=1e-6)


def test_groups_of_one_channel_are_batch_norm():
    """sigma/trace is 1, of which the root is 1 after no step."""
    x, dy = draw((3, 4, 5)), draw((3, 4, 5), seed=2)
    layer, batch = cybn.IterNorm(4, num_groups=4), cybn.BatchNorm1d(4)
    np.testing.assert_allclose(layer(x), batch(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), batch.backward(dy), rtol=1e-10, atol=1e-12)
    for name, grad in batch.grads.items():
        np.testing.assert_allclose(layer.grads[name], grad, rtol=1e-6)


def test_channels_of_no_variance_and_fewer_values_than_channels():
    x = draw((3, 8))
    x[:, 2] = 1234.0
    layer = cybn.IterNorm(8)
    y = layer(x)
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(y)).all()
    np.testing.assert_allclose(y[:, 2], 0, atol=1e-15)


def test_many_blocks_and_threads_give_the_same_bits(restore_threads):
    """Wide enough for a matrix product to be shared out, where it could be."""
    x, dy = (draw((40, 128, 50), np.float32, seed) for seed in (1, 2))
    results = []
    for threads in (1, 2, 3):
        cybn.set_num_threads(threads)
        layer = cybn.IterNorm(128, num_groups=2)
        results.append((bits(layer(x)), bits(layer.backward(dy)), state_bits(layer)))
    assert results[0] == results[1] == results[2]
    values = np.moveaxis(x, 1, 0).reshape(2, 64, -1).astype(np.float64)
    values -= values.mean(2, keepdims=True)
    back = np.moveaxis(layer(x), 1, 0).reshape(2, 64, -1)
    sigma = values @ values.swapaxes(1, 2) / values.shape[2] + 1e-5 * np.eye(64)
    trace = np.trace(sigma, axis1=1, axis2=2)[:, None, None]
    wm = np.broadcast_to(np.eye(64), sigma.shape)
    for _ in range(5):
        wm = 1.5 * wm - 0.5 * wm @ wm @ wm @ sigma / trace
    np.testing.assert_allclose(back, wm @ values / np.sqrt(trace), atol=1e-5)


def test_a_large_mean_does_no_harm():
    x = (correlated(1) + 1e4).astype(np.float32)
    expected = cybn.IterNorm(4)(x.astype(np.float64) - 1e4)
    np.testing.assert_allclose(cybn.IterNorm(4)(x), expected, atol=1e-6)


def test_iternorm_errors():
    with pytest.raises(ValueError, match=r"num_features \(6\) must be divisible by num_groups"):
        cybn.IterNorm(6, num_groups=4)
    layer = cybn.IterNorm(4, num_groups=2)
    before = state_bits(layer)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        layer(np.zeros((1, 4)))
    assert state_bits(layer) == before
    assert layer.eval()(np.zeros((1, 4))).shape == (1, 4)
    layer.running_wm = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match=r"running_wm of shape \(2, 2, 2\), .* got \(4, 4\)"):
        layer(np.zeros((3, 4)))


def test_weight_standardization_by_hand():
    x = np.array([[[1.0, 1], [1, 5]], [[2, 2], [2, 2]]])  # variances 3 and 0
    layer = cybn.WeightStandardization(2, eps=1.0, dtype="float64")
    layer.gain[...] = [2, 8]
    expected = np.array([[[-1.0, -1], [-1, 3]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(layer(x), expected)
    layer.scaled = True
    np.testing.assert_array_equal(layer(x), expected / 2)  # √4
    layer.backward(np.array([[[0.0, 0], [0, 1]], [[1, 1], [1, 1]]]))
    np.testing.assert_array_equal(layer.grads["gain"], [0.75, 0])  # of 3/2, in halves


@given(st.integers(0, 2**32 - 1), st.sampled_from([(3, 5), (4, 3, 3, 3), (1, 2, 7)]))
def test_a_scaled_filter_has_norm_one(seed, shape):
    x = np.random.default_rng(seed).normal(3, 2, shape)
    y = cybn.WeightStandardization(scaled=True, eps=1e-14)(x).reshape(len(x), -1)
    np.testing.assert_allclose(y.sum(1), 0, atol=1e-13)
    np.testing.assert_allclose((y**2).sum(1), 1, rtol=1e-12)


def test_weight_standardization_does_not_see_scale_and_shift():
    x = draw((4, 3, 5))
    y = cybn.WeightStandardization(eps=1e-5)(x)
    z = cybn.WeightStandardization(eps=4e-5)(2 * x)
    assert bits(z) == bits(y)
    np.testing.assert_allclose(cybn.WeightStandardization()(x + 1), y, rtol=1e-12, atol=1e-13)


def test_weight_standardization_errors():
    layer = cybn.WeightStandardization(4)
    with pytest.raises(ValueError, match=r"expects 4 filters on axis 0, got 3 in \(3, 4\); build"):
        layer(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"a weight of 2 axes or more.* got 1-D \(4,\)"):
        layer(np.zeros(4))
    with pytest.raises(ValueError, match=r"filters of more than 1 value, got \(4, 1\)"):
        layer(np.zeros((4, 1)))
    layer.gain = np.ones(4)
    with pytest.raises(TypeError, match="one dtype, float32, got gain of float64"):
        layer(np.zeros((4, 2)))
