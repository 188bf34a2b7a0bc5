"""Group and instance norm of channels last, which go without a copy: in batches, or by maps."""

import numpy as np
import pytest
from rowdata import ABOVE, HOSTILE, data
from sixteen import BFLOAT16
from watching import answers

import cybn
from cybn import functional, reference
from cybn.functional import channels_last

SHAPES = [
    ((2, 6, 5, 4), 3), ((3, 8, 9), 8), ((1, 4, 3, 2, 2), 1), ((2, 70, 33), 7), ((4, 32, 8, 8), 32),
    ((5, 6, 300), 2),
]  # fmt: skip
GATES = [{}, {"activation": "relu6"}, {"activation": "leaky_relu"}, {"activation": "gelu"}]


@pytest.fixture(autouse=True, params=[True, False], ids=["batches", "maps"])
def batches(request, monkeypatch):
    """Whether each sample is a batch of its own, however small, or all go by maps."""
    monkeypatch.setattr(channels_last, "BY_BATCHES", 0 if request.param else 1 << 40)
    return request.param


@pytest.fixture
def gone(monkeypatch):
    """Which calls have gone without a copy."""
    names = "normalize_channels_last", "gradient_channels_last"
    return answers(monkeypatch, functional._checked, *names)


def last(a):
    """The same array with channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def arrays(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, dy, z = rng.normal(1, 2, (3, *shape)).astype(dtype)
    weight, bias = rng.normal(size=(2, shape[1])).astype("float32")
    return last(x), last(dy), last(z), weight, bias


def close(a, b, dtype, scale=1.0):
    eps = {"float32": 2**-23, "float64": 2**-52, "float16": 2**-10}.get(str(dtype), 2**-7)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    np.testing.assert_allclose(a, b, rtol=8 * eps, atol=8 * eps * scale)


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float16", BFLOAT16, "float64"])
@pytest.mark.parametrize("how", GATES, ids=lambda how: how.get("activation", "plain"))
def test_output_and_gradient(shape, groups, dtype, how, gone, batches):
    x, dy, z, weight, bias = arrays(shape, dtype)
    residual = z if how else None
    given = {**how, "residual": residual}
    y, stats = functional.group_norm_forward(x, groups, weight, bias, **given)
    wide, upstream = x.astype(np.float64), dy.astype(np.float64)
    norm = reference.group_norm(wide, groups, weight, bias)
    expected = norm if residual is None else norm + residual.astype(np.float64)
    expected = reference.activate(expected, **how) if how else expected
    assert y.dtype == x.dtype
    assert y.strides == x.strides
    close(y, expected, x.dtype, 4)
    rows = np.ascontiguousarray(x).reshape(shape[0] * groups, -1).astype(np.float64)
    close(stats, [rows.mean(1), rows.var(1), 1 / np.sqrt(rows.var(1) + 1e-5)], np.float32)
    again = {"bias": bias, **given} if how else {}
    dx, dweight, dbias = functional.group_norm_backward(dy, x, stats, groups, weight, **again)
    if how:
        total = norm + residual.astype(np.float64)
        upstream = reference.activate_backward(upstream, total, **how)
    expected, *grads = reference.group_norm_backward(upstream, wide, groups, weight)
    assert dx.strides == x.strides
    close(dx, expected, x.dtype, 8)
    m = x.size // shape[1]
    close([dweight, dbias], grads, np.float32, 4 * m**0.5)
    without = x.itemsize < 8
    assert gone == ([without and batches] if how else [without] * 2)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_hostile_data(groups):
    """What is not finite stays in its group, and large means, tiny and huge spreads are right."""
    rows, dy = data((10 * groups, 6 // groups * 40), np.float32, HOSTILE, ABOVE)
    x, dy = (last(a.reshape(10, 6, 40)) for a in (rows, dy))
    weight, bias = np.linspace(-1, 2, 6, dtype="f4"), np.linspace(3, -1, 6, dtype="f4")
    with np.errstate(all="ignore"):
        y, stats = functional.group_norm_forward(x, groups, weight, bias, eps=1e-30)
        wide = x.astype(np.float64)
        expected = reference.group_norm(wide, groups, weight, bias, eps=1e-30)
        np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)
        dx, _, _ = functional.group_norm_backward(dy, x, stats, groups, weight)
        expected = reference.group_norm_backward(
            dy.astype(np.float64), wide, groups, weight, eps=1e-30
        )[0]
    per_group = (10, groups, -1)
    rstd = stats[2].reshape(10, groups, 1)
    size = np.abs(weight[:, None] * dy.astype(np.float64)).reshape(per_group) * rstd
    expected, dx = expected.reshape(per_group), dx.reshape(per_group)
    assert (np.isnan(dx) == np.isnan(expected)).all()
    held = np.abs(expected) < 3e38  # in range of float32
    largest = np.where(held, np.abs(expected), 0).max(2, keepdims=True)
    allowed = 1e-5 * largest + 1e-9 * np.nan_to_num(size).max(2, keepdims=True) + 1e-38
    assert (np.abs(dx - expected) <= allowed)[held].all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_for_any_threads_and_place(threads):
    x, dy, z, weight, bias = arrays((3, 64, 40, 40), "float32")
    before = cybn.get_num_threads()
    found = []
    try:
        for n in (1, threads):
            cybn.set_num_threads(n)
            y, stats = functional.group_norm_forward(x, 8, weight, bias, residual=z)
            place = x.copy(order="K")
            functional.group_norm_forward(place, 8, weight, bias, residual=z, out=place)
            assert (place == y).all()
            back = functional.group_norm_backward(dy, x, stats, 8, weight)
            up = dy.copy(order="K")
            assert (functional.group_norm_backward(up, x, stats, 8, weight, out=up)[0] == up).all()
            assert (up == back[0]).all()
            found.append((y, stats, *back))
    finally:
        cybn.set_num_threads(before)
    for one, many in zip(*found, strict=True):
        assert (one == many).all()


@pytest.mark.parametrize("axis", [1, -1])
def test_layers(axis, gone):
    x, dy, *_ = arrays((4, 6, 7, 5), "float32")
    if axis == -1:
        x, dy = (np.moveaxis(a, 1, -1) for a in (x, dy))
    for config in (
        {"type": "GroupNorm", "num_groups": 3, "num_channels": 6},
        {"type": "InstanceNorm2d", "num_features": 6, "affine": True, "track_running_stats": True},
    ):
        layer, other = (cybn.create({**config, "channel_axis": axis}) for _ in range(2))
        for each in (layer, other):
            each.weight[...] = np.linspace(-1, 2, 6)
        gone.clear()
        y, dx = layer(x), layer.backward(dy)
        assert gone == [True, True]
        first = np.ascontiguousarray(np.moveaxis(x, axis, 1))
        upstream = np.ascontiguousarray(np.moveaxis(dy, axis, 1))
        plain = cybn.create({**config, "channel_axis": 1})
        plain.load_state_dict(other.state_dict())
        close(np.moveaxis(y, axis, 1), plain(first), np.float32, 4)
        close(np.moveaxis(dx, axis, 1), plain.backward(upstream), np.float32, 8)
        for name, grad in plain.grads.items():
            close(layer.grads[name], grad, np.float32, 40)
        for name, a in plain.state_dict().items():
            close(layer.state_dict()[name], a, np.float32)


def test_what_lies_otherwise_goes_by_rows(gone):
    x, dy, z, weight, bias = arrays((3, 8, 6, 5), "float32")
    y, stats = functional.group_norm_forward(x, 2, weight, bias)
    out = np.empty_like(x, order="C")
    functional.group_norm_forward(x, 2, weight, bias, out=out)
    close(out, y, np.float32, 4)
    dx = functional.group_norm_backward(dy, x, stats, 2, weight)[0]
    other = functional.group_norm_backward(np.ascontiguousarray(dy), x, stats, 2, weight)[0]
    close(other, dx, np.float32, 8)
    functional.group_norm_forward(x, 2, weight, bias, residual=np.ascontiguousarray(z))
    assert gone == [True, False, True, False, False]
    empty = last(np.empty((0, 8, 6, 5), np.float32))
    assert functional.group_norm_forward(empty, 2, weight, bias)[0].shape == empty.shape
