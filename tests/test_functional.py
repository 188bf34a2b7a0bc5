"""The stateless functions: signature, explicit statistics, what they update."""

import inspect

import numpy as np
import pytest
from runs import bits
from strategies import LAYOUTS, layout_id

from cybn import functional
from cybn.functional import (
    batch_norm,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_stats,
)

X = np.random.default_rng(0).normal(2, 3, (8, 3, 5)).astype(np.float32)


def test_the_signature_is_pytorchs():
    names = ["x", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"]
    parameters = inspect.signature(batch_norm).parameters
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == names
    assert [p.default for p in positional[3:]] == [None, None, False, 0.1, 1e-5]


def test_public_names_exist_and_are_documented():
    for name in functional.__all__:
        assert inspect.getdoc(getattr(functional, name)), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_statistics_are_moved_in_place(dtype):
    mean, var, count = np.zeros(3, dtype), np.ones(3, dtype), np.array(4)
    _, stats = batch_norm_forward(X, None, None, mean, var, count, momentum=0.25)
    np.testing.assert_allclose(mean, 0.25 * stats[0], rtol=2e-7)  # one rounding to float32
    np.testing.assert_allclose(var, 0.75 + 0.25 * stats[1] * 40 / 39, rtol=2e-7)
    assert count == 5


def test_each_statistic_is_moved_where_it_is_given():
    both = np.zeros(3), np.ones(3)
    batch_norm(X, *both, training=True)
    mean, var, count = np.zeros(3), np.ones(3), np.array(0)
    batch_norm_forward(X, None, None, mean, None)
    batch_norm_forward(X, None, None, None, var)
    batch_norm_forward(X, None, None, None, None, count)
    assert (bits(mean), bits(var)) == tuple(map(bits, both))
    assert count == 1


def test_evaluation_moves_nothing():
    mean, var, count = np.zeros(3), np.ones(3), np.array(4)
    before = bits(mean), bits(var)
    _, stats = batch_norm_forward(X, None, None, mean, var, count, training=False)
    assert (bits(mean), bits(var)) == before
    assert count == 4
    assert stats[:2].tolist() == [[0] * 3, [1] * 3]
    assert stats[2].tolist() == [1 / np.sqrt(1 + 1e-5)] * 3


@pytest.mark.parametrize("kind", ["strided", "reversed", "a column"])
def test_parameters_and_statistics_may_be_strided(kind):
    """As columns of one table are: read and updated in place all the same."""

    def table(value):
        a = np.full((3, 2), value, np.float32)
        a += np.arange(6).reshape(3, 2)
        return {"strided": a.ravel()[::2], "reversed": a[::-1, 0], "a column": a[:, 1]}[kind]

    loose = [table(v) for v in (1, 2, 3, 4)]
    dense = [a.copy() for a in loose]
    weight, bias, mean, var = loose
    y, stats = batch_norm_forward(X, weight, bias, mean, var)
    want, _ = batch_norm_forward(X, *dense)
    assert bits(y) == bits(want)
    assert list(map(bits, loose)) == list(map(bits, dense))
    for training in (True, False):
        got = batch_norm_backward(X, X, stats, weight, training=training)
        want = batch_norm_backward(X, X, stats, dense[0], training=training)
        assert list(map(bits, got)) == list(map(bits, want))
    y = batch_norm(X, mean, var, weight, bias)
    assert bits(y) == bits(batch_norm(X, dense[2], dense[3], dense[0], dense[1]))


def test_stats_hand_over_to_the_backward_in_any_form():
    dy = np.cos(X)
    y, stats = batch_norm_forward(X)
    want = batch_norm_backward(dy, X, stats)
    frozen = stats.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(stats), frozen, np.repeat(stats, 2, axis=0)[::2]):
        before = bits(other)
        assert list(map(bits, batch_norm_backward(dy, X, other))) == list(map(bits, want))
        assert bits(other) == before
    assert bits(y) == bits(batch_norm(X, None, None, training=True))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_without_weight_are_float32_and_with_it_of_its_dtype(training):
    x = X.astype(np.float64)
    _, stats = batch_norm_forward(x)
    for weight, dtype in ((None, np.float32), (np.ones(3), np.float64)):
        dx, dweight, dbias = batch_norm_backward(x, x, stats, weight, training=training)
        assert (dx.dtype, dweight.dtype, dbias.dtype) == (np.float64, dtype, dtype)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0), (4, 0, 2), (2, 3, 0, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_empty_inputs(shape, training):
    x, c = np.empty(shape), shape[1]
    mean, var, count = np.full(c, 2.0), np.full(c, 3.0), np.array(1)
    y, stats = batch_norm_forward(x, None, None, mean, var, count, training=training)
    assert (y.shape, y.dtype, stats.shape) == (shape, np.float64, (3, c))
    dx, dweight, dbias = batch_norm_backward(y, x, stats, training=training)
    assert dx.shape == shape
    assert dweight.tolist() == dbias.tolist() == [0] * c
    assert (mean.tolist(), var.tolist(), count) == ([2] * c, [3] * c, 1)


@pytest.mark.parametrize("channel_axis", [1, -1])
@pytest.mark.parametrize("shape", [(5, 3, 0), (0, 3, 4), (5, 0, 3), (5, 3, 0, 2), (0, 0, 0)])
def test_empty_samples(shape, channel_axis):
    x, c = np.empty(shape), shape[channel_axis]
    for name, groups, rows in (("instance", (), shape[0] * c), ("group", (1,), shape[0])):
        forward, backward = (
            getattr(functional, f"{name}_norm_{way}") for way in ("forward", "backward")
        )
        y, stats = forward(x, *groups, channel_axis=channel_axis)
        assert (y.shape, stats.shape) == (shape, (3, rows))
        dx, dweight, dbias = backward(y, x, stats, *groups, channel_axis=channel_axis)
        assert dx.shape == shape
        assert dweight.tolist() == dbias.tolist() == [0] * c


def test_any_number_of_axes():
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 1, 2, 1, 2, 2))
    y = batch_norm(x, None, None, training=True)
    flat = batch_norm(x.reshape(2, 3, 8), None, None, training=True)
    assert bits(y) == bits(flat.reshape(x.shape))
    z = batch_norm(x, None, None, training=True, channel_axis=3)
    np.testing.assert_allclose(z.mean((0, 1, 2, 4, 5, 6)), 0, atol=1e-15)


@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 5), (3, 2, 300), (2, 70, 70), (300, 5, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics_alone_are_those_of_the_forward(shape, layout, dtype):
    x = layout(np.random.default_rng(0).normal(5, 3, shape).astype(dtype))
    before = bits(x)
    for axis in (1, -1):
        channels = shape[axis]
        if x.size == channels:
            continue
        ours, theirs = ((np.zeros(channels), np.ones(channels), np.array(4)) for _ in range(2))
        how = {"momentum": None, "eps": 1e-3, "channel_axis": axis}
        _, stats = batch_norm_forward(x, None, None, *theirs, **how)
        assert bits(batch_norm_stats(x, *ours, **how)) == bits(stats)
        assert [bits(a) for a in ours] == [bits(a) for a in theirs]
    assert bits(x) == before


def test_statistics_of_nothing():
    mean, var, count = np.zeros(3), np.ones(3), np.array(4)
    stats = batch_norm_stats(np.zeros((0, 3)), mean, var, count, eps=0.25)
    assert stats.tolist() == [[0] * 3, [0] * 3, [2] * 3]
    assert (mean.tolist(), var.tolist(), count) == ([0] * 3, [1] * 3, 4)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X.astype(int),), {}, TypeError, "batch_norm_stats takes float16, bfloat16"),
        ((X, np.zeros(4)), {}, ValueError, r"batch_norm_stats needs running_mean of shape \(3,\)"),
        ((X,), {"eps": 0}, ValueError, "batch_norm_stats needs eps > 0 in training"),
        ((X,), {"momentum": None}, ValueError, "batch_norm_stats with momentum=None needs num_b"),
        ((X[:1, :, :1],), {}, ValueError, "Expected more than 1 value per channel"),
        ((X,), {"channel_axis": 3}, ValueError, "batch_norm_stats got channel_axis=3"),
    ],
)
def test_statistics_alone_are_refused_as_the_forward_is(arguments, options, error, message):
    with pytest.raises(error, match=message):
        batch_norm_stats(*arguments, **options)
