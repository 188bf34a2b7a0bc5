"""What the operators of ONNX define, written out in NumPy, computed with the layers.

LayerNormalization-17, RMSNormalization-23, GroupNormalization-21, InstanceNormalization-22, LRN-13.
"""

import numpy as np
import pytest

import cybn

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def given(layer, **arrays):
    """The layer with these parameters."""
    for name, a in arrays.items():
        getattr(layer, name)[...] = a
    return layer


def drawn(*shape):
    return np.random.default_rng(sum(shape)).normal(0.5, 2, shape)


@pytest.mark.parametrize("axis", [-1, -2, 1, 2, 0])
def test_layer_normalization(axis):
    """Y = (X - Mean)/sqrt(Var + epsilon) * Scale + B over the axes from `axis` on."""
    x = drawn(2, 3, 4, 5)
    axes = tuple(range(axis % 4, 4))
    scale, b = drawn(*x.shape[axes[0] :]), drawn(*x.shape[axes[0] :]) + 1
    mean = x.mean(axes, keepdims=True)
    deviation = x - mean
    inverse = 1 / np.sqrt((deviation**2).mean(axes, keepdims=True) + 1e-3)
    layer = cybn.LayerNorm(x.shape[axes[0] :], eps=1e-3, dtype="float64")
    np.testing.assert_allclose(
        given(layer, weight=scale, bias=b)(x), deviation * inverse * scale + b, **CLOSE
    )
    # the outputs Mean and InvStdDev are rows of the statistics
    _, stats = cybn.functional.layer_norm_forward(x, x.shape[axes[0] :], eps=1e-3)
    np.testing.assert_allclose(stats[0].reshape(mean.shape), mean, **CLOSE)
    np.testing.assert_allclose(stats[2].reshape(mean.shape), inverse, **CLOSE)


@pytest.mark.parametrize("axis", [-1, -2, 1])
def test_rms_normalization(axis):
    """Y = X / sqrt(mean(X^2) + epsilon) * scale over the axes from `axis` on."""
    x = drawn(2, 3, 4, 5)
    axes = tuple(range(axis % 4, 4))
    scale = drawn(*x.shape[axes[0] :])
    want = x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-5) * scale
    layer = cybn.RMSNorm(x.shape[axes[0] :], eps=1e-5, dtype="float64")
    np.testing.assert_allclose(given(layer, weight=scale)(x), want, **CLOSE)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization(groups):
    """y = scale * (x - mean)/sqrt(variance + epsilon) + bias by groups; scale by channels."""
    x, scale, bias = drawn(3, 6, 4, 5), drawn(6), drawn(6) + 1
    grouped = x.reshape(3, groups, -1)
    mean, var = grouped.mean(-1, keepdims=True), grouped.var(-1, keepdims=True)
    normalized = ((grouped - mean) / np.sqrt(var + 1e-5)).reshape(x.shape)
    want = scale[:, None, None] * normalized + bias[:, None, None]
    layer = cybn.GroupNorm(groups, 6, dtype="float64")
    np.testing.assert_allclose(given(layer, weight=scale, bias=bias)(x), want, **CLOSE)


@pytest.mark.parametrize("spatial", [(7,), (4, 5), (2, 3, 4)])
def test_instance_normalization(spatial):
    """y = scale * (x - mean)/sqrt(variance + epsilon) + B for each instance and channel."""
    x, scale, b = drawn(2, 3, *spatial), drawn(3), drawn(3) + 1
    axes, ones = tuple(range(2, x.ndim)), (1,) * len(spatial)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    want = scale.reshape(3, *ones) * (x - mean) / np.sqrt(var + 1e-5) + b.reshape(3, *ones)
    name = f"InstanceNorm{len(spatial)}d"
    layer = cybn.create(name, num_features=3, affine=True, dtype="float64")
    np.testing.assert_allclose(given(layer, weight=scale, bias=b)(x), want, **CLOSE)


@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_lrn(size):
    """Y = X / (bias + alpha/size * square_sum)^beta, the sum from c - floor((size - 1)/2) to
    c + ceil((size - 1)/2): an even window reaches further to the end, PyTorch's to the beginning.
    """
    x = drawn(2, 6, 3, 4)
    want = np.empty_like(x)
    for c in range(6):
        low, high = max(0, c - (size - 1) // 2), min(5, c + size // 2)
        square_sum = (x[:, low : high + 1] ** 2).sum(1)
        want[:, c] = x[:, c] / (0.5 + 0.1 / size * square_sum) ** 0.75
    layer = cybn.LocalResponseNorm(size, alpha=0.1, beta=0.75, k=0.5)
    got = layer(x) if size % 2 else layer(x[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(got, want, **CLOSE)
