"""Batch norm in halves: parts of a batch, however it is cut, are normalized as the whole.

A part gives its moments and takes the output; it gives sums of its dy and takes dx. What the whole
is comes from the exact oracle and from `batch_norm_forward` and `batch_norm_backward`.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from oracle import (
    U64,
    assert_near,
    assert_within,
    exact_moments,
    exact_norm,
    exact_stats,
    exact_xhat,
    gradients,
    mean_bound,
    output_bound,
    var_bound,
)
from runs import bits
from sixteen import BFLOAT16
from strategies import DTYPES, batches, layouts, views

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

EVERY = (*DTYPES, np.float16, BFLOAT16)
cuts = st.lists(st.floats(0, 1), max_size=4)


def upstream(x, seed=0):
    """dy like x, and a weight and a bias for each channel."""
    rng = np.random.default_rng(seed)
    dy = rng.normal(0.3, 1, x.shape).astype(x.dtype)
    return dy, rng.uniform(0.5, 2, x.shape[1]), rng.normal(0, 1, x.shape[1])


def places(n, cuts):
    """Slices of n samples: uneven ones, and empty ones at the ends and in between."""
    edges = sorted([0, 0, n, n, *(int(cut * n) for cut in cuts), n // 2, n // 2])
    return [slice(*edge) for edge in pairwise(edges)]


def in_parts(x, dy, weight, bias, at, eps=1e-5, **how):
    """y, dx, the sums and the statistics of a batch that comes in parts."""
    moments = merge_moments(batch_norm_moments(x[each], **how) for each in at)
    stats = moments.stats(eps)
    y, dx = np.empty_like(x), np.empty_like(x)
    for each in at:
        y[each] = batch_norm_apply(x[each], moments, weight, bias, eps=eps, **how)
    sums = sum(batch_norm_backward_reduce(dy[each], x[each], stats, **how) for each in at)
    for each in at:
        dx[each] = batch_norm_backward_apply(
            dy[each], x[each], stats, sums, moments.count, weight, **how
        )
    return y, dx, sums, stats


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
    y, dx, sums, stats = in_parts(x, dy, weight, bias, places(len(x), cuts))
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


# Merging


@pytest.mark.parametrize("dtype", EVERY, ids=str)
def test_what_sums_exactly_merges_exactly(dtype):
    """A mean of a quarter or so, and values in pairs about it: there is no error at all."""
    rng = np.random.default_rng(0)
    for mean, step in ((0.25, 2.0**-3), (3.0, 0.25), (-16.0, 1.0)):
        away = rng.integers(0, 4, 512) * step
        x = (mean + np.concatenate([away, -away])).astype(dtype)[:, None]
        for _ in range(20):
            x = rng.permutation(x)
            edges = [0, 1, 2, *(2 + 70 * np.sort(rng.integers(1, 14, 5))), 1024]  # 1, 0 or many
            parts = [batch_norm_moments(part) for part in np.split(x, edges)]
            one_by_one = Moments(1)
            for part in rng.permutation(len(parts)):
                one_by_one.merge(parts[part])
            for whole in (merge_moments(parts), one_by_one):
                assert (whole.mean[0], whole.var()[0]) == (mean, (away**2).sum() / 512)


@given(st.lists(st.lists(st.integers(-(2**20), 2**20), max_size=5), min_size=1, max_size=6))
def test_sums_of_integers_merge_without_rounding(parts):
    """Sums that were exact in the parts are those of the whole, about one of its values."""
    whole = [v for part in parts for v in part]
    assume(whole)
    moments = []
    for part in parts:
        away = [v - part[0] for v in part]
        sums = np.array([part[:1] or [7], [sum(away)], [sum(v * v for v in away)]], float)
        moments.append(Moments.of_sums(len(part), sums))
    shift, total, squares = map(int, merge_moments(moments).sums[:, 0])
    assert shift in whole
    assert total == sum(v - shift for v in whole)
    assert squares == sum((v - shift) ** 2 for v in whole)


@given(x=batches(shapes=views(most=500)), cuts=cuts)
def test_merging_has_an_order_and_changes_no_part(x, cuts):
    parts = [batch_norm_moments(x[at]) for at in places(len(x), cuts)]
    before = [(part.count, bits(part.sums)) for part in parts]
    whole = merge_moments(parts)
    assert bits(merge_moments(iter(parts)).sums) == bits(whole.sums)
    assert [(part.count, bits(part.sums)) for part in parts] == before
    sent = [Moments.of_sums(part.count, part.sums) for part in parts]
    assert bits(merge_moments(sent).sums) == bits(whole.sums)
    filled = [part for part in parts if part.count]
    assert bits(merge_moments(filled).sums) == bits(whole.sums)


def test_nothing_but_empty_parts():
    empty = np.empty((0, 2, 3), np.float32)
    whole = merge_moments([batch_norm_moments(empty), Moments(2)])
    y, stats = batch_norm_forward(empty)
    assert whole.count == 0
    assert bits(whole.stats()) == bits(stats)
    assert batch_norm_apply(empty, whole).shape == y.shape
    sums = batch_norm_backward_reduce(empty, empty, stats)
    assert sums.tolist() == [[0, 0], [0, 0]]
    assert batch_norm_backward_apply(empty, empty, stats, sums, 0).shape == y.shape
    # beside parts that are not
    one = np.array([[[1.0, 2, 3], [4, 5, 9]]])
    whole = merge_moments([Moments(2), batch_norm_moments(one), Moments(2)])
    assert bits(whole.sums) == bits(batch_norm_moments(one).sums)


# Large and small


@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1e30, 1e150, 1.3e154, 1e200, 1.7e308])
@pytest.mark.parametrize("view", [(40, 2, 1), (4, 2, 100)], ids=str)
def test_float64_of_any_size(view, scale):
    """Squares of the last ones, or their sums alone, are beyond float64."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, view)
    x[:, 0] *= scale
    dy = rng.normal(0, 1, view)
    weight, bias = np.array([2.0, 3.0]), np.array([0.5, 0])
    y, dx, _, stats = in_parts(x, dy, weight, bias, places(view[0], [0.1, 0.3]), eps=1e-300)
    given_y, given_stats = batch_norm_forward(x, weight, bias, eps=1e-300)
    np.testing.assert_allclose(stats, given_stats, rtol=1e-13, atol=1e-13 * scale)
    np.testing.assert_allclose(y, given_y, rtol=1e-13, atol=1e-13)
    given_dx, _, _ = batch_norm_backward(dy, x, given_stats, weight)
    for c in range(2):
        assert_near(dx[:, c], given_dx[:, c], 64)


def test_a_variance_whose_sum_of_squares_overflows():
    x = np.resize([1.3e154, -1.3e154], (40, 1))
    whole = merge_moments([batch_norm_moments(x[:30]), batch_norm_moments(x[30:])])
    np.testing.assert_allclose(whole.var(), [1.69e308], rtol=1e-14)
    assert whole.mean.tolist() == [0.0]
    assert np.isinf(whole.squares)
    assert bits(Moments.of_sums(40, whole.sums).stats()) == bits(whole.stats())
    beside = merge_moments([whole, batch_norm_moments(np.ones((1, 1)))])
    np.testing.assert_allclose(beside.var(), [1.69e308 / 41 * 40], rtol=1e-14)
    assert abs(beside.mean[0]) <= 4 * U64 * 1.3e154


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e20, 1e38])
@pytest.mark.parametrize("of", ["x", "dy", "weight"])
@pytest.mark.parametrize("view", [(67, 2, 1), (7, 2, 65), (9, 2, 7)], ids=str)
def test_float32_of_any_size(view, of, scale):
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-3, 3, (2, *view))).astype(np.float32)
    weight = np.array([1.0, 2.0])
    with np.errstate(under="ignore"):
        if of == "weight":
            weight[0] = scale
        else:
            a = {"x": x, "dy": dy}[of]
            a[:, 0] = (a[:, 0].astype(np.float64) * scale).astype(np.float32)
    y, dx, sums, _ = in_parts(x, dy, weight, np.zeros(2), places(view[0], [0.2]), eps=1e-80)
    for c in range(2):
        flat = x[:, c].ravel(), dy[:, c].ravel()
        right = exact_norm(*flat, weight[c], 0.0, 1e-80)
        assert_near(y[:, c].ravel(), right[0], 64, "y")
        assert_near(dx[:, c].ravel(), right[1], 64, "dx")
        assert abs(sums[1, c] - right[3]) <= 64 * 2.0**-24 * np.abs(right[2]).sum() + 1e-300


@pytest.mark.parametrize("ratio", [3.0, 17.0, 100.0, 1e3, 1e6])
@pytest.mark.parametrize("view", [(3000, 2, 1), (33, 2, 9), (7, 2, 65), (6, 2, 2100)], ids=str)
def test_dy_with_a_large_mean(view, ratio):
    """Within the roundings of dy as it is: parts do not know the mean of all, to take it off first.

    xhat has a mean in each part, samples being in order, and dweight is what is left of large sums.
    """
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-3, 3, view), axis=0).astype(np.float32)
    dy = (ratio + rng.uniform(-(3**0.5), 3**0.5, view)).astype(np.float32)
    _, dx, _, stats = in_parts(x, dy, np.ones(2), None, places(view[0], [0.3, 0.35]))
    for c in range(2):
        right = exact_norm(x[:, c].ravel(), dy[:, c].ravel(), 1.0, 0.0, 1e-5)
        off = np.abs(dx[:, c].ravel() - right[1]).max()
        assert off <= 32 * 2.0**-24 * stats[2, c] * ratio


def test_a_constant_dy_gives_next_to_no_gradient():
    x = np.random.default_rng(0).normal(5, 2, (700, 2)).astype(np.float32)
    for value in (1.0, 0.1, 3e37):
        dy = np.full_like(x, value)
        at = places(700, [0.1])
        stats = merge_moments(batch_norm_moments(x[each]) for each in at).stats()
        sums = sum(batch_norm_backward_reduce(dy[each], x[each], stats) for each in at)
        dx = np.concatenate(
            [batch_norm_backward_apply(dy[each], x[each], stats, sums, 700) for each in at]
        )
        assert abs(dx).max() <= 8 * 2.0**-24 * stats[2].max() * value


@pytest.mark.parametrize("dtype", EVERY, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_channel(bad, dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(0, 1, (2, 40, 3)).astype(dtype)
    at = places(40, [0.3])
    clean = in_parts(x, dy, None, None, at)
    x[4, 1] = bad
    spoilt = in_parts(x, dy, None, None, at)
    for a, b in zip(spoilt, clean, strict=True):
        assert bits(a[:, [0, 2]]) == bits(b[:, [0, 2]])
    assert np.isnan(spoilt[0][:, 1].astype(float)).all()
    assert np.isnan(spoilt[3][1, 1])


def test_sums_that_are_not_finite_stay_in_their_channel():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(0, 1, (2, 40, 3)).astype(np.float32)
    stats = batch_norm_moments(x).stats()
    sums = batch_norm_backward_reduce(dy, x, stats)
    clean = batch_norm_backward_apply(dy, x, stats, sums, 40)
    for row in (0, 1):
        spoilt = sums.copy()
        spoilt[row, 1] = np.nan
        dx = batch_norm_backward_apply(dy, x, stats, spoilt, 40)
        assert bits(dx[:, [0, 2]]) == bits(clean[:, [0, 2]])
        assert np.isnan(dx[:, 1]).all()


# What is given as it is, and the twin


@given(
    x=batches(shapes=views(most=2000), dtypes=(np.float64,), offsets=(0, 1, -30)), cuts=cuts
)
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


def test_moments_of_a_far_part_keep_their_digits():
    """A mean in float64 would not: what it lacks is 1e-4 of this std."""
    x = 1e12 + np.array([[0.1], [0.2], [0.3], [0.7]])
    whole = merge_moments([batch_norm_moments(x[:1]), batch_norm_moments(x[1:])])
    mean, var = exact_moments(x)
    assert abs(whole.var()[0] - float(var)) <= 8 * U64 * float(var)
    left = float(mean - Fraction(float(whole.mean[0])))
    assert abs(whole.rest[0] - left) <= 8 * U64 * float(var) ** 0.5
