"""What Layer does for the author of a variant: checked_x, checked_dy, and grads that fit."""

import numpy as np
import pytest

import cybn
from cybn.kernels import policy


class Plain(cybn.Layer):
    """Saves x and gives it back."""

    def __init__(self, num_features: int = 4):
        self.register_parameter("weight", np.ones(num_features, np.float32))

    def forward(self, x, out=None, **expected):
        x = self.checked_x(x, out, **expected)
        self._saved = (x,)
        return x

    def backward(self, dy, out=None):
        return self.checked_dy(dy, out)


X = np.arange(24, dtype=np.float32).reshape(6, 4)


def test_x_comes_back_as_it_is():
    assert Plain()(X) is X
    assert Plain()(X, np.empty_like(X)) is X


@pytest.mark.parametrize("order", ["C", "F"])
def test_x_is_copied_where_out_is_x(order):
    x = X.copy(order)
    kept = Plain()(x, x)
    assert not np.shares_memory(kept, x)
    assert kept.strides == x.strides
    np.testing.assert_array_equal(kept, x)


def test_a_list_becomes_an_array():
    np.testing.assert_array_equal(Plain()([[1.0, 2.0]]), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("x", "expected", "error", "says"),
    [
        (X.astype(int), {}, TypeError, "Plain takes float32 or float64 x, got int64"),
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
    assert layer._saved is None


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
        Plain()(X, out)


def test_dy_comes_with_what_was_saved():
    layer, dy = Plain(), -X
    layer(X)
    got, (x,) = layer.backward(dy)
    assert (got is dy, x is X) == (True, True)


@pytest.mark.parametrize(
    ("dy", "out", "error", "says"),
    [
        (X[:3], None, ValueError, r"Plain expects dy of the input's shape \(6, 4\), got \(3, 4\)"),
        (X.astype(complex), None, TypeError, "Plain takes float32 or float64 dy"),
        (X.astype(float), None, TypeError, "Plain expects dy of the input's dtype float32"),
        (-X, X, ValueError, "Plain got an out that overlaps x"),
    ],
)
def test_a_dy_that_does_not_fit(dy, out, error, says):
    layer = Plain()
    layer(X)
    with pytest.raises(error, match=says):
        layer.backward(dy, out=out)


def test_backward_before_any_forward():
    with pytest.raises(RuntimeError, match=r"Plain\.backward needs a forward first"):
        Plain().backward(X)


def test_grads_get_the_dtype_of_their_parameters():
    layer = Plain()
    given = {"weight": np.ones(4), "other": np.ones(2)}
    layer.grads = given
    assert {name: a.dtype for name, a in layer.grads.items()} == {
        "weight": np.float32, "other": np.float64
    }  # fmt: skip
    assert layer.grads is not given
    assert given["weight"].dtype == np.float64


def test_using_threads_for_a_while(restore_threads):
    cybn.set_num_threads(3)
    with policy.using_threads(2):
        assert policy._wanted == 2
    with pytest.raises(ValueError, match="from 1 to 4096"), policy.using_threads(0):
        pass
    assert policy._wanted == 3
