"""Any memory layout: the same values, and an output in the memory order of the input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from oracle import gradients, output_bound
from strategies import DTYPES, LAYOUTS, channels_last, layout_id, layouts

import cybn
from cybn import reference
from cybn.arrays.layout import arrange
from cybn.functional import batch_norm, batch_norm_backward, batch_norm_forward

SHAPES = st.sampled_from(
    [(5, 3), (300, 3), (2, 700), (4, 3, 5), (3, 2, 300), (9, 80, 7), (2, 3, 4, 5), (3, 40, 4, 5),
     (2, 3, 2, 3, 4), (1, 3, 4, 4), (4, 1, 6, 2), (6, 4, 1, 1), (1, 1, 1, 9)]
)  # fmt: skip
seeds = st.integers(0, 2**32 - 1)


def memory_order(a):
    """The axes from the slowest to the fastest in memory, leaving out those of one item."""
    axes = [i for i in range(a.ndim) if a.shape[i] > 1]
    return sorted(axes, key=lambda i: -abs(a.strides[i]))


def assert_as_contiguous(x, dy, axis=1):
    """Outputs and gradients of x are those of its contiguous copy, within both error bounds."""
    plain, plain_dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    ncl = reference.to_ncl(plain, axis)
    got, stats = batch_norm_forward(x, channel_axis=axis)
    want, plain_stats = batch_norm_forward(plain, channel_axis=axis)
    m = x.size // x.shape[axis]
    bound = 2 * output_bound(reference.to_ncl(want, axis), 1, 0, m, x.dtype)
    assert (np.abs(reference.to_ncl(got, axis) - reference.to_ncl(want, axis)) <= bound).all()

    training = (True, False)
    for mode in training:
        results = [
            batch_norm_backward(g, a, plain_stats, training=mode, channel_axis=axis)
            for g, a in ((dy, x), (plain_dy, x), (plain_dy, plain))
        ]
        _, bounds = gradients(reference.to_ncl(plain_dy, axis), ncl, plain_stats, 1.0, mode)
        for other in results[:2]:
            dx, want_dx = (reference.to_ncl(r[0], axis) for r in (other, results[2]))
            assert (np.abs(dx - want_dx) <= 2 * bounds[0]).all()
            for i in (1, 2):  # float32 gradients: one rounding more
                slack = 2 * bounds[i] + np.abs(results[2][i]) * 2.0**-23
                assert (np.abs(other[i] - results[2][i]) <= slack).all()
    np.testing.assert_allclose(stats[2], plain_stats[2], rtol=3e-5)  # 2 * 206 u of float32
    return got


@given(SHAPES, st.sampled_from(DTYPES), layouts, layouts, st.sampled_from([1, -1]), seeds)
def test_layouts_of_input_and_gradient(shape, dtype, layout, dy_layout, axis, seed):
    x, dy = np.random.default_rng(seed).normal(1, 2, (2, *shape)).astype(dtype)
    if x.size == shape[axis]:
        return  # one value per channel
    assert_as_contiguous(layout(x), dy_layout(dy), axis)


@given(st.permutations(range(4)), st.integers(-4, 3), seeds)
def test_any_order_of_the_axes_and_any_channel_axis(order, axis, seed):
    x, dy = np.random.default_rng(seed).normal(1, 2, (2, 3, 4, 5, 6))
    y = assert_as_contiguous(x.transpose(order), dy.transpose(order), axis)
    assert memory_order(y) == memory_order(x.transpose(order))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (1, 3, 5, 6), (4, 1, 5, 6), (4, 3, 1, 1)])
def test_outputs_keep_the_memory_order(shape, layout, dtype):
    x = layout(np.random.default_rng(0).normal(0, 1, shape).astype(dtype))
    layer = cybn.BatchNorm2d(shape[1])
    y = layer(x)
    dx = layer.backward(layout(np.ones(shape, dtype)))
    for a in (y, dx):
        assert (a.shape, a.dtype) == (x.shape, x.dtype)
        assert memory_order(a) == memory_order(x)
        assert a.flags.writeable
        assert not np.may_share_memory(a, x)
        # dense: no gaps of the input are copied along
        assert sum((n - 1) * abs(s) for n, s in zip(a.shape, a.strides, strict=True)) < a.nbytes


@given(SHAPES, layouts, seeds)
def test_equal_arrays_in_equal_order_give_equal_bits(shape, layout, seed):
    """Read-only, misaligned, cropped: what only changes addresses changes no bit."""
    x = np.random.default_rng(seed).normal(1, 2, shape).astype(np.float32)
    if x.size == shape[1]:
        return
    y, stats = batch_norm_forward(layout(x))
    dense = layout(x).copy(order="K")
    want, want_stats = batch_norm_forward(dense)
    if memory_order(dense) == memory_order(layout(x)):
        assert stats.tobytes() == want_stats.tobytes()
        assert y.tobytes() == want.tobytes()


@pytest.mark.parametrize("axes", [(0,), (2,), (0, 2), (0, 1, 2), (1,)], ids=str)
@pytest.mark.parametrize("shape", [(6, 3, 5), (40, 3, 20), (3, 2, 300), (4, 600, 2)], ids=str)
def test_broadcast_inputs(shape, axes):
    """Axes of stride 0: the values count as often as they are seen."""
    rng = np.random.default_rng(0)
    cut = tuple(slice(0, 1) if i in axes else slice(None) for i in range(3))
    x, dy = (np.broadcast_to(rng.normal(1, 2, shape)[cut], shape) for _ in range(2))
    y = assert_as_contiguous(x, dy)
    assert y.flags.writeable


@pytest.mark.parametrize("shape", [(1, 700), (1, 3, 300), (1, 3)], ids=str)
def test_one_sample_seen_many_times_from_its_own_memory(shape):
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    many = as_strided(x, (20, *shape[1:]), (0, *x.strides[1:]), writeable=False)
    assert_as_contiguous(many, many)


def test_sliding_windows():
    """Items that lie in many samples at once; the windows are only read."""
    a = np.random.default_rng(0).normal(0, 1, 900).astype(np.float32)
    for width in (5, 600):
        windows = sliding_window_view(a, width)
        before = a.copy()
        assert_as_contiguous(windows, windows)
        np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("rows", ["apart", "overlapping", "backwards", "odd bytes apart"])
def test_rows_of_512_items_and_more_at_any_stride(rows):
    """What the kernels walk without a copy, and what looks like it but is not."""
    raw = np.zeros(60_000, np.uint8)
    step = {"apart": 2800, "overlapping": 40, "backwards": -2800, "odd bytes apart": 2402}[rows]
    start = 8 * 2800 if rows == "backwards" else 0
    x = np.ndarray((9, 600), np.float32, raw, start, (step, 4))
    x[...] = np.random.default_rng(0).normal(0, 1, x.shape)
    assert_as_contiguous(x, x)


def test_common_layouts_cost_no_copy():
    """The view that the kernels get is the memory of the array itself."""
    x = np.zeros((4, 6, 5, 7), np.float32)
    wide = np.zeros((8, 900), np.float32)
    free = [
        (x, 1), (x, -1), (channels_last(x), 1), (np.asfortranarray(x), 1), (x[1:3], 1),
        (np.moveaxis(x, 1, -1), -1), (wide[::2], 1), (wide[:, 100:800], 1), (wide[::-1], 1),
    ]  # fmt: skip
    for a, axis in free:
        dense, arrangement = arrange(a, axis)
        ncl = arrangement.view(dense)
        assert dense is a
        assert np.shares_memory(ncl, a)
        assert ncl.shape[1] == a.shape[axis]


def test_subclasses_and_lists_are_taken_as_plain_arrays():
    matrix = np.arange(6.0).reshape(3, 2).view(type("Sub", (np.ndarray,), {}))
    y = batch_norm(matrix, None, None, training=True)
    assert type(y) is np.ndarray
    assert batch_norm([[0.0, 1], [2, 3], [4, 5]], None, None, training=True).tolist() == y.tolist()
