"""Outputs that are written past the caches are those that are not, to the bit, at any alignment."""

import numpy as np
import pytest

import cybn
from cybn import functional
from cybn.functional import _checked
from cybn.kernels.policy import Plan

ITEMS = 70_000  # from 65,536 on a plan is asked for
WIDTHS = (16, 45, 64, 77, 96, 144, 300, 1024)
DTYPES = ("float16", "float32", "float64")
OFFSETS = (0, 1, 3)  # items from a cache line to the output
LINE = 64


@pytest.fixture(params=[(1, 1 << 16), (2, 1 << 16), (2, 0)])
def results(request, monkeypatch):
    """A call's results without streaming stores, and with them; threads and cache by the case.

    A cache that held all of the data would keep the output.
    """

    def both(call):
        found = []
        for stream in (False, True):
            plan = Plan(*request.param, stream)
            monkeypatch.setattr(_checked, "plan", lambda *_, plan=plan: plan)
            found.append([a.copy() for a in call()])
        return found

    return both


def room_like(x, offset):
    """An output like x that begins so many items after a cache line; what is not written shows."""
    step = x.itemsize
    raw = np.empty(x.nbytes + 2 * LINE + offset * step, np.uint8)
    start = -raw.ctypes.data % LINE + offset * step
    out = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    out[...] = np.nan
    return out


def check(results, forward, backward, x, dy):
    """forward(x, out) and backward(dy, x, stats, out) give y and stats, and gradients."""
    for offset in OFFSETS:
        plain, streamed = results(lambda o=offset: forward(x, room_like(x, o)))
        assert all(map(np.array_equal, plain, streamed))
        assert np.isfinite(plain[0]).all()
        stats = plain[1]
        plain, streamed = results(lambda o=offset, s=stats: backward(dy, x, s, room_like(x, o)))
        assert all(map(np.array_equal, plain, streamed))
        assert np.isfinite(plain[0]).all()


def data(shape, dtype):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for _ in range(2)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_rows(results, width, dtype):
    x, dy = data((ITEMS // width + 1, width), dtype)
    weight = np.linspace(0.5, 2, width, dtype=np.float32)

    def forward(x, out):
        return functional.layer_norm_forward(x, width, weight, weight, out=out)

    def backward(dy, x, stats, out):
        return functional.layer_norm_backward(dy, x, stats, width, weight, out=out)

    check(results, forward, backward, x, dy)
    if dtype == "float32":

        def forward(x, out):
            return functional.rms_norm_forward(x, width, weight, out=out)

        def backward(dy, x, stats, out):
            return functional.rms_norm_backward(dy, x, stats, width, weight, out=out)

        check(results, forward, backward, x, dy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plane", [(4, 4), (7, 7), (8, 8), (9, 11), (16, 16), (23, 23), (48, 48)])
def test_planes(results, plane, dtype):
    channels = 12
    x, dy = data((ITEMS // (channels * plane[0] * plane[1]) + 1, channels, *plane), dtype)
    weight = np.linspace(0.5, 2, channels, dtype=np.float32)

    def forward(x, out):
        return functional.group_norm_forward(x, 4, weight, weight, out=out)

    def backward(dy, x, stats, out):
        return functional.group_norm_backward(dy, x, stats, 4, weight, out=out)

    check(results, forward, backward, x, dy)

    def forward(x, out):
        return functional.batch_norm_forward(x, weight, weight, out=out)[:2]

    def backward(dy, x, stats, out):
        return functional.batch_norm_backward(dy, x, stats, weight, out=out)

    check(results, forward, backward, x, dy)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("channels", [5, 16, 48, 322])
def test_channels_last(results, channels, activation):
    layer = cybn.BatchNorm1d(channels, activation=activation)
    x, dy = data((ITEMS // channels + 1, channels), "float32")
    for offset in OFFSETS:
        plain, streamed = results(lambda o=offset: [layer(x, out=room_like(x, o))])
        assert np.array_equal(plain, streamed)
        assert np.isfinite(plain).all()
        plain, streamed = results(lambda o=offset: [layer.backward(dy, out=room_like(x, o))])
        assert np.array_equal(plain, streamed)
        assert np.isfinite(plain).all()
