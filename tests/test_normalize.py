"""Normalize: fixed statistics, fitted in one pass, merged, inverted; the layer's common promises
are tested with all others."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, python, state_bits
from strategies import DTYPES, batches, layouts

import cybn

RESNET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_the_lecture_s_line():
    x = np.random.default_rng(0).random((4, 3, 8, 8), np.float32)
    normalize = cybn.Normalize(mean=RESNET[0], std=RESNET[1])
    mean, std = (np.reshape(values, (3, 1, 1)) for values in RESNET)
    np.testing.assert_allclose(normalize(x), (x - mean) / std, rtol=1e-6, atol=1e-6)
    assert bits(normalize.transform(x)) == bits(normalize(x))


def test_numbers_lists_and_arrays():
    one = cybn.Normalize(0.1307, 0.3081)
    assert (one.num_features, one.mean.tolist(), one.std.tolist()) == (1, [0.1307], [0.3081])
    assert cybn.Normalize(0.5, 0.5, num_features=3).mean.tolist() == [0.5] * 3
    assert cybn.Normalize(np.float32([0.5, 2])).mean.tolist() == [0.5, 2]
    assert cybn.Normalize(std=[2, 4]).mean.tolist() == [0, 0]
    made = cybn.create("Normalize", mean=[1, 2], std=[3, 4])
    assert made(np.array([[4.0, 6.0]])).tolist() == [[1, 1]]


@given(x=batches(), layout=layouts, unbiased=st.booleans())
def test_fitted_data_has_mean_0_and_std_1_and_comes_back(x, layout, unbiased):
    normalize = cybn.Normalize.fit(layout(x), unbiased=unbiased)
    y = normalize(layout(x))
    assert y.dtype == x.dtype
    count = x.shape[0] * x.shape[2]
    u = np.finfo(x.dtype).eps
    slack = 8 * u * (1 + np.abs(normalize.mean) / normalize.std)
    wide = y.astype(np.float64)
    assert (np.abs(wide.mean((0, 2))) <= slack).all()
    spread = (wide**2).sum((0, 2)) / (count - unbiased)
    assert (np.abs(spread - 1) <= 4 * slack + 2 * slack**2).all()
    back = normalize.inverse(y).astype(np.float64)
    scale = np.abs(normalize.mean) + normalize.std * np.abs(wide).max((0, 2))
    assert (np.abs(back - x).max((0, 2)) <= 8 * u * scale).all()


@given(x=batches(), cut=st.floats(0, 1), unbiased=st.booleans())
def test_fitting_in_parts_is_fitting_at_once(x, cut, unbiased):
    i = int(cut * len(x))
    whole = cybn.Normalize.fit(x, unbiased=unbiased)
    new = lambda: cybn.Normalize(num_features=x.shape[1], unbiased=unbiased)  # noqa: E731
    left, right = new().partial_fit(x[:i]), new().partial_fit(x[i:])
    ways = [
        new().partial_fit(x[:i]).partial_fit(x[i:]),
        new().merge(left).merge(right),
        cybn.Normalize.fit([x[:i], x[i:]], unbiased=unbiased),
        cybn.Normalize.fit(x, batch_size=3, unbiased=unbiased),
    ]
    slack = 1e-14 * (np.abs(whole.mean) + whole.std) * (1 + len(x) / 3)
    for other in ways:
        assert other.count == whole.count == x.shape[0] * x.shape[2]
        assert (np.abs(other.mean - whole.mean) <= slack).all()
        assert (np.abs(other.std - whole.std) <= slack).all()


def test_large_means_do_not_cancel():
    x = np.float32([[1e7], [1e7 + 1]] * 500)
    normalize = cybn.Normalize.fit(x, batch_size=7)
    assert (normalize.mean.tolist(), normalize.std.round(12).tolist()) == ([1e7 + 0.5], [0.5])
    assert normalize(x)[:2].tolist() == [[-1], [1]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_feature_is_0_and_comes_back(dtype):
    x = np.array([[0.1, 1], [0.1, 2]] * 10, dtype)
    normalize = cybn.Normalize.fit(x, batch_size=3)
    y = normalize(x)
    assert normalize.std[0] == 0
    assert not y[:, 0].any()
    assert bits(normalize.inverse(y)[:, 0]) == bits(x[:, 0])
    assert normalize(np.array([[2.1, 1]]))[0, 0] == pytest.approx(2)
    dx = normalize.backward(np.array([[3.0, 1.0]]))
    assert dx[0, 0] == 3


def test_channels_last_and_in_place():
    x = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 3))
    last = cybn.Normalize.fit(x, channel_axis=-1)
    np.testing.assert_allclose(last.mean, x.mean((0, 1, 2)))
    expected, y = last(x), x.copy()
    assert last(y, out=y) is y
    assert bits(y) == bits(expected)
    assert last.inverse(y, out=y) is y
    np.testing.assert_allclose(y, x, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_file_larger_than_what_is_held(tmp_path, dtype):
    """No more than a few blocks of the 24 to 96 MB are ever copied."""
    path = tmp_path / "data.npy"
    shape = (8000, 3, 1000)
    data = np.lib.format.open_memmap(path, "w+", dtype, shape)
    rng = np.random.default_rng(0)
    for start in range(0, 8000, 1000):
        data[start : start + 1000] = rng.integers(0, 200, (1000, *shape[1:]))
    data.flush()
    code = f"""
import tracemalloc, numpy as np, cybn
data = np.load({str(path)!r}, mmap_mode="r")
cybn.Normalize.fit(data[:1])
tracemalloc.start()
fitted = cybn.Normalize.fit(data)
print(tracemalloc.get_traced_memory()[1] < 4 << 20, *fitted.mean.tolist(), *fitted.std.tolist())
"""
    small, *values = python(code).split()
    assert small == "True"
    expected = [*data.mean((0, 2), dtype=np.float64), *data.std((0, 2), dtype=np.float64)]
    np.testing.assert_allclose(np.array(values, float), expected, rtol=1e-12)


class Slices:
    """What HDF5 and zarr data sets look like."""

    def __init__(self, a):
        self.a, self.shape, self.dtype, self.asked = a, a.shape, a.dtype, []

    def __len__(self):
        return len(self.a)

    def __getitem__(self, item):
        self.asked.append(item)
        return self.a[item]


def test_data_that_is_read_by_slices():
    x = np.random.default_rng(0).normal(0, 1, (10, 2))
    data = Slices(x)
    fitted = cybn.Normalize.fit(data, batch_size=4)
    np.testing.assert_allclose(fitted.mean, x.mean(0), rtol=1e-13)
    assert data.asked == [slice(0, 4), slice(4, 8), slice(8, 12)]
    assert cybn.Normalize.fit(data).get_config() == cybn.Normalize.fit(x).get_config()
    assert cybn.Normalize.fit(part for part in [x]).count == 10


def test_config_and_state_dict_bring_it_back(tmp_path):
    x = np.random.default_rng(0).normal(1, 3, (50, 3))
    fitted = cybn.Normalize.fit(x)
    twin = cybn.create(json.loads(json.dumps(fitted.get_config())))
    assert bits(twin(x)) == bits(fitted(x))
    np.savez(tmp_path / "state.npz", **fitted.state_dict())
    other = cybn.Normalize(num_features=3)
    with np.load(tmp_path / "state.npz") as state:
        other.load_state_dict(state)
    assert state_bits(other) == state_bits(fitted)
    assert other.partial_fit(x + 1).get_config() == fitted.partial_fit(x + 1).get_config()


def test_given_statistics_give_way_to_fitted_ones():
    layer = cybn.Normalize([5.0], [2.0])
    layer.partial_fit(np.empty((0, 1)))
    layer.merge(cybn.Normalize([7.0]))
    assert (layer.mean.tolist(), layer.std.tolist(), int(layer.count)) == ([5], [2], 0)
    layer.partial_fit(np.array([[1.0], [3.0]]))
    assert (layer.mean.tolist(), layer.std.tolist(), int(layer.count)) == ([2], [1], 2)


def test_repr_is_short_for_many_channels():
    assert repr(cybn.Normalize([1.0], [2.0])) == "Normalize(mean=[1.0], std=[2.0], num_features=1)"
    assert repr(cybn.Normalize(num_features=784)) == "Normalize(num_features=784)"
    many = cybn.Normalize(num_features=784, unbiased=True, channel_axis=-1)
    assert repr(many) == "Normalize(num_features=784, unbiased=True, channel_axis=-1)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "mean, std or num_features is needed; or use Normalize.fit"),
        ({"mean": [1], "std": [1, 2]}, ValueError, "got 1 from mean and 2 from std"),
        ({"mean": [1], "num_features": 2}, ValueError, "got 1 from mean and 2 from num_features"),
        ({"mean": []}, ValueError, "length >= 1, got 0 from mean"),
        ({"std": -1}, ValueError, "std must be a number >= 0"),
        ({"std": [1, -1]}, ValueError, "std must be a number >= 0 or list of number >= 0"),
        ({"mean": [float("nan")]}, ValueError, "mean must be"),
        ({"mean": "0.5"}, TypeError, "mean must be"),
        ({"mean": np.float64(0.5) * np.ones((2, 2))}, TypeError, "mean must be"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        cybn.Normalize(**options)


def test_a_failing_fit_changes_nothing():
    layer = cybn.Normalize.fit(np.array([[1.0, 2.0], [3.0, 5.0]]))
    before = state_bits(layer)
    for x, error, message in (
        (np.array([[np.nan, 1.0]]), ValueError, "not finite, or too large to square, in channel 0"),
        (np.array([[1.0, 1.0], [1.0, np.inf]]), ValueError, "in channel 1"),
        (np.array([[1.0, 1e200]]), ValueError, "in channel 1"),
        (np.ones((2, 3)), ValueError, "Normalize expects 2 channels on axis 1, got 3"),
        (np.ones(2), ValueError, "at least 2-D"),
        (np.ma.masked_array(np.ones((2, 2))), TypeError, "masked array for x"),
        (np.array([["a", "b"]]), TypeError, "real numbers, got <U1"),
    ):
        with pytest.raises(error, match=message):
            layer.partial_fit(x)
        assert state_bits(layer) == before
    with pytest.raises(TypeError, match="merges with another Normalize, got BatchNorm1d"):
        layer.merge(cybn.BatchNorm1d(2))
    with pytest.raises(ValueError, match="of 2 channels cannot merge with one of 3"):
        layer.merge(cybn.Normalize(num_features=3))
    layer.mean.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        layer.partial_fit(np.ones((3, 2)))
    assert state_bits(layer) == before


def test_wrong_data_for_fit():
    for data in (np.empty((0, 3)), [], [np.empty((0, 3))]):
        with pytest.raises(ValueError, match=r"Normalize\.fit got no data"):
            cybn.Normalize.fit(data)
    with pytest.raises(ValueError, match="moments of 2 channels got 3"):
        cybn.Normalize.fit([np.ones((2, 2)), np.ones((2, 3))])
    with pytest.raises(TypeError, match="masked array for data"):
        cybn.Normalize.fit(np.ma.masked_array(np.ones((2, 2))))
    for size in (0, True, 2.5):
        with pytest.raises(ValueError, match="batch_size >= 1, got"):
            cybn.Normalize.fit(np.ones((2, 2)), batch_size=size)


def test_a_negative_std_is_refused():
    layer = cybn.Normalize([0.0], [1.0])
    layer.std[:] = -1
    with pytest.raises(ValueError, match="needs std >= 0, got -1"):
        layer(np.ones((2, 1)))
    with pytest.raises(ValueError, match="needs std >= 0"):
        layer.inverse(np.ones((2, 1)))


def test_backward_is_that_of_the_forward_as_it_was():
    layer = cybn.Normalize([0.0, 0.0], [2.0, 4.0])
    with pytest.raises(RuntimeError, match="needs a forward first"):
        layer.backward(np.ones((2, 2)))
    layer(np.ones((2, 2)))
    layer.std[:] = 1
    assert layer.backward(np.ones((2, 2))).tolist() == [[0.5, 0.25]] * 2
    assert layer.grads == {}
    with pytest.raises(ValueError, match="dy of the input's shape"):
        layer.backward(np.ones((3, 2)))
