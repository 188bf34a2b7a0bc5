"""x alone is one compiled call: the same as what is beside it takes, bit for bit."""

import numpy as np
import pytest
from runs import python

import cybn

LAYERS = {
    "batch": (lambda dtype: cybn.BatchNorm2d(6, dtype=dtype), (8, 6, 3, 3)),
    "batch, evaluation": (lambda dtype: cybn.BatchNorm2d(6, dtype=dtype).eval(), (8, 6, 3, 3)),
    "batch, one value": (lambda dtype: cybn.BatchNorm1d(6, dtype=dtype).eval(), (1, 6)),
    "batch, weight held": (
        lambda dtype: cybn.BatchNorm2d(6, dtype=dtype, trainable="bias"),
        (8, 6, 3, 3),
    ),
    "layer": (lambda dtype: cybn.LayerNorm((3, 5), dtype=dtype), (8, 3, 5)),
    "layer, offset": (lambda dtype: cybn.LayerNorm(5, unit_offset=True, dtype=dtype), (8, 5)),
    "rms": (lambda dtype: cybn.RMSNorm(5, dtype=dtype), (8, 5)),
    "group": (lambda dtype: cybn.GroupNorm(2, 6, dtype=dtype), (4, 6, 5)),
    "instance": (lambda dtype: cybn.InstanceNorm2d(6, affine=True, dtype=dtype), (4, 6, 5, 5)),
    "instance, one sample": (lambda dtype: cybn.InstanceNorm2d(6, dtype=dtype), (6, 5, 5)),
}
EACH = pytest.mark.parametrize("name", LAYERS)


def made(name, dtype="float32"):
    """A layer whose arrays say something, x and dy."""
    make, shape = LAYERS[name]
    rng, layer = np.random.default_rng(5), make(dtype)
    for _, a in layer.named_parameters():
        a[...] = rng.normal(1, 0.5, a.shape)
    x, dy = rng.normal(3, 2, (2, *shape)).astype(dtype)
    return layer, x, dy


def same(a, b):
    assert a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_alone_and_with_an_out(name, dtype):
    alone, x, dy = made(name, dtype)
    beside, *_ = made(name, dtype)
    for _ in range(2):  # found out, and known
        y, saved = alone.apply(x)
        again, kept = beside.apply(x, out=np.empty_like(x))
        same(y, again)
        same(saved.stats, kept.stats)
    for (_, a), (_, b) in zip(alone.named_buffers(), beside.named_buffers(), strict=True):
        same(a, b)
    dx, grads = alone.pullback(saved, dy)
    expected, others = beside.pullback(kept, dy, out=np.empty_like(x))
    same(dx, expected)
    assert list(grads) == list(others)
    for key, g in grads.items():
        same(g, others[key])


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "instance, one sample"])
def test_a_gradient_is_that_of_the_weight_at_the_time(name):
    layer, x, dy = made(name)
    expected = layer.pullback(layer.apply(x, out=np.empty_like(x))[1], dy)[0]
    layer = made(name)[0]
    saved = [layer.apply(x)[1], layer.apply(x)[1]]
    layer.weight *= -3
    other = layer.apply(x)[1]
    for each in saved:
        same(layer.pullback(each, dy)[0], expected)
    assert layer.pullback(other, dy)[0].tobytes() != expected.tobytes()
    same(layer.pullback(saved[0], dy)[0], expected)


def test_arrays_where_the_table_of_numpy_is_not_known():
    code = """
import numpy as np, numpy.random, numpy._core._multiarray_umath as inside
{setup}
import cybn
x = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
layer = cybn.BatchNorm1d(6)
y = layer(x)
dx = layer.backward(x)
print(y.shape, y.dtype, dx.tobytes().hex()[:40], hash((y.tobytes(), dx.tobytes())) != 0)
"""
    usual = python(code.format(setup=""))
    assert python(code.format(setup="inside._ARRAY_API = None")) == usual
    assert usual.startswith("(8, 6) float32 ")
