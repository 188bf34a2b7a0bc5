"""out=: what a fresh output would hold, in place, and everything it may not be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from runs import bits, state_bits
from strategies import layouts

import cybn
from cybn import functional
from cybn.functional import batch_norm, batch_norm_backward, batch_norm_forward

RUNNING = ["running_mean", "running_var"]
SHAPES = st.sampled_from([(5, 3), (300, 3), (4, 700), (4, 3, 5), (3, 2, 300), (9, 80, 7)])
# Layouts that can be written to
writeable = layouts.filter(lambda layout: layout.__name__ != "read_only")


def filled(layout, shape, dtype=np.float32):
    return layout(np.full(shape, 7, dtype))


@given(SHAPES, layouts, writeable, st.sampled_from([1, -1]))
def test_out_of_any_layout_equals_a_fresh_output(shape, layout, out_layout, axis):
    x, dy = np.random.default_rng(0).normal(1, 2, (2, *shape)).astype(np.float32)
    x, dy = layout(x), layout(dy)
    y, stats = batch_norm_forward(x, channel_axis=axis)
    out = filled(out_layout, shape)
    got, got_stats = batch_norm_forward(x, channel_axis=axis, out=out)
    assert got is out
    assert (bits(out), bits(got_stats)) == (bits(y), bits(stats))
    for training in (True, False):
        options = {"training": training, "channel_axis": axis}
        expected = batch_norm_backward(dy, x, stats, **options)
        out = filled(out_layout, shape)
        got = batch_norm_backward(dy, x, stats, out=out, **options)
        assert got[0] is out
        assert list(map(bits, got)) == list(map(bits, expected))


@given(SHAPES, writeable, st.sampled_from([1, -1]), st.booleans())
def test_in_place_equals_a_fresh_output(shape, layout, axis, training):
    x, dy = np.random.default_rng(0).normal(1, 2, (2, *shape)).astype(np.float32)
    x, dy = layout(x), layout(dy)
    running = np.zeros(shape[axis]), np.ones(shape[axis])
    options = {"training": training, "channel_axis": axis}
    y, stats = batch_norm_forward(x, None, None, *map(np.copy, running), **options)
    dx = batch_norm_backward(dy, x, stats, **options)
    assert list(map(bits, batch_norm_backward(dy, x, stats, out=dy, **options))) == list(
        map(bits, dx)
    )
    assert bits(dy) == bits(dx[0])
    batch_norm_forward(x, None, None, *map(np.copy, running), out=x, **options)
    assert bits(x) == bits(y)


def test_only_out_itself_is_written_to():
    room = np.full((20, 900), 7, np.float32)
    x = np.random.default_rng(0).normal(0, 1, (10, 600)).astype(np.float32)
    out = room[::2, 100:700]
    batch_norm(x, None, None, training=True, out=out)
    assert bits(out) == bits(batch_norm(x, None, None, training=True))
    out[...] = 7
    assert (room == 7).all()


def test_out_may_be_any_other_part_of_the_same_memory():
    room = np.random.default_rng(0).normal(0, 1, (8, 3)).astype(np.float32)
    for x, out in ((room[::2], room[1::2]), (room[:4], room[4:])):
        expected = batch_norm(x, None, None, training=True)
        before = x.copy()
        batch_norm(x, None, None, training=True, out=out)
        assert (bits(out), bits(x)) == (bits(expected), bits(before))


def overlapping(x):
    """Arrays like x that share memory with it, or with themselves, in part."""
    room = np.zeros((x.shape[0] + 1, *x.shape[1:]), x.dtype)
    room[1:] = x
    square = np.zeros((4, 4), x.dtype)
    return [
        (room[1:], room[:-1], "overlaps the input in part"),
        (room[:-1], room[1:], "overlaps the input in part"),
        (x, x[::-1], "overlaps the input in part"),
        (square, square.T, "overlaps the input in part"),
        (x, np.broadcast_to(np.float32(0), x.shape).view(), "read-only"),
        (x, as_strided(x.copy(), x.shape, (0, *x.strides[1:])), "share memory"),
        (x, as_strided(np.zeros(9999, x.dtype), x.shape, (8, 4)), "share memory"),
    ]


@pytest.mark.parametrize("case", range(7))
@pytest.mark.parametrize("training", [True, False])
def test_overlap_is_refused_and_nothing_is_written(case, training):
    values = np.random.default_rng(0).normal(0, 1, (6, 4)).astype(np.float32)
    x, out, message = overlapping(values)[case]
    layer = cybn.BatchNorm1d(4).train(training)
    before = bits(x), bits(out), state_bits(layer)
    with pytest.raises(ValueError, match=message):
        layer(x, out=out)
    assert (bits(x), bits(out), state_bits(layer)) == before


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((4, 3), np.float32), ValueError, r"expects out of .* \(5, 3\), got \(4, 3\)"),
        (np.empty((5, 3, 1), np.float32), ValueError, r"shape \(5, 3\), got \(5, 3, 1\)"),
        (np.empty((5, 3)), TypeError, "expects out of .* dtype float32, got float64"),
        (np.empty((5, 3), ">f4"), TypeError, "expects out of .* dtype float32, got >f4"),
        ([[0.0] * 3] * 5, TypeError, "takes an ndarray as out, got list"),
    ],
    ids=["rows", "rank", "dtype", "byte order", "list"],
)
def test_an_unusable_out_is_refused(out, error, message):
    layer, x = cybn.BatchNorm1d(3), np.random.default_rng(0).normal(0, 1, (5, 3)).astype(np.float32)
    before = state_bits(layer)
    with pytest.raises(error, match=message):
        layer(x, out=out)
    assert state_bits(layer) == before
    layer(x)
    layer.backward(x)
    before = state_bits(layer)
    with pytest.raises(error, match=message):
        layer.backward(x, out=out)
    assert state_bits(layer) == before


def test_the_gradient_may_not_overwrite_what_the_forward_was_given():
    """x is needed for another backward, so it can be no out."""
    layer = cybn.BatchNorm1d(3)
    x = np.random.default_rng(0).normal(0, 1, (5, 3)).astype(np.float32)
    layer(x)
    before = bits(x), state_bits(layer)
    dy = np.ones_like(x)
    with pytest.raises(ValueError, match="out that overlaps x"):
        layer.backward(dy, out=x)
    assert (bits(x), state_bits(layer)) == before
    with pytest.raises(ValueError, match="overlaps"):
        layer.backward(dy[::-1], out=dy)
    assert (dy == 1).all()


def test_after_a_forward_in_place_its_memory_is_free():
    layer = cybn.BatchNorm1d(3)
    x = np.random.default_rng(0).normal(0, 1, (5, 3)).astype(np.float32)
    layer(x.copy())
    expected = layer.backward(np.eye(5, 3, dtype=np.float32))
    layer(x, out=x)
    assert bits(layer.backward(np.eye(5, 3, dtype=np.float32), out=x)) == bits(expected)
    assert bits(x) == bits(expected)


def inside(a, x):
    """An out like x in whose memory `a` lies, and `a` there."""
    memory = np.zeros(x.size + a.size, x.dtype)
    own = memory[: a.size].reshape(a.shape)
    own[...] = a
    return memory[: x.size].reshape(x.shape), own


X = np.random.default_rng(0).normal(1, 2, (6, 4, 5)).astype(np.float32)
W = np.ones(4, np.float32)
FORWARDS = {
    "batch": (functional.batch_norm_forward, {}, ["weight", "bias", *RUNNING]),
    "evaluation": (functional.batch_norm_forward, {"training": False}, ["weight", *RUNNING]),
    "group": (functional.group_norm_forward, {"num_groups": 2}, ["weight", "bias"]),
    "instance": (functional.instance_norm_forward, {}, ["weight", "bias", *RUNNING]),
    "layer": (functional.layer_norm_forward, {"normalized_shape": 5}, ["weight", "bias"]),
    "rms": (functional.rms_norm_forward, {"normalized_shape": 5}, ["weight"]),
}
BACKWARDS = {
    "batch": functional.batch_norm_backward,
    "evaluation": functional.batch_norm_backward,
    "group": functional.group_norm_backward,
    "instance": functional.instance_norm_backward,
    "layer": functional.layer_norm_backward,
    "rms": functional.rms_norm_backward,
}


@pytest.mark.parametrize("name", FORWARDS)
def test_out_must_not_lie_in_what_lies_on_channels(name):
    forward, options, names = FORWARDS[name]
    width = np.ones(5, np.float32) if "normalized_shape" in options else W
    arrays = {each: width.copy() for each in names}
    _, stats = forward(X, **arrays, **options)
    for each in names:
        out, own = inside(arrays[each], X)
        before = bits(own)
        with pytest.raises(ValueError, match=f"an out that overlaps {each}"):
            forward(X, **{**arrays, each: own}, **options, out=out)
        assert bits(own) == before
    backward = BACKWARDS[name]
    how = {**options, "weight": width}
    out, how["weight"] = inside(width, X)
    with pytest.raises(ValueError, match="an out that overlaps weight"):
        backward(X, X, stats, **how, out=out)
    wide, x = np.zeros((6, 4, 5)), X.astype(np.float64)
    own = wide.reshape(-1)[: stats.size].reshape(stats.shape)
    own[...] = stats
    with pytest.raises(ValueError, match="an out that overlaps stats"):
        backward(x, x, own, **options, out=wide)
