"""Running statistics: momentum, the options that leave arrays out, reset, and modes."""

import numpy as np
import pytest
from oracle import roundoff
from runs import bits, state_bits

import cybn
from cybn import reference
from cybn.functional import batch_norm_forward, update_running

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def batch(k, channels=3, dtype=np.float32):
    return np.random.default_rng(k).normal(k, k + 1, (6, channels, 5)).astype(dtype)


def test_the_known_example():
    layer = cybn.BatchNorm1d(1)
    layer(np.float32([[1], [2], [3], [4]]))
    assert layer.running_mean.round(4).tolist() == [0.25]
    assert layer.running_var.round(4).tolist() == np.float32([1.0667]).tolist()
    assert layer.num_batches_tracked == 1


@both_dtypes
def test_one_step_rounds_once(dtype):
    """In float64 throughout, from the statistics the batch had; then to the buffers' dtype."""
    layer = cybn.BatchNorm1d(3, momentum=0.3, dtype=dtype)
    x = batch(1)
    layer.running_mean[:], layer.running_var[:] = [1e3, 0.1, -5], [1e3, 0.1, 7]
    old = layer.running_mean.astype(float), layer.running_var.astype(float)
    _, (mean, var, _) = batch_norm_forward(x)
    want = reference.update_running(*old, mean, var, 30, 0.3)
    layer(x)
    for got, exact in zip((layer.running_mean, layer.running_var), want, strict=True):
        np.testing.assert_allclose(got, exact, rtol=roundoff(dtype) * 2 + 1e-15, atol=1e-15)


@both_dtypes
def test_momentum_0_counts_and_changes_nothing_else(dtype):
    layer = cybn.BatchNorm1d(3, momentum=0.0, dtype=dtype)
    layer.running_mean[:], layer.running_var[:] = [0.1, -7, 1e30], [0.3, 7, 1e-30]
    before = bits(layer.running_mean), bits(layer.running_var)
    layer(batch(1))
    assert (bits(layer.running_mean), bits(layer.running_var)) == before
    assert layer.num_batches_tracked == 1


@both_dtypes
@pytest.mark.parametrize("before", [0.0, 1e8, -1e30, 1e-30])
def test_momentum_1_keeps_exactly_the_last_batch(dtype, before):
    layer = cybn.BatchNorm1d(3, momentum=1.0, dtype=dtype)
    layer.running_mean[:] = before
    layer.running_var[:] = abs(before)
    x = batch(2)
    _, (mean, var, _) = batch_norm_forward(x)
    layer(x)
    assert layer.running_mean.tolist() == mean.astype(dtype).tolist()
    assert layer.running_var.tolist() == (var * 30 / 29).astype(dtype).tolist()


@both_dtypes
def test_momentum_none_is_the_mean_of_all_batches(dtype):
    layer = cybn.BatchNorm1d(3, momentum=None, dtype=dtype)
    count = 40
    for k in range(count):
        layer(batch(k))
    stats = [batch_norm_forward(batch(k))[1] for k in range(count)]
    # each step rounds a value below 2^12 (var) once to the dtype, and its error shrinks afterwards
    off = count * roundoff(dtype) * 2**12
    np.testing.assert_allclose(layer.running_mean, np.mean([s[0] for s in stats], 0), atol=off)
    expected = np.mean([s[1] * 30 / 29 for s in stats], 0)
    np.testing.assert_allclose(layer.running_var, expected, atol=off)
    assert layer.num_batches_tracked == count


def test_momentum_may_be_changed_between_batches():
    layer, other = cybn.BatchNorm1d(3), cybn.BatchNorm1d(3, momentum=0.5)
    layer.momentum = 0.5
    for k in (1, 2):
        layer(batch(k))
        other(batch(k))
    assert state_bits(layer) == state_bits(other)


@pytest.mark.parametrize(
    ("options", "parameters", "buffers"),
    [
        ({}, ["weight", "bias"], 3),
        ({"affine": False}, [], 3),
        ({"bias": False}, ["weight"], 3),
        ({"affine": False, "bias": False}, [], 3),
        ({"track_running_stats": False}, ["weight", "bias"], 0),
        ({"affine": False, "track_running_stats": False, "momentum": None}, [], 0),
    ],
    ids=str,
)
@both_dtypes
def test_options_leave_arrays_out(options, parameters, buffers, dtype):
    layer = cybn.BatchNorm2d(3, dtype=dtype, **options)
    names = ["running_mean", "running_var", "num_batches_tracked"][:buffers]
    assert [name for name, _ in layer.named_parameters()] == parameters
    assert [name for name, _ in layer.named_buffers()] == names
    assert list(layer.state_dict()) == parameters + names
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        there = name in parameters + names
        assert (getattr(layer, name) is not None) == there
    for a in [*layer.parameters(), *layer.buffers()][: len(parameters + names[:2])]:
        assert (a.shape, a.dtype) == ((3,), np.dtype(dtype))
    for training in (True, False):
        x = batch(1)[:, :, :, None]
        y = layer.train(training)(x)
        assert layer.backward(y).shape == x.shape
        assert list(layer.grads) == parameters


def test_what_is_left_out_counts_as_ones_and_zeros():
    x, dy = batch(1), batch(2)
    plain = cybn.BatchNorm1d(3)
    y, dx = plain(x), plain.backward(dy)
    for options in ({"affine": False}, {"bias": False}, {"track_running_stats": False}):
        layer = cybn.BatchNorm1d(3, **options)
        assert (bits(layer(x)), bits(layer.backward(dy))) == (bits(y), bits(dx))


def test_the_variance_kept_is_unbiased_and_the_one_used_is_not():
    layer = cybn.BatchNorm1d(1, momentum=1.0, eps=1e-12, dtype="float64")
    y = layer(np.array([[-1.0], [1.0]]))
    assert layer.running_var.tolist() == [2.0]
    np.testing.assert_allclose(y, [[-1], [1]], rtol=1e-12)  # eps/2


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}], ids=str)
def test_reset(options):
    layer, new = (cybn.BatchNorm1d(3, **options) for _ in range(2))
    layer(batch(1))
    for parameter in layer.parameters():
        parameter += 3
    arrays = [*layer.parameters(), *layer.buffers()]
    kept = [bits(a) for a in layer.parameters()]
    layer.reset_running_stats()
    assert [bits(a) for a in layer.buffers()] == [bits(a) for a in new.buffers()]
    assert [bits(a) for a in layer.parameters()] == kept
    layer(batch(1))
    layer.reset_parameters()
    assert state_bits(layer) == state_bits(new)
    # in place: whoever holds the arrays, as an optimizer does, sees it
    after = [*layer.parameters(), *layer.buffers()]
    assert all(a is b for a, b in zip(arrays, after, strict=True))


def test_train_and_eval_return_the_layer_and_take_only_bools():
    layer = cybn.BatchNorm1d(3)
    assert layer.training is True
    assert layer.eval() is layer
    assert layer.training is False
    assert layer.train() is layer
    assert layer.train(np.bool_(False)).training is False
    with pytest.raises(ValueError, match=r"train\(\) takes True or False, got 'yes'"):
        layer.train("yes")
    assert layer.training is False


@pytest.mark.parametrize("missing", ["running_mean", "running_var", "num_batches_tracked"])
def test_a_buffer_set_to_none_is_left_alone(missing):
    """As in PyTorch: without either statistic evaluation normalizes by the batch."""
    layer, x = cybn.BatchNorm1d(3), batch(1)
    setattr(layer, missing, None)
    y = layer(x)
    assert getattr(layer, missing) is None
    assert bits(y) == bits(cybn.BatchNorm1d(3)(x))
    if missing != "num_batches_tracked":
        assert bits(layer.eval()(x)) == bits(y)


def test_running_statistics_are_updated_in_place():
    layer = cybn.BatchNorm1d(3)
    held = layer.running_mean, layer.running_var, layer.num_batches_tracked
    layer(batch(1))
    assert layer.running_mean is held[0]
    assert layer.running_var is held[1]
    assert layer.num_batches_tracked is held[2]
    assert held[2].dtype == np.int64
    assert held[2] == 1


HUGE = 2.0**100  # squared beyond float32


def batch_that_does_not_fit(dtype=np.float32):
    x = batch(1, dtype=dtype)
    x[:2, 1] *= HUGE
    return x


@both_dtypes
@pytest.mark.parametrize("momentum", [0.0, 0.3, 1.0, None])
@pytest.mark.parametrize("left_out", ["", "running_mean", "running_var", "num_batches_tracked"])
def test_updating_afterwards_is_updating_in_the_forward(dtype, momentum, left_out):
    x = batch(2, dtype=dtype)
    ours, theirs = (
        {
            "running_mean": np.linspace(-1, 1, 3).astype(dtype),
            "running_var": np.linspace(1, 2, 3).astype(dtype),
            "num_batches_tracked": np.array(3),
        }
        for _ in range(2)
    )
    if momentum is not None:
        ours.pop(left_out, None), theirs.pop(left_out, None)
    y, stats = batch_norm_forward(x, **theirs, momentum=momentum)
    y2, stats2 = batch_norm_forward(x)
    assert (bits(y2), bits(stats2)) == (bits(y), bits(stats))
    assert update_running(stats, 30, **ours, momentum=momentum) is None
    assert {n: bits(a) for n, a in ours.items()} == {n: bits(a) for n, a in theirs.items()}


@pytest.mark.parametrize("momentum", [1e-3, 1.0, None])
def test_statistics_that_do_not_fit_leave_all_as_it_was(momentum):
    _, stats = batch_norm_forward(batch_that_does_not_fit())
    mean, var, count = np.zeros(3, np.float32), np.ones(3, np.float32), np.array(5)
    before = [bits(a) for a in (mean, var, count)]
    how = {"momentum": momentum}
    assert np.isfinite(stats).all()
    assert update_running(stats, 30, mean, var, count, **how) == 1
    assert [bits(a) for a in (mean, var, count)] == before
    assert update_running(stats, 30, mean, None, count, **how) is None  # the mean does fit
    assert update_running(stats, 30, mean, var, count, must_fit=False, **how) is None
    assert (var == np.finfo(np.float32).max).tolist() == [False, True, False]
    assert count == 7
    wide = np.ones(3)
    assert update_running(stats, 30, None, wide, count, **how) is None
    assert np.isfinite(wide).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_statistics_that_are_not_finite_do_not_fit(value):
    for row in (0, 1):
        stats = np.ones((3, 4))
        stats[row, 2] = value
        mean, var = np.zeros(4), np.ones(4)
        assert update_running(stats, 8, mean, var) == 2
        assert (mean.tolist(), var.tolist()) == ([0] * 4, [1] * 4)


def test_momentum_0_moves_nothing_that_could_not_fit():
    _, stats = batch_norm_forward(batch_that_does_not_fit())
    var = np.ones(3, np.float32)
    assert update_running(stats, 30, None, var, momentum=0.0) is None
    assert var.tolist() == [1, 1, 1]


def test_a_full_count_stays_full():
    most = 2**63 - 1
    for momentum in (0.1, None):
        count, mean = np.array(most), np.zeros(3)
        _, stats = batch_norm_forward(batch(1))
        assert update_running(stats, 30, mean, None, count, momentum=momentum) is None
        batch_norm_forward(batch(1), None, None, mean, None, count, momentum=momentum)
        assert count == most
        assert np.isfinite(mean).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.ones((2, 3)), 9), {}, ValueError, r"the stats that the forward returned, \(3, 3\)"),
        ((np.ones(3), 9), {}, ValueError, "needs the stats that the forward returned"),
        ((np.ones((3, 3)), 1), {}, ValueError, "update_running needs m >= 2, the values per"),
        ((np.ones((3, 3)), 9, np.zeros(4)), {}, ValueError, r"running_mean of shape \(3,\)"),
        ((np.ones((3, 3)), 9, np.zeros(3), np.ones(3, np.float32)), {}, TypeError, "of one dtype"),
        ((np.ones((3, 3)), 9), {"momentum": 2}, ValueError, "momentum"),
        ((np.ones((3, 3)), 9), {"momentum": None}, ValueError, "needs num_batches_tracked"),
        ((np.ones((3, 3)), 9, None, None, 7), {}, TypeError, "0-D int64"),
    ],
)
def test_what_cannot_be_updated(arguments, options, error, message):
    with pytest.raises(error, match=message):
        update_running(*arguments, **options)
