"""What authors write a norm on: views of any array, parameters along channels, and the way back."""

from typing import NamedTuple

import numpy as np
import pytest
from strategies import LAYOUTS, layout_id

import cybn
from cybn.testing import check_layer

layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
axes = pytest.mark.parametrize("axis", [1, -1])
SHAPES = [(3, 4), (3, 4, 5), (2, 3, 4, 5), (2, 1, 3, 1), (0, 3, 4), (2, 3, 0), (2, 2, 3, 2, 2)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def numbers(shape, dtype=np.float32):
    return np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape)


def misaligned(a):
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    memory[...] = a
    return memory


@shapes
@axes
@layouts
def test_every_item_is_in_its_place(shape, axis, layout):
    a = layout(numbers(shape))
    ncl, rows = cybn.Layer.as_ncl(a, axis), cybn.Layer.as_rows(a, axis)
    first, last = np.moveaxis(a, axis, 1), np.moveaxis(a, axis, -1)
    for view, expected in ((ncl, first), (rows, last)):
        assert view.flags.carray or not view.flags.writeable
        assert view.flags.c_contiguous
        assert view.dtype == a.dtype
        assert np.array_equal(view.reshape(expected.shape), expected)
    assert ncl.shape == (*first.shape[:2], np.prod(first.shape[2:], dtype=int))
    assert rows.shape == (np.prod(last.shape[:-1], dtype=int), last.shape[-1])
    wide = cybn.Layer.as_ncl(a, axis, dtype=np.float64)
    assert wide.dtype == np.float64
    assert np.array_equal(wide, ncl)


@shapes
def test_nothing_is_copied_where_memory_allows(shape):
    a = numbers(shape)
    assert not a.size or np.shares_memory(cybn.Layer.as_ncl(a), a)
    assert not a.size or np.shares_memory(cybn.Layer.as_rows(a), a)
    y, target = cybn.Layer.room(a, a)
    assert y is a
    assert not a.size or np.shares_memory(target, a)


def test_a_misaligned_array_is_copied():
    a = misaligned(numbers((2, 3, 4)))
    for view in (cybn.Layer.as_ncl(a), cybn.Layer.as_rows(a), cybn.Layer.room(a, a)[1]):
        assert view.flags.aligned


@shapes
@axes
@layouts
@pytest.mark.parametrize("given", [None, "C", "F"])
def test_there_and_back(shape, axis, layout, given):
    """By values of any dtype, and by what room has made for a compiled loop."""
    x = layout(numbers(shape))
    for view in (cybn.Layer.as_ncl, cybn.Layer.as_rows):
        out = np.zeros(shape, np.float32, given) if given else None
        y = cybn.Layer.settle(2 * view(x, axis, dtype=np.float64), x, out, axis)
        assert y is out or out is None
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        assert np.array_equal(y, 2 * x)
        assert not np.shares_memory(y, x)
    out = np.zeros(shape, np.float32, given) if given else None
    y, target = cybn.Layer.room(x, out, axis)
    target[...] = 3 * cybn.Layer.as_ncl(x, axis)
    assert cybn.Layer.settle(target, x, y, axis) is y
    assert np.array_equal(y, 3 * x)
    order = np.argsort([-abs(step) for step in np.empty_like(x).strides], kind="stable")
    assert given or x.size == 0 or y.transpose(order).flags.c_contiguous


def test_the_output_is_never_the_memory_of_the_values():
    """They may be kept for the pullback."""
    x = numbers((2, 3, 4))
    values = cybn.Layer.as_ncl(x)
    assert not np.shares_memory(cybn.Layer.settle(values, x, None), values)


@pytest.mark.filterwarnings("error")
def test_what_is_too_large_is_infinite():
    x = np.ones((1, 2, 1), np.float32)
    y = cybn.Layer.settle(np.float64([[[1e300], [np.nan]]]), x, None)
    assert np.isposinf(y[0, 0, 0])
    assert np.isnan(y[0, 1, 0])


def test_parameters_go_along_the_channels_and_are_copies():
    layer = cybn.create("BatchNorm1d", num_features=3, bias=False)
    layer.weight[...] = 1, 2, 3
    x = numbers((2, 3, 4))
    ncl, rows = layer.as_ncl(x), layer.as_rows(x[:, :, 0])
    weight, bias = layer.per_channel(ncl, weight=1, bias=7)
    assert (weight.shape, bias.shape) == ((3, 1), (3, 1))
    assert weight.dtype == bias.dtype == np.float64
    assert (bias == 7).all()
    assert [a.shape for a in layer.per_channel(rows, weight=1, bias=0)] == [(3,), (3,)]
    layer.weight[...] = 0
    assert weight.ravel().tolist() == [1, 2, 3]
    wide = cybn.create("BatchNorm1d", num_features=3, dtype="float64")
    assert not np.shares_memory(wide.per_channel(ncl, weight=1)[0], wide.weight)


# begin, in a layer that checks nothing else


@pytest.fixture
def plain(own_registry):
    @cybn.register("PlainNorm")
    class PlainNorm(cybn.Layer):
        class Saved(NamedTuple):
            x: np.ndarray
            weight: np.ndarray

        def __init__(self, num_features: int, channel_axis: int = 1):
            self.register_parameter("weight", np.ones(num_features, np.float32))
            self.register_parameter("mixing", np.ones((2, 2)))
            self.register_buffer("running_mean", np.zeros(num_features))
            self.register_buffer("table", np.arange(num_features))

        def apply(self, x, *, out=None):
            x = self.begin(x, out, ndim=(2, 3), channels=self.num_features)
            (weight,) = self.per_channel(self.as_ncl(x, self.channel_axis), weight=1)
            y = self.as_ncl(x, self.channel_axis) * weight
            return self.settle(y, x, out, self.channel_axis), self.Saved(x, weight)

    return PlainNorm(3)


def test_the_axis_of_the_channels_is_the_option(plain):
    x = np.ones((2, 5, 3))
    with pytest.raises(ValueError, match=r"expects 3 channels on axis 1, got 5 .*channel_axis=-1"):
        plain(x)
    plain.channel_axis = -1
    assert plain(x).shape == x.shape
    with pytest.raises(ValueError, match=r"expects 2-D input \(N, C\) or 3-D input \(N, L, C\)"):
        plain(np.ones(3))


@pytest.mark.parametrize(
    ("name", "a", "error", "message"),
    [
        ("weight", np.ones(4, np.float32), ValueError, r"weight of shape \(3,\), one for each cha"),
        ("weight", np.ones((), np.float32), ValueError, r"weight of shape \(3,\), one for each ch"),
        ("weight", np.ones(3), TypeError, r"float32, got weight of float64; convert it with wei"),
        ("weight", np.ones(3, np.int32), TypeError, r"takes float32 or float64 weight, got int32"),
        ("mixing", np.ones((2, 3)), ValueError, r"mixing of shape \(2, 2\), as it was built, got"),
        ("running_mean", np.broadcast_to(0.0, 3), ValueError, r"updates running_mean in training"),
        ("weight", misaligned(np.ones(3, np.float32)), ValueError, r"misaligned weight; pass"),
    ],
)
def test_arrays_that_are_not_as_they_were_built(plain, name, a, error, message):
    setattr(plain, name, a)
    x, out = np.ones((2, 3)), np.full((2, 3), 7.0)
    with pytest.raises(error, match=message):
        plain(x, out=out)
    assert (out == 7).all()


def test_what_begin_leaves_to_the_layer(plain):
    """Arrays that are not float32 or float64, and statistics that are only read."""
    plain.table = np.arange(7)
    plain(np.ones((2, 3)))
    plain.running_mean = np.broadcast_to(0.0, 3)
    plain.eval()(np.ones((2, 3)))


def test_a_norm_of_features(own_registry):
    """On rows, without a check of its own."""

    @cybn.register("PeakNorm")
    class PeakNorm(cybn.Layer):
        class Saved(NamedTuple):
            x: np.ndarray
            scale: np.ndarray
            weight: np.ndarray

        def __init__(self, num_features: int):
            self.register_parameter("weight", np.ones(num_features, np.float32))

        def apply(self, x, *, out=None):
            x = self.begin(x, out, channels=self.num_features, channel_axis=-1)
            rows = self.as_rows(x, dtype=np.float64)
            (weight,) = self.per_channel(rows, weight=1)
            scale = 1 / (1 + (rows * rows).sum(1, keepdims=True))
            return self.settle(rows * scale * weight, x, out), self.Saved(x, scale, weight)

        def pullback(self, saved, dy, *, out=None):
            dy, (x, scale, weight) = self.resume(saved, dy, out), saved
            rows, b = (self.as_rows(a, dtype=np.float64) for a in (x, dy))
            grads = self.gradients(weight=(b * rows * scale).sum(0))
            g = b * weight
            dx = scale * (g - 2 * rows * scale * (g * rows).sum(1, keepdims=True))
            return self.settle(dx, dy, out), grads

    assert check_layer("PeakNorm", strict=True).named("failed") == []
