"""LocalResponseNorm: values by hand, the window, error bounds, the same bits however it is run."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_within, roundoff
from runs import bits
from strategies import DTYPES, layouts
from test_bitwise import every_level

import cybn
from cybn import functional, reference
from cybn.functional import local_response_norm, local_response_norm_backward
from cybn.kernels import levels

BETAS = [0.75, 0.5, 1.0, 0.6]
# (N, C, L) around the borders in the kernel: pieces of 512 items, panels from 262144 items on
VIEWS = [
    (1, 1, 1), (3, 5, 1), (2, 1, 7), (2, 4, 3), (1, 3, 511), (2, 2, 512), (1, 3, 513), (5, 70, 49),
    (1, 2, 140_000), (2, 600, 450), (3, 2000, 131),
]  # fmt: skip
views = pytest.mark.parametrize("view", VIEWS, ids=lambda v: "x".join(map(str, v)))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def test_values_by_hand():
    """Three channels, a window of three: s = 1 + 3/3 * (own square and the neighbours')."""
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    y = local_response_norm(x, 3, alpha=3, beta=1)
    assert y.ravel().tolist() == [1 / 6, 2 / 15, 3 / 14]


@pytest.mark.parametrize(
    ("size", "seen"),
    [(1, [2]), (2, [2, 3]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]),
     (99, [0, 1, 2, 3, 4])],
)  # fmt: skip
def test_a_window_has_size_half_before_and_the_rest_after(size, seen):
    """Which outputs an item of channel 2 changes; always divided by size."""
    x = np.zeros((1, 5, 1))
    x[0, 2] = 3
    s = 1 / local_response_norm(x + 1e-9, size, alpha=2, beta=1).ravel() * 1e-9
    s[2] *= 3e9
    assert np.flatnonzero(s > 1.0001).tolist() == seen
    np.testing.assert_allclose(s[seen], 1 + 2 / size * 9, rtol=1e-8)


@given(
    st.sampled_from([v for v in VIEWS if np.prod(v) < 20_000]),
    st.sampled_from(DTYPES),
    st.sampled_from([1, 2, 3, 5, 8, 70]),
    st.sampled_from(BETAS),
    st.integers(0, 2**32 - 1),
)
def test_output_and_gradient_are_the_references_within_rounding(view, dtype, size, beta, seed):
    """s is a sum of squares: right to size + 5 roundings, and y to that and a few more."""
    x, dy = np.random.default_rng(seed).normal(0, 3, (2, *view)).astype(dtype)
    options = size, 0.7, beta, 1.5
    u = roundoff(dtype) * (min(size, view[1]) + 12)
    y, dx = local_response_norm(x, *options), local_response_norm_backward(dy, x, *options)
    exact = reference.local_response_norm(x, *options)
    assert_within(y, exact, u * np.abs(exact), "y")
    first = np.abs(dy) / reference.response_scale(x, size, 0.7, 1.5) ** beta
    # with -dy and |x| in the place of dy and x nothing cancels in the second term
    whole = reference.local_response_norm_backward(-np.abs(dy), np.abs(x), *options)
    bound = 3 * u * (np.abs(whole + first) + first)
    exact = reference.local_response_norm_backward(dy, x, *options)
    assert_within(dx, exact, bound, "dx")


@views
@both_dtypes
@pytest.mark.parametrize("beta", BETAS)
def test_large_views_too(view, dtype, beta):
    x, dy = np.random.default_rng(0).normal(0, 3, (2, *view)).astype(dtype)
    options = 5, 0.7, beta, 1.5
    tolerance = 100 * roundoff(dtype)
    for got, want in (
        (local_response_norm(x, *options), reference.local_response_norm(x, *options)),
        (local_response_norm_backward(dy, x, *options),
         reference.local_response_norm_backward(dy, x, *options)),
    ):  # fmt: skip
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=10 * tolerance)


@every_level
@both_dtypes
@views
def test_threads_and_levels_give_the_same_bits(view, dtype, level):
    x, dy = np.random.default_rng(0).normal(0, 3, (2, *view)).astype(dtype)
    x.ravel()[:: x.size // 3 + 1] = np.nan
    options = 4, 0.7, 0.75, 1.5

    def run(level, threads, in_place=False):
        module = levels.load(level, x.dtype.name)
        y, above = np.empty_like(x), dy.copy()
        dx = above if in_place else np.empty_like(x)
        module.response_forward(y, x, *options, threads)
        module.response_backward(dx, above, x, *options, threads)
        return bits(y), bits(dx)

    plain = run("baseline", 1)
    for threads, in_place in product([1, 2, 3, 7], [False, True]):
        assert run(level, threads, in_place) == plain


@both_dtypes
def test_pow_gives_what_roots_give(dtype):
    """The usual betas take another way to the same values: 6 roundings, and 2 of pow.

    The next beta, two of its u away, is pow's; s < e^4, so that this is 8 u at the most.
    """
    x = np.random.default_rng(0).normal(0, 3, (2, 7, 100)).astype(dtype)
    for beta in (0.75, 0.5, 1.0):
        near = np.nextafter(beta, 2)
        got, want = (local_response_norm(x, 3, 0.7, b) for b in (beta, near))
        np.testing.assert_allclose(got, want, rtol=16 * roundoff(dtype))


def test_small_items_after_a_large_one_keep_their_own_window():
    """What a running sum would lose."""
    x = np.full((1, 40, 3), 1e-3, np.float32)
    x[0, 3] = 1e6
    y = local_response_norm(x, 3, alpha=3e6, beta=0.5, k=0)
    np.testing.assert_allclose(y[0, 10:39], 1e-3 / np.sqrt(1e6 * 3e-6), rtol=1e-6)


@given(layouts, layouts, st.sampled_from([1, -1, 2]), st.sampled_from([(4, 5, 6), (3, 4, 2, 5)]))
def test_any_layout_and_channel_axis(layout, dy_layout, axis, shape):
    x, dy = np.random.default_rng(0).normal(0, 2, (2, *shape))
    first = [np.ascontiguousarray(np.moveaxis(a, axis, 1)) for a in (x, dy)]
    y = local_response_norm(layout(x), 3, 0.7, channel_axis=axis)
    dx = local_response_norm_backward(dy_layout(dy), layout(x), 3, 0.7, channel_axis=axis)
    assert bits(np.moveaxis(y, axis, 1)) == bits(local_response_norm(first[0], 3, 0.7))
    want = local_response_norm_backward(first[1], first[0], 3, 0.7)
    assert bits(np.moveaxis(dx, axis, 1)) == bits(want)


def test_what_is_not_finite_reaches_its_window_alone():
    x = np.ones((2, 6, 3))
    x[1, 2, 0] = np.nan
    y = local_response_norm(x, 3)
    assert sorted(map(tuple, np.argwhere(np.isnan(y)).tolist())) == [(1, c, 0) for c in (1, 2, 3)]


def test_width_means_nothing_and_empty_inputs_pass():
    layer = cybn.create({"type": "LRN", "size": 5}, num_features=64)
    assert repr(layer) == "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)"
    assert layer.state_dict() == {}
    for shape in ((0, 3, 4), (2, 3, 0)):
        assert layer(np.zeros(shape)).shape == layer.backward(np.zeros(shape)).shape == shape


def test_errors():
    layer = cybn.LocalResponseNorm(5)
    with pytest.raises(RuntimeError, match="needs a forward first"):
        layer.backward(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match=r"3-D input \(N, C, L\) or more, got 2-D \(4, 5\)"):
        layer(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="size must be an int >= 1, got 0"):
        cybn.LocalResponseNorm(0)
    with pytest.raises(ValueError, match="local_response_norm: size must be an int >= 1"):
        local_response_norm(np.zeros((1, 2, 3)), 0)
    with pytest.raises(TypeError, match="local_response_norm: beta must be a number"):
        local_response_norm(np.zeros((1, 2, 3)), 2, beta="1")
    x = np.zeros((1, 2, 3))
    with pytest.raises(ValueError, match="overlaps x"):
        functional.local_response_norm_backward(np.ones_like(x), x, 2, out=x)
