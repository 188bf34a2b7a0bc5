"""Batch norm in halves: parts of a batch, however it is cut, are normalized as the whole.

A part gives its moments and takes the output; it gives sums of its dy and takes dx. What the whole
is comes from the exact oracle and from `batch_norm_forward` and `batch_norm_backward`.
"""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from inparts import EVERY, cuts, in_parts, places, upstream
from oracle import (
    assert_within,
    exact_moments,
    exact_stats,
    exact_xhat,
    gradients,
    mean_bound,
    output_bound,
    var_bound,
)
from runs import bits
from strategies import batches, layouts, views

import cybn
from cybn import functional, reference
from cybn.functional import (
    Moments,
    batch_norm_apply,
    batch_norm_backward,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
    batch_norm_forward,
    batch_norm_moments,
    merge_moments,
)

# The whole as its only part: the same bits


@given(x=batches(dtypes=EVERY, offsets=(0, 1, -30)), layout=layouts, eps=st.sampled_from([1e-5, 1]))
def test_one_part_has_the_bits_of_the_whole(x, layout, eps):
    dy, weight, bias = upstream(x)
    spread = dy.astype(np.float64)
    assume((abs(spread.mean((0, 2))) < 8 * spread.std((0, 2))).all())  # else see below
    x, dy = layout(x), layout(dy)
    y, stats = batch_norm_forward(x, weight, bias, eps=eps)
    dx, dweight, dbias = batch_norm_backward(dy, x, stats, weight)
    moments = batch_norm_moments(x)
    assert moments.count == x.shape[0] * x.shape[2]
    assert bits(moments.stats(eps)) == bits(stats)
    assert bits(batch_norm_apply(x, moments, weight, bias, eps=eps)) == bits(y)
    sums = batch_norm_backward_reduce(dy, x, stats)
    assert bits(sums) == bits(np.stack([dbias, dweight]))
    assert bits(batch_norm_backward_apply(dy, x, stats, sums, moments.count, weight)) == bits(dx)


@pytest.mark.parametrize("dtype", EVERY, ids=str)
@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "relu6"])
@pytest.mark.parametrize("shape", [(6, 3, 5, 7), (40, 3), (2, 3, 200)], ids=str)
def test_a_gate_has_the_bits_of_the_whole(shape, activation, dtype):
    rng = np.random.default_rng(0)
    x, dy, z = (rng.normal(0, 2, shape).astype(dtype) for _ in range(3))
    weight, gate = np.array([1.0, -2, 3]), {"activation": activation}
    y, stats = batch_norm_forward(x, weight, residual=z, **gate)
    given_dz, dz = np.empty_like(x), np.empty_like(x)
    dx, dweight, dbias = batch_norm_backward(dy, x, stats, weight, y=y, dresidual=given_dz, **gate)
    got = batch_norm_apply(x, batch_norm_moments(x), weight, residual=z, **gate)
    assert bits(got) == bits(y)
    assert bits(batch_norm_apply(x, stats, weight, residual=z, **gate)) == bits(y)
    sums = batch_norm_backward_reduce(dy, x, stats, y=y, **gate)
    assert bits(sums) == bits(np.stack([dbias, dweight]))
    got = batch_norm_backward_apply(
        dy, x, stats, sums, x.size // 3, weight, y=y, dresidual=dz, **gate
    )
    assert (bits(got), bits(dz)) == (bits(dx), bits(given_dz))


@pytest.mark.parametrize("shape", [(1, 12_000, 31), (9, 60_000, 3), (2, 70_000, 1)], ids=str)
def test_more_channels_than_there_is_scratch_for(shape):
    """They are worked on one part after the other, as test_scratch.py has it of the whole."""
    x, dy = np.random.default_rng(0).normal(0.3, 2, (2, *shape)).astype(np.float32)
    y, stats = batch_norm_forward(x)
    moments = batch_norm_moments(x)
    assert bits(moments.stats()) == bits(stats)
    assert bits(batch_norm_apply(x, moments)) == bits(y)
    sums = batch_norm_backward_reduce(dy, x, stats)
    whole = np.stack(batch_norm_backward(dy, x, stats, np.ones(shape[1]))[:0:-1])
    np.testing.assert_allclose(sums, whole, rtol=1e-5, atol=1e-5)
    dx = batch_norm_backward_apply(dy, x, stats, sums, moments.count)
    few = [0, 1, 3000, shape[1] - 1]
    own = dy[:, few], x[:, few], stats[:, few].copy(), sums[:, few].copy()
    assert bits(dx[:, few]) == bits(batch_norm_backward_apply(*own, moments.count))


def test_channels_last_and_threads(threads):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(3, 2, (2, 9, 31, 40, 5)).astype(np.float32)
    how = {"channel_axis": -1}
    got = in_parts(x, dy, np.arange(5.0), None, places(9, [0.2]), **how)
    cybn.set_num_threads(1)
    alone = in_parts(x, dy, np.arange(5.0), None, places(9, [0.2]), **how)
    assert [bits(a) for a in got] == [bits(a) for a in alone]
    moved = [np.moveaxis(a, -1, 1) for a in (x, dy)]
    y, dx, *_ = in_parts(*moved, np.arange(5.0), None, places(9, [0.2]))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), got[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.moveaxis(dx, 1, -1), got[1], rtol=1e-5, atol=1e-5)


# Any split: the whole, within the bounds of the whole


@given(x=batches(offsets=(0, 1, -30, 1e4, 1e7)), cuts=cuts)
def test_any_split_has_the_moments_of_the_whole(x, cuts):
    whole = merge_moments(batch_norm_moments(x[at]) for at in places(len(x), cuts))
    m, dtype = x.shape[0] * x.shape[2], x.dtype
    assert whole.count == m
    for c in range(x.shape[1]):
        mean, var = map(float, exact_moments(x[:, c]))
        assert_within(whole.mean[c], mean, mean_bound(var, mean, m, dtype), f"mean {c}")
        assert_within(whole.var()[c], var, var_bound(var, mean, m, dtype), f"var {c}")


@given(x=batches(shapes=st.tuples(st.integers(2, 12), st.just(2), st.just(1)),
                 dtypes=(np.float64,), offsets=(0, 1, 1e6, 1e12)))  # fmt: skip
def test_single_values_merge_within_the_bound_for_two_passes(x):
    """The least room that there is: m + 3 roundings, and float64 parts of one value each."""
    whole = merge_moments(batch_norm_moments(x[i : i + 1]) for i in range(len(x)))
    for c in range(2):
        mean, var = map(float, exact_moments(x[:, c]))
        assert_within(whole.var()[c], var, var_bound(var, mean, len(x), x.dtype))


@given(x=batches(offsets=(0, 1, -30, 1e4)), cuts=cuts, data=st.data())
def test_any_split_is_normalized_as_the_whole(x, cuts, data):
    dy, weight, bias = upstream(x, data.draw(st.integers(0, 9)))
    y, dx, sums, _ = in_parts(x, dy, weight, bias, places(len(x), cuts))
    m = x.shape[0] * x.shape[2]
    exact = weight[:, None] * exact_xhat(x) + bias[:, None]
    assert_within(y, exact, output_bound(exact_xhat(x), weight, bias, m, x.dtype), "y")
    right, bounds = gradients(dy, x, exact_stats(x), weight)
    got = dx, sums[1], sums[0]
    for each in zip(got, right, bounds, ("dx", "dweight", "dbias"), strict=True):
        assert_within(*each)


@given(x=batches(shapes=views(most=2000)), keep=st.floats(0, 1), seed=st.integers(0, 99))
@example(x=np.ones((4, 3, 2), np.float32), keep=0.0, seed=0)  # a mask that is False all over
def test_parts_are_as_their_masks_leave_them(x, keep, seed):
    dy, weight, bias = upstream(x)
    mask = np.random.default_rng(seed).random((x.shape[0], x.shape[2])) < keep
    valid, valid_dy = (np.moveaxis(a, 1, -1)[mask] for a in (x, dy))
    for of, those in ((mask, valid), (~mask, np.moveaxis(x, 1, -1)[~mask])):
        moments = batch_norm_moments(x, mask=of)
        assert moments.count == of.sum()
        if of.any():
            assert bits(moments.sums) == bits(batch_norm_moments(those).sums)
    whole = merge_moments([batch_norm_moments(x, mask=mask), batch_norm_moments(x, mask=~mask)])
    stats, at = whole.stats(), np.broadcast_to(mask[:, None], x.shape)
    y = batch_norm_apply(x, whole, weight, bias, mask=mask)
    sums = batch_norm_backward_reduce(dy, x, stats, mask=mask)
    dx = batch_norm_backward_apply(dy, x, stats, sums, whole.count, weight, mask=mask)
    assert not y[~at].any()
    assert not dx[~at].any()
    plain = batch_norm_apply(valid, whole, weight, bias)
    assert bits(np.moveaxis(y, 1, -1)[mask]) == bits(plain)
    assert bits(sums) == bits(batch_norm_backward_reduce(valid_dy, valid, stats))
    plain = batch_norm_backward_apply(valid_dy, valid, stats, sums, whole.count, weight)
    assert bits(np.moveaxis(dx, 1, -1)[mask]) == bits(plain)


def test_masked_parts_with_a_gate_make_the_whole():
    rng = np.random.default_rng(0)
    x, dy, z = rng.normal(0, 2, (3, 6, 3, 40))
    gate, weight = {"activation": "relu6"}, np.array([1.0, -2, 3])
    y, stats = batch_norm_forward(x, weight, residual=z, **gate)
    dz = np.empty_like(x)
    dx, dweight, dbias = batch_norm_backward(dy, x, stats, weight, y=y, dresidual=dz, **gate)
    masks = [np.arange(6) < 2, np.arange(6) >= 2]
    whole = merge_moments(batch_norm_moments(x, mask=mask) for mask in masks)
    stats = whole.stats()
    sums = sum(batch_norm_backward_reduce(dy, x, stats, mask=m, y=y, **gate) for m in masks)
    np.testing.assert_allclose(sums, [dbias, dweight], rtol=1e-6)
    got = np.zeros((3, *x.shape))
    for mask in masks:
        got[0] += batch_norm_apply(x, whole, weight, residual=z, mask=mask, **gate)
        of_part, into = np.full_like(x, 7), np.full_like(x, 7)
        returned = batch_norm_backward_apply(
            dy, x, stats, sums, whole.count, weight, mask=mask, y=y, dresidual=of_part, out=into,
            **gate,
        )  # fmt: skip
        assert returned is into
        got[1:] += into, of_part
    for a, b in zip(got, (y, dx, dz), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# What is given as it is, and the twin


@given(x=batches(shapes=views(most=2000), dtypes=(np.float64,), offsets=(0, 1, -30)), cuts=cuts)
def test_the_reference_says_the_same(x, cuts):
    dy, weight, bias = upstream(x)
    at = places(len(x), cuts)
    y, dx, sums, stats = in_parts(x, dy, weight, bias, at)
    count, mean, squares = reference.merge_moments(reference.part_moments(x[each]) for each in at)
    var = squares / count
    near = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(stats[:2], [mean, var], **near)
    np.testing.assert_allclose(y, reference.normalize(x, mean, var, weight, bias), **near)
    twin = [reference.backward_reduce(dy[each], x[each], mean, var) for each in at]
    np.testing.assert_allclose(sums, np.sum(twin, 0), **near)
    right = reference.backward_apply(dy, x, mean, var, *np.sum(twin, 0), count, weight)
    np.testing.assert_allclose(dx, right, **near)


@given(x=batches(shapes=views(most=2000), dtypes=EVERY, offsets=(0, 1)), layout=layouts)
def test_given_statistics_are_those_of_evaluation(x, layout):
    _, weight, bias = upstream(x)
    mean, var = np.linspace(-1, 1, x.shape[1]), np.linspace(0.5, 2, x.shape[1])
    y, stats = batch_norm_forward(layout(x), weight, bias, mean, var, training=False)
    assert bits(batch_norm_apply(layout(x), stats, weight, bias)) == bits(y)
    assert bits(batch_norm_apply(layout(x), Moments.of(1, mean, var), weight, bias)) == bits(y)


def test_outputs_are_written_in_place():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(2, 3, (2, 30, 4, 8)).astype(np.float32)
    moments = batch_norm_moments(x)
    stats, y = moments.stats(), batch_norm_apply(x, moments)
    sums = batch_norm_backward_reduce(dy, x, stats)
    dx = batch_norm_backward_apply(dy, x, stats, sums, moments.count)
    for mask in (None, np.arange(30) < 12):
        right = batch_norm_apply(x, moments, mask=mask)
        a = x.copy()
        assert batch_norm_apply(a, moments, mask=mask, out=a) is a
        assert bits(a) == bits(right)
        assert bits(right[:12]) == bits(y[:12])
    a = dy.copy()
    assert batch_norm_backward_apply(a, x, stats, sums, moments.count, out=a) is a
    assert bits(a) == bits(dx)
    strided = np.empty((30, 4, 16), np.float32)[:, :, ::2]
    assert bits(batch_norm_apply(x, moments, out=strided)) == bits(y)


# Bad input

X = np.random.default_rng(0).normal(2, 3, (6, 3)).astype(np.float32)
WHOLE = batch_norm_moments(X)
STATS = WHOLE.stats()
SUMS = batch_norm_backward_reduce(X, X, STATS)
BACK = X.copy(), X, STATS, SUMS


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batch_norm_moments(np.ones((2, 3), int)), TypeError, "int64"),
        (lambda: batch_norm_moments(X, channel_axis=2), ValueError, "channel_axis=2"),
        (lambda: batch_norm_moments(X, mask=np.ones(6)), TypeError, "mask of bool"),
        (lambda: batch_norm_moments(X, mask=np.ones(5, bool)), ValueError, r"mask of shape \(6,\)"),
        (lambda: merge_moments([]), ValueError, "got none"),
        (lambda: merge_moments([WHOLE, STATS]), TypeError, "takes Moments, got ndarray"),
        (lambda: merge_moments([WHOLE, Moments(2)]), ValueError, "parts of 2 and 3 channels"),
        (lambda: Moments.of_sums(-1, WHOLE.sums), ValueError, "count >= 0, .* got -1"),
        (lambda: Moments.of_sums(6.0, WHOLE.sums), TypeError, "an int as count, got 6.0"),
        (lambda: Moments.of_sums(6, STATS[:2]), ValueError, r"sums of shape \(3, C\).* \(2, 3\)"),
        (lambda: Moments.of_sums(6, X.T[:, :3]), ValueError, r"got \(3, 3\) float32"),
        (lambda: Moments.of_sums(6, None), ValueError, "got None"),
        (lambda: batch_norm_apply(X, Moments(2)), ValueError, "moments of 3 channels.* got 2"),
        (lambda: batch_norm_apply(X, Moments(3)), ValueError, "moments of no values"),
        (lambda: batch_norm_apply(X, STATS[:2]), ValueError, r"\(3, 3\) float64, got \(2, 3\)"),
        (lambda: batch_norm_apply(X, WHOLE, eps=0.0), ValueError, "eps > 0"),
        (lambda: batch_norm_apply(X, WHOLE, np.ones(2)), ValueError, "weight of shape"),
        (lambda: batch_norm_apply(X, WHOLE, residual=X[:2]), ValueError, "residual"),
        (lambda: batch_norm_apply(X, WHOLE, activation="tanh"), ValueError, "tanh"),
        (lambda: batch_norm_backward_reduce(X[:2], X, STATS), ValueError, "dy of the input's"),
        (lambda: batch_norm_backward_reduce(X, X, WHOLE), ValueError, "needs the stats"),
        (lambda: batch_norm_backward_reduce(X, X, STATS, activation="relu"), ValueError, "needs y"),
        (lambda: batch_norm_backward_apply(*BACK, 5), ValueError, "6 or more .* got 5"),
        (lambda: batch_norm_backward_apply(*BACK, -6), ValueError, "got -6"),
        (lambda: batch_norm_backward_apply(*BACK, 6.0), TypeError, "int as count, got 6.0"),
        (lambda: batch_norm_backward_apply(*BACK, True), TypeError, "int as count, got True"),
        (lambda: batch_norm_backward_apply(X, X, STATS, SUMS[0], 6), ValueError, r"\(2, 3\) float"),
        (lambda: batch_norm_backward_apply(X, X, STATS, [1, 2], 6), ValueError, r"got \[1, 2\]"),
        (lambda: batch_norm_backward_apply(*BACK, 6, np.ones(2)), ValueError, "weight of shape"),
        (lambda: batch_norm_backward_apply(*BACK, 6, mask=X > 0), ValueError, "mask"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_out_that_cannot_be_written_to():
    held = np.zeros((7, 3), np.float32)
    held[:6] = X
    x, shifted = held[:6], held[1:]
    locked = np.empty_like(X)
    locked.flags.writeable = False
    stats = np.array(STATS)
    before = bits(held)
    for out, message in ((shifted, "overlaps"), (locked, "read-only"), (X[:2], "shape")):
        with pytest.raises(ValueError, match=message):
            batch_norm_apply(x, WHOLE, out=out)
        with pytest.raises(ValueError, match=message):
            batch_norm_backward_apply(x, X, stats, SUMS, 6, out=out)
    with pytest.raises(ValueError, match="overlaps x"):
        batch_norm_backward_apply(X.copy(), x, stats, SUMS, 6, out=x)
    double = np.ones((3, 3))
    with pytest.raises(ValueError, match="overlaps moments"):
        batch_norm_apply(np.ones((3, 3)), double, out=double)
    with pytest.raises(ValueError, match="dresidual"):
        batch_norm_backward_apply(x, X, stats, SUMS, 6, dresidual=shifted)
    assert (bits(held), bits(stats)) == (before, bits(STATS))


def test_one_value_and_its_own_moments():
    """What a training step refuses is for whoever has the whole to refuse."""
    x = np.array([[5.0, 7.0]])
    whole = batch_norm_moments(x)
    assert (whole.count, whole.mean.tolist(), whole.var().tolist()) == (1, [5, 7], [0, 0])
    assert batch_norm_apply(x, whole, None, np.ones(2)).tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="more than 1 value"):
        functional.batch_norm_forward(x)
