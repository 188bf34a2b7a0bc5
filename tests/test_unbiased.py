"""The running variance: unbiased as in PyTorch, or biased as in Keras, Flax and ONNX."""

import numpy as np
import pytest

import cybn

NAMES = ["BatchNorm1d", "GhostBatchNorm1d", "SplitBatchNorm1d", "LazyBatchNorm1d"]
RNG = np.random.default_rng(0)


def layer_of(name, **options):
    width = {} if name.startswith("Lazy") else {"num_features": 3}
    return cybn.create(name, **width, **options)


def running_var(layer):
    """The first there is: that of the main part where there are several."""
    return next(a for name, a in layer.named_buffers() if name.endswith("running_var"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("on_nonfinite", ["propagate", "skip", "error"])
@pytest.mark.parametrize("momentum", [0.01, 0.3, 1.0, None])
def test_the_biased_variance_is_followed(name, on_nonfinite, momentum):
    options = {"momentum": momentum, "on_nonfinite": on_nonfinite, "dtype": "float64"}
    layer = layer_of(name, unbiased=False, **options)
    expected = np.ones(3)
    for count, size in enumerate((4, 6, 4), 1):
        x = RNG.normal(2, 3, (size, 3))
        layer(x)
        part = x[: size // 2] if name.startswith("Split") else x
        weight = 1 / count if momentum is None else momentum
        expected = expected * (1 - weight) + part.var(0) * weight
    np.testing.assert_allclose(running_var(layer), expected, rtol=1e-12)


def test_by_default_it_is_unbiased_and_all_else_is_the_same():
    x = RNG.normal(size=(5, 3))
    layers = [cybn.BatchNorm1d(3, momentum=1.0, dtype="float64", unbiased=u) for u in (True, False)]
    first, second = (layer(x) for layer in layers)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(layers[0].running_mean, layers[1].running_mean)
    np.testing.assert_allclose(layers[0].running_var, x.var(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(layers[1].running_var, x.var(0), rtol=1e-12)


def test_a_mask_is_left_out():
    x, mask = RNG.normal(size=(6, 3)), np.array([1, 1, 0, 1, 0, 1], bool)
    layer = cybn.BatchNorm1d(3, momentum=1.0, dtype="float64", unbiased=False)
    layer(x, mask=mask)
    np.testing.assert_allclose(layer.running_var, x[mask].var(0), rtol=1e-12)


def test_recalibrated_it_is_the_biased_one_of_the_population():
    data = [RNG.normal(size=(n, 3)) for n in (4, 5)]
    layer = cybn.BatchNorm1d(3, dtype="float64", unbiased=False)
    cybn.recalibrate(layer, layer, data)
    np.testing.assert_allclose(layer.running_var, np.concatenate(data).var(0), rtol=1e-12)


def test_a_keras_batch_norm_moves_as_keras_says():
    """moving * momentum + batch * (1 - momentum), of mean and biased variance, channels last."""
    layer = cybn.create(
        {"class_name": "BatchNormalization", "config": {"momentum": 0.8, "dtype": "float64"}},
        dialect="keras", num_features=2,
    )  # fmt: skip
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(3):
        x = RNG.normal(1, 2, (4, 3, 5, 2))
        y = layer(x)
        mean = mean * 0.8 + x.mean((0, 1, 2)) * (1 - 0.8)
        var = var * 0.8 + x.var((0, 1, 2)) * (1 - 0.8)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-12)
    expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
