"""What Layer does for the author of a variant: begin, resume, gradients, and one call kept."""

from typing import NamedTuple

import numpy as np
import pytest
from wronglayers import Right

import cybn
from cybn.kernels import policy


class Plain(cybn.Layer):
    """Gives x back, and dy."""

    differentiated = ("gate",)

    class Saved(NamedTuple):
        x: np.ndarray

    def __init__(self, num_features: int = 4):
        self.register_parameter("weight", np.ones(num_features, np.float32))
        self.register_parameter("bias", None)
        self.register_buffer("running_var", np.ones(num_features, np.float32))

    def apply(self, x, *, out=None, **expected):
        x = self.begin(x, out, **expected)
        return x, self.Saved(x)

    def pullback(self, saved, dy, *, out=None):
        dy = self.resume(saved, dy, out)
        return dy, self.gradients(weight=dy.sum(0), bias=dy.sum(0), gate=dy)


X = np.arange(24, dtype=np.float32).reshape(6, 4)


# begin


def test_x_comes_back_as_it_is():
    assert Plain()(X) is X
    assert Plain()(X, out=np.empty_like(X)) is X


@pytest.mark.parametrize("order", ["C", "F"])
def test_x_is_copied_where_out_is_x(order):
    x = X.copy(order)
    kept = Plain()(x, out=x)
    assert not np.shares_memory(kept, x)
    assert kept.strides == x.strides
    np.testing.assert_array_equal(kept, x)
    assert Plain()(x, out=x, keep=False) is x


def test_a_list_becomes_an_array():
    np.testing.assert_array_equal(Plain()([[1.0, 2.0]]), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("x", "expected", "error", "says"),
    [
        (X.astype(int), {}, TypeError, "float32 or float64 x, got int64"),
        (X, {"ndim": 3}, ValueError, r"Plain expects 3-D input, got 2-D \(6, 4\)"),
        (X, {"ndim": (3, 4)}, ValueError, "Plain expects 3-D or 4-D input, got 2-D"),
        (X, {"channels": 5}, ValueError, "Plain expects 5 channels on axis 1, got 4"),
        (X, {"channels": 5, "channel_axis": -1}, ValueError, "5 channels on axis -1, got 4"),
        (X[0], {"channels": 4}, ValueError, r"Plain expects channels on axis 1, got \(4,\)"),
    ],
)
def test_what_does_not_fit(x, expected, error, says):
    layer = Plain()
    with pytest.raises(error, match=says):
        layer(x, **expected)
    with pytest.raises(RuntimeError, match="needs a forward first"):
        layer.backward(X)


@pytest.mark.parametrize("expected", [{}, {"ndim": 2}, {"ndim": (2, 3), "channels": 4}])
def test_what_fits(expected):
    assert Plain()(X, **expected) is X


@pytest.mark.parametrize(
    ("out", "error", "says"),
    [
        (np.empty((6, 5), np.float32), ValueError, r"out of the input's shape \(6, 4\)"),
        (np.empty((6, 4)), TypeError, "out of the input's dtype float32, got float64"),
        (X[::-1], ValueError, "overlaps the input in part"),
        ([], TypeError, "Plain takes an ndarray as out, got list"),
    ],
)
def test_an_out_that_does_not_fit(out, error, says):
    with pytest.raises(error, match=says):
        Plain()(X, out=out)


def test_an_out_over_other_memory():
    layer, rows = Plain(), X[:1].copy()
    mask = np.empty_like(rows)
    with pytest.raises(ValueError, match="Plain got an out that overlaps mask"):
        layer(rows, out=mask, mask=mask)
    with pytest.raises(ValueError, match="Plain got an out that overlaps running_var"):
        layer(rows, out=layer.running_var[None])


def test_an_out_over_a_residual_is_over_all_of_it():
    layer, z = Plain(), np.zeros((7, 4), np.float32)
    assert layer(X, out=z[1:], residual=z[1:]) is X
    with pytest.raises(ValueError, match="overlaps the input in part"):
        layer(X, out=z[1:], residual=z[:-1])


def test_an_array_that_is_missing():
    layer = Plain()
    layer.weight = None
    with pytest.raises(ValueError, match="Plain needs weight, which is None; assign an array"):
        layer(X)
    layer.weight = np.zeros(4, np.float32)
    assert layer(X) is X


# resume


@pytest.mark.parametrize(
    ("dy", "out", "error", "says"),
    [
        (X[:3], None, ValueError, r"Plain expects dy of the input's shape \(6, 4\), got \(3, 4\)"),
        (X.astype(complex), None, TypeError, "Plain takes float16, bfloat16"),
        (X.astype(float), None, TypeError, "Plain expects dy of the input's dtype float32"),
        (-X, X, ValueError, "Plain got an out that overlaps x"),
    ],
)
def test_a_dy_that_does_not_fit(dy, out, error, says):
    layer = Plain()
    layer(X)
    with pytest.raises(error, match=says):
        layer.backward(dy, out=out)


def test_an_out_of_backward_over_an_array_of_the_layer():
    layer = Plain()
    layer(X[:1])
    with pytest.raises(ValueError, match="Plain got an out that overlaps weight"):
        layer.backward(-X[:1], out=layer.weight[None])


@pytest.mark.parametrize("saved", [None, (X,), X, Right(4).apply(X)[1]])
def test_what_another_layer_has_saved(saved):
    with pytest.raises(TypeError, match=r"Plain\.pullback takes what Plain\.apply has returned"):
        Plain().pullback(saved, X)


def test_backward_before_any_forward():
    with pytest.raises(RuntimeError, match=r"Plain\.backward needs a forward first"):
        Plain().backward(X)


# gradients


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1)])
def test_gradients_are_like_their_parameters(dtype, shape):
    given = np.arange(4, dtype=dtype).reshape(shape)
    got = Plain().gradients(weight=given, bias=None)["weight"]
    assert (got.shape, got.dtype) == ((4,), np.float32)
    np.testing.assert_array_equal(got, given.ravel())


def test_gradients_of_what_is_not_there_are_left_out():
    layer, a = Plain(), np.ones(4, np.float32)
    assert list(layer.gradients(weight=a, bias=a)) == ["weight"]
    assert list(layer.gradients(weight=a, bias=None, gate=None)) == ["weight"]
    assert list(layer.gradients(weight=a, gate=a)) == ["weight", "gate"]


def test_grads_get_the_dtype_of_their_parameters():
    layer = Plain()
    given = {"weight": np.ones(4), "other": np.ones(2)}
    layer.grads = given
    assert {name: a.dtype for name, a in layer.grads.items()} == {
        "weight": np.float32, "other": np.float64
    }  # fmt: skip
    assert layer.grads is not given
    assert given["weight"].dtype == np.float64


# forward and backward around the pair


def test_the_gradient_of_an_input_is_an_attribute():
    layer = Plain()
    layer(X)
    assert layer.backward(-X) is layer.dgate
    assert list(layer.grads) == ["weight"]


def test_using_threads_for_a_while(restore_threads):
    cybn.set_num_threads(3)
    with policy.using_threads(2):
        assert policy._wanted == 2
    with pytest.raises(ValueError, match="from 1 to 4096"), policy.using_threads(0):
        pass
    assert policy._wanted == 3
