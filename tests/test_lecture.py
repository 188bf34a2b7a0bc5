"""The lecture's sessions, with cybn for nn and NumPy for torch."""

import numpy as np
import pytest

import cybn


@pytest.fixture
def fed():
    """In [60] to [62]: one batch of uniform (100, 16, 784)."""
    x = np.random.default_rng(0).random((100, 16, 784), dtype=np.float32)
    layer = cybn.BatchNorm1d(16)
    return layer, x, layer(x)


def test_running_statistics_after_one_batch(fed):
    """0.1 * 1/2 and 0.9 + 0.1 * 1/12; the mean of 78,400 draws scatters by 0.001, times 0.1."""
    layer, x, out = fed
    assert out.shape == x.shape
    np.testing.assert_allclose(layer.running_mean, 0.05, rtol=0, atol=5e-4)
    np.testing.assert_allclose(layer.running_var, 0.9083, rtol=0, atol=4e-4)


def test_feature_scaling_by_the_batch(fed):
    """z = (x - mean)/sigma: mean 0 and variance 1 for each channel; float32's roundings average."""
    _, _, out = fed
    np.testing.assert_allclose(out.mean((0, 2), dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(out.var((0, 2), dtype=float), 1 - 12e-5, atol=2e-6)  # eps/var


def test_batch_norm_2d():
    """In [49] to [55]."""
    x = np.random.default_rng(0).random((1, 16, 7, 7), dtype=np.float32)
    layer = cybn.BatchNorm2d(16)
    assert layer(x).shape == (1, 16, 7, 7)
    assert layer.weight.shape == (16,)
    assert layer.bias.shape == (16,)
    assert not layer.bias.any()


def test_class_variables():
    """In [56]: what vars(layer) shows after a batch."""
    layer = cybn.BatchNorm2d(16)
    layer(np.random.default_rng(0).random((1, 16, 7, 7), dtype=np.float32))
    variables = vars(layer)
    assert list(variables["_buffers"]) == ["running_mean", "running_var", "num_batches_tracked"]
    assert variables["_buffers"]["num_batches_tracked"] == 1
    assert list(variables["_parameters"]) == ["weight", "bias"]
    shown = {
        "affine": True,
        "eps": 1e-05,
        "momentum": 0.1,
        "num_features": 16,
        "track_running_stats": True,
        "training": True,
    }
    assert {name: variables[name] for name in shown} == shown


def test_evaluation(fed):
    """In [67] and [68]: eval returns the layer, and uses the running statistics."""
    layer, x, _ = fed
    text = "BatchNorm1d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    assert repr(layer.eval()) == text
    before = layer.running_mean.copy()
    out = layer(x)
    np.testing.assert_array_equal(layer.running_mean, before)
    scaled = (x - layer.running_mean[:, None]) / np.sqrt(layer.running_var[:, None] + 1e-5)
    np.testing.assert_allclose(out, scaled, rtol=1e-5, atol=1e-6)  # a few u of float32


def test_the_two_lines_of_the_algorithm():
    """scale and shift: y = gamma * xhat + beta."""
    layer = cybn.BatchNorm1d(4, dtype="float64")
    x = np.random.default_rng(0).random((32, 4))
    plain = layer(x)
    layer.weight[:], layer.bias[:] = [1, 2, -3, 0], [0, 5, 1, -1]
    np.testing.assert_allclose(layer(x), plain * layer.weight + layer.bias, atol=1e-14)


def test_normalizing_images_by_known_statistics():
    """transforms.Normalize is evaluation with given mean and variance, and no eps."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = np.random.default_rng(0).random((2, 3, 8, 8))
    layer = cybn.BatchNorm2d(3, eps=0.0, affine=False, dtype="float64").eval()
    layer.running_mean[:], layer.running_var[:] = mean, std**2
    expected = (images - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(layer(images), expected, rtol=1e-13, atol=1e-13)
