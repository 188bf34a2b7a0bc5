"""weight_init, on_single and on_nonfinite of the batch norms."""

import numpy as np
import pytest
from runs import bits, state_bits

import cybn

X = np.random.default_rng(0).normal(1, 2, (6, 3)).astype(np.float32)


def test_weight_by_name():
    assert cybn.BatchNorm1d(3).weight.tolist() == [1, 1, 1]
    zeros = cybn.BatchNorm1d(3, weight_init="zeros")
    assert not zeros(X).any()
    np.random.seed(0)  # noqa: NPY002
    uniform = cybn.BatchNorm1d(1000, weight_init="uniform")
    first = uniform.weight.copy()
    assert 0 <= first.min() < 0.01
    assert 0.99 < first.max() < 1
    np.random.seed(0)  # noqa: NPY002
    uniform.weight[...] = 5
    uniform.reset_parameters()
    assert bits(uniform.weight) == bits(first)
    assert cybn.BatchNorm1d(3, affine=False, weight_init="zeros").weight is None
    with pytest.raises(ValueError, match="weight_init must be 'ones', 'zeros' or 'uniform'"):
        cybn.BatchNorm1d(3, weight_init="normal")


def test_one_value_per_channel_with_running_statistics():
    layer = cybn.BatchNorm1d(3, on_single="running")
    layer(X)
    before = state_bits(layer)
    y = layer(X[:1])
    assert state_bits(layer) == before
    dx = layer.backward(X[:1])
    assert bits(layer.eval()(X[:1])) == bits(y)
    assert bits(layer.backward(X[:1])) == bits(dx)
    layer.train()(X)
    assert state_bits(layer) != before
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        cybn.BatchNorm1d(3)(X[:1])
    with pytest.raises(ValueError, match="needs track_running_stats=True"):
        cybn.BatchNorm1d(3, on_single="running", track_running_stats=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_batches_that_are_not_finite(bad):
    x = X.copy()
    x[2, 1] = bad
    layer = cybn.BatchNorm1d(3)
    plain = layer(x)
    assert np.isnan(layer.running_mean[1]) or np.isinf(layer.running_mean[1])
    assert np.isfinite(layer.running_mean[[0, 2]]).all()
    skipping = cybn.BatchNorm1d(3, on_nonfinite="skip")
    before = state_bits(skipping)
    assert bits(skipping(x)) == bits(plain)
    assert state_bits(skipping) == before
    skipping(X)
    assert skipping.num_batches_tracked == 1
    strict = cybn.BatchNorm1d(3, on_nonfinite="error")
    before, out = state_bits(strict), np.full_like(x, 7)
    with pytest.raises(ValueError, match=r"BatchNorm1d got -?(nan|inf) at \(2, 1\) of \(6, 3\)"):
        strict(x, out=out)
    assert state_bits(strict) == before
    assert (out == 7).all()
