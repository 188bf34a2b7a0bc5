"""Masks: padding has no part in statistics and gradients, and comes out as 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits

import cybn


def batch(seed=0, shape=(4, 3, 6)):
    rng = np.random.default_rng(seed)
    mask = rng.random((shape[0], *shape[2:])) < 0.6
    mask.flat[:2] = True
    return rng.normal(2, 3, shape), rng.normal(0, 1, shape), mask


def valid(a, mask):
    return np.moveaxis(a, 1, -1)[mask]


@given(seed=st.integers(0, 1000), last=st.booleans(), training=st.booleans())
def test_it_is_the_norm_of_the_valid_positions(seed, last, training):
    x, dy, mask = batch(seed)
    plain = cybn.BatchNorm1d(3, dtype="float64", activation="relu").train(training)
    masked = cybn.BatchNorm1d(3, dtype="float64", activation="relu", channel_axis=-1 if last else 1)
    masked.train(training)
    for layer in (plain, masked):
        layer.weight[...], layer.bias[...] = (1, 2, -1), (0.5, 0, 1)
    expected, expected_dx = plain(valid(x, mask)), plain.backward(valid(dy, mask))
    there, back = ((1, -1), (-1, 1)) if last else ((1, 1), (1, 1))
    y = np.moveaxis(masked(np.moveaxis(x, *there), mask=mask), *back)
    dx = np.moveaxis(masked.backward(np.moveaxis(dy, *there)), *back)
    assert bits(valid(y, mask)) == bits(expected)
    assert bits(valid(dx, mask)) == bits(expected_dx)
    assert not valid(y, ~mask).any()
    assert not valid(dx, ~mask).any()
    for name in ("weight", "bias"):
        assert bits(plain.grads[name]) == bits(masked.grads[name])
    for name, a in plain.state_dict().items():
        assert bits(a) == bits(masked.state_dict()[name])


def test_what_the_padding_holds_does_not_matter():
    x, dy, mask = batch()
    spoilt, spoilt_dy = x.copy(), dy.copy()
    np.moveaxis(spoilt, 1, -1)[~mask] = np.nan
    np.moveaxis(spoilt_dy, 1, -1)[~mask] = np.inf
    one, other = cybn.BatchNorm1d(3), cybn.BatchNorm1d(3)
    assert bits(one(x, mask=mask)) == bits(other(spoilt, mask=mask))
    assert bits(one.backward(dy)) == bits(other.backward(spoilt_dy))


def test_masks_of_samples_and_with_a_channel_axis():
    x, _, _ = batch()
    samples = np.array([True, False, True, True])
    full = np.broadcast_to(samples[:, None], (4, 6))
    y = cybn.BatchNorm1d(3)(x, mask=full)
    for mask in (samples, full[:, None, :], full):
        assert bits(cybn.BatchNorm1d(3)(x, mask=mask)) == bits(y)


def test_residual_out_and_in_place():
    x, dy, mask = batch()
    layer = cybn.BatchNorm1d(3, activation="relu")
    y = layer(x, residual=dy, mask=mask)
    dx, dz = layer.backward(dy), layer.dresidual
    assert not valid(dz, ~mask).any()
    again = x.copy()
    assert layer(again, out=again, residual=dy, mask=mask) is again
    out = dy.copy()
    assert layer.backward(out, out=out) is out
    assert [bits(a) for a in (y, dx, dz)] == [bits(a) for a in (again, out, layer.dresidual)]


def test_nothing_valid_is_an_empty_batch():
    x, dy, mask = batch()
    layer = cybn.BatchNorm1d(3)
    before = layer.state_dict()
    assert not layer(x, mask=np.zeros_like(mask)).any()
    assert not layer.backward(dy).any()
    assert not any(a.any() for a in layer.grads.values())
    for name, a in layer.state_dict().items():
        assert bits(a) == bits(before[name])


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (np.ones((4, 6)), TypeError, "a mask of bool, .* got float64"),
        (np.ones((4, 5), bool), ValueError, r"mask of shape \(4, 6\).* got \(4, 5\)"),
        (np.ones((4, 3, 6), bool), ValueError, r"got \(4, 3, 6\)"),
        (np.arange(24).reshape(4, 6) == 7, ValueError, "more than 1 value per channel"),
    ],
    ids=["dtype", "shape", "channels", "single"],
)
def test_wrong_masks_are_refused_and_change_nothing(mask, error, words):
    x, _, _ = batch()
    layer = cybn.BatchNorm1d(3)
    before = layer.state_dict()
    with pytest.raises(error, match=words):
        layer(x, mask=mask)
    for name, a in layer.state_dict().items():
        assert bits(a) == bits(before[name])
