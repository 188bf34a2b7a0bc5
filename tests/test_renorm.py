"""BatchRenorm: the schedule, r and d by their formulas, the gradient with both held fixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits

import cybn
from cybn import reference

AT_ONCE = {"warmup_steps": 0, "rmax_steps": 0, "dmax_steps": 0}


def randomized(layer, seed=0):
    """Parameters and running statistics of which r and d are neither 1 and 0 nor all clipped."""
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter[...] = rng.uniform(-2, 2, parameter.shape)
    layer.running_mean[...] = rng.normal(1, 2, layer.num_features)
    layer.running_var[...] = rng.uniform(0.5, 12, layer.num_features)
    return layer


def correction(x, layer, rmax, dmax):
    """The reference's r and d of (N, C) data for the running statistics of a layer."""
    moments = reference.moments(x[:, :, None])
    return reference.correction(*moments, layer.running_mean, layer.running_var, rmax, dmax)


def renorm(x, r, d, weight, bias):
    return reference.renorm(x[:, :, None], r, d, weight, bias)[:, :, 0]


def batch(*shape, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).normal(1, 2, shape).astype(dtype)


@given(st.floats(1, 4), st.floats(0, 3), st.integers(0, 99))
def test_output_by_the_formulas(rmax, dmax, seed):
    layer = cybn.BatchRenorm1d(6, rmax=rmax, dmax=dmax, dtype="float64", **AT_ONCE)
    randomized(layer, seed)
    x = batch(5, 6, seed=seed)
    r, d = correction(x, layer, rmax, dmax)
    expected = renorm(x, r, d, layer.weight, layer.bias)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_without_limits_training_is_evaluation():
    layer = cybn.BatchRenorm1d(3, rmax=1e30, dmax=1e30, dtype="float64", **AT_ONCE)
    randomized(layer)
    x = batch(8, 3)
    in_evaluation = layer.eval()(x)
    np.testing.assert_allclose(layer.train()(x), in_evaluation, rtol=1e-12)


def test_gradients_with_r_and_d_held_fixed_are_the_central_differences():
    layer = randomized(cybn.BatchRenorm1d(6, rmax=1.5, dmax=0.5, dtype="float64", **AT_ONCE))
    x, dy, v = batch(5, 6), batch(5, 6, seed=2), batch(5, 6, seed=3)
    r, d = correction(x, layer, 1.5, 0.5)
    clipped = np.isin(r, [1 / 1.5, 1.5]), np.isin(np.abs(d), 0.5)
    assert all(c.any() and not c.all() for c in clipped)  # the test reaches both kinds
    layer(x)
    dx = layer.backward(dy)
    arrays = dy[:, :, None], x[:, :, None], r, d, layer.weight
    exact = reference.backward_renorm(*arrays)
    for got, want in zip((dx[:, :, None], *layer.grads.values()), exact, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)

    def loss(x=x, weight=layer.weight, bias=layer.bias):
        return (renorm(x, r, d, weight, bias) * dy).sum()

    step = 1e-5
    slope = (loss(x + step * v) - loss(x - step * v)) / (2 * step)
    assert slope == pytest.approx((dx * v).sum(), rel=1e-8)
    for name in ("weight", "bias"):
        for c in range(6):
            e = np.eye(6)[c] * step
            a = getattr(layer, name)
            slope = (loss(**{name: a + e}) - loss(**{name: a - e})) / (2 * step)
            assert slope == pytest.approx(layer.grads[name][c], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_those_of_batch_norm(dtype, momentum):
    layer = cybn.BatchRenorm1d(3, momentum=momentum, dtype=dtype, **AT_ONCE)
    plain = cybn.BatchNorm1d(3, momentum=momentum, dtype=dtype)
    for seed in range(3):
        x = batch(6, 3, 4, dtype=np.float32, seed=seed)
        layer(x)
        plain(x)
        assert state_bits(layer)[1] == state_bits(plain)[1]


def test_a_new_layer_is_batch_norm_until_the_ramp_begins():
    layer, plain = cybn.BatchRenorm1d(3, warmup_steps=3), cybn.BatchNorm1d(3, momentum=0.01)
    for seed in range(4):
        x, dy = batch(2, 6, 3, dtype=np.float32, seed=seed)
        layer.num_batches_tracked[...] += 0 if seed < 3 else 1000
        same = bits(layer(x)) == bits(plain(x))
        assert same is (seed < 3)
        if same:
            assert bits(layer.backward(dy)) == bits(plain.backward(dy))
            assert bits(layer.grads["weight"]) == bits(plain.grads["weight"])


@pytest.mark.parametrize(
    ("step", "limits"),
    [(0, (1, 0)), (5000, (1, 0)), (15000, (1 + 2 * 10 / 35, 2.5)), (25000, (1 + 2 * 20 / 35, 5)),
     (40000, (3, 5)), (10**9, (3, 5))],
)  # fmt: skip
def test_the_schedule_of_the_paper(step, limits):
    layer = cybn.BatchRenorm2d(3)
    layer.num_batches_tracked[...] = step
    assert layer.limits() == pytest.approx(limits)


def test_limits_may_jump():
    layer = cybn.BatchRenorm2d(3, rmax=2, dmax=1, warmup_steps=10, rmax_steps=10, dmax_steps=0)
    layer.num_batches_tracked[...] = 9
    assert layer.limits() == (1, 0)
    layer.num_batches_tracked[...] = 10
    assert layer.limits() == (2, 1)


def test_evaluation_is_batch_norm():
    layer = randomized(cybn.BatchRenorm1d(3, **AT_ONCE)).eval()
    plain = cybn.BatchNorm1d(3).eval()
    plain.load_state_dict(layer.state_dict())
    x, dy = batch(2, 4, 3, dtype=np.float32)
    before = state_bits(layer)
    assert bits(layer(x)) == bits(plain(x))
    assert state_bits(layer) == before
    assert bits(layer.backward(dy)) == bits(plain.backward(dy))


@pytest.mark.parametrize("options", [{"affine": False}, {"bias": False}])
def test_without_weight_or_bias(options):
    layer = randomized(cybn.BatchRenorm1d(3, dtype="float64", **options, **AT_ONCE))
    weight = np.ones(3) if layer.weight is None else layer.weight
    x = batch(5, 3)
    r, d = correction(x, layer, 3, 5)
    np.testing.assert_allclose(layer(x), renorm(x, r, d, weight, 0), rtol=1e-12, atol=1e-12)
    layer.backward(x)
    assert list(layer.grads) == [name for name, _ in layer.named_parameters()]


def test_what_is_not_finite_stays_in_its_channel():
    plain, spoilt = (randomized(cybn.BatchRenorm1d(4, **AT_ONCE)) for _ in range(2))
    x = batch(6, 4, dtype=np.float32)
    bad = x.copy()
    bad[2, 1], bad[3, 2] = np.nan, np.inf
    y, z = plain(x), spoilt(bad)
    dx, dz = plain.backward(x), spoilt.backward(x)
    for a, b in ((y, z), (dx, dz)):
        assert bits(a[:, [0, 3]]) == bits(b[:, [0, 3]])
        assert np.isnan(b[:, [1, 2]]).any(0).all()
    assert np.isfinite(spoilt.running_mean[[0, 3]]).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 3), np.float32), "Expected more than 1 value per channel when training"),
        (np.zeros((4, 2), np.float32), "BatchRenorm1d expects 3 channels on axis 1, got 2"),
    ],
)
def test_errors_change_nothing(x, message):
    layer = randomized(cybn.BatchRenorm1d(3, **AT_ONCE))
    before = state_bits(layer)
    with pytest.raises(ValueError, match=message):
        layer(x)
    assert state_bits(layer) == before


def test_a_weight_of_the_wrong_length_is_found_before_statistics_move():
    layer = randomized(cybn.BatchRenorm1d(3, **AT_ONCE))
    layer.weight = np.ones(1, np.float32)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"BatchRenorm1d needs weight of shape \(3,\)"):
        layer(batch(4, 3))
    assert state_bits(layer) == before


def test_an_empty_batch_is_no_step():
    layer = randomized(cybn.BatchRenorm1d(3, **AT_ONCE))
    before = state_bits(layer)
    x = np.zeros((0, 3), np.float32)
    assert layer(x).shape == x.shape
    assert state_bits(layer) == before
    assert layer.backward(x).shape == x.shape
    assert not layer.grads["weight"].any()
