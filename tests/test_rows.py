"""The norms of a sample as layers: their relations, running statistics, errors, in place."""

import numpy as np
import pytest
from runs import bits, state_bits
from strategies import LAYOUTS, layout_id
from test_layout import memory_order

import cybn
from cybn import functional, reference

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, (4, 6, 5, 3))
DY = RNG.normal(0, 1, X.shape)
MAKERS = {
    "LayerNorm": lambda **o: cybn.LayerNorm((6, 5, 3), **o),
    "RMSNorm": lambda **o: cybn.RMSNorm((5, 3), **o),
    "GroupNorm": lambda **o: cybn.GroupNorm(2, 6, **o),
    "InstanceNorm2d": lambda **o: cybn.InstanceNorm2d(6, affine=True, **o),
}
layers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def drawn(layer, seed=0):
    rng = np.random.default_rng(seed)
    for a in layer.parameters():
        a[...] = rng.normal(1, 1, a.shape)
    return layer


def test_values_by_hand():
    x = np.array([40000.0, 40001, 40002, 40003], np.float32)
    y = [-1.3416354, -0.4472118, 0.4472118, 1.3416354]  # of variance 5/4, with eps 1e-5
    for layer, shape in (
        (cybn.LayerNorm(4), (4,)), (cybn.GroupNorm(1, 4), (1, 4)), (cybn.InstanceNorm1d(1), (1, 4)),
    ):  # fmt: skip
        np.testing.assert_allclose(layer(x.reshape(shape)).ravel(), y, rtol=1e-6)
    x = np.array([3.0, -4.0])
    np.testing.assert_allclose(cybn.RMSNorm(2)(x), x / 12.5**0.5)


@pytest.mark.parametrize("training", [True, False])
def test_layers_are_the_references(training):
    """Output and every gradient, with weights, to float64's rounding."""
    for name, make in MAKERS.items():
        layer = drawn(make(dtype="float64")).train(training)
        w, b = layer.weight, getattr(layer, "bias", None)
        y, dx = layer(X), layer.backward(DY)
        if name == "LayerNorm":
            want = reference.layer_norm(X, (6, 5, 3), w, b)
            grads = reference.layer_norm_backward(DY, X, (6, 5, 3), w)
        elif name == "RMSNorm":
            want = reference.rms_norm(X, (5, 3), w)
            grads = reference.rms_norm_backward(DY, X, (5, 3), w)
        elif name == "GroupNorm":
            want = reference.group_norm(X, 2, w, b)
            grads = reference.group_norm_backward(DY, X, 2, w)
        else:
            want = reference.instance_norm(X, w, b)
            grads = reference.instance_norm_backward(DY, X, w)
        np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)
        for got, right in zip((dx, *layer.grads.values()), grads, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-11, atol=1e-12)


def test_they_are_each_others_special_cases():
    """GN(1) = LN(C, H, W), GN(C) = IN, LN(x) = BN(x^T)^T, RMS(x - mean) = LN(x); not affine."""
    close = {"rtol": 1e-12, "atol": 1e-12}
    ln, gn = cybn.LayerNorm((6, 5, 3), elementwise_affine=False), cybn.GroupNorm(1, 6, affine=False)
    np.testing.assert_allclose(gn(X), ln(X), **close)
    np.testing.assert_allclose(gn.backward(DY), ln.backward(DY), **close)
    gn = cybn.GroupNorm(6, 6, affine=False)
    assert bits(gn(X)) == bits(cybn.InstanceNorm2d(6)(X))
    flat = X.reshape(4, -1)
    bn, ln = cybn.BatchNorm1d(4, affine=False), cybn.LayerNorm(90, elementwise_affine=False)
    np.testing.assert_allclose(ln(flat), bn(flat.T).T, **close)
    rms = cybn.RMSNorm(90, eps=1e-5, elementwise_affine=False)
    np.testing.assert_allclose(rms(flat - flat.mean(1, keepdims=True)), ln(flat), **close)


@pytest.mark.parametrize("run", [25, 32, 49, 81, 95, 96, 200, 256])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_gradient_of_groups_is_that_of_each_sample(run, dtype):
    """Short runs are written row by row where a batch pays for it: the bits of run by run."""
    x, dy = np.random.default_rng(run).normal(0.5, 2, (2, 9, 6, run)).astype(dtype)
    x[4, 2:4] *= 1e-30 if dtype != "float16" else 1  # a group that is done in double
    weight = np.linspace(-1, 2, 6).astype("float64" if dtype == "float64" else "float32")
    stats = functional.group_norm_forward(x, 3, weight, eps=1e-90)[1]
    dx, dweight, dbias = functional.group_norm_backward(dy, x, stats, 3, weight)
    for r in range(9):
        one, rows = slice(r, r + 1), slice(3 * r, 3 * r + 3)
        alone = functional.group_norm_backward(dy[one], x[one], stats[:, rows], 3, weight)[0]
        assert bits(alone) == bits(dx[one])
    mean, _, rstd = stats.astype("longdouble").reshape(3, 9, 3, 1)
    g = (dy * weight[:, None].astype("longdouble")).reshape(9, 3, -1)
    xhat = (x.reshape(g.shape) - mean) * rstd
    exact = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    close = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-14}[dtype]
    assert (abs(dx.reshape(g.shape) - exact) <= close * abs(exact).max(-1, keepdims=True)).all()
    for found, terms in (dweight, dy * xhat.reshape(x.shape)), (dbias, dy.astype("longdouble")):
        assert (abs(found - terms.sum((0, 2))) <= close * abs(terms).sum((0, 2))).all()


@layers
@pytest.mark.parametrize("scale", [0.25, -0.5, 2.0, 8.0])
def test_scaling_by_a_power_of_two_with_eps_to_match_changes_no_bit(make, scale):
    one, other = make(eps=1e-3), make(eps=1e-3 * scale**2)
    x = X.astype(np.float32)
    assert bits(other(x * np.float32(scale))) == bits(one(x) * np.float32(np.sign(scale)))


@layers
def test_permuting_the_samples_permutes_the_outputs(make):
    order = [2, 0, 3, 1]
    layer = drawn(make())
    y, dx = layer(X), layer.backward(DY)
    assert bits(layer(X[order])) == bits(y[order])
    assert bits(layer.backward(DY[order])) == bits(dx[order])


@layers
@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
def test_layouts(make, layout):
    """Equal values and the memory order of x, whatever the layouts of x, dy and out."""
    plain, other = drawn(make(dtype="float64")), drawn(make(dtype="float64"))
    y, dx = plain(X), plain.backward(DY)
    got = other(layout(X))
    np.testing.assert_allclose(got, y, rtol=1e-13, atol=1e-13)
    assert memory_order(got) == memory_order(layout(X))
    for g in (DY, layout(DY)):
        got = other.backward(g)
        np.testing.assert_allclose(got, dx, rtol=1e-12, atol=1e-13)
        assert memory_order(got) == memory_order(layout(X))
    out = layout(np.zeros_like(X))
    if out.flags.writeable and out.flags.aligned:
        assert other(X, out=out) is out
        np.testing.assert_allclose(out, y, rtol=1e-13, atol=1e-13)
        assert other(out, out=out) is out  # in place, in that memory
        np.testing.assert_allclose(out, plain(y), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(other.backward(DY), plain.backward(DY), rtol=1e-9, atol=1e-10)


@layers
def test_backward_knows_the_weight_of_its_forward(make):
    layer = drawn(make())
    layer(X)
    dx = layer.backward(DY)
    layer.weight[...] = 7
    assert bits(layer.backward(DY)) == bits(dx)


@layers
def test_parameters_of_the_other_dtype(make):
    for dtype, other in ((np.float32, "float64"), (np.float64, "float32")):
        layer = drawn(make(dtype=other))
        y = layer(X.astype(dtype))
        layer.backward(y)
        assert y.dtype == dtype
        assert all(str(g.dtype) == other for g in layer.grads.values())


@layers
def test_an_empty_batch(make):
    layer = make()
    before = state_bits(layer)
    empty = X[:0]
    assert layer(empty).shape == empty.shape
    assert state_bits(layer) == before
    assert layer.backward(empty).shape == empty.shape
    assert not any(g.any() for g in layer.grads.values())


@layers
def test_spoilt_parameters_are_named(make):
    layer = make()
    layer(X)
    name = type(layer).__name__
    for bad in (np.ones(7, np.float32), np.ones(layer.weight.shape, int)):
        kept = layer.weight
        layer.weight = bad
        with pytest.raises((ValueError, TypeError), match=f"{name} .*weight"):
            layer(X)
        layer.weight = kept
    layer(X)
    with pytest.raises(RuntimeError, match="needs a forward first"):
        make().backward(DY)


def test_options_that_leave_parameters_out():
    for layer, names in (
        (cybn.LayerNorm(3, bias=False), ["weight"]),
        (cybn.LayerNorm(3, elementwise_affine=False), []),
        (cybn.RMSNorm(3, elementwise_affine=False), []),
        (cybn.GroupNorm(2, 6, bias=False), ["weight"]),
        (cybn.InstanceNorm2d(6, affine=True, bias=False), ["weight"]),
        (cybn.InstanceNorm2d(6), []),
    ):
        layer(X)
        layer.backward(DY)
        assert list(layer.grads) == list(layer.state_dict()) == names
        assert (layer.weight is None) == ("weight" not in names)


def test_width_and_aliases():
    for spec, built in (
        ("LN", "LayerNorm((64,), eps=1e-05, elementwise_affine=True, bias=True)"),
        ("rms_norm", "RMSNorm((64,), eps=None, elementwise_affine=True)"),
        ({"type": "GN", "num_groups": 8}, "GroupNorm(8, 64, eps=1e-05, affine=True)"),
        ("IN", "InstanceNorm2d(64, eps=1e-05, momentum=0.1, affine=False, "
               "track_running_stats=False)"),
    ):  # fmt: skip
        assert repr(cybn.create(spec, num_features=64)) == built
    config = cybn.create("LN", normalized_shape=[2, 3]).get_config()
    assert config["normalized_shape"] == (2, 3)
    assert cybn.create(config).get_config() == config
    for bad in (0, (), [2, 0], "3", 2.0, True):
        with pytest.raises((TypeError, ValueError), match="normalized_shape must be an int >= 1"):
            cybn.LayerNorm(bad)


@pytest.mark.parametrize("axis", [1, -1])
def test_one_sample_without_a_batch_is_a_batch_of_one(axis):
    x, dy = (np.moveaxis(a[0], 0, -1) if axis == -1 else a[0] for a in (X, DY))
    for tracked in (False, True):
        alone, batch = (
            cybn.InstanceNorm2d(6, affine=True, track_running_stats=tracked, channel_axis=axis)
            for _ in range(2)
        )
        for training in (True, False):
            y, want = alone.train(training)(x), batch.train(training)(x[None])
            assert bits(y) == bits(want[0])
            assert bits(alone.backward(dy)) == bits(batch.backward(dy[None])[0])
            assert state_bits(alone) == state_bits(batch)
        out = np.empty_like(x)
        assert alone(x, out=out) is out
        assert bits(out) == bits(y)
        assert alone.backward(dy, out=out) is out


def test_running_statistics_are_means_over_the_samples():
    layer = cybn.InstanceNorm2d(6, momentum=0.25, track_running_stats=True, dtype="float64")
    want = np.zeros(6), np.ones(6)
    for _ in range(3):
        layer(X)
        want = reference.update_running_instances(*want, X, 0.25)
    np.testing.assert_allclose(layer.running_mean, want[0], rtol=1e-13)
    np.testing.assert_allclose(layer.running_var, want[1], rtol=1e-13)
    assert layer.num_batches_tracked == 0  # as in PyTorch
    y = layer.eval()(X)
    np.testing.assert_allclose(y, reference.normalize(X.reshape(4, 6, 15), *want).reshape(X.shape))


@pytest.mark.parametrize("momentum", [0.0, None])
def test_no_momentum_leaves_the_running_statistics(momentum):
    layer = cybn.InstanceNorm2d(6, momentum=momentum, track_running_stats=True)
    before = state_bits(layer)
    layer(np.where(X > 3, np.nan, X))
    assert state_bits(layer) == before


def test_a_read_only_statistic_stops_both():
    layer = cybn.InstanceNorm2d(6, track_running_stats=True)
    layer.eval()(X)
    layer.running_var.flags.writeable = False
    before = bits(layer.running_mean)
    with pytest.raises(ValueError, match="running_var"):
        layer.train()(X)
    assert bits(layer.running_mean) == before


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: cybn.LayerNorm(4), (3, 5), r"LayerNorm expects input \(\*, 4\).* got \(3, 5\); "),
        (lambda: cybn.GroupNorm(2, 4), (3, 5), "num_channels=5"),
        (lambda: cybn.GroupNorm(4, 4), (1, 4), "more than 1 value per group.*use fewer groups"),
        (lambda: cybn.InstanceNorm1d(4), (3, 4, 1), "Expected more than 1 spatial element"),
        (lambda: cybn.InstanceNorm2d(4), (3, 4, 2, 2, 2),
         r"3-D input \(C, H, W\) or 4-D input \(N, C, H, W\), got 5-D.*use InstanceNorm3d"),
        (lambda: cybn.InstanceNorm1d(4), (3, 5, 4), "4 channels on axis 1.*channel_axis=-1"),
    ],
)  # fmt: skip
def test_errors(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make()(np.ones(shape))


def test_errors_of_the_functions():
    with pytest.raises(ValueError, match="group_norm takes axis 0 for the samples"):
        functional.group_norm(X, 2, channel_axis=0)
    with pytest.raises(ValueError, match="group_norm needs eps > 0"):
        functional.group_norm(X, 2, eps=0)
    with pytest.raises(ValueError, match=r"must be divisible by num_groups \(4\), as by 2"):
        functional.group_norm(X, 4)
    with pytest.raises(ValueError, match="needs running_mean and running_var in evaluation"):
        functional.instance_norm(X, use_input_stats=False)
    with pytest.raises(ValueError, match=r"needs the stats that the forward returned, \(3, 8\)"):
        functional.group_norm_backward(DY, X, np.zeros((3, 4)), 2)
    with pytest.raises(TypeError, match="one dtype"):
        functional.layer_norm(X, 3, np.ones(3), np.ones(3, np.float32))
