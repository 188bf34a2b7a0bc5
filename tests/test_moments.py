"""Moments of a population in parts: exact however it is cut, laid out, or far from zero."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import U64, exact_moments
from runs import bits
from strategies import DTYPES, batches, layouts

import cybn
from cybn.functional import Moments
from cybn.functional.moments import BLOCK


def assert_exact(moments, x):
    """Against rational arithmetic over (N, C, L), which is rounded once, as moments.mean is."""
    for c in range(x.shape[1]):
        mean, var = map(float, exact_moments(x[:, c]))
        assert abs(moments.mean[c] - mean) <= 2 * U64 * abs(mean) + 1e-14 * var**0.5
        assert abs(moments.var()[c] - var) <= 1e-13 * var
    assert moments.count == x.shape[0] * x.shape[2]


@given(x=batches(), cuts=st.lists(st.floats(0, 1), max_size=4))
def test_any_split_merges_into_the_moments_of_the_whole(x, cuts):
    edges = sorted({0, len(x), *(int(cut * len(x)) for cut in cuts)})
    parts = [x[a:b] for a, b in pairwise(edges)]
    added, merged = Moments(x.shape[1]), Moments(x.shape[1])
    for part in parts:
        added.add(part)
        merged.merge(Moments(x.shape[1]).add(part))
    assert_exact(added, x)
    assert_exact(merged, x)


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.uint8, np.int32, bool], ids=str)
def test_any_real_dtype(dtype):
    x = np.random.default_rng(0).integers(0, 2, (70, 3, 11)).astype(dtype)
    assert_exact(Moments(3).add(x), x)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((BLOCK + 3, 2), 1), ((2, 2, BLOCK + 5), 1), ((3, BLOCK // 2, 3), -1), ((2, BLOCK + 7), 1)],
    ids=str,
)
def test_data_of_several_blocks(shape, axis):
    x = np.random.default_rng(0).normal(1e3, 1, shape)
    moments = Moments(shape[axis]).add(x, axis)
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    assert moments.count == x.size // shape[axis]
    np.testing.assert_allclose(moments.mean, x.mean(others), rtol=1e-13)
    np.testing.assert_allclose(moments.var(), x.var(others), rtol=1e-9)


@given(x=batches(), layout=layouts)
def test_memory_layout_does_not_matter(x, layout):
    plain, other = Moments(x.shape[1]).add(x), Moments(x.shape[1]).add(layout(x))
    assert bits(other.mean) == bits(plain.mean)
    assert bits(other.squares) == bits(plain.squares)


def test_the_number_of_threads_does_not_matter(threads):
    x = np.random.default_rng(0).normal(0, 1, (300, 5, 400)).astype(np.float32)
    got = Moments(5).add(x)
    cybn.set_num_threads(1)
    alone = Moments(5).add(x)
    assert (bits(got.mean), bits(got.squares)) == (bits(alone.mean), bits(alone.squares))


def test_a_constant_channel_is_exact():
    moments = Moments(2)
    for n in (1, 3, 1000):
        moments.add(np.full((n, 2), [0.1, 1e10]))
    assert moments.mean.tolist() == [0.1, 1e10]
    assert moments.var().tolist() == [0, 0]


def test_single_values_and_empty_batches():
    moments = Moments(2)
    moments.add(np.empty((0, 2)))
    assert (moments.count, moments.var().tolist()) == (0, [0, 0])
    moments.add(np.array([[1.0, 5.0]]))
    assert (moments.count, moments.mean.tolist(), moments.var(1).tolist()) == (1, [1, 5], [0, 0])
    moments.add(np.array([[3.0, 5.0]])).add(np.empty((0, 2)))
    assert (moments.count, moments.mean.tolist(), moments.var(1).tolist()) == (2, [2, 5], [2, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 5])
def test_what_is_not_finite_stays_in_its_channel(bad, n):
    x = np.ones((n, 3))
    x[0, 1] = bad
    moments = Moments(3).add(np.ones((4, 3))).add(x).add(np.ones((2, 3)))
    assert np.isfinite(moments.mean).tolist() == [True, False, True]
    assert np.isnan(moments.var()).tolist() == [False, True, False]


def test_what_is_no_data_is_an_error_and_changes_nothing():
    moments = Moments(2).add(np.array([[1.0, 2.0], [3.0, 5.0]]))
    before = moments.count, bits(moments.mean), bits(moments.squares)
    for bad, error, message in (
        (np.ones((2, 2), complex), TypeError, "real numbers, got complex128"),
        (np.array([["a", "b"]]), TypeError, "real numbers, got <U1"),
        (np.ones((2, 3)), ValueError, r"moments of 2 channels got 3 on axis 1 in \(2, 3\)"),
        (np.ones(2), ValueError, "at least 2-D"),
    ):
        with pytest.raises(error, match=message):
            moments.add(bad)
    assert (moments.count, bits(moments.mean), bits(moments.squares)) == before
