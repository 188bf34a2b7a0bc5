"""Masks in the norms of a sample, and in batch renormalization and conditional batch norm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits
from sixteen import SIXTEEN, close
from whole import central_differences, draw

import cybn

LENGTHS = 6, 2, 4, 0, 2  # of the samples of a batch; one is padding alone
SHAPE = len(LENGTHS), 4, 6
MASK = np.arange(6) < np.array(LENGTHS)[:, None]


def set_parameters(layer):
    for a in layer.parameters():
        a[...] = np.random.default_rng(5).uniform(0.3, 1.5, a.shape)
    return layer


def make(name, **options):
    given = {"GroupNorm": {"num_groups": 2, "num_channels": 4}}.get(name, {"num_features": 4})
    return set_parameters(cybn.create({"type": name, **given, "dtype": "float64", **options}))


BY_SAMPLE = [
    ("GroupNorm", {}),
    ("GroupNorm", {"num_groups": 4, "bias": False}),
    ("GroupNorm", {"affine": False}),
    ("InstanceNorm1d", {"affine": True}),
    ("InstanceNorm1d", {"track_running_stats": True}),
]
by_sample = pytest.mark.parametrize(("name", "options"), BY_SAMPLE)
last = pytest.mark.parametrize("axis", [1, -1])


def turned(a, axis):
    return a if axis == 1 else np.ascontiguousarray(np.moveaxis(a, 1, -1))


@by_sample
@last
def test_each_sample_is_normalized_as_if_it_were_as_long(name, options, axis):
    x, dy = draw(SHAPE), draw(SHAPE, seed=2)
    layer, alone = (make(name, channel_axis=a, **options) for a in (axis, 1))
    y = np.moveaxis(layer(turned(x, axis), mask=MASK), axis, 1)
    dx = np.moveaxis(layer.backward(turned(dy, axis)), axis, 1)
    sums = {each: np.zeros_like(a) for each, a in alone.named_parameters()}
    for n, length in enumerate(LENGTHS):
        assert not y[n, :, length:].any()
        assert not dx[n, :, length:].any()
        if length:
            part = x[n : n + 1, :, :length]
            np.testing.assert_allclose(y[n : n + 1, :, :length], alone(part), rtol=1e-12)
            back = alone.backward(dy[n : n + 1, :, :length])
            np.testing.assert_allclose(dx[n : n + 1, :, :length], back, rtol=1e-11, atol=1e-13)
            for each in sums:
                sums[each] += alone.grads[each]
    assert list(layer.grads) == list(sums)
    for each, total in sums.items():
        np.testing.assert_allclose(layer.grads[each], total, rtol=1e-12)


@by_sample
def test_holes_are_as_good_as_padding_at_the_end(name, options):
    x, dy = draw(SHAPE), draw(SHAPE, seed=2)
    order = np.random.default_rng(0).permutation(6)
    one, other = make(name, **options), make(name, **options)
    y = one(x, mask=MASK)
    back = np.argsort(order)
    z = other(x[:, :, order], mask=MASK[:, order])[:, :, back]
    np.testing.assert_allclose(z, y, rtol=1e-12, atol=1e-13)
    dz = other.backward(dy[:, :, order])[:, :, back]
    np.testing.assert_allclose(dz, one.backward(dy), rtol=1e-11, atol=1e-12)


def test_running_statistics_are_means_over_samples_that_have_any():
    layer = make("InstanceNorm1d", track_running_stats=True, momentum=0.5)
    x = draw(SHAPE)
    layer(x, mask=MASK)
    parts = [x[n, :, :length] for n, length in enumerate(LENGTHS) if length]
    mean = np.mean([a.mean(1) for a in parts], 0)
    var = np.mean([a.var(1, ddof=1) for a in parts], 0)
    np.testing.assert_allclose(layer.running_mean, mean / 2, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, (1 + var) / 2, rtol=1e-12)
    before = state_bits(layer)
    layer(x, mask=np.zeros_like(MASK))
    assert state_bits(layer) == before
    layer.eval()
    y, plain = layer(x, mask=MASK), layer(x)
    keep = np.broadcast_to(MASK[:, None], SHAPE)
    np.testing.assert_allclose(y[keep], plain[keep], rtol=1e-14)
    assert not y[~keep].any()
    layer(x, mask=MASK)
    dx = layer.backward(draw(SHAPE, seed=2))
    layer(x)
    np.testing.assert_allclose(dx[keep], layer.backward(draw(SHAPE, seed=2))[keep], rtol=1e-14)
    assert not dx[~keep].any()


def layer_norm(layer, x, mask):
    """With items that are padding left out of mean and variance."""
    axes = tuple(range(-len(layer.normalized_shape), 0))
    count = np.maximum(mask.sum(axes, keepdims=True), 1)
    mean = (x * mask).sum(axes, keepdims=True) / count * isinstance(layer, cybn.LayerNorm)
    var = ((x - mean) ** 2 * mask).sum(axes, keepdims=True) / count
    y = (x - mean) / np.sqrt(var + (layer.eps or 1e-5))
    y = y if layer.weight is None else y * layer.weight
    bias = getattr(layer, "bias", None)
    return (y if not isinstance(bias, np.ndarray) else y + bias) * mask


ROWS = [
    cybn.LayerNorm((6, 4), dtype="float64"),
    cybn.LayerNorm((6, 4), elementwise_affine=False),
    cybn.LayerNorm(4, bias=False, dtype="float64"),
    cybn.RMSNorm((6, 4), eps=1e-5, dtype="float64"),
    cybn.RMSNorm(4, eps=1e-5, elementwise_affine=False),
]
rows = pytest.mark.parametrize("layer", ROWS, ids=repr)


@rows
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layer_norm_without_the_padding_in_its_moments(layer, rank):
    set_parameters(layer)
    rng = np.random.default_rng(rank)
    x, dy, mask = draw((5, 6, 4)), draw((5, 6, 4), seed=2), rng.random((5, 6, 4)[:rank]) < 0.6
    mask[3] = False
    full = np.broadcast_to(mask.reshape(mask.shape + (1,) * (3 - rank)), x.shape)
    y, expected = layer(x, mask=mask), layer_norm(layer, x, full)
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-13)
    dx = layer.backward(dy)

    def loss():
        return (layer_norm(layer, x, full) * dy).sum()

    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-6, atol=1e-7)
    for name, a in layer.named_parameters():
        expected = central_differences(loss, a)
        np.testing.assert_allclose(layer.grads[name], expected, rtol=1e-6, atol=1e-7)


CALLS = [
    *((make(name, **options), MASK) for name, options in BY_SAMPLE),
    (cybn.LayerNorm(6), MASK[:, :4]),
    (cybn.LayerNorm((4, 6)), MASK[:, :4]),
    (cybn.RMSNorm((4, 6), 1e-5), np.broadcast_to(MASK[:, None], SHAPE)),
    (cybn.BatchRenorm1d(4), MASK),
    (cybn.BatchRenorm1d(4, warmup_steps=0, rmax_steps=1, dmax_steps=1), MASK),
    (cybn.ConditionalBatchNorm1d(4, num_classes=3), MASK),
]
calls = pytest.mark.parametrize(("layer", "mask"), CALLS, ids=[repr(one) for one, _ in CALLS])


@calls
def test_a_mask_of_ones_is_none(layer, mask):
    x, dy = draw(SHAPE), draw(SHAPE, seed=2)
    one, other = (cybn.create(layer.get_config()) for _ in range(2))
    np.testing.assert_allclose(one(x, mask=np.ones_like(mask)), other(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(one.backward(dy), other.backward(dy), rtol=1e-10, atol=1e-12)
    for name, a in other.grads.items():
        np.testing.assert_allclose(one.grads[name], a, rtol=1e-6, atol=1e-12)
    for name, a in other.state_dict().items():
        np.testing.assert_allclose(getattr(one, name), a, rtol=1e-12)


@calls
def test_what_the_padding_holds_does_not_matter(layer, mask):
    x, dy = draw(SHAPE, np.float32), draw(SHAPE, np.float32, seed=2)
    if mask.ndim == 2:  # of positions, or of rows
        gaps = ~(mask[:, None] if mask.shape[1] == 6 else mask[:, :, None])
    gaps = np.broadcast_to(gaps if mask.ndim == 2 else ~mask, SHAPE)
    spoilt, spoilt_dy = x.copy(), dy.copy()
    spoilt[gaps], spoilt_dy[gaps] = np.nan, np.inf
    one, other = (cybn.create(layer.get_config()) for _ in range(2))
    y = one(x, mask=mask)
    assert bits(other(spoilt, mask=mask)) == bits(y)
    dx = one.backward(dy)
    assert bits(other.backward(spoilt_dy)) == bits(dx)
    assert not y[gaps].any()
    assert not dx[gaps].any()
    for name, a in one.grads.items():
        assert bits(other.grads[name]) == bits(a)
    inside, back = x.copy(), dy.copy()
    third = cybn.create(layer.get_config())
    assert third(inside, out=inside, mask=mask) is inside
    assert third.backward(back, out=back) is back
    assert (bits(inside), bits(back)) == (bits(y), bits(dx))
    assert state_bits(third)[1] == state_bits(one)[1]


@calls
@pytest.mark.parametrize("dtype", SIXTEEN)
def test_sixteen_bits(layer, mask, dtype):
    x, dy = draw(SHAPE).astype(dtype), draw(SHAPE, seed=2).astype(dtype)
    one, other = (cybn.create({**layer.get_config(), "dtype": "float32"}) for _ in range(2))
    y, dx = one(x, mask=mask), one.backward(dy)
    assert (y.dtype, dx.dtype) == (dtype, dtype)
    close(y, other(x.astype(np.float64), mask=mask), dtype)
    close(dx, other.backward(dy.astype(np.float64)), dtype, scale=8)


@calls
def test_wrong_masks_change_nothing(layer, mask):
    layer, x = cybn.create(layer.get_config()), draw(SHAPE, np.float32)
    before, out = state_bits(layer), np.full(SHAPE, 7, np.float32)
    with pytest.raises(TypeError, match="takes a mask of bool, True where there is data, got"):
        layer(x, mask=mask.astype(int), out=out)
    with pytest.raises(ValueError, match="expects a mask of"):
        layer(x, mask=mask[:-1], out=out)
    assert state_bits(layer) == before
    assert (out == 7).all()


@calls
def test_all_is_padding(layer, mask):
    layer, x = cybn.create(layer.get_config()), draw(SHAPE, np.float32)
    before = layer.state_dict()
    assert not layer(x, mask=np.zeros_like(mask)).any()
    assert not layer.backward(x).any()
    assert not any(a.any() for a in layer.grads.values())
    assert {k: bits(a) for k, a in layer.state_dict().items()} == {
        k: bits(a) for k, a in before.items()
    }


def test_one_value_has_no_moments():
    x, mask = draw(SHAPE, np.float32), MASK.copy()
    mask[4, 1:] = False
    for layer in (cybn.InstanceNorm1d(4, track_running_stats=True), cybn.GroupNorm(4, 4)):
        before = state_bits(layer)
        message = r"needs more than 1 valid value per group in a sample, got 1 in sample 4; leave"
        with pytest.raises(ValueError, match=message):
            layer(x, mask=mask)
        assert state_bits(layer) == before
    mask[4] = False  # as advised
    layer(x, mask=mask)
    layer = cybn.GroupNorm(2, 4)
    mask[4, 0] = True
    assert np.isfinite(layer(x, mask=mask)).all()


@given(st.integers(0, 1000))
def test_one_sample_of_instance_norm(seed):
    x, mask = draw((4, 6), seed=seed), np.random.default_rng(seed).random(6) < 0.7
    mask[:2] = True
    layer = cybn.InstanceNorm1d(4)
    y = layer(x, mask=mask)
    dx = layer.backward(x)
    assert bits(y) == bits(layer(x[None], mask=mask[None])[0])
    assert bits(dx) == bits(layer.backward(x[None])[0])


@last
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("warmup", [0, 5000])
def test_renorm_is_that_of_the_valid_positions(axis, training, warmup):
    options = {"warmup_steps": warmup, "rmax_steps": 1, "dmax_steps": 1}
    layer, plain = (make("BatchRenorm", channel_axis=a, **options) for a in (axis, 1))
    x, dy = draw(SHAPE), draw(SHAPE, seed=2)
    keep = np.moveaxis(x, 1, -1)[MASK], np.moveaxis(dy, 1, -1)[MASK]
    for each in (layer, plain):
        each.train(training)
    y, z = layer(turned(x, axis), mask=MASK), plain(keep[0])
    dx, dz = layer.backward(turned(dy, axis)), plain.backward(keep[1])
    assert bits(np.moveaxis(y, axis, -1)[MASK]) == bits(z)
    assert bits(np.moveaxis(dx, axis, -1)[MASK]) == bits(dz)
    assert layer.grads.keys() == plain.grads.keys()
    for name, a in {**plain.grads, **plain.state_dict()}.items():
        own = layer.grads[name] if name in layer.grads else getattr(layer, name)
        assert bits(own) == bits(a) or name in ("weight", "bias")


@last
@pytest.mark.parametrize("training", [True, False])
def test_each_position_has_the_class_of_its_sample(axis, training):
    layer, plain = (make("ConditionalBatchNorm", num_classes=3, channel_axis=a) for a in (axis, 1))
    x, dy, labels = draw(SHAPE), draw(SHAPE, seed=2), np.array([0, 2, 1, 1, 0])
    keep = np.moveaxis(x, 1, -1)[MASK], np.moveaxis(dy, 1, -1)[MASK]
    for each in (layer, plain):
        each.train(training)
    y = layer(turned(x, axis), labels=labels, mask=MASK)
    z = plain(keep[0], labels=labels[np.nonzero(MASK)[0]])
    dx, dz = layer.backward(turned(dy, axis)), plain.backward(keep[1])
    assert bits(np.moveaxis(y, axis, -1)[MASK]) == bits(z)
    assert bits(np.moveaxis(dx, axis, -1)[MASK]) == bits(dz)
    for name, a in plain.grads.items():
        assert bits(layer.grads[name]) == bits(a)
    assert bits(layer.running_var) == bits(plain.running_var)
