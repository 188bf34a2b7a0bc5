"""The research variants on numbers worked out by hand, at the edges of their equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits

import cybn


def close(a, expected):
    np.testing.assert_allclose(a, expected, rtol=1e-12, atol=1e-12)


def make(name, features, **options):
    return cybn.create({"type": name, "dtype": "float64", **options}, num_features=features)


def test_frn_by_hand():
    """Mean square (1 + 49)/2 = 25 - eps, so xhat = x/5; weight 2 and bias 1 give 1.4 and -1.8."""
    layer = make("FRN", 1, eps=1e-6)
    layer.weight[...], layer.bias[...], layer.tau[...] = 2, 1, -1
    x = np.array([[[1.0, -7.0]]])
    x *= np.sqrt((25 - 1e-6) / 25)
    scale = x[0, 0, 0]
    close(layer(x), [[[1 + 2 * scale / 5, -1]]])  # -1.8 is below the threshold
    dx = layer.backward(np.array([[[3.0, 4.0]]]))
    # of g = (6, 0): dx = (g - xhat·mean(g·xhat))/5
    xhat = x.ravel() / 5
    close(dx.ravel(), [(6 - xhat[0] * 3 * xhat[0]) / 5, -xhat[1] * 3 * xhat[0] / 5])
    close(layer.grads["weight"], [3 * xhat[0]])
    close(layer.grads["bias"], [3])
    close(layer.grads["tau"], [4])


def test_frn_of_one_position_is_a_soft_sign_with_a_learned_eps():
    """(N, C): y = x/sqrt(x² + eps); d y / d eps = -x/2 (x² + eps)^(-3/2)."""
    layer = make("FRN", 1, eps=1.0, tlu=False, learn_eps=True)
    layer.learned_eps[...] = -15
    close(layer(np.array([[3.0], [0.0]])), [[0.6], [0]])
    dx = layer.backward(np.array([[1.0], [1.0]]))
    close(dx, [[16 / 125], [1 / 4]])
    close(layer.grads["learned_eps"], [3 / 2 / 125])  # eps = 1 + |-15| falls as -15 rises


def test_frn_at_the_threshold_gives_the_gradient_to_tau():
    layer = make("FRN", 1)
    close(layer(np.zeros((2, 1, 3))), np.zeros((2, 1, 3)))
    assert not layer.backward(np.ones((2, 1, 3))).any()
    assert (layer.grads["tau"].item(), layer.grads["bias"].item()) == (6, 0)


@pytest.mark.parametrize("magnitude", [1e30, 1e-30, 1e-12])
def test_frn_and_scalenorm_of_very_large_and_small_float32(magnitude):
    x = np.float32([[[3 * magnitude, 4 * magnitude]]])
    frn = cybn.create("FRN", num_features=1, eps=1e-70)
    np.testing.assert_allclose(frn(x)[0, 0], np.float32([0.6, 0.8]) * 2**0.5, rtol=3e-7)
    assert np.isfinite(frn.backward(np.float32([[[1, 2]]]) * np.float32(1e-9))).all()
    scale = cybn.create("ScaleNorm", num_features=2, eps=1e-70)
    np.testing.assert_allclose(scale(x)[0, 0], np.float32([0.6, 0.8]) * 2**0.5, rtol=3e-7)


def test_grn_by_hand():
    """G = (5, 15), mean 10 (eps next to nothing): N = (1/2, 3/2), y = (1 + weight·N)·x + bias."""
    layer = make("GRN", 2, eps=1e-300)
    layer.weight[...], layer.bias[...] = [2, -4], [1, 0]
    x = np.array([[[3.0, 4.0], [0.0, 15.0]]])
    close(layer(x), [[[7, 9], [0, -75]]])
    dx = layer.backward(np.array([[[1.0, 1.0], [1.0, 1.0]]]))
    # Σdy·x = (7, 15) = dN/weight; dN = (14, -60); mean of dN·N = (7 - 90)/2 = -41.5
    # dG = (dN + 41.5)/10 = (5.55, -1.85); dx = dy·(1 + weight·N) + dG·x/G
    close(dx, [[[2 + 3.33, 2 + 4.44], [-5, -5 - 1.85]]])
    close(layer.grads["weight"], [3.5, 22.5])
    close(layer.grads["bias"], [2, 2])


def test_grn_starts_as_the_identity_and_takes_silent_channels():
    layer = make("GRN", 2, eps=1e-300)
    x = np.random.default_rng(0).normal(size=(2, 2, 3))
    assert bits(layer(x)) == bits(x)
    layer.weight[...] = 1
    x[0, 1] = x[1] = 0
    y = layer(x)
    assert not y[0, 1].any()
    assert not y[1].any()
    close(y[0, 0], x[0, 0] * 3)  # all energy is in one of two channels: N = 2
    close(layer.backward(np.ones_like(x))[1], np.ones((2, 3)))


def test_scalenorm_by_hand():
    """|x| = 5, weight 10: y = 2x; dx = 2·(dy - xhat·(dy·xhat))."""
    layer = make("ScaleNorm", 2, eps=1e-300)
    close(layer.weight, [np.sqrt(2)])
    layer.weight[...] = 10
    close(layer(np.array([[3.0, 4.0]])), [[6, 8]])
    dx = layer.backward(np.array([[1.0, 0.0]]))
    close(dx, [[2 * (1 - 0.36), -2 * 0.48]])
    close(layer.grads["weight"], [0.6])
    assert layer.grads["weight"].shape == (1,)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_scalenorm_gives_every_vector_the_length_of_its_weight(seed, magnitude):
    x = np.random.default_rng(seed).normal(0, magnitude, (3, 5, 8))
    layer = make("ScaleNorm", 8, eps=1e-30)
    close(np.sqrt((layer(x) ** 2).sum(-1)), np.full((3, 5), np.sqrt(8)))
    np.testing.assert_allclose(layer(4 * x), layer(x), rtol=1e-12)


def test_dyt_by_hand():
    """tanh(log 2 / 2 · 2) = (2 - 1/2)/(2 + 1/2) = 0.6, of slope 1 - 0.36."""
    layer = make("DyT", 2, alpha_init_value=np.log(2) / 2)
    layer.weight[...], layer.bias[...] = [10, 1], [0, 5]
    close(layer(np.array([[2.0, -2.0]])), [[6, 4.4]])
    dx = layer.backward(np.array([[1.0, 2.0]]))
    close(dx, np.array([[10, 2]]) * 0.64 * np.log(2) / 2)
    close(layer.grads["alpha"], [(10 * 2 - 2 * 2) * 0.64])
    close(layer.grads["weight"], [0.6, -1.2])
    close(layer.grads["bias"], [1, 2])


def test_dyt_of_large_items_is_flat():
    layer = make("DyT", 1)
    close(layer(np.array([[1e30], [-1e30]])), [[1], [-1]])
    assert not layer.backward(np.ones((2, 1))).any()


def test_evonorm_s0_by_hand():
    """Values ±1 have var 1; sigma(v1·x) = 2/3 for v1 = log 2 and x = 1, 1/3 for x = -1."""
    layer = make("EvoNormS0", 1, eps=3.0)
    layer.v1[...] = np.log(2)
    close(layer(np.array([[[1.0, -1.0]]])), [[[1 / 3, -1 / 6]]])
    dx = layer.backward(np.array([[[1.0, 0.0]]]))
    # dy by x directly: (2/3 + log 2·2/9)/2; by the deviation 2: -(1/3)/2 · x/(2·2)
    direct, by_std = (2 / 3 + np.log(2) * 2 / 9) / 2, -1 / 24
    close(dx, [[[direct + by_std, -by_std]]])
    close(layer.grads["v1"], [2 / 9 / 2])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1e3, -1e6]))
def test_evonorm_s0_of_all_groups_has_the_variance_of_the_sample(seed, offset):
    """Merged from the moments of its channels, whose means are far apart, and far from 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(offset, 1, (2, 6, 9)) + rng.normal(0, 100, (6, 1))
    layer = make("EvoNormS0", 6, groups=2)
    layer.v1[...] = 0  # sigma(0) = 1/2
    std = np.sqrt(x.reshape(2, 2, -1).var(2) + layer.eps).repeat(3, 1)
    np.testing.assert_allclose(layer(x), x / 2 / std[:, :, None], rtol=1e-9)


@pytest.mark.parametrize("groups", [4, 5, 7])
def test_evonorm_s0_needs_groups_that_divide(groups):
    message = rf"num_features \(18\) must be divisible by groups \({groups}\)"
    with pytest.raises(ValueError, match=message):
        cybn.EvoNormS0(18, groups)


def test_partial_rms_by_hand():
    """The first two of four tell the size, 5: p·C = 1.2 is rounded up."""
    layer = make("PartialRMSNorm", 4, p=0.3, eps=1e-300)
    layer.weight[...] = 1, 2, 3, 4
    x = np.array([[1.0, -7.0, 10.0, 0.0]])
    close(layer(x), [[1 / 5, -14 / 5, 30 / 5, 0]])
    # Σ g·xhat = 1·1/5, of the first item of dy, or 3·2 of the third
    close(layer.backward(np.array([[1.0, 0, 0, 0]])), [[0.2 - 0.004, 0.028, 0, 0]])
    dx = layer.backward(np.array([[0, 0, 1.0, 0]]))
    close(dx, [[-6 / 2 / 25, 7 * 6 / 2 / 25, 3 / 5, 0]])
    close(layer.grads["weight"], [0, 0, 2, 0])


@pytest.mark.parametrize("affine", [True, False])
def test_all_of_partial_rms_is_rms_norm(affine):
    x, dy = np.random.default_rng(0).normal(2, 3, (2, 4, 3, 6))
    whole = cybn.PartialRMSNorm(6, 1.0, 0.1, affine, dtype="float64")
    rms = cybn.RMSNorm(6, 0.1, affine, dtype="float64")
    close(whole(x), rms(x))
    close(whole.backward(dy), rms.backward(dy))
    assert list(whole.grads) == list(rms.grads) == ["weight"] * affine


def test_evonorm_b0_by_hand():
    """Batch variance 5, each sample's 1: with eps = 4, deviations 3 and v1·x + sqrt(5)."""
    layer = make("EvoNormB0", 1, eps=4.0, momentum=0.5)
    layer.weight[...], layer.v1[...] = 2, 4
    x = np.array([[[-3.0, -1.0]], [[1.0, 3.0]]])
    own = 5**0.5 + np.array([4, 12])
    close(layer(x), np.array([[[-2, -2 / 3]], [[2, 6] / own]]))
    close(layer.running_var, [0.5 + 0.5 * 5 * 4 / 3])
    dx = layer.backward(np.array([[[3.0, 0.0]], [[0.0, 0.0]]]))
    # y0 = 2·x0/std: directly 6/3; by std -6·x0/9 = 2, and d std = x/(4·3)
    close(dx, np.array([[[2.0, 0.0]], [[0.0, 0.0]]]) + 2 * x / 12)
    close(layer.grads["v1"], [0])
    dx = layer.backward(np.array([[[0.0, 0.0]], [[1.0, 0.0]]]))
    # y2 = 2/own: by x 2/own - 2·4/own²; by the sample's deviation, -2/own²·(x - 2)/(2·sqrt(5))
    by_std = -2 / own[0] ** 2 / (2 * 5**0.5)
    close(dx[0], [[0, 0]])
    close(dx[1], [[2 / own[0] - 8 / own[0] ** 2 - by_std, by_std]])
    close(layer.grads["v1"], [-2 / own[0] ** 2])
    layer.eval().running_var[...] = 12
    close(layer(x)[0], [[-6 / 4, -2 / 4]])
    close(layer.backward(np.ones_like(x))[0], [[2 / 4, 2 / 4]])


def test_evonorm_b0_with_a_large_mean_in_float32():
    """The variance of 1e7 and 1e7 + 1, in every sample and in the batch, is 1/4."""
    layer = cybn.EvoNormB0(1, momentum=1)
    layer.v1[...] = 0
    x = np.float32([[[1e7, 1e7 + 1]], [[1e7 + 1, 1e7]]])
    np.testing.assert_allclose(layer(x), x / np.sqrt(0.25 + 1e-5), rtol=1e-7)
    np.testing.assert_allclose(layer.running_var, [1 / 3], rtol=1e-6)


def test_evonorm_b0_of_one_value_per_channel_changes_nothing():
    layer = cybn.EvoNormB0(3)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"Expected more than 1 value per channel when training"):
        layer(np.ones((1, 3, 1)))
    layer.running_var = np.broadcast_to(np.float32(1), 3)
    with pytest.raises(ValueError, match=r"EvoNormB0 updates running_var in training, got a read"):
        layer(np.ones((2, 3, 1)))
    layer.running_var = np.ones(3, np.float32)
    assert state_bits(layer) == before
    close(layer.eval()(np.ones((1, 3, 1)))[0, 0], [1 / (1 + 1e-5**0.5)])
