"""float16 and bfloat16: conversions word by word, and every norm against float64."""

import numpy as np
import pytest
from runs import HUGE, LEAKY6, bits
from sixteen import BFLOAT16, FLOAT16, SIXTEEN, close, finfo, words
from test_bitwise import every_level

import cybn
from cybn import functional
from cybn.functional.gates import OPEN
from cybn.kernels import levels

both = pytest.mark.parametrize("dtype", SIXTEEN, ids=str)
EVERY_WORD = np.arange(1 << 16, dtype=np.uint16)
VIEWS = [
    (2, 3, 5), (40, 6, 1), (3000, 3, 1), (12, 700, 1), (10, 6, 7), (9, 4, 49), (4, 2, 5000),
    (6, 8, 196), (2, 40, 33), (300, 5, 4),
]  # fmt: skip
every_view = pytest.mark.parametrize("view", VIEWS, ids=lambda v: "x".join(map(str, v)))


def copied(x, level, scale=1.0, shift=0.0, stream=False):
    """x through the kernel that normalizes with mean 0 and variance 1: (x - 0)*scale + shift."""
    module = levels.load(level, x.dtype.name)
    y, one = np.empty_like(x), np.ones(1)
    module.batch_forward(
        words(y)[None, None], np.empty((3, 1)), one * 0, one, None, words(x)[None, None], None,
        one * scale, one * shift, 0.0, 0.1, *OPEN, False, 1, HUGE, stream,
    )  # fmt: skip
    return y


@every_level
@both
@pytest.mark.parametrize("start", [0, 1, 7, 30])
def test_every_word_comes_back(dtype, level, start):
    x = EVERY_WORD[start:].view(dtype)
    y = copied(x, level)
    with np.errstate(invalid="ignore"):  # NaN that signals
        nan, zero = np.isnan(x), x == 0
    number = ~nan & ~zero  # -0 + 0 is 0
    assert words(y)[number].tolist() == words(x)[number].tolist()
    assert np.isnan(y[nan]).all()
    assert (y[zero] == 0).all()


@every_level
@both
@pytest.mark.parametrize("stream", [False, True])
def test_results_are_rounded_to_nearest_even(dtype, level, stream):
    """Ties, what overflows and what is below the least number, as NumPy and ml_dtypes round."""
    x = EVERY_WORD.view(dtype)
    rng = np.random.default_rng(0)
    tie = 1 + float(finfo(dtype).eps) / 2
    for scale in [tie, 1 + float(finfo(dtype).eps) * 1.5, 0.5, 1 / 3, 3.7, 2.0**-7, *rng.random(5)]:
        scale = float(np.float32(scale))
        with np.errstate(all="ignore"):
            want = (x.astype(np.float32) * np.float32(scale) + np.float32(0)).astype(dtype)
        got = copied(x, level, scale, stream=stream)
        nan = np.isnan(want)
        assert (np.isnan(got) == nan).all()
        assert words(got)[~nan].tolist() == words(want)[~nan].tolist()


@every_level
@both
def test_nan_keeps_its_bits_at_every_level(dtype, level):
    x = EVERY_WORD.view(dtype)
    assert bits(words(copied(x, level))) == bits(words(copied(x, "baseline")))


def data(view, dtype):
    rng = np.random.default_rng(sum(view))
    x, dy, z = rng.normal(1, 2, (3, *view))
    x += np.linspace(-3, 3, view[1]).reshape(1, -1, 1)
    return (a.astype(dtype) for a in (x, dy, z))


OUTPUTS = "y", "dx", "dweight", "dbias", "stats"


def run(level, x, dy, z, threads=1, cache=HUGE, stream=False):
    """All outputs of the kernels of batch norm."""
    module, channels = levels.load(level, x.dtype.name), x.shape[1]
    weight, bias = np.linspace(-1, 2, channels), np.linspace(3, -1, channels)
    mean, var = np.zeros((2, channels), np.float32)
    y, dx, dz = (np.empty_like(x) for _ in range(3))
    stats, given = np.empty((2, 3, channels))
    dweight, dbias = np.empty((2, channels))
    how, found = (threads, cache, stream), {}
    for name, gate, residual in (("", OPEN, None), ("_gated", LEAKY6, words(z))):
        module.batch_forward(
            words(y), stats, mean, var, None, words(x), residual, weight, bias, 1e-5, 0.1, *gate,
            True, *how,
        )  # fmt: skip
        gated = residual is not None
        module.batch_backward(
            words(dx), words(dz) if gated else None, dweight, dbias, words(dy), words(x),
            words(y) if gated else None, stats, weight, *gate[:2], True, *how,
        )  # fmt: skip
        for key, a in zip(OUTPUTS, (y, dx, dweight, dbias, stats), strict=True):
            found[key + name] = a.copy()
    found |= {"dz": dz.copy(), "mean": mean, "var": var}
    module.batch_forward(
        words(y), given, mean, var + 1, None, words(x), None, weight, bias, 1e-5, 0.1, *OPEN,
        False, *how,
    )  # fmt: skip
    found["y_eval"] = y
    return found


@every_level
@both
@every_view
def test_threads_walks_stores_and_levels_give_the_same_bits(view, dtype, level):
    x, dy, z = data(view, dtype)
    plain = run("baseline", x, dy, z)
    for how in ({}, {"threads": 2}, {"threads": 3, "cache": 0}, {"cache": 0, "stream": True}):
        got = run(level, x, dy, z, **how)
        assert {k: bits(a) for k, a in got.items()} == {k: bits(a) for k, a in plain.items()}


@both
@every_view
def test_batch_norm_against_float64(view, dtype):
    x, dy, z = data(view, dtype)
    weight = np.linspace(-1, 2, view[1]).astype(np.float32)
    bias = np.linspace(3, -1, view[1]).astype(np.float32)
    x64, dy64, z64 = (a.astype(np.float64) for a in (x, dy, z))
    y, stats = functional.batch_norm_forward(x, weight, bias)
    want, want_stats = functional.batch_norm_forward(x64, weight, bias)
    assert y.dtype == dtype
    np.testing.assert_allclose(stats, want_stats, rtol=1e-5, atol=1e-6)
    close(y, want, dtype, 8)
    dx, dweight, dbias = functional.batch_norm_backward(dy, x, stats, weight)
    want = functional.batch_norm_backward(dy64, x64, want_stats, weight)
    close(dx, want[0], dtype, 8)
    assert dweight.dtype == dbias.dtype == np.float32
    m = x.size // view[1]
    np.testing.assert_allclose(dweight, want[1], rtol=1e-5, atol=1e-5 * m**0.5 * 4)
    np.testing.assert_allclose(dbias, want[2], rtol=1e-5, atol=1e-5 * m**0.5 * 4)
    fused = functional.batch_norm_forward(x, weight, bias, residual=z, activation="relu")[0]
    want = np.maximum(functional.batch_norm_forward(x64, weight, bias)[0] + z64, 0)
    close(fused, want, dtype, 8)


def layers():
    return [
        ("LayerNorm", {"normalized_shape": 49}, (9, 4, 49)),
        ("LayerNorm", {"normalized_shape": 768}, (70, 768)),
        ("RMSNorm", {"normalized_shape": 768}, (70, 768)),
        ("GroupNorm", {"num_groups": 2, "num_channels": 6}, (5, 6, 7, 7)),
        ("InstanceNorm2d", {"num_features": 3, "affine": True}, (4, 3, 24, 24)),
        ("LocalResponseNorm", {"size": 5}, (4, 9, 13, 13)),
        ("LocalResponseNorm", {"size": 3, "beta": 0.6}, (2, 9, 700)),
        ("BatchNorm2d", {"num_features": 8}, (6, 8, 14, 14)),
    ]


@both
@pytest.mark.parametrize(("name", "options", "shape"), layers())
def test_layers_against_float64(name, options, shape, dtype):
    options = options | ({"eps": 1e-5} if name == "RMSNorm" else {})
    rng = np.random.default_rng(1)
    x, dy = rng.normal(0.5, 1.5, (2, *shape)).astype(dtype)
    layer, wide = cybn.create(name, **options), cybn.create(name, **options)
    y, dx = layer(x), layer.backward(dy)
    want = wide(x.astype(np.float64))
    want_dx = wide.backward(dy.astype(np.float64))
    assert y.dtype == dx.dtype == dtype
    close(y, want, dtype, 4)
    close(dx, want_dx, dtype, 4)
    for key, grad in layer.grads.items():
        assert grad.dtype == np.float32
        np.testing.assert_allclose(grad, wide.grads[key], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(words(layer.eval()(x)), words(layer(x, out=x.copy())))


@both
def test_any_memory_layout_gives_the_same_bits(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 6, 5, 7)).astype(dtype)
    plain = functional.batch_norm_forward(x)[0]
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    strided = np.repeat(x, 2, -1)[..., ::2]
    block = np.empty(x.nbytes + 1, np.uint8)
    misaligned = block[1:].view(dtype).reshape(x.shape)
    misaligned[...] = x
    for a in (np.asfortranarray(x), last, strided, misaligned, x[::-1][::-1]):
        y = functional.batch_norm_forward(a)[0]
        assert y.dtype == dtype
        assert y.shape == x.shape
        np.testing.assert_allclose(
            y.astype(np.float32), plain.astype(np.float32), atol=float(finfo(dtype).eps) * 4
        )
    first = np.broadcast_to(x[:1], x.shape)
    got = functional.batch_norm_forward(first)[0]
    assert bits(words(got)) == bits(words(functional.batch_norm_forward(first.copy())[0]))
    out = np.zeros((4, 6, 5, 14), dtype)[..., ::2]
    assert functional.batch_norm_forward(x, out=out)[0] is out
    assert bits(words(out)) == bits(words(plain))
    inplace = x.copy()
    functional.batch_norm_forward(inplace, out=inplace)
    assert bits(words(inplace)) == bits(words(plain))


def test_float16_overflows_to_infinity_as_in_ieee():
    x = np.array([[1.0], [2.0], [3.0], [4.0]], np.float16)
    weight = np.array([60000.0], np.float32)
    y = functional.batch_norm_forward(x, weight)[0]
    assert y.ravel().tolist() == [-np.inf, -26832.0, 26832.0, np.inf]


@both
def test_sums_do_not_run_in_sixteen_bits(dtype):
    """A mean of 4096 ones and more, which sixteen bits cannot count."""
    x = np.ones((20_000, 2), dtype)
    x[::2, 1] = 3
    stats = functional.batch_norm_stats(x)
    assert stats[:2].tolist() == [[1.0, 2.0], [0.0, 1.0]]


@both
def test_subnormals_and_what_is_not_finite(dtype):
    least = words(np.zeros(1, dtype))
    least[0] = 1
    x = np.repeat(least.view(dtype), 8).reshape(8, 1).repeat(3, 1)
    x[::2, 0] = 0
    x[3, 1], x[4, 2] = np.nan, np.inf
    mean, var, _ = functional.batch_norm_stats(x)
    tiny = float(x[1, 0].astype(np.float64))
    assert mean[0] == tiny / 2
    assert var[0] == tiny**2 / 4
    assert np.isnan(mean[1])
    assert not np.isfinite(mean[2])


def test_eps_of_rms_norm_is_that_of_its_arithmetic():
    for dtype in (FLOAT16, BFLOAT16):
        x = np.zeros((1, 4), dtype)
        assert functional.rms_norm_forward(x, 4)[1][2, 0] == 1 / np.sqrt(2.0**-23)


def test_eps_of_rms_norm_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")
    x = np.full((2, 4), 1e-4, np.float16)
    expected = torch.nn.functional.rms_norm(torch.from_numpy(x), (4,)).numpy()
    np.testing.assert_allclose(functional.rms_norm(x, 4), expected, rtol=2e-3)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, ">f2", np.complex64, "float8_e4m3fn"])
def test_other_dtypes_are_refused(dtype):
    if dtype == "float8_e4m3fn":
        dtype = pytest.importorskip("ml_dtypes").float8_e4m3fn
    with pytest.raises(TypeError, match="takes float16, bfloat16, float32 or float64 x, got"):
        functional.batch_norm_forward(np.zeros((4, 2), dtype))


@both
def test_parameters_stay_as_they_are(dtype):
    x = np.ones((4, 2), dtype)
    with pytest.raises(TypeError, match="takes float32 or float64 weight"):
        functional.batch_norm_forward(x, np.ones(2, dtype))
    mean, var = np.zeros(2), np.ones(2, np.float64)
    functional.batch_norm(x, mean, var, training=True)
    assert mean.dtype == np.float64
    assert mean.tolist() == [0.1, 0.1]
